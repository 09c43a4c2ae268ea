# The twin of mixing.py: the same names and arguments, their bodies in C.
from libc.stdint cimport uint64_t

cdef extern from "cede/simulation/mixing.h":
    double cede_even(uint64_t key, uint64_t index) nogil

cdef inline double even(uint64_t key, uint64_t index) noexcept nogil:
    return cede_even(key, index)
