cimport cython

from ..engine cimport syscalls
from ..engine.handles cimport Watcher
from ..engine.loop cimport Loop

cdef int _MOST_PER_TURN
cdef double _RETRY_DELAY

cdef class Listener(Watcher):
    cdef Loop _loop
    cdef object _sock
    cdef int _fd
    cdef int _most
    cdef object _kind
    cdef object _own_address
    cdef object _on_accept
    cdef object _retry
    cdef bint _closed
    cdef object __weakref__

    @cython.locals(accepted=tuple)
    cdef object _on_ready(self, int events)
    @cython.locals(accepted=tuple)
    cdef tuple _accept(self)
    cdef object _hand_on(self, object connection, object address)
    cdef object _accept_failed(self, object exc, object number)
