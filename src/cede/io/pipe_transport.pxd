from .endpoint cimport Endpoint
from .write_buffer cimport WriteBuffer

cdef int _READ_SIZE, _WRITES_BEFORE_WARNING
cdef int _OPEN, _CLOSING, _LOST

cdef class ReadPipeTransport(Endpoint):
    cdef bint _watched
    cdef bint _reads_on

    cdef void _update_interest(self) except *
    cdef object _schedule_reading(self)

cdef class WritePipeTransport(Endpoint):
    cdef WriteBuffer _out
    cdef bint _watched
    cdef bint _end_is_told

    cdef void _update_interest(self) except *
    cdef void _send(self) except *
    cdef void _drop_waiting(self) except *
