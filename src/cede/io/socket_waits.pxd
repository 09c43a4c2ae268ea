cimport cython

from ..engine cimport native, syscalls
from ..engine.futures cimport Future, new_future, note_wait
from ..engine.handles cimport Watcher
from ..engine.descriptors cimport Callbacks
from ..engine.loop cimport Loop
from ..engine.pollers.base cimport Poller

cdef Py_ssize_t _MOST

@cython.locals(waits=SocketWaits, fd=int)
cpdef SocketWaits waits_of(Loop loop, object sock)

cdef class SocketWaits(Watcher):
    cdef Loop _loop
    cdef int _fd
    cdef object _sock
    cdef bint _plain
    cdef object _readers
    cdef object _writers
    cdef object __weakref__

    cdef object _init(self, Loop loop, object sock, int fd)
    @cython.locals(loop=Loop, ready=Future)
    cdef object _wait(self, int direction)
    @cython.locals(loop=Loop)
    cdef object _share(self, int direction, object ready)
    cdef object _displaced(self)
    @cython.locals(loop=Loop, readers=object, writers=object)
    cdef object _on_ready(self, int events)

cdef bint _is_free(Callbacks callbacks, int direction) except -1
cdef object _added(object waiting, object ready)
cdef list _as_list(object waiting)
cdef object _resolve_all(object waiting)
