/* The limit: the same services by hand, in C, on epoll, on one thread. No server
 * written in Python can be expected to use less CPU time than this one.
 *
 *   limit_server address=127.0.0.1:0 kind=echo|close|send|receive|broadcast|datagram
 *                size=1048576 cert=FILE key=FILE
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net.h"

struct connection {
    struct stream stream;
    char *pending; /* what could not be written yet; NULL iff nothing */
    size_t pending_size, pending_sent;
    size_t received; /* kind=receive: bytes of the request under way */
    struct connection *next;
};

typedef void (*answer_function)(struct connection *c, char *data, size_t n);

static struct connection *all;
static char buffer[64 * KIB], *ramp;
static size_t size;
static answer_function answer;

static void watch(struct connection *c)
{
    bool want = c->pending != NULL || stream_wants_write(&c->stream);
    epoll_set(c->stream.fd, c, want ? EPOLLIN | EPOLLOUT : EPOLLIN, false);
}

static void keep(struct connection *c, const char *data, size_t n)
{
    c->pending = realloc(c->pending, c->pending_size + n);
    memcpy(c->pending + c->pending_size, data, n);
    c->pending_size += n;
    watch(c);
}

static void write_all(struct connection *c, const char *data, size_t n)
{
    while (n > 0 && c->pending == NULL) {
        ssize_t sent = stream_write(&c->stream, data, n);
        if (sent == STREAM_AGAIN)
            break;
        data += sent;
        n -= sent;
    }
    if (n > 0)
        keep(c, data, n);
}

static void write_pending(struct connection *c)
{
    while (c->pending_sent < c->pending_size) {
        ssize_t n = stream_write(&c->stream, c->pending + c->pending_sent, c->pending_size - c->pending_sent);
        if (n == STREAM_AGAIN)
            return;
        c->pending_sent += n;
    }
    free(c->pending);
    c->pending = NULL;
    c->pending_size = c->pending_sent = 0;
    watch(c);
}

static void drop(struct connection *c)
{
    stream_close(&c->stream);
    free(c->pending);
    c->stream.fd = -1; /* the struct stays in the list: servers of this kind are short-lived */
}

/* --- the services ----------------------------------------------------------- */

static void echo(struct connection *c, char *data, size_t n)
{
    write_all(c, data, n);
}

static void echo_and_close(struct connection *c, char *data, size_t n)
{
    write_all(c, data, n);
    drop(c);
}

static void send_ramp(struct connection *c, char *data, size_t n)
{
    (void)data;
    while (n-- > 0)
        write_all(c, ramp, size);
}

static void count_and_acknowledge(struct connection *c, char *data, size_t n)
{
    (void)data;
    for (c->received += n; c->received >= size; c->received -= size)
        write_all(c, "K", 1);
}

static void broadcast(struct connection *c, char *data, size_t n)
{
    (void)data, (void)n;
    for (c = all; c != NULL; c = c->next)
        if (c->stream.fd >= 0)
            write_all(c, ramp, size);
}

/* --- the loop --------------------------------------------------------------- */

static void serve(struct connection *c)
{
    for (;;) {
        ssize_t n = stream_read(&c->stream, buffer, sizeof buffer);
        if (n == STREAM_EOF)
            return drop(c);
        if (n == STREAM_AGAIN)
            return;
        answer(c, buffer, n);
        if (c->stream.fd < 0 || (c->stream.tls == NULL && (size_t)n < sizeof buffer))
            return;
    }
}

static void accept_all(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct connection *c = calloc(1, sizeof *c);
        stream_open(&c->stream, fd, true);
        c->next = all;
        all = c;
        epoll_set(fd, c, EPOLLIN, true);
        if (answer == broadcast)
            write_all(c, "h", 1); /* a listener is told that it is one */
    }
}

static void echo_datagrams(int fd)
{
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    ssize_t n;
    while ((n = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length)) >= 0) {
        if (sendto(fd, buffer, n, 0, (struct sockaddr *)&from, length) != n)
            die("sendto: %s", strerror(errno));
        length = sizeof from;
    }
}

static answer_function service(const char *kind)
{
    static const struct {
        const char *kind;
        answer_function answer;
    } services[] = {
        {"echo", echo},           {"close", echo_and_close}, {"send", send_ramp}, {"receive", count_and_acknowledge},
        {"broadcast", broadcast}, {"datagram", NULL},
    };
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        if (strcmp(services[i].kind, kind) == 0)
            return services[i].answer;
    die("kind=%s?", kind);
}

int main(int argc, char **argv)
{
    (void)argc;
    const char *address = word(argv, "address", "127.0.0.1:0"), *cert = word(argv, "cert", NULL);
    struct epoll_event events[256];
    signal(SIGPIPE, SIG_IGN);
    size = number(argv, "size", MIB);
    ramp = malloc(size);
    for (size_t i = 0; i < size; i++)
        ramp[i] = (char)i;
    answer = service(word(argv, "kind", "echo"));
    if (cert != NULL)
        tls_server(cert, word(argv, "key", ""));
    epoll_open();
    int listener = listen_on(address, answer ? SOCK_STREAM : SOCK_DGRAM);
    epoll_set(listener, NULL, EPOLLIN, true);
    announce(listener, address);
    for (;;) {
        int n = epoll_take(events, 256);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (c == NULL) {
                answer ? accept_all(listener) : echo_datagrams(listener);
                continue;
            }
            if (c->pending != NULL)
                write_pending(c);
            serve(c);
        }
    }
}
