cimport cython

from .handles cimport TimerHandle, Timers

cdef double _INFINITY

cdef class TimerHeap(Timers):
    cdef TimerHandle _first
    cdef Py_ssize_t _count
    cdef long long _asked

    cdef object _add(self, TimerHandle handle)

    @cython.locals(children=TimerHandle, heap=TimerHandle)
    cdef object _discard(self, TimerHandle handle)

    @cython.locals(first=TimerHandle)
    cdef double _next_deadline(self) except? -1.0

    @cython.locals(first=TimerHandle)
    cdef object _pop_due(self, double limit, list ready)

    @cython.locals(level=list, handle=TimerHandle)
    cpdef list waiting(self)

    @cython.locals(waiting=list, handle=TimerHandle)
    cdef object _clear(self)

    @cython.locals(earlier=TimerHandle, later=TimerHandle, sibling=TimerHandle)
    cdef TimerHandle _meld(self, TimerHandle one, TimerHandle other)

    @cython.locals(pairs=TimerHandle, heap=TimerHandle, partner=TimerHandle)
    cdef TimerHandle _meld_siblings(self, TimerHandle sibling)

    @cython.locals(before=TimerHandle, sibling=TimerHandle)
    cdef object _unlink(self, TimerHandle handle)
