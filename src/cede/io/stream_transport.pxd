cimport cython

from ..engine cimport native
from ..engine.futures cimport Future
from ..engine.handles cimport Watcher
from ..engine.loop cimport Loop
from .write_buffer cimport WriteBuffer

cdef int _OPEN, _CLOSING, _LOST
cdef int _READ_SIZE, _LARGE_READ_SIZE, _READS_PER_EVENT, _WRITES_BEFORE_WARNING
cdef int _READABLE, _WRITABLE
cdef object _shared_buffer

cdef class StreamTransport(Watcher):
    cdef readonly Loop _loop
    cdef readonly object _sock
    cdef int _fd
    cdef public dict _extra
    cdef readonly object _server
    cdef object _context
    cdef unsigned char _state
    cdef unsigned char _connected
    cdef unsigned char _paused
    cdef unsigned char _at_eof
    cdef unsigned char _eof_asked
    cdef unsigned char _protocol_paused
    cdef unsigned char _flush_asked
    cdef unsigned char _buffered
    cdef int _writes_lost
    cdef int _read_size
    cdef WriteBuffer _out
    cdef object _empty_waiter
    cdef object _socket_info
    cdef public object _protocol
    cdef dict __dict__
    cdef object __weakref__

    cdef void _init(self, Loop loop, object sock, object protocol, object extra, object server, object context) except *
    cdef void _begin(self, object waiter) except *
    cdef void _set_protocol(self, object protocol) except *
    cdef void _on_ready(self, int events) except *
    cdef bint _wants_data(self) noexcept
    @cython.locals(interest=int)
    cdef void _update_interest(self) except *
    @cython.locals(count=Py_ssize_t, full=bint)
    cdef void _read(self) except *
    @cython.locals(count=Py_ssize_t)
    cdef void _read_into_protocol(self) except *
    cdef void _eof_came(self) except *
    cdef void _check_write(self, str method) except *
    cdef bint _is_lost(self) except -1
    cdef void _sent_soon(self) except *
    cdef void _flush(self) except *
    cdef void _send(self) except *
    cdef void _buffer_is_empty(self) except *
    cdef void _maybe_pause_protocol(self) except *
    cdef void _resume_protocol(self) except *
    cdef void _lose(self, object exc) except *
