cimport cython

from ..engine cimport native, syscalls
from ..engine.handles cimport Watcher
from ..engine.loop cimport Loop

cdef int _OPEN, _LOST

cdef class Channel(Watcher):
    cdef readonly Loop _loop
    cdef int _fd
    cdef public object _protocol
    cdef dict _facts
    cdef object _context
    cdef readonly unsigned char _state
    cdef unsigned char _connected
    cdef readonly unsigned char _paused
    cdef readonly unsigned char _protocol_paused
    cdef int _writes_lost
    cdef dict __dict__
    cdef object __weakref__

    cdef object _set_up(self, Loop loop, int fd, object extra, object context)
    cdef object _begin(self, object waiter)
    @cython.locals(loop=Loop)
    cdef object _soon(self, object callback, object argument)
    cdef object _update_interest(self)
    cdef bint _is_gone(self) except -1
    cpdef bint _end_if_gone(self) except -1
    cdef bint _is_reading(self) noexcept
    cdef object _pause_reading(self)
    cdef object _resume_reading(self)
    cdef object _call_flow_control(self, str name)
    cdef object _report(self, object exc, str message)
    cdef object _debug_error(self, object exc, str message)
    cdef object _drop_waiting(self)
    cdef object _force_close(self, object exc)
    cdef object _lose(self, object exc)
    cdef object _release(self)
