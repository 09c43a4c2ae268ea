cimport cython

from . cimport mixing
from libc.stdint cimport uint64_t

cdef tuple _SWARM, _SWARM_OF_RARE, _SWARM_OF_RAREST

cdef class Draw:
    cdef double value(self, long long index, double wild) except? -1.0

cdef class _Drawn(Draw):
    cdef object _function

cdef class _Even(Draw):
    cdef object _strategy
    cdef object _kind
    cdef uint64_t _key
    cdef double _asked
    cdef double _probability

    @cython.locals(drawn=double)
    cdef double value(self, long long index, double wild) except? -1.0

cdef class _Kept(Draw):
    cdef dict _values

cdef class Stream:
    cdef readonly str name
    cdef public long long index
    cdef double _p
    cdef Choices _choices
    cdef Draw _draw

    @cython.locals(index=object, value=double)
    cpdef double draw(self) except? -1.0

cdef class Choices:
    cdef readonly object strategy
    cdef public dict wild
    cdef public dict told
    cdef dict _drawers
    cdef dict _streams

    @cython.locals(draw=Draw)
    cpdef Draw drawer(self, str stream)
    @cython.locals(value=double)
    cpdef double draw(self, str stream, long long index, double p=*) except? -1.0
    @cython.locals(stream=Stream)
    cpdef Stream stream(self, str name, double p=*)
