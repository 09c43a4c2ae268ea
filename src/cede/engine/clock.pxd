from . cimport native

cdef class Clock:
    cdef public double resolution

    cdef double _now(self) except? -1.0

cdef class ForeignClock(Clock):
    cdef readonly object clock

    cdef double _now(self) except? -1.0
