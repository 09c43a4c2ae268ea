cimport cython

from ..engine.loop cimport Loop
from .stream_transport cimport StreamTransport
from .write_buffer cimport WriteBuffer, as_bytes

cdef int _OPEN, _SHUTTING_DOWN, _LOST, _HANDSHAKING
cdef int _READABLE, _WRITABLE, _HANGUP
cdef int _RECORD, _MOST_AT_ONCE, _BUFFER_SIZE, _WRITES_BEFORE_WARNING

cdef object _memory_of(Loop loop)

cdef class TlsTransport(StreamTransport):
    cdef object _ssl_object
    cdef object _tls
    cdef readonly object _sslcontext
    cdef object _waiter
    cdef object _handshake_timeout
    cdef object _shutdown_timeout
    cdef object _timer
    cdef int _needs
    cdef int _read_needs
    cdef int _write_needs
    cdef object _memory
    cdef bint _unread
    cdef object _read_error
    cdef bint _no_answer
    cdef bint _eof_told
    cdef bint _shut_down
    cdef tuple _read_limits

    cdef object _init_tls(self, object ssl_object, object tls, object sslcontext, object waiter,
                          object handshake_timeout, object shutdown_timeout, bint connected)
    cdef object _call(self, object callback, tuple args)
    cdef object _tell(self, str name, object arg)
    cdef object _act_on(self, int events)
    cdef bint _ended(self) except -1
    cdef object _check_file(self)
    cdef object _push(self)
    cdef bint _hung_up(self) except -1
    cdef object _shake_hands(self)
    cdef object _handshake_failed(self, object exc)
    cdef object _handshake_done(self)
    cdef object _stop_timer(self)
    @cython.locals(count=Py_ssize_t, total=Py_ssize_t, room=Py_ssize_t, needs=int)
    cdef Py_ssize_t _decrypt(self, object buffer) except -1
    cdef object _reading_failed(self, object exc, Py_ssize_t total)
    cdef bint _holds_data(self) except -1
    @cython.locals(count=Py_ssize_t)
    cdef object _read(self)
    @cython.locals(count=Py_ssize_t, room=Py_ssize_t)
    cdef object _read_into_protocol(self)
    cdef object _go_on_reading(self, bint full)
    cdef object _read_soon(self)
    cdef object _eof_came(self)
    cdef bint _is_lost(self) except -1
    cdef object _write(self, bytes data)
    cdef object _send(self)
    cdef object _maybe_resume_protocol(self)
    cdef object _encrypt(self)
    @cython.locals(chunks=list, taken=Py_ssize_t, size=Py_ssize_t, first=bytes, chunk=bytes)
    cdef object _next_piece(self)
    cdef object _begin_shutdown(self)
    cdef object _advance_shutdown(self)
    cdef object _read_in_vain(self)
    cdef object _shutdown_done(self)
    cdef object _tell_of_end(self)
    cdef object _abandoned(self)
