cimport cython

from ..engine cimport native
from .stream_buffer cimport StreamBuffer
from .stream_transport cimport StreamTransport

cdef int _OPEN

cdef class FlowControl:
    cdef public object _loop
    cdef public bint _paused
    cdef public bint _connection_lost
    cdef public dict _drain_waiters

    cdef object _init(self, object loop)
    cdef object _lost(self, object exc)
    cdef object _wake_drainers(self, object exc)

cdef class Feeder(FlowControl):
    cdef public bint _over_ssl
    cdef readonly object _stream_reader
    cdef StreamBuffer _buffer
    cdef public object _client_connected_cb
    cdef public object _transport
    cdef public object _task
    cdef public object _close_waiter
    cdef object _close_error

    cdef object _set_reader(self, object reader)
    cdef object _settle(self)

cdef class WriteEnd:
    cdef public object _transport
    cdef public object _protocol
    cdef public object _reader
    cdef public object _loop
    cdef FlowControl _flow

    @cython.locals(buffer=StreamBuffer)
    cpdef bint _can_go_on(self) except -1
    @cython.locals(transport=StreamTransport)
    cdef bint _is_closing(self) except -1
