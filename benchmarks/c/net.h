/* What the load programs and the limit server share: addresses, byte streams
 * (plain or TLS), epoll, and the stopwatch.
 *
 * Law: whatever goes wrong ends the program through die(), with one line on
 * stderr and exit status 1. A benchmark that limps on measures nothing.
 */
#ifndef BENCHMARKS_NET_H
#define BENCHMARKS_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

#define KIB 1024
#define MIB (1024 * 1024)

void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* --- options: the command line is name=value words -------------------------- */

const char *word(char **argv, const char *name, const char *otherwise);
long number(char **argv, const char *name, long otherwise);

/* --- addresses: "127.0.0.1:8080", or "unix:/path" ------------------------ */

int connect_to(const char *address, int type); /* SOCK_STREAM | SOCK_DGRAM; the socket does not block */
int listen_on(const char *address, int type);  /* a bound SOCK_DGRAM socket, or a listening one */
void announce(int listener, const char *address); /* tells the harness where this server is */

/* --- byte streams --------------------------------------------------------- */

struct stream {
    int fd;
    void *tls; /* an SSL *, or NULL on a plain socket */
};

enum { STREAM_AGAIN = -1, STREAM_EOF = 0 };

void tls_client(void);                             /* every stream opened from now on speaks TLS */
void tls_server(const char *cert, const char *key); /* the same, on the accepting side */
void stream_open(struct stream *stream, int fd, bool accepted); /* fd must not block */
ssize_t stream_read(struct stream *stream, void *buffer, size_t size);        /* bytes, or one of the two above */
ssize_t stream_write(struct stream *stream, const void *buffer, size_t size); /* bytes, or STREAM_AGAIN */
bool stream_wants_write(struct stream *stream); /* True iff TLS waits for room to go on */
void stream_wait(struct stream *stream);         /* until it can go on after STREAM_AGAIN; dies after 10 s */
void stream_close(struct stream *stream);

/* --- epoll ---------------------------------------------------------------- */

void epoll_open(void);
void epoll_set(int fd, void *owner, uint32_t events, bool fresh);
int epoll_take(struct epoll_event *events, int count); /* dies after 10 s without an event */

/* --- the stopwatch -------------------------------------------------------- */

void allow_seconds(int seconds); /* from now on, for a phase */
bool time_is_up(void);           /* True iff the phase has lasted longer: begin nothing new */
void stopwatch_start(pid_t server);
void stopwatch_stop(long operations); /* prints the sample: CPU time of the server, wall time */
long resident_bytes(pid_t pid);
void sleep_ms(int ms);

#endif
