/* Byte streams of either kind. Built with -DWITH_TLS where OpenSSL's headers
 * are found; without them every stream is a plain socket and asking for TLS
 * ends the program.
 */
#include "net.h"

ssize_t plain_read(int fd, void *buffer, size_t size);
ssize_t plain_write(int fd, const void *buffer, size_t size);
void stream_adopt(struct stream *stream, int fd);
int close(int fd);

#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>

static SSL_CTX *context; /* NULL as long as streams are plain */

static void tls_die(const char *what)
{
    die("%s: %s", what, ERR_error_string(ERR_get_error(), NULL));
}

void tls_client(void)
{
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

void tls_server(const char *cert, const char *key)
{
    context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_use_certificate_chain_file(context, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        tls_die("certificate");
}

void stream_open(struct stream *stream, int fd, bool accepted)
{
    stream_adopt(stream, fd);
    if (context == NULL)
        return;
    stream->tls = SSL_new(context);
    SSL_set_fd(stream->tls, fd);
    if (accepted)
        SSL_set_accept_state(stream->tls);
    else
        SSL_set_connect_state(stream->tls);
}

/* What a call that moved nothing means; handshakes happen inside read and write. */
static ssize_t tls_outcome(struct stream *stream, int returned)
{
    switch (SSL_get_error(stream->tls, returned)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return STREAM_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return STREAM_EOF;
    default:
        tls_die("TLS");
        return STREAM_EOF;
    }
}

ssize_t stream_read(struct stream *stream, void *buffer, size_t size)
{
    if (stream->tls == NULL)
        return plain_read(stream->fd, buffer, size);
    int n = SSL_read(stream->tls, buffer, size);
    return n > 0 ? n : tls_outcome(stream, n);
}

ssize_t stream_write(struct stream *stream, const void *buffer, size_t size)
{
    if (stream->tls == NULL)
        return plain_write(stream->fd, buffer, size);
    int n = SSL_write(stream->tls, buffer, size);
    return n > 0 ? n : tls_outcome(stream, n);
}

bool stream_wants_write(struct stream *stream)
{
    return stream->tls != NULL && SSL_want_write(stream->tls);
}

void stream_close(struct stream *stream)
{
    if (stream->tls != NULL) {
        if (!SSL_in_init(stream->tls))
            SSL_shutdown(stream->tls);
        ERR_clear_error();
        SSL_free(stream->tls);
    }
    close(stream->fd);
}

#else

void tls_client(void)
{
    die("built without OpenSSL's headers: no TLS");
}

void tls_server(const char *cert, const char *key)
{
    (void)cert, (void)key;
    tls_client();
}

void stream_open(struct stream *stream, int fd, bool accepted)
{
    (void)accepted;
    stream_adopt(stream, fd);
}

ssize_t stream_read(struct stream *stream, void *buffer, size_t size)
{
    return plain_read(stream->fd, buffer, size);
}

ssize_t stream_write(struct stream *stream, const void *buffer, size_t size)
{
    return plain_write(stream->fd, buffer, size);
}

bool stream_wants_write(struct stream *stream)
{
    (void)stream;
    return false;
}

void stream_close(struct stream *stream)
{
    close(stream->fd);
}
#endif
