cimport cython

from .. cimport native
from ..handles cimport Watcher
from .base cimport Poller

cdef int _IN, _OUT, _RDHUP

cdef class EpollPoller(Poller):
    cdef object _epoll
    cdef int _fd
    cdef list _watchers
    cdef object _buffer

    @cython.locals(watchers=list, before=Watcher)
    cdef object _remember(self, Py_ssize_t fd, Watcher watcher, int interest)

    @cython.locals(count=int, index=int, watcher=Watcher, bits=int, events=int)
    cdef object _wait(self, double timeout)
