cimport cython

from . cimport native
from .futures cimport Future
from .handles cimport Runnable

cdef int _PENDING, _FINISHED

cdef class Join

cdef class Link(Runnable):
    cdef Join _join
    cdef Future _child

    cdef object _run(self)
    cdef object _withdraw(self)

cdef class Join:
    cdef object _awaiter

    @cython.locals(future=Future)
    cdef Link _watch(self, object child)
    @cython.locals(link=Link)
    cdef Link _link_to(self, Future child)
    cdef object _child_done(self, object child)
    @cython.locals(future=Future)
    cdef object _drop_edge(self, object child)
    @cython.locals(future=Future)
    cdef object _error_of(self, object child)

cdef class Countdown(Join):
    cdef Py_ssize_t _unfinished
    cdef bint _stops
    cdef bint _over
    cdef object _failed
    cdef object _finished

    cdef object _child_done(self, object child)

cdef class Arrivals(Join):
    cdef object _arrived
    cdef dict _links
    cdef public object timer

    cdef object _child_done(self, object child)
    @cython.locals(links=dict, link=Link)
    cdef object _give_up(self)

cdef class Shield(Join):
    cdef object _inner
    cdef object _outer
    cdef Link _link

    cdef object _child_done(self, object child)
    cdef object _pass_out(self, object inner)

cdef class Crew(Join):
    cdef object _failed
    cdef object _gone
    cdef readonly set tasks

    cdef object _child_done(self, object child)
