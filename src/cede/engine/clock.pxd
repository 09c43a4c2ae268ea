cimport cython

from . cimport native, syscalls

cdef double _SHORTEST_WAIT, _WINDOW, _WAIT_PER_RATE, _CROWDED_WAIT, _LONG_WAIT, _LEAD

cdef class Clock:
    cdef public double resolution
    cdef double _rate
    cdef Py_ssize_t _due
    cdef double _since

    cdef double _now(self) except? -1.0
    @cython.locals(now=double, delay=double)
    cdef double _wait_until(self, double deadline, Py_ssize_t lately) except? -1.0

cdef class ForeignClock(Clock):
    cdef readonly object clock

    cdef double _now(self) except? -1.0
    @cython.locals(delay=double)
    cdef double _wait_until(self, double deadline, Py_ssize_t lately) except? -1.0
