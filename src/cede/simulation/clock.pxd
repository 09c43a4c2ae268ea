cimport cython

from ..engine.clock cimport Clock

cdef double _READING, _INFINITY

cdef class HostTime:
    cdef public double now

cdef class VirtualClock(Clock):
    cdef readonly HostTime _host
    cdef double _rate
    cdef double _since
    cdef double _shown
    cdef double _wall

    @cython.locals(host=HostTime)
    cdef double _now(self) except? -1.0
    @cython.locals(delay=double)
    cdef double _wait_until(self, double deadline, Py_ssize_t lately) except? -1.0
    cpdef double wall(self) except? -1.0
    cpdef double world_time(self, double deadline) except? -1.0
