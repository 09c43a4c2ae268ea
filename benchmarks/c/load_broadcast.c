/* Many listeners and one speaker: whenever the first connection sends a byte, the
 * server sends the same message to every connection.
 *
 *   load_broadcast address=… server=PID connections=1000 size=1024 rounds=20 warmup=2
 *
 * A new connection is greeted with one byte, so that all are known to listen before the first message.
 * The message is the bytes 0, 1, … 255, 0, …; an operation is a message to one connection.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net.h"

struct connection {
    struct stream stream;
    size_t received;
};

static struct connection *connections;
static long count;
static size_t size;
static char *message, scratch[64 * KIB];

static void await_greeting(struct connection *c)
{
    while (stream_read(&c->stream, scratch, 1) == STREAM_AGAIN)
        stream_wait(&c->stream);
}

/* Take what is there; true iff that completed this connection's message. */
static bool take(struct connection *c)
{
    ssize_t n = stream_read(&c->stream, scratch, sizeof scratch);
    if (n == STREAM_AGAIN)
        return false;
    if (n == STREAM_EOF)
        die("wrong answer: the server closed a connection");
    if (c->received + n > size || memcmp(message + c->received, scratch, n) != 0)
        die("wrong answer: other bytes than expected");
    c->received += n;
    return c->received == size;
}

static void run(long rounds)
{
    struct epoll_event events[256];
    while (rounds-- > 0) {
        for (long i = 0; i < count; i++)
            connections[i].received = 0;
        if (stream_write(&connections[0].stream, "G", 1) != 1)
            die("cannot send a byte");
        for (long waiting = count; waiting > 0;) {
            int n = epoll_take(events, 256);
            for (int i = 0; i < n; i++)
                waiting -= take(events[i].data.ptr);
        }
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    long rounds = number(argv, "rounds", 20);
    count = number(argv, "connections", 1000);
    size = number(argv, "size", KIB);
    connections = calloc(count, sizeof *connections);
    message = malloc(size);
    for (size_t i = 0; i < size; i++)
        message[i] = (char)i;
    epoll_open();
    for (long i = 0; i < count; i++) {
        stream_open(&connections[i].stream, connect_to(word(argv, "address", ""), SOCK_STREAM), false);
        epoll_set(connections[i].stream.fd, &connections[i], EPOLLIN, true);
    }
    for (long i = 0; i < count; i++)
        await_greeting(&connections[i]);
    run(number(argv, "warmup", 2));
    stopwatch_start(number(argv, "server", 0));
    run(rounds);
    stopwatch_stop(rounds * count);
    return 0;
}
