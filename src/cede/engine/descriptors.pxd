cimport cython

from .handles cimport Handle, Watcher
from .pollers.base cimport Poller
from .pulse cimport Pulse
from .ring cimport Ring

cdef class Descriptors(Pulse):
    cdef readonly list _upcoming
    cdef list _incoming
    cdef public Poller _poller
    cdef readonly dict _transports
    cdef dict _callbacks
    cdef dict _displaced_files
    cdef dict _waits
    cdef object _read_memory
    cdef object _wait_memory
    cdef object _tls_memory
    cdef readonly Ring _ring
    cdef readonly bint _closed
    cdef readonly bint _debug

    cdef object _watch(self, int fd, Watcher watcher, int interest)
    cdef object _unwatch(self, int fd, Watcher watcher)
    @cython.locals(incoming=list, count=Py_ssize_t)
    cdef object _accept_incoming(self)
    cdef Callbacks _callbacks_of(self, object fd)
    @cython.locals(callbacks=Callbacks)
    cdef object _registered(self, object fileobj)


cdef class Callbacks(Watcher):
    cdef Descriptors _loop
    cdef int _fd
    cdef readonly Handle _reader
    cdef readonly Handle _writer
    cdef object _reader_file
    cdef object _writer_file
    cdef readonly object _reader_owner
    cdef readonly object _writer_owner

    cdef list _files(self)
    cdef list _owners(self)
    cdef object _replaced(self, Handle previous, Handle handle, list owners)
    @cython.locals(handle=Handle)
    cdef object _displaced(self)
    cdef object _on_ready(self, int events)
