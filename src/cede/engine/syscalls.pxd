# The twin of syscalls.py: the same names and arguments; their bodies are C, in the headers named below.
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

from . cimport native  # for its word on tracebacks

cdef extern from "cede/engine/clock.h":
    double cede_monotonic() nogil

cdef extern from "cede/engine/epoll.h":
    bint CEDE_HAS_EPOLL
    int EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL
    int cede_epoll_wait(int fd, object buffer, double timeout) except -1
    int cede_epoll_control(int fd, int action, int watched, uint32_t events) except -1
    object cede_event_buffer()
    int cede_event_fd(object buffer, int i)
    uint32_t cede_event_bits(object buffer, int i)
    void cede_precise_waits(int enable)

cdef extern from "cede/engine/sockets.h":
    PyObject *cede_methods
    int cede_learn_sockets() except -1
    int cede_number(object sock)
    int cede_is_plain(object sock) except -1
    bint cede_knows_number(object file)
    int CEDE_SIMULATED
    object cede_twin()

cdef extern from "cede/engine/transfers.h":
    object cede_read_buffer(Py_ssize_t size)
    object cede_read(int fd, object buffer, Py_ssize_t size)
    object cede_receive(int fd, object buffer, Py_ssize_t size)
    Py_ssize_t cede_receive_into(int fd, object target) except -2
    Py_ssize_t cede_send_bytes(int fd, object data) except -1
    Py_ssize_t cede_write_bytes(int fd, object data) except -2
    Py_ssize_t cede_put_chunks(int fd, object chunks, Py_ssize_t skip, int most, int to_socket) except -2
    void cede_set_nodelay(int fd)

cdef extern from "cede/engine/addresses.h":
    object cede_address_buffer()
    object cede_accept(int fd)
    object cede_receive_from(int fd, object buffer, Py_ssize_t size, object last, object known)
    Py_ssize_t cede_send_to(int fd, object data, object last) except -2


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

cdef inline int learn_sockets() except -1:
    return cede_learn_sockets()

cdef inline object read_buffer(Py_ssize_t size):
    return cede_read_buffer(size)

cdef inline object read(int fd, object buffer, Py_ssize_t size):
    if fd >= CEDE_SIMULATED:
        return cede_twin().read(fd, buffer, size)
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
    if fd >= CEDE_SIMULATED:
        return cede_twin().write_bytes(fd, data)
    return cede_write_bytes(fd, data)

cdef inline Py_ssize_t write(int fd, object chunks, Py_ssize_t skip, int most) except -2:
    if fd >= CEDE_SIMULATED:
        return cede_twin().write(fd, chunks, skip, most)
    return cede_put_chunks(fd, chunks, skip, most, 0)

cdef inline Py_ssize_t send(object sock, int fd, object chunks, Py_ssize_t skip, int most) except -2:
    if cede_is_plain(sock):
        return cede_put_chunks(cede_number(sock), chunks, skip, most, 1)
    return (<object>cede_methods).send(sock, fd, chunks, skip, most)

cdef inline int set_nodelay(object sock, int fd) except -1:
    if fd < CEDE_SIMULATED:
        cede_set_nodelay(fd)
    return 0
