# The twin of syscalls.py: the same names and arguments, inlined C bodies.
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

from . cimport native  # for its word on tracebacks

cdef extern from *:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <time.h>
    #include <math.h>
    #include <arpa/inet.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <sys/socket.h>
    #include <sys/uio.h>
    #include <unistd.h>
    #ifdef __linux__
    #include <sys/epoll.h>
    #include <sys/prctl.h>
    #include <sys/syscall.h>
    #endif

    #ifdef CLOCK_UPTIME_RAW
    #define CEDE_CLOCK CLOCK_UPTIME_RAW  /* Apple's; what time.monotonic reads there */
    #else
    #define CEDE_CLOCK CLOCK_MONOTONIC
    #endif

    static CYTHON_INLINE double cede_monotonic(void) {
        struct timespec now;
        clock_gettime(CEDE_CLOCK, &now);
        return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    }

    #ifdef __linux__
    #define CEDE_HAS_EPOLL 1
    #ifndef __NR_epoll_pwait2
    #define __NR_epoll_pwait2 441
    #endif
    static int cede_has_pwait2 = 1;
    #define CEDE_MAX_EVENTS 256

    static int cede_epoll_wait_raw(int fd, struct epoll_event *events, double timeout) {
        if (timeout == 0.0) return epoll_wait(fd, events, CEDE_MAX_EVENTS, 0);
        if (timeout > 0.0 && cede_has_pwait2) {
            struct timespec limit;
            int count;
            double whole = floor(timeout);
            /* Rounded up: a timer is never early. */
            limit.tv_sec = (time_t)whole;
            limit.tv_nsec = (long)ceil((timeout - whole) * 1e9);
            if (limit.tv_nsec >= 1000000000L) { limit.tv_sec += 1; limit.tv_nsec = 0; }
            count = (int)syscall(__NR_epoll_pwait2, fd, events, CEDE_MAX_EVENTS, &limit, NULL, 0);
            if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
            cede_has_pwait2 = 0;
        }
        return epoll_wait(fd, events, CEDE_MAX_EVENTS, timeout < 0.0 ? -1 : (int)ceil(timeout * 1e3));
    }

    /* Number of events, 0 after an interruption whose signal handlers raised nothing, -1 with an error set. */
    static int cede_epoll_wait(int fd, PyObject *buffer, double timeout) {
        struct epoll_event *events = (struct epoll_event *)PyByteArray_AS_STRING(buffer);
        int count, error;
        if (timeout == 0.0) {
            count = cede_epoll_wait_raw(fd, events, timeout);
            error = errno;
        } else {
            Py_BEGIN_ALLOW_THREADS
            count = cede_epoll_wait_raw(fd, events, timeout);
            error = errno;
            Py_END_ALLOW_THREADS
        }
        if (PyErr_CheckSignals() < 0) return -1;
        if (count < 0) {
            if (error == EINTR) return 0;
            errno = error;
            PyErr_SetFromErrno(PyExc_OSError);
        }
        return count;
    }

    static int cede_epoll_control(int fd, int action, int watched, uint32_t events) {
        struct epoll_event event;
        event.events = events;
        event.data.u64 = (uint64_t)watched;
        if (epoll_ctl(fd, action, watched, &event) == 0) return 0;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }

    #define cede_event_at(buffer, i) (((struct epoll_event *)PyByteArray_AS_STRING(buffer))[i])
    #define cede_event_fd(buffer, i) (cede_event_at(buffer, i).data.fd)
    #define cede_event_bits(buffer, i) (cede_event_at(buffer, i).events)
    #define cede_event_buffer() PyByteArray_FromStringAndSize(NULL, CEDE_MAX_EVENTS * sizeof(struct epoll_event))

    static unsigned long cede_saved_slack = 50000;
    static void cede_precise_waits(int enable) {
        if (enable) {
            int slack = prctl(PR_GET_TIMERSLACK);
            if (slack > 1) cede_saved_slack = (unsigned long)slack;
            prctl(PR_SET_TIMERSLACK, 1UL);
        } else {
            prctl(PR_SET_TIMERSLACK, cede_saved_slack);
        }
    }
    #else
    /* EpollPoller is compiled here too, and refuses to be imported. */
    #define CEDE_HAS_EPOLL 0
    static int cede_no_epoll(void) {
        errno = ENOSYS;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    #define EPOLL_CTL_ADD 0
    #define EPOLL_CTL_MOD 0
    #define EPOLL_CTL_DEL 0
    #define cede_epoll_wait(fd, buffer, timeout) cede_no_epoll()
    #define cede_epoll_control(fd, action, watched, events) cede_no_epoll()
    #define cede_event_fd(buffer, i) (-1)
    #define cede_event_bits(buffer, i) 0
    #define cede_event_buffer() PyByteArray_FromStringAndSize(NULL, 0)
    #define cede_precise_waits(enable) ((void)(enable))
    #endif


    #ifdef MSG_NOSIGNAL
    #define CEDE_NOSIGNAL MSG_NOSIGNAL
    #else
    #define CEDE_NOSIGNAL 0  /* the interpreter ignores SIGPIPE, unless the program has it otherwise */
    #endif

    /* A socket of the standard library's own class is asked by its number, which stands first in the object and is -1
       once the program closed or detached it: no byte goes to who has the number then. One of another class has methods
       of its own, which the twin in Python calls. */
    struct cede_numbered { PyObject_HEAD int number; };
    static PyTypeObject *cede_socket_type = NULL, *cede_file_type = NULL;  /* io.FileIO is made so, too */
    static PyObject *cede_methods = NULL;
    #define cede_number(sock) (((struct cede_numbered *)(sock))->number)

    /* The class of that name if its objects look so, else None; NULL with an error set. */
    static PyObject *cede_numbered_class(const char *module_name, const char *name) {
        PyObject *module = PyImport_ImportModule(module_name), *kind = NULL, *blank = NULL;
        if (module) kind = PyObject_GetAttrString(module, name);
        if (kind) blank = PyObject_CallMethod(kind, "__new__", "O", kind);
        if (blank && (Py_TYPE(blank)->tp_basicsize < (Py_ssize_t)sizeof(struct cede_numbered)
                      || cede_number(blank) != -1))
            Py_SETREF(kind, Py_NewRef(Py_None));
        if (blank == NULL) Py_CLEAR(kind);
        Py_XDECREF(module); Py_XDECREF(blank);
        return kind;
    }

    /* 0, or -1 with an error set. Where the object looks different, no socket is taken for a plain one. */
    static int cede_learn_sockets(void) {
        PyObject *sockets = cede_numbered_class("socket", "socket"), *files = NULL, *methods = NULL;
        if (sockets) files = cede_numbered_class("io", "FileIO");
        if (files) methods = PyImport_ImportModule("cede.engine.syscalls");
        if (methods && cede_methods == NULL) {
            cede_methods = Py_NewRef(methods);
            cede_socket_type = (PyTypeObject *)Py_NewRef(sockets);
            cede_file_type = (PyTypeObject *)Py_NewRef(files);
        }
        Py_XDECREF(sockets); Py_XDECREF(files);
        if (methods == NULL) return -1;
        Py_DECREF(methods);
        return 0;
    }

    /* Whether the system is asked, by number; -1 with an error set. */
    static CYTHON_INLINE int cede_is_plain(PyObject *sock) {
        if (Py_TYPE(sock) == cede_socket_type) return 1;
        if (cede_methods == NULL) return cede_learn_sockets() < 0 ? -1 : Py_TYPE(sock) == cede_socket_type;
        return 0;
    }

    #define cede_knows_number(file) (Py_TYPE(file) == cede_socket_type || Py_TYPE(file) == cede_file_type)

    static CYTHON_INLINE int cede_would_block(void) {
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    }

    /* A socket may be a blocking one. */
    static CYTHON_INLINE Py_ssize_t cede_get(int fd, char *memory, Py_ssize_t size, int from_socket) {
        return from_socket ? recv(fd, memory, size, MSG_DONTWAIT) : read(fd, memory, size);
    }

    static CYTHON_INLINE Py_ssize_t cede_put(int fd, const char *memory, Py_ssize_t size, int to_socket) {
        return to_socket ? send(fd, memory, size, MSG_DONTWAIT | CEDE_NOSIGNAL) : write(fd, memory, size);
    }

    /* A new bytes, b"" at the end of the stream, None if nothing is there yet, NULL with an error set. */
    static PyObject *cede_take_bytes(int fd, PyObject *buffer, Py_ssize_t size, int from_socket) {
        Py_ssize_t count;
        if (size <= PyByteArray_GET_SIZE(buffer)) {
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

    typedef struct { socklen_t size; struct sockaddr_storage name; } cede_address;

    /* inet_ntop goes through sprintf, which takes as long as accepting. */
    static int cede_ipv4_text(const unsigned char *parts, char *text) {
        char *end = text;
        int i;
        for (i = 0; i < 4; i++) {
            unsigned part = parts[i];
            if (i) *end++ = '.';
            if (part > 99) *end++ = '0' + part / 100;
            if (part > 9) *end++ = '0' + part / 10 % 10;
            *end++ = '0' + part % 10;
        }
        return (int)(end - text);
    }

    /* What the socket module says of an address of the internet; Py_None of any other. A new reference. */
    static PyObject *cede_address_tuple(const cede_address *from) {
        char text[INET6_ADDRSTRLEN];
        PyObject *host, *port, *pair;
        const struct sockaddr_in *in = (const struct sockaddr_in *)&from->name;
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&from->name;
        if (from->name.ss_family == AF_INET && from->size == sizeof(*in)) {
            host = PyUnicode_FromStringAndSize(text, cede_ipv4_text((const unsigned char *)&in->sin_addr, text));
            port = PyLong_FromLong(ntohs(in->sin_port));
            pair = host && port ? PyTuple_Pack(2, host, port) : NULL;
            Py_XDECREF(host);
            Py_XDECREF(port);
            return pair;
        }
        if (from->name.ss_family == AF_INET6 && from->size == sizeof(*in6)) {
            if (!inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text))) return PyErr_SetFromErrno(PyExc_OSError);
            return Py_BuildValue("siII", text, (int)ntohs(in6->sin6_port), (unsigned)ntohl(in6->sin6_flowinfo),
                                 (unsigned)in6->sin6_scope_id);
        }
        Py_RETURN_NONE;
    }

    /* (datagram, address), None if there is none. `known` is the tuple of the address in `last`, and given again if the
       datagram comes from there; else `last` gets the new one. */
    static PyObject *cede_receive_from(int fd, PyObject *buffer, Py_ssize_t size, PyObject *last, PyObject *known) {
        cede_address from, *before = (cede_address *)PyByteArray_AS_STRING(last);
        PyObject *data, *address, *pair;
        Py_ssize_t count;
        from.size = sizeof(from.name);
        if (size > PyByteArray_GET_SIZE(buffer)) size = PyByteArray_GET_SIZE(buffer);
        count = recvfrom(fd, PyByteArray_AS_STRING(buffer), size, MSG_DONTWAIT,
                         (struct sockaddr *)&from.name, &from.size);
        if (count < 0) {
            if (cede_would_block()) Py_RETURN_NONE;
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        if (known != Py_None && from.size == before->size && memcmp(&from.name, &before->name, from.size) == 0) {
            address = Py_NewRef(known);
        } else {
            address = cede_address_tuple(&from);
            if (address == NULL) return NULL;
            *before = from;
        }
        data = PyBytes_FromStringAndSize(PyByteArray_AS_STRING(buffer), count);
        pair = data ? PyTuple_Pack(2, data, address) : NULL;
        Py_XDECREF(data);
        Py_DECREF(address);
        return pair;
    }

    /* Not inherited by children. BSD's are as non-blocking as the listener; who accepts them says what they are. */
    static int cede_accept_raw(int fd, cede_address *from) {
    #ifdef SOCK_CLOEXEC
        return accept4(fd, (struct sockaddr *)&from->name, &from->size, SOCK_CLOEXEC);
    #else
        int accepted = accept(fd, (struct sockaddr *)&from->name, &from->size);
        if (accepted >= 0) fcntl(accepted, F_SETFD, FD_CLOEXEC);
        return accepted;
    #endif
    }

    /* (descriptor, address), None if nobody is waiting, NULL with an error set. */
    static PyObject *cede_accept(int fd) {
        cede_address from;
        PyObject *address, *number, *pair;
        int accepted;
        from.size = sizeof(from.name);
        accepted = cede_accept_raw(fd, &from);
        if (accepted < 0) {
            if (cede_would_block()) Py_RETURN_NONE;
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        address = cede_address_tuple(&from);
        number = address ? PyLong_FromLong(accepted) : NULL;
        pair = number ? PyTuple_Pack(2, number, address) : NULL;
        Py_XDECREF(address);
        Py_XDECREF(number);
        if (pair == NULL) close(accepted);
        return pair;
    }

    /* How much of `data` went to the address in `last`, -1 if the kernel has no room, -2 with an error set. */
    static Py_ssize_t cede_send_to(int fd, PyObject *data, PyObject *last) {
        cede_address *to = (cede_address *)PyByteArray_AS_STRING(last);
        Py_ssize_t count = sendto(fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), MSG_DONTWAIT | CEDE_NOSIGNAL,
                                  (struct sockaddr *)&to->name, to->size);
        if (count >= 0 || cede_would_block()) return count;
        PyErr_SetFromErrno(PyExc_OSError);
        return -2;
    }
    #define cede_address_buffer() PyByteArray_FromStringAndSize(NULL, sizeof(cede_address))

    static Py_ssize_t cede_send_bytes(int fd, PyObject *data) {
        Py_ssize_t count = cede_put(fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), 1);
        if (count >= 0) return count;
        if (cede_would_block()) return 0;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }

    static Py_ssize_t cede_receive_into(int fd, PyObject *target) {
        Py_buffer view;
        Py_ssize_t count;
        if (PyObject_GetBuffer(target, &view, PyBUF_WRITABLE) < 0) return -2;
        count = cede_get(fd, view.buf, view.len, 1);
        if (count < 0 && !cede_would_block()) {
            PyErr_SetFromErrno(PyExc_OSError);
            count = -2;
        }
        PyBuffer_Release(&view);
        return count;
    }

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
                parts[i].iov_base = PyBytes_AS_STRING(chunk);
                parts[i].iov_len = PyBytes_GET_SIZE(chunk);
            }
            parts[0].iov_base = (char *)parts[0].iov_base + skip;
            parts[0].iov_len -= skip;
            memset(&message, 0, sizeof message);
            message.msg_iov = parts;
            message.msg_iovlen = size;
            count = to_socket ? sendmsg(fd, &message, MSG_DONTWAIT | CEDE_NOSIGNAL) : writev(fd, parts, (int)size);
        }
        if (count >= 0 || cede_would_block()) return count;
        PyErr_SetFromErrno(PyExc_OSError);
        return -2;
    }


    static Py_ssize_t cede_write_bytes(int fd, PyObject *data) {
        Py_ssize_t count = cede_put(fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), 0);
        if (count >= 0 || cede_would_block()) return count;
        PyErr_SetFromErrno(PyExc_OSError);
        return -2;
    }

    static void cede_set_nodelay(int fd) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }

    #define cede_read_buffer(size) PyByteArray_FromStringAndSize(NULL, size)
    """
    int cede_is_plain(object sock) except -1
    int cede_number(object sock)
    bint cede_knows_number(object file)
    PyObject *cede_methods
    object cede_read(int fd, object buffer, Py_ssize_t size)
    object cede_receive(int fd, object buffer, Py_ssize_t size)
    Py_ssize_t cede_send_bytes(int fd, object data) except -1
    object cede_receive_from(int fd, object buffer, Py_ssize_t size, object last, object known)
    Py_ssize_t cede_send_to(int fd, object data, object last) except -2
    object cede_address_buffer()
    object cede_accept(int fd)
    Py_ssize_t cede_receive_into(int fd, object target) except -2
    Py_ssize_t cede_put_chunks(int fd, object chunks, Py_ssize_t skip, int most, int to_socket) except -2
    Py_ssize_t cede_write_bytes(int fd, object data) except -2
    void cede_set_nodelay(int fd)
    object cede_read_buffer(Py_ssize_t size)
    double cede_monotonic() nogil
    bint CEDE_HAS_EPOLL
    int cede_epoll_wait(int fd, object buffer, double timeout) except -1
    int EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL
    int cede_epoll_control(int fd, int action, int watched, uint32_t events) except -1
    int cede_event_fd(object buffer, int i)
    uint32_t cede_event_bits(object buffer, int i)
    object cede_event_buffer()
    void cede_precise_waits(int enable)


cdef inline double monotonic():
    return cede_monotonic()

cdef inline bint has_epoll() noexcept:
    return CEDE_HAS_EPOLL

cdef inline object event_buffer():
    return cede_event_buffer()

cdef inline int precise_waits(bint enable) except -1:
    cede_precise_waits(enable)
    return 0

cdef inline int epoll_add(object epoll, int fd, int watched, uint32_t events) except -1:
    return cede_epoll_control(fd, EPOLL_CTL_ADD, watched, events)

cdef inline int epoll_modify(object epoll, int fd, int watched, uint32_t events) except -1:
    return cede_epoll_control(fd, EPOLL_CTL_MOD, watched, events)

cdef inline int epoll_remove(object epoll, int fd, int watched) except -1:
    return cede_epoll_control(fd, EPOLL_CTL_DEL, watched, 0)

cdef inline int epoll_wait(object epoll, int fd, object buffer, double timeout) except -1:
    return cede_epoll_wait(fd, buffer, timeout)

cdef inline (int, uint32_t) event(object buffer, int index) noexcept:
    return (cede_event_fd(buffer, index), cede_event_bits(buffer, index))

cdef inline object read_buffer(Py_ssize_t size):
    return cede_read_buffer(size)

cdef inline object read(int fd, object buffer, Py_ssize_t size):
    return cede_read(fd, buffer, size)

cdef inline int number_of(object file) except? -2:
    if cede_is_plain(file) or cede_knows_number(file):
        return cede_number(file)
    return file.fileno()

cdef inline object receive(object sock, int fd, object buffer, Py_ssize_t size):
    if cede_is_plain(sock):
        return cede_receive(cede_number(sock), buffer, size)
    return (<object>cede_methods).receive(sock, fd, buffer, size)

cdef inline Py_ssize_t send_bytes(object sock, int fd, object data) except -1:
    if cede_is_plain(sock):
        return cede_send_bytes(cede_number(sock), data)
    return (<object>cede_methods).send_bytes(sock, fd, data)

cdef inline object accept(object sock, int fd):
    if cede_is_plain(sock):
        return cede_accept(cede_number(sock))
    return (<object>cede_methods).accept(sock, fd)

cdef inline object address_buffer():
    return cede_address_buffer()

cdef inline object receive_from(object sock, int fd, object buffer, Py_ssize_t size, object last, object known):
    if cede_is_plain(sock):
        return cede_receive_from(cede_number(sock), buffer, size, last, known)
    return (<object>cede_methods).receive_from(sock, fd, buffer, size, last, known)

cdef inline Py_ssize_t send_to(object sock, int fd, object data, object last, object known) except -2:
    if cede_is_plain(sock):
        return cede_send_to(cede_number(sock), data, last)
    return (<object>cede_methods).send_to(sock, fd, data, last, known)

cdef inline Py_ssize_t receive_into(object sock, int fd, object buffer) except -2:
    if cede_is_plain(sock):
        return cede_receive_into(cede_number(sock), buffer)
    return (<object>cede_methods).receive_into(sock, fd, buffer)

cdef inline Py_ssize_t write_bytes(int fd, object data) except -2:
    return cede_write_bytes(fd, data)

cdef inline Py_ssize_t write(int fd, object chunks, Py_ssize_t skip, int most) except -2:
    return cede_put_chunks(fd, chunks, skip, most, 0)

cdef inline Py_ssize_t send(object sock, int fd, object chunks, Py_ssize_t skip, int most) except -2:
    if cede_is_plain(sock):
        return cede_put_chunks(cede_number(sock), chunks, skip, most, 1)
    return (<object>cede_methods).send(sock, fd, chunks, skip, most)

cdef inline int set_nodelay(object sock, int fd) except -1:
    cede_set_nodelay(fd)
    return 0
