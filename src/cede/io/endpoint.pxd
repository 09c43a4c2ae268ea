cimport cython

from ..engine cimport native
from ..engine.handles cimport Watcher
from ..engine.loop cimport Loop

cdef class Endpoint(Watcher):
    cdef readonly Loop _loop
    cdef readonly object _file
    cdef int _fd
    cdef public object _protocol
    cdef readonly dict _extra
    cdef object _context
    cdef readonly unsigned char _state
    cdef unsigned char _connected
    cdef unsigned char _paused
    cdef readonly unsigned char _protocol_paused
    cdef int _writes_lost
    cdef Py_ssize_t _waiting
    cdef Py_ssize_t _high
    cdef Py_ssize_t _low
    cdef dict __dict__
    cdef object __weakref__

    cdef void _init(self, Loop loop, object file, object protocol, dict extra, object context) except *
    cdef void _begin(self, object waiter) except *
    cdef void _update_interest(self) except *
    cdef bint _is_reading(self) noexcept
    cdef void _pause_reading(self) except *
    cdef void _resume_reading(self) except *
    cdef void _set_limits(self, object high, object low) except *
    cdef void _maybe_pause_protocol(self) except *
    cdef void _maybe_resume_protocol(self) except *
    cdef void _call_flow_control(self, str name) except *
    cdef void _report(self, object exc, str message) except *
    cdef void _debug_error(self, object exc, str message) except *
    cdef void _drop_waiting(self) except *
    cdef void _force_close(self, object exc) except *
    cdef void _lose(self, object exc) except *
    cdef void _abandoned(self) except *
