from . cimport native
from .handles cimport Watcher

cdef class Waker(Watcher):
    cdef readonly object _reader
    cdef readonly object _writer
    cdef object _on_signals
    cdef object _poller
    cdef object _counter
    cdef bint _counts
    cdef bint _wanted
    cdef bint _notified
    cdef object _unwritten

    cdef object _notify(self)
    cdef object _on_ready(self, int events)

cdef class _Rung(Watcher):
    cdef object _on_ready(self, int events)
