from ..engine.loop cimport Loop
from .channel cimport Channel

cdef class Endpoint(Channel):
    cdef readonly object _file
    cdef object _keeper
    cdef Py_ssize_t _waiting
    cdef Py_ssize_t _high
    cdef Py_ssize_t _low
    cdef tuple _marks

    cdef object _set_file(self, object file)
    cdef object _init(self, Loop loop, object file, object protocol, dict extra, object context)
    cdef bint _is_gone(self) except -1
    cdef object _set_limits(self, object high, object low)
    cdef object _maybe_pause_protocol(self)
    cdef object _maybe_resume_protocol(self)
    cdef object _drop_waiting(self)
    cdef object _release(self)
    cdef object _close_file(self)
    cdef object _abandoned(self)
