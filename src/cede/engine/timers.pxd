cimport cython

from .handles cimport TimerHandle, Timers

cdef double _INFINITY
cdef int _MANY

cdef class TimerHeap(Timers):
    cdef TimerHandle _roots
    cdef Py_ssize_t _count
    cdef double _bound
    cdef long long _asked
    cdef long long _settled
    cdef Py_ssize_t _popped

    @cython.locals(roots=TimerHandle)
    cdef object _add(self, TimerHandle handle)

    @cython.locals(child=TimerHandle, before=TimerHandle, sibling=TimerHandle, roots=TimerHandle)
    cdef object _discard(self, TimerHandle handle)

    cdef double _next_deadline(self) except? -1.0

    @cython.locals(count=Py_ssize_t, first=TimerHandle, children=TimerHandle)
    cdef object _pop_due(self, double limit, list ready)

    @cython.locals(level=list, handle=TimerHandle)
    cpdef list waiting(self)

    @cython.locals(handle=TimerHandle, found=list)
    cdef object _clear(self)

    @cython.locals(roots=list, root=TimerHandle, earlier=TimerHandle, later=TimerHandle)
    cdef object _sort_roots(self)

    @cython.locals(one=TimerHandle, other=TimerHandle, rest=TimerHandle)
    cdef object _pair_roots(self)

    @cython.locals(before=TimerHandle, sibling=TimerHandle, child=TimerHandle)
    cdef object _hang(self, TimerHandle later, TimerHandle earlier)

cpdef object _deadline_of(TimerHandle handle)

cpdef object _order_of(TimerHandle handle)
