/* The shared half of the load programs: see net.h. */
#define _GNU_SOURCE
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

/* --- options -------------------------------------------------------------- */

const char *word(char **argv, const char *name, const char *otherwise)
{
    size_t length = strlen(name);
    for (; *argv != NULL; argv++)
        if (strncmp(*argv, name, length) == 0 && (*argv)[length] == '=')
            return *argv + length + 1;
    return otherwise;
}

long number(char **argv, const char *name, long otherwise)
{
    const char *text = word(argv, name, NULL);
    return text == NULL ? otherwise : atol(text);
}

/* --- addresses ------------------------------------------------------------ */

union any_address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_un un;
};

static socklen_t parse_address(const char *text, union any_address *out)
{
    memset(out, 0, sizeof *out);
    if (strncmp(text, "unix:", 5) == 0) {
        out->un.sun_family = AF_UNIX;
        snprintf(out->un.sun_path, sizeof out->un.sun_path, "%s", text + 5);
        return sizeof out->un;
    }
    char host[64];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon - text >= (ptrdiff_t)sizeof host)
        die("not an address: %s", text);
    memcpy(host, text, colon - text);
    host[colon - text] = 0;
    out->in.sin_family = AF_INET;
    out->in.sin_port = htons(atoi(colon + 1));
    if (inet_pton(AF_INET, host, &out->in.sin_addr) != 1)
        die("not an IPv4 address: %s", host);
    return sizeof out->in;
}

static int open_socket(int family, int type)
{
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket: %s", strerror(errno));
    return fd;
}

int connect_to(const char *address, int type)
{
    union any_address to;
    socklen_t length = parse_address(address, &to);
    int fd = open_socket(to.any.sa_family, type);
    if (connect(fd, &to.any, length) < 0)
        die("connect to %s: %s", address, strerror(errno));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

int listen_on(const char *address, int type)
{
    union any_address at;
    socklen_t length = parse_address(address, &at);
    int fd = open_socket(at.any.sa_family, type), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, &at.any, length) < 0)
        die("bind to %s: %s", address, strerror(errno));
    if (type == SOCK_STREAM && listen(fd, 4096) < 0)
        die("listen: %s", strerror(errno));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

void announce(int listener, const char *address)
{
    union any_address at;
    socklen_t length = sizeof at;
    getsockname(listener, &at.any, &length);
    if (at.any.sa_family == AF_INET)
        printf("@benchmark {\"pid\": %d, \"address\": \"127.0.0.1:%d\"}\n", getpid(), ntohs(at.in.sin_port));
    else
        printf("@benchmark {\"pid\": %d, \"address\": \"%s\"}\n", getpid(), address);
    fflush(stdout);
}

/* --- plain streams (stream_* for TLS stand in tls.c) ----------------------- */

ssize_t plain_read(int fd, void *buffer, size_t size)
{
    ssize_t n = recv(fd, buffer, size, 0);
    if (n >= 0)
        return n;
    if (errno == EAGAIN)
        return STREAM_AGAIN;
    die("recv: %s", strerror(errno));
}

ssize_t plain_write(int fd, const void *buffer, size_t size)
{
    ssize_t n = send(fd, buffer, size, MSG_NOSIGNAL);
    if (n >= 0)
        return n;
    if (errno == EAGAIN)
        return STREAM_AGAIN;
    die("send: %s", strerror(errno));
}

void stream_adopt(struct stream *stream, int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* no matter if it is no TCP socket */
    stream->fd = fd;
    stream->tls = NULL;
}

void stream_wait(struct stream *stream)
{
    struct pollfd waiting = {.fd = stream->fd, .events = stream_wants_write(stream) ? POLLOUT : POLLIN};
    if (poll(&waiting, 1, 10000) == 0)
        die("stalled: no answer for 10 s");
}

/* --- epoll ---------------------------------------------------------------- */

static int poller = -1;

void epoll_open(void)
{
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll_create1: %s", strerror(errno));
}

void epoll_set(int fd, void *owner, uint32_t events, bool fresh)
{
    struct epoll_event event = {.events = events, .data.ptr = owner};
    if (epoll_ctl(poller, fresh ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) < 0)
        die("epoll_ctl: %s", strerror(errno));
}

int epoll_take(struct epoll_event *events, int count)
{
    for (;;) {
        int n = epoll_wait(poller, events, count, 10000);
        if (n > 0)
            return n;
        if (n == 0)
            die("stalled: nothing came for 10 s");
        if (errno != EINTR)
            die("epoll_wait: %s", strerror(errno));
    }
}

/* --- the stopwatch -------------------------------------------------------- */

static pid_t watched;
static int64_t cpu_at_start, wall_at_start, phase_end;

static int64_t clock_ns(clockid_t id)
{
    struct timespec now;
    if (clock_gettime(id, &now) < 0)
        die("clock_gettime: %s (the server is gone?)", strerror(errno));
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

void allow_seconds(int seconds)
{
    phase_end = clock_ns(CLOCK_MONOTONIC) + seconds * 1000000000LL;
}

bool time_is_up(void)
{
    return clock_ns(CLOCK_MONOTONIC) > phase_end;
}

static int64_t cpu_of(pid_t pid)
{
    clockid_t id;
    if (clock_getcpuclockid(pid, &id) != 0)
        die("no CPU clock of process %d: the server is gone?", pid);
    return clock_ns(id);
}

void stopwatch_start(pid_t server)
{
    watched = server;
    cpu_at_start = cpu_of(server);
    wall_at_start = clock_ns(CLOCK_MONOTONIC);
}

void stopwatch_stop(long operations)
{
    int64_t wall = clock_ns(CLOCK_MONOTONIC) - wall_at_start, cpu = cpu_of(watched) - cpu_at_start;
    printf("@benchmark {\"operations\": %ld, \"cpu_ns\": %lld, \"wall_ns\": %lld}\n", operations, (long long)cpu,
           (long long)wall);
}

long resident_bytes(pid_t pid)
{
    char path[64];
    long size, resident;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL || fscanf(file, "%ld %ld", &size, &resident) != 2)
        die("cannot read %s: the server is gone?", path);
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

void sleep_ms(int ms)
{
    struct timespec span = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&span, NULL);
}
