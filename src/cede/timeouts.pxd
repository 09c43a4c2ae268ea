cimport cython

from .engine.done cimport Done
from .engine.loop cimport Loop

cdef str _CREATED, _ACTIVE, _EXPIRING, _EXPIRED, _FINISHED
cdef object _LEFT

cdef class Timeout:
    cdef readonly str _state
    cdef readonly object _when
    cdef object _handle
    cdef readonly object _task
    cdef object _cancelling
    cdef object __weakref__

    cdef object _arm(self, object when, object loop, object now)
    cpdef _enter(self, object loop, object now)
    cpdef _leave(self, object exc)

cdef object _now(object loop)
cdef double _time_of(Loop loop) except? -1.0
cdef object _call_at(Loop loop, object when, object callback)
@cython.locals(answer=Done)
cdef object _done(object result)
