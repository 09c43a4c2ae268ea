cimport cython

from ..engine cimport native, syscalls
from ..engine.futures cimport Future
from ..engine.loop cimport Loop
from .channel cimport Channel
from .write_buffer cimport WriteBuffer, as_bytes

cdef int _OPEN, _CLOSING, _LOST
cdef int _READ_SIZE, _LARGE_READ_SIZE, _SMALL_READ, _READS_PER_EVENT, _WRITES_BEFORE_WARNING
cdef int _READABLE, _WRITABLE, _HANGUP

cdef class StreamTransport(Channel):
    cdef int _events
    cdef readonly object _sock
    cdef readonly object _server
    cdef unsigned char _at_eof
    cdef unsigned char _eof_asked
    cdef unsigned char _buffered
    cdef Py_ssize_t _read_size
    cdef Py_ssize_t _most_read
    cdef WriteBuffer _out
    cdef object _empty_waiter
    cdef object _socket_info
    cdef object _peername
    cdef object _sockname

    cdef object _init(self, Loop loop, object sock, object protocol, object extra, object server, object context)
    cdef object _begin(self, object waiter)
    cdef object _set_protocol(self, object protocol)
    @cython.locals(loop=Loop)
    cdef object _on_ready(self, int events)
    @cython.locals(loop=Loop, events=int)
    cdef object _run(self)
    cdef object _act_on(self, int events)
    cdef object _own_name(self)
    cdef object _peer_name(self)
    cdef object _remember_name(self)
    cdef bint _wants_data(self) noexcept
    @cython.locals(interest=int)
    cdef object _update_interest(self)
    cdef bint _is_gone(self) except -1
    cdef object _displaced(self)
    @cython.locals(left=int, count=Py_ssize_t, full=bint)
    cdef object _read(self)
    @cython.locals(count=Py_ssize_t)
    cdef object _read_into_protocol(self)
    cdef object _eof_came(self)
    cdef object _refusal(self, str method)
    cdef bint _is_lost(self) except -1
    cdef object _write(self, bytes data)
    cdef object _write_all(self, list chunks)
    cdef object _wait_for_room(self)
    cdef object _send(self)
    cdef object _buffer_is_empty(self)
    cdef object _maybe_pause_protocol(self)
    cdef object _resume_protocol(self)
    cdef object _drop_waiting(self)
    cdef object _release(self)
    cdef object _abandoned(self)
    cdef object _warn_and_close(self)
