# The twin of ticks.py: the same names and arguments, their bodies in C.
from libc.stdint cimport uint64_t

cdef extern from "cede/engine/ticks.h":
    uint64_t cede_ticks() nogil
    uint64_t cede_nanoseconds() nogil
    int cede_bits(uint64_t number) nogil

cdef inline uint64_t now() noexcept nogil:
    return cede_ticks()

cdef inline uint64_t nanoseconds() noexcept nogil:
    return cede_nanoseconds()

cdef inline int bits(uint64_t number) noexcept nogil:
    return cede_bits(number)
