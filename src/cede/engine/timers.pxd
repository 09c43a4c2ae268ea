cimport cython

from .handles cimport TimerHandle

cdef double _INFINITY

cdef class TimerHeap:
    cdef list _heap
    cdef long long _asked

    cdef void _add(self, TimerHandle handle) except *

    @cython.locals(heap=list, place=Py_ssize_t, last=TimerHandle)
    cdef void _discard(self, TimerHandle handle) except *

    @cython.locals(heap=list, handle=TimerHandle)
    cdef double _next_deadline(self) except? -1.0

    @cython.locals(heap=list, handle=TimerHandle)
    cdef void _pop_due(self, double limit, list ready) except *

    @cython.locals(heap=list, parent=TimerHandle)
    cdef void _rise(self, TimerHandle handle, Py_ssize_t place) except *

    @cython.locals(heap=list, size=Py_ssize_t, child_place=Py_ssize_t, child=TimerHandle, sibling=TimerHandle)
    cdef void _sink(self, TimerHandle handle, Py_ssize_t place) except *
