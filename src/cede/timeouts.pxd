cimport cython

from .engine.done cimport Done
from .engine.loop cimport Loop

cdef str _CREATED, _ACTIVE, _EXPIRING, _EXPIRED, _FINISHED
cdef object _LEFT

cdef class _Entering

cdef class Timeout:
    cdef readonly str _state
    cdef readonly object _when
    cdef object _handle
    cdef readonly object _task
    cdef object _cancelling
    cdef object __weakref__

    cdef object _arm(self, object when, object loop, object now)
    @cython.locals(entering=_Entering)
    cpdef __aenter__(self)
    cpdef _enter(self, object loop, object now)
    cpdef _leave(self, object exc)

cdef object _now(object loop)
cdef double _time_of(Loop loop) except? -1.0
cdef object _call_at(Loop loop, object when, object callback)

cdef class _Entering(Done):
    cdef Timeout _limit

    @cython.locals(limit=Timeout)
    cdef object _end(self)
