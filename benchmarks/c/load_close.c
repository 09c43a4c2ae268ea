/* Connections that live for one exchange: connect, send a request, read the
 * answer until the server closes, and again. With tls=1 that is a handshake a
 * connection.
 *
 *   load_close address=… server=PID connections=10 rounds=2000 warmup=200 tls=0
 *
 * An operation is a connection. `connections` of them are open at any time.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net.h"

enum { SIZE = 64 }; /* bytes of a request, and of the answer, which is the same */

struct connection {
    struct stream stream;
    size_t received;
    bool sent, writing;
    char answer[SIZE + 1];
};

static const char *address;
static char request[SIZE];
static long left, open_now, done;

static void ask(struct connection *c)
{
    if (!c->sent) {
        ssize_t n = stream_write(&c->stream, request, SIZE);
        if (n != STREAM_AGAIN && n != SIZE)
            die("a request of %d bytes went out in parts", SIZE);
        c->sent = n != STREAM_AGAIN;
    }
    bool want = stream_wants_write(&c->stream);
    if (want != c->writing) {
        c->writing = want;
        epoll_set(c->stream.fd, c, want ? EPOLLIN | EPOLLOUT : EPOLLIN, false);
    }
}

static void begin(struct connection *c)
{
    c->received = 0;
    c->sent = c->writing = false;
    stream_open(&c->stream, connect_to(address, SOCK_STREAM), false);
    epoll_set(c->stream.fd, c, EPOLLIN, true);
    left--;
    ask(c);
}

static void finish(struct connection *c)
{
    if (c->received != SIZE || memcmp(request, c->answer, SIZE) != 0)
        die("wrong answer: %zu bytes, or others than expected", c->received);
    stream_close(&c->stream);
    done++;
    if (left > 0 && !time_is_up())
        begin(c);
    else
        open_now--;
}

static void take(struct connection *c)
{
    ask(c); /* a TLS handshake may have got as far as the request */
    for (;;) {
        ssize_t n = stream_read(&c->stream, c->answer + c->received, sizeof c->answer - c->received);
        if (n == STREAM_AGAIN)
            return ask(c);
        if (n == STREAM_EOF)
            return finish(c);
        c->received += n;
        if (c->received > SIZE)
            die("wrong answer: too many bytes");
    }
}

static void run(struct connection *connections, long count, long rounds, int seconds)
{
    struct epoll_event events[256];
    allow_seconds(seconds);
    left = rounds;
    open_now = done = 0;
    for (long i = 0; i < count && left > 0; i++, open_now++)
        begin(&connections[i]);
    while (open_now > 0) {
        int n = epoll_take(events, 256);
        for (int i = 0; i < n; i++)
            take(events[i].data.ptr);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    long count = number(argv, "connections", 10), rounds = number(argv, "rounds", 2000);
    struct connection *connections = calloc(count, sizeof *connections);
    address = word(argv, "address", "");
    memset(request, 'r', SIZE);
    if (number(argv, "tls", 0))
        tls_client();
    epoll_open();
    run(connections, count, number(argv, "warmup", 200), 2);
    stopwatch_start(number(argv, "server", 0));
    run(connections, count, rounds, 10);
    stopwatch_stop(done);
    return 0;
}
