cimport cython

from .engine cimport native
from .engine.awaitables cimport Done
from .engine.handles cimport TimerHandle
from .engine.loop cimport Loop
from .engine.tasks cimport Task as EngineTask

cdef str _CREATED, _ACTIVE, _EXPIRING, _EXPIRED, _FINISHED
cdef object _LEFT, current_task, get_running_loop, _explainer

cdef class _Entering

cdef class Timeout:
    cdef readonly str _state
    cdef readonly object _when
    cdef readonly object _delay
    cdef object _handle
    cdef readonly object _task
    cdef long _cancelling
    cdef object __weakref__

    cdef object _init(self, object when)

    cdef object _arm(self, object when, object loop)
    @cython.locals(entering=_Entering)
    cpdef __aenter__(self)
    @cython.locals(ours=EngineTask)
    cpdef _enter(self)
    cpdef _leave(self, object exc)

@cython.locals(limit=Timeout)
cdef Timeout _timeout(object when, object delay)
@cython.locals(ours=Loop)
cdef object _from_now(object loop, object delay)

cdef class _Deadline(TimerHandle):
    cdef Timeout _limit

    cdef object _run(self)

@cython.locals(deadline=_Deadline, seconds=double, now=double)
cdef _Deadline _deadline(Timeout limit, Loop loop, object when)
@cython.locals(deadline=_Deadline)
cdef object _disarm(object handle)

cdef class _Entering(Done):
    cdef Timeout _limit

    @cython.locals(limit=Timeout)
    cdef object _end(self)
