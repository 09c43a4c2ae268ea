cimport cython

from ..engine cimport native, syscalls

cdef int _MOST_CHUNKS
cdef tuple _MARKS

cpdef bytes as_bytes(object data)

cdef class WriteBuffer:
    cdef list _chunks
    cdef Py_ssize_t _taken
    cdef readonly Py_ssize_t size
    cdef readonly Py_ssize_t high
    cdef readonly Py_ssize_t low
    cdef readonly tuple marks

    cdef object _append(self, bytes data)
    @cython.locals(sent=Py_ssize_t)
    cdef bint _write(self, int fd, object sock, bytes data) except -1
    @cython.locals(sent=Py_ssize_t)
    cdef bint _send(self, int fd, object sock) except -1
    @cython.locals(done=Py_ssize_t, chunk=bytes)
    cdef object _drop(self, Py_ssize_t count)
    cpdef object clear(self)
