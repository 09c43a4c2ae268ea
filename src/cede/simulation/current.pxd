cimport cython

from ..engine cimport native

cdef dict _hosts

cpdef object host()
cpdef object enter(object host)
cpdef object clear()
