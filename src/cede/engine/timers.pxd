cimport cython

from .handles cimport TimerHandle, Timers

cdef double _INFINITY

cdef class TimerHeap(Timers):
    cdef list _heap
    cdef long long _asked

    cdef object _add(self, TimerHandle handle)

    @cython.locals(heap=list, place=Py_ssize_t, last=TimerHandle)
    cdef object _discard(self, TimerHandle handle)

    @cython.locals(heap=list, handle=TimerHandle)
    cdef double _next_deadline(self) except? -1.0

    @cython.locals(heap=list, handle=TimerHandle)
    cdef object _pop_due(self, double limit, list ready)

    @cython.locals(heap=list, parent=TimerHandle)
    cdef object _rise(self, TimerHandle handle, Py_ssize_t place)

    @cython.locals(heap=list, size=Py_ssize_t, child_place=Py_ssize_t, child=TimerHandle, sibling=TimerHandle)
    cdef object _sink(self, TimerHandle handle, Py_ssize_t place)

    @cython.locals(handle=TimerHandle)
    cdef object _clear(self)
