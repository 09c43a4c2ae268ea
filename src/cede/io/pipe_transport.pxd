from ..engine cimport syscalls
from .endpoint cimport Endpoint
from .write_buffer cimport WriteBuffer, as_bytes

cdef int _READ_SIZE, _WRITES_BEFORE_WARNING
cdef int _OPEN, _CLOSING, _LOST

cdef class ReadPipeTransport(Endpoint):
    cdef bint _watched
    cdef bint _reads_on
    cdef object _shared

    cdef object _update_interest(self)
    cdef object _schedule_reading(self)
    cdef object _release(self)

cdef class WritePipeTransport(Endpoint):
    cdef WriteBuffer _out
    cdef bint _watched
    cdef bint _end_is_told
    cdef object _shared

    cdef object _update_interest(self)
    cdef object _write_failed(self, object exc)
    cdef object _drop_waiting(self)
    cdef object _release(self)
