cimport cython

from . cimport ticks

from libc.stdint cimport uint64_t

cdef uint64_t _NEVER

@cython.locals(least=uint64_t, ours=uint64_t, monotonic=uint64_t, before=uint64_t, between=uint64_t, after=uint64_t)
cpdef tuple by_two_clocks()

cdef class Pulse:
    cdef readonly uint64_t _looks
    cdef readonly uint64_t _look_ticks
    cdef readonly uint64_t _turns
    cdef unsigned int _events
    cdef int _told_of
    cdef readonly uint64_t _busy_ticks
    cdef readonly uint64_t _idle_ticks
    cdef readonly uint64_t _longest
    cdef uint64_t _notable
    cdef uint64_t _too_long
    cdef list _overlong
    cdef readonly uint64_t _made_ticks
    cdef readonly uint64_t _made_at
    cdef uint64_t _stretches[64]

    @cython.locals(now=uint64_t, busy=uint64_t)
    cdef void _go_to_look(self) noexcept
    cdef void _note_stretch(self, uint64_t busy) noexcept
    cpdef void _want_stretches(self, list overlong, uint64_t ticks)
    @cython.locals(now=uint64_t)
    cdef void _come_back(self, unsigned int events) noexcept
    cdef void _begin(self) noexcept
    cpdef tuple _moment(self)
    @cython.locals(bits="int")
    cpdef list _lags(self)
