cimport cython

from ..engine cimport native
from .stream_transport cimport StreamTransport
from .tls_transport cimport TlsTransport

cdef int _OPEN, _SHUTTING_DOWN, _LOST, _HANDSHAKING
cdef int _READABLE, _WRITABLE, _HANGUP

@cython.locals(known=StreamTransport)
cpdef object context_of(object transport)

cdef class TlsBytesTransport(TlsTransport):
    cdef object _incoming
    cdef object _outgoing
    cdef readonly object _lower
    cdef bint _lower_reads
    cdef bint _lower_full
    cdef bint _lower_closing
    cdef bint _settling
    cdef bint _lower_eof
    cdef object _carrier

    cdef object _call(self, object callback, tuple args)
    cdef object _tell(self, str name, object arg)
    cdef object _act_on(self, int events)
    cdef object _remember_name(self)
    cdef bint _wants_data(self) noexcept
    @cython.locals(wanted=bint)
    cdef object _update_interest(self)
    cdef object _push(self)
    cdef bint _hung_up(self) except -1
    cdef object _shake_hands(self)
    cdef object _handshake_done(self)
    @cython.locals(count=Py_ssize_t)
    cdef Py_ssize_t _decrypt(self, object buffer) except -1
    cdef bint _holds_data(self) except -1
    cdef object _read_soon(self)
    cdef object _encrypt(self)
    cdef object _shutdown_done(self)
    cdef object _lose(self, object exc)
