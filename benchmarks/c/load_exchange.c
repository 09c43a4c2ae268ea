/* A number of connections, each sending a request and waiting for the answer
 * before it sends the next; every answer is compared byte by byte.
 *
 *   load_exchange address=… server=PID connections=10 size=1024 batch=1
 *                 kind=echo|send|receive rounds=10000 warmup=1000 tls=0
 *
 * kind=echo     the answer is the request (size bytes, batch lines of them at once)
 * kind=receive  a request of one byte, answered with size bytes   (the server sends)
 * kind=send     a request of size bytes, answered with one byte   (the server receives)
 *
 * An operation is a message of `size` bytes: one round makes `batch` of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net.h"

enum { VARIANTS = 8 }; /* different messages, so that an answer to the wrong request is noticed */

struct blob {
    char *bytes;
    size_t size;
};

struct connection {
    struct stream stream;
    const struct blob *request, *answer;
    size_t sent, received;
    unsigned round;
    bool writing; /* True iff epoll is asked for EPOLLOUT */
};

static struct blob requests[VARIANTS], answers[VARIANTS];
static struct connection *connections;
static long connection_count, rounds_left, rounds_open, rounds_done;
static char scratch[256 * KIB];

/* `batch` lines of `size` bytes: no newline but at the end of each. */
static struct blob lines(int variant, size_t size, size_t batch)
{
    struct blob blob = {malloc(size * batch), size * batch};
    for (size_t i = 0; i < blob.size; i++)
        blob.bytes[i] = i % size == size - 1 ? '\n' : 'A' + (i * 7 + i / size + variant * 5) % 53;
    return blob;
}

/* The bytes 0, 1, … 255, 0, …: what both sides of a one-way row can make without being told. */
static struct blob ramp(size_t size)
{
    struct blob blob = {malloc(size), size};
    for (size_t i = 0; i < size; i++)
        blob.bytes[i] = (char)i;
    return blob;
}

static void make_messages(const char *kind, size_t size, size_t batch)
{
    static struct blob go = {"G", 1}, ack = {"K", 1};
    for (int i = 0; i < VARIANTS; i++) {
        if (strcmp(kind, "echo") == 0)
            requests[i] = answers[i] = lines(i, size, batch);
        else if (strcmp(kind, "receive") == 0)
            requests[i] = go, answers[i] = i ? answers[0] : ramp(size);
        else if (strcmp(kind, "send") == 0)
            requests[i] = i ? requests[0] : ramp(size), answers[i] = ack;
        else
            die("kind=%s?", kind);
    }
}

static void write_some(struct connection *c)
{
    while (c->sent < c->request->size) {
        ssize_t n = stream_write(&c->stream, c->request->bytes + c->sent, c->request->size - c->sent);
        if (n == STREAM_AGAIN)
            break;
        c->sent += n;
    }
    bool want = c->sent < c->request->size || stream_wants_write(&c->stream);
    if (want != c->writing) {
        c->writing = want;
        epoll_set(c->stream.fd, c, want ? EPOLLIN | EPOLLOUT : EPOLLIN, false);
    }
}

static void begin_round(struct connection *c)
{
    unsigned variant = (c->round++ + (c - connections)) % VARIANTS;
    c->request = &requests[variant];
    c->answer = &answers[variant];
    c->sent = c->received = 0;
    rounds_left--;
    write_some(c);
}

static void finish_round(struct connection *c)
{
    if (c->sent != c->request->size)
        die("wrong answer: it came before the request was sent");
    rounds_done++;
    if (rounds_left > 0 && !time_is_up())
        begin_round(c);
    else
        rounds_open--;
}

static void read_some(struct connection *c)
{
    for (;;) {
        ssize_t n = stream_read(&c->stream, scratch, sizeof scratch);
        if (n == STREAM_AGAIN)
            return;
        if (n == STREAM_EOF)
            die("wrong answer: the server closed the connection");
        if (c->received + n > c->answer->size)
            die("wrong answer: too many bytes");
        if (memcmp(c->answer->bytes + c->received, scratch, n) != 0)
            die("wrong answer: other bytes than expected");
        c->received += n;
        if (c->received == c->answer->size)
            finish_round(c);
        if (c->stream.tls == NULL && (size_t)n < sizeof scratch)
            return; /* nothing more is there */
    }
}

/* Do `count` rounds, or those that fit into the time. */
static void run_rounds(long count, int seconds)
{
    struct epoll_event events[256];
    allow_seconds(seconds);
    rounds_left = count;
    rounds_open = rounds_done = 0;
    for (long i = 0; i < connection_count && rounds_left > 0; i++, rounds_open++)
        begin_round(&connections[i]);
    while (rounds_open > 0) {
        int n = epoll_take(events, 256);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->writing)
                write_some(c);
            read_some(c);
        }
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    long batch = number(argv, "batch", 1), rounds = number(argv, "rounds", 10000);
    connection_count = number(argv, "connections", 1);
    connections = calloc(connection_count, sizeof *connections);
    make_messages(word(argv, "kind", "echo"), number(argv, "size", KIB), batch);
    if (number(argv, "tls", 0))
        tls_client();
    epoll_open();
    for (long i = 0; i < connection_count; i++) {
        struct connection *c = &connections[i];
        stream_open(&c->stream, connect_to(word(argv, "address", ""), SOCK_STREAM), false);
        epoll_set(c->stream.fd, c, EPOLLIN, true);
    }
    long warmup = number(argv, "warmup", 1000);
    run_rounds(warmup < connection_count ? connection_count : warmup, 2);
    stopwatch_start(number(argv, "server", 0));
    run_rounds(rounds, 10);
    stopwatch_stop(rounds_done * batch);
    return 0;
}
