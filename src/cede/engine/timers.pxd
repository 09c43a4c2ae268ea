cimport cython

from .handles cimport TimerHandle, Timers

cdef double _INFINITY

cdef class TimerHeap(Timers):
    cdef TimerHandle _roots
    cdef Py_ssize_t _count
    cdef double _bound
    cdef long long _asked

    @cython.locals(roots=TimerHandle)
    cdef object _add(self, TimerHandle handle)

    @cython.locals(children=TimerHandle)
    cdef object _discard(self, TimerHandle handle)

    cdef double _next_deadline(self) except? -1.0

    @cython.locals(first=TimerHandle)
    cdef object _pop_due(self, double limit, list ready)

    @cython.locals(level=list, handle=TimerHandle)
    cpdef list waiting(self)

    @cython.locals(handle=TimerHandle)
    cdef object _clear(self)

    @cython.locals(before=TimerHandle, sibling=TimerHandle)
    cdef object _unlink(self, TimerHandle handle)

    @cython.locals(roots=TimerHandle, last=TimerHandle)
    cdef object _plant(self, TimerHandle children)

    @cython.locals(roots=TimerHandle, winners=TimerHandle, winner=TimerHandle, rival=TimerHandle)
    cdef object _pair_roots(self)

    @cython.locals(earlier=TimerHandle, later=TimerHandle, sibling=TimerHandle)
    cdef TimerHandle _meld(self, TimerHandle one, TimerHandle other)
