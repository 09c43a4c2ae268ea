/* A number of UDP (or unix datagram) sockets, each sending a datagram and waiting for
 * its echo before it sends the next. A datagram that gets lost ends the program:
 * with one under way a socket, nothing may get lost on a loopback.
 *
 *   load_datagram address=… server=PID connections=10 size=1024 rounds=10000 warmup=1000
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net.h"

struct client {
    int fd;
    unsigned serial; /* stamped on each datagram, so that an old echo is noticed */
};

static struct client *clients;
static size_t size;
static char *outgoing, *incoming;
static long left, waiting, done;

static void ask(struct client *c)
{
    c->serial++;
    memcpy(outgoing, c, sizeof *c);
    if (send(c->fd, outgoing, size, 0) != (ssize_t)size)
        die("send: %s", strerror(errno));
    left--;
}

static void take(struct client *c)
{
    ssize_t n = recv(c->fd, incoming, size + 1, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0)
        die("recv: %s", strerror(errno));
    memcpy(outgoing, c, sizeof *c);
    if (n != (ssize_t)size || memcmp(outgoing, incoming, size) != 0)
        die("wrong answer: %zd bytes, or others than expected", n);
    done++;
    if (left > 0 && !time_is_up())
        ask(c);
    else
        waiting--;
}

static void run(long count, long rounds, int seconds)
{
    struct epoll_event events[256];
    allow_seconds(seconds);
    left = rounds;
    waiting = done = 0;
    for (long i = 0; i < count && left > 0; i++, waiting++)
        ask(&clients[i]);
    while (waiting > 0) {
        int n = epoll_take(events, 256);
        for (int i = 0; i < n; i++)
            take(events[i].data.ptr);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    long count = number(argv, "connections", 1), rounds = number(argv, "rounds", 10000);
    size = number(argv, "size", KIB);
    clients = calloc(count, sizeof *clients);
    outgoing = malloc(size);
    incoming = malloc(size + 1);
    memset(outgoing, 'u', size);
    epoll_open();
    for (long i = 0; i < count; i++) {
        clients[i].fd = connect_to(word(argv, "address", ""), SOCK_DGRAM);
        epoll_set(clients[i].fd, &clients[i], EPOLLIN, true);
    }
    run(count, number(argv, "warmup", 1000), 2);
    stopwatch_start(number(argv, "server", 0));
    run(count, rounds, 10);
    stopwatch_stop(done);
    return 0;
}
