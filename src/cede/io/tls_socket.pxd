cimport cython

from ..engine cimport native, syscalls
from .stream_transport cimport StreamTransport
from .tls_transport cimport TlsTransport
from .write_buffer cimport WriteBuffer

cdef int _OPEN, _SHUTTING_DOWN, _LOST
cdef int _READABLE, _WRITABLE
cdef int _RECORD

cpdef bint is_idle(StreamTransport transport) except -1
cpdef tuple take_socket(StreamTransport transport)

cdef class TlsSocketTransport(TlsTransport):
    cdef bint _corks

    cdef object _call(self, object callback, tuple args)
    cdef object _tell(self, str name, object arg)
    cdef object _check_file(self)
    cdef object _read_soon(self)
    @cython.locals(interest=int)
    cdef object _update_interest(self)
    cdef bint _hung_up(self) except -1
    @cython.locals(corked=bint)
    cdef object _encrypt(self)
    cdef object _shutdown_done(self)
    cdef object _lose(self, object exc)
