cimport cython

from . cimport current
from .clock cimport HostTime, VirtualClock
from .notes cimport Notes
from .poller cimport WorldPoller
from ..engine.loop cimport Loop
from ..engine.waker cimport Waker

cdef double _TURN, _INFINITY

cdef class Arrival:
    cdef public object callback
    cdef public tuple args

cdef class Machine(HostTime):
    cdef readonly str name
    cdef public bint running
    cdef public bint dead
    cdef public Loop loop
    cdef readonly VirtualClock clock
    cdef public object belongings
    cdef public long long entry
    cdef public double due
    cdef public double oversleep

@cython.locals(poller=WorldPoller)
cdef bint can_run(Loop loop) except -1
@cython.locals(deadline=double)
cpdef double next_deadline(Loop loop) except? -1.0

cdef class Turns:
    cdef public double max_time
    cdef public object max_turns
    cdef readonly Notes log
    cdef public double now
    cdef public long long turns
    cdef public object current
    cdef readonly list _agenda
    cdef long long _number
    cdef readonly long long _arrivals
    cdef public object _failure
    cdef readonly list _settlers
    cdef readonly list _invariants
    cdef public double _look_at
    cdef public object _real_machine
    cdef public object _worn
    cdef object _hooked

    @cython.locals(arrival=Arrival)
    cdef Arrival _at(self, double when, object callback, tuple args)
    @cython.locals(when=double)
    cpdef object wake(self, Machine host)
    cdef object _enlist(self, Machine host, double when)
    @cython.locals(agenda=list, entry=tuple, when=double, number="long long", host=Machine, due=double)
    cpdef object advance(self, object until)
    cdef object _happens(self, double when, Arrival arrival)
    @cython.locals(loop=Loop)
    cdef object _turns_of(self, Machine host, object until)
    @cython.locals(agenda=list, log=Notes, first=tuple, due=double)
    cdef object _have_turns(self, Machine host, Loop loop, object until)
    cpdef object hook(self, object loop)
    @cython.locals(deadline=double)
    cdef object _plan(self, Machine host)
    cdef object _look(self, Machine host)
