/* Bytes from and to descriptors. None of this waits: what would block says so. */
#ifndef CEDE_TRANSFERS_H
#define CEDE_TRANSFERS_H

#include <Python.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef MSG_NOSIGNAL
#define CEDE_NOSIGNAL MSG_NOSIGNAL
#else
#define CEDE_NOSIGNAL 0 /* the interpreter ignores SIGPIPE, unless the program has it otherwise */
#endif

/* Whether the call that just failed is to be tried again later. */
static inline int cede_would_block(void) {
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* As recv or read. A socket may be a blocking one. */
static inline Py_ssize_t cede_get(int fd, char *memory, Py_ssize_t size, int from_socket) {
    return from_socket ? recv(fd, memory, size, MSG_DONTWAIT) : read(fd, memory, size);
}

/* As send or write. */
static inline Py_ssize_t cede_put(int fd, const char *memory, Py_ssize_t size, int to_socket) {
    return to_socket ? send(fd, memory, size, MSG_DONTWAIT | CEDE_NOSIGNAL) : write(fd, memory, size);
}

/* Whether it is memory of ours; else a TypeError is set: an object that nobody initialized has None in its place. */
static inline int cede_is_memory(PyObject *buffer) {
    if (PyByteArray_CheckExact(buffer)) return 1;
    PyErr_SetString(PyExc_TypeError, "there is no memory to use: the object was not initialized");
    return 0;
}

/* A bytearray to read into. */
#define cede_read_buffer(size) PyByteArray_FromStringAndSize(NULL, size)

/* Up to `size` bytes, by way of `buffer` if it is large enough: a new bytes, b"" at the end of the stream, None if
   nothing is there yet, NULL with an error set. */
static PyObject *cede_take_bytes(int fd, PyObject *buffer, Py_ssize_t size, int from_socket) {
    Py_ssize_t count;
    if (PyByteArray_CheckExact(buffer) && size <= PyByteArray_GET_SIZE(buffer)) {
        char *memory = PyByteArray_AS_STRING(buffer);
        count = cede_get(fd, memory, size, from_socket);
        if (count >= 0) return PyBytes_FromStringAndSize(memory, count);
    } else {
        PyObject *data = PyBytes_FromStringAndSize(NULL, size);
        if (data == NULL) return NULL;
        count = cede_get(fd, PyBytes_AS_STRING(data), size, from_socket);
        if (count >= 0) {
            if (count < size) _PyBytes_Resize(&data, count);
            return data;
        }
        Py_DECREF(data);
    }
    if (cede_would_block()) Py_RETURN_NONE;
    return PyErr_SetFromErrno(PyExc_OSError);
}
#define cede_read(fd, buffer, size) cede_take_bytes(fd, buffer, size, 0)
#define cede_receive(fd, buffer, size) cede_take_bytes(fd, buffer, size, 1)

/* How many bytes of a socket stand in `target` now, any writable memory; 0 at the end of the stream, -1 if nothing is
   there yet, -2 with an error set. */
static Py_ssize_t cede_receive_into(int fd, PyObject *target) {
    Py_buffer view;
    Py_ssize_t count;
    if (PyObject_GetBuffer(target, &view, PyBUF_WRITABLE) < 0) return -2;
    count = cede_get(fd, (char *)view.buf, view.len, 1);
    if (count < 0 && !cede_would_block()) {
        PyErr_SetFromErrno(PyExc_OSError);
        count = -2;
    }
    PyBuffer_Release(&view);
    return count;
}

/* How many bytes of `data`, a bytes, the socket took; 0 if the kernel has no room, -1 with an error set. */
static Py_ssize_t cede_send_bytes(int fd, PyObject *data) {
    Py_ssize_t count = cede_put(fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), 1);
    if (count >= 0) return count;
    if (cede_would_block()) return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* The same for any descriptor, but -1 if there is no room, -2 with an error set. */
static Py_ssize_t cede_write_bytes(int fd, PyObject *data) {
    Py_ssize_t count = cede_put(fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), 0);
    if (count >= 0 || cede_would_block()) return count;
    PyErr_SetFromErrno(PyExc_OSError);
    return -2;
}

/* How many bytes went of the first `most` chunks of a list of bytes, the first without its first `skip` bytes, in one
   call; -1 if there is no room, -2 with an error set. */
#define CEDE_MOST_CHUNKS 64
static Py_ssize_t cede_put_chunks(int fd, PyObject *chunks, Py_ssize_t skip, int most, int to_socket) {
    struct iovec parts[CEDE_MOST_CHUNKS];
    Py_ssize_t count, size = PyList_GET_SIZE(chunks);
    if (size == 1) {
        PyObject *chunk = PyList_GET_ITEM(chunks, 0);
        count = cede_put(fd, PyBytes_AS_STRING(chunk) + skip, PyBytes_GET_SIZE(chunk) - skip, to_socket);
    } else {
        struct msghdr message;
        Py_ssize_t i;
        if (size > most) size = most;
        if (size > CEDE_MOST_CHUNKS) size = CEDE_MOST_CHUNKS;
        for (i = 0; i < size; i++) {
            PyObject *chunk = PyList_GET_ITEM(chunks, i);
            parts[i].iov_base = PyBytes_AS_STRING(chunk) + skip;
            parts[i].iov_len = PyBytes_GET_SIZE(chunk) - skip;
            skip = 0;
        }
        memset(&message, 0, sizeof message);
        message.msg_iov = parts;
        message.msg_iovlen = size;
        count = to_socket ? sendmsg(fd, &message, MSG_DONTWAIT | CEDE_NOSIGNAL) : writev(fd, parts, (int)size);
    }
    if (count >= 0 || cede_would_block()) return count;
    PyErr_SetFromErrno(PyExc_OSError);
    return -2;
}

/* Small pieces leave at once; a socket that cannot is as it was. */
static void cede_set_nodelay(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

#endif
