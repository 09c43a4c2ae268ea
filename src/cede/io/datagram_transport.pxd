cimport cython

from ..engine cimport native, syscalls
from .endpoint cimport Endpoint
from .write_buffer cimport as_bytes

cdef int _LARGEST, _LARGEST_UNIX, _OVERHEAD, _MOST_PER_EVENT, _CALM_EVENTS, _WRITES_BEFORE_WARNING
cdef int _READABLE, _WRITABLE, _OPEN, _CLOSING, _LOST

cdef class DatagramTransport(Endpoint):
    cdef readonly object _address
    cdef object _queue
    cdef int _most
    cdef int _calm
    cdef Py_ssize_t _largest
    cdef bint _is_connected
    cdef bint _is_internet
    cdef object _last
    cdef object _known

    cdef object _update_interest(self)
    cdef object _displaced(self)
    cdef object _on_ready(self, int events)
    @cython.locals(most=int, pair=tuple)
    cdef void _receive(self) except *
    cdef tuple _take(self)
    cdef void _send_in_vain(self, object data, object address) except *
    cdef bint _send(self, object data, object address) except -1
    cdef bint _has_peer(self) except -1
    cdef object _drop_waiting(self)
    cdef object _release(self)
