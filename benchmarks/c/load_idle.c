/* Connections that do nothing: what each costs the server in resident memory.
 *
 *   load_idle address=… server=PID connections=4000 warmup=200 tls=0
 *
 * Every connection exchanges one byte for one byte, so that it is known to be
 * served (and a TLS handshake to be over) before memory is read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "net.h"

static void open_and_greet(struct stream *stream, const char *address)
{
    char answer;
    ssize_t n;
    stream_open(stream, connect_to(address, SOCK_STREAM), false);
    while (stream_write(stream, "h", 1) == STREAM_AGAIN)
        stream_wait(stream);
    while ((n = stream_read(stream, &answer, 1)) == STREAM_AGAIN)
        stream_wait(stream);
    if (n != 1 || answer != 'h')
        die("wrong answer to the greeting");
}

static long open_many(long count, const char *address, pid_t server)
{
    struct stream *streams = calloc(count, sizeof *streams);
    for (long i = 0; i < count; i++)
        open_and_greet(&streams[i], address);
    sleep_ms(300);
    return resident_bytes(server);
}

int main(int argc, char **argv)
{
    (void)argc;
    const char *address = word(argv, "address", "");
    long count = number(argv, "connections", 4000), server = number(argv, "server", 0);
    if (number(argv, "tls", 0))
        tls_client();
    long before = open_many(number(argv, "warmup", 200), address, server);
    long after = open_many(count, address, server);
    printf("@benchmark {\"bytes\": %.1f}\n", (double)(after - before) / count);
    return 0;
}
