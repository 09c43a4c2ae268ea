cimport cython

from ..engine.handles cimport Watcher, deliver, displace
from ..engine.pollers.base cimport Poller

cdef int _ANY, _READABLE, _WRITABLE, _HANGUP, _OUT, _IN_OR_END, _BROKEN

cdef class _Watched:
    cdef WorldPoller poller
    cdef int fd
    cdef object file
    cdef Watcher watcher
    cdef int interest

    cdef int ready(self) except -1

@cython.locals(events=int)
cpdef int meaning(int bits) except -1

cdef class WorldPoller(Poller):
    cdef readonly object _host
    cdef public object _wake
    cdef dict _watched
    cdef dict _changed

    @cython.locals(before=_Watched, watched=_Watched)
    cdef object _add(self, int fd, Watcher watcher, int interest)
    cdef object _modify(self, int fd, Watcher watcher, int interest)
    @cython.locals(watched=_Watched)
    cdef object _remove(self, int fd)
    cdef object _forget(self, _Watched watched)
    @cython.locals(changed=dict, watched=_Watched)
    cpdef bint has_ready(self) except -1
    @cython.locals(changed=dict, watched=_Watched, events=int)
    cdef object _deliver(self)

cdef class DrivenPoller(WorldPoller):
    cdef object _wait(self, double timeout)
