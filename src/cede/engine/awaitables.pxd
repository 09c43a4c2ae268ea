cimport cython

from . cimport native
from .futures cimport Future

cdef int _PENDING

cdef class Done:
    cdef object _result

    cdef object _end(self)

cdef class Waiting:
    cdef Future _future
    cdef bint _over

    cdef Future _begin(self)
    cdef object _end(self)
    cdef object _give_up(self, Future future)
    @cython.locals(future=Future)
    cdef Future _step(self)
    cdef object _finish(self, Future future)

cdef object _thrown(object kind, object value, object traceback)
