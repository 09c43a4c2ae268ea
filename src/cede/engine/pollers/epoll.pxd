cimport cython

from .. cimport syscalls
from ..handles cimport Watcher
from ..pulse cimport Pulse
from .base cimport Poller

from libc.stdint cimport uint32_t

cdef uint32_t _IN, _OUT, _RDHUP
cdef int _READABLE, _WRITABLE, _HANGUP, _EDGE
cdef uint32_t _ET

cdef class EpollPoller(Poller):
    cdef object _epoll
    cdef int _fd
    cdef list _watchers
    cdef object _buffer
    cdef uint32_t _removals
    cdef bint _closed

    @cython.locals(asked=uint32_t)
    cdef object _add(self, int fd, Watcher watcher, int interest)
    @cython.locals(asked=uint32_t)
    cdef object _modify(self, int fd, Watcher watcher, int interest)
    cdef object _remove(self, int fd)
    @cython.locals(watchers=list, before=Watcher)
    cdef object _remember(self, Py_ssize_t fd, Watcher watcher, int interest)

    @cython.locals(
        count=int, index=int, fd=int, watcher=Watcher, bits=uint32_t, events=int, removals=uint32_t, pulse=Pulse
    )
    cdef object _wait(self, double timeout)
    @cython.locals(fd=Py_ssize_t, watcher=Watcher)
    cdef object _begin_anew(self)

@cython.locals(events=int)
cdef int _meaning(uint32_t bits) noexcept

@cython.locals(asked=uint32_t)
cdef uint32_t _asked(int interest) noexcept
