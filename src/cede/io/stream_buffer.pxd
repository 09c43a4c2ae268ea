cimport cython

from ..engine cimport native
from ..engine.futures cimport Future, new_future, note_wait
from ..engine.loop cimport Loop

cdef Py_ssize_t _SMALL
cdef int _PENDING
cdef bytes _NEWLINE
cdef tuple _SEPARATORS_OF_LINES

cdef class StreamBuffer:
    cdef public object _loop
    cdef bint _is_own_loop
    cdef public Py_ssize_t _limit
    cdef bytes _chunk
    cdef Py_ssize_t _start
    cdef object _tail
    cdef Py_ssize_t _tail_size
    cdef bytearray _piece
    cdef Py_ssize_t _searched
    cdef bint _pinned
    cdef public bint _eof
    cdef public object _exception
    cdef bint _data_first
    cdef public object _waiter
    cdef Future _last_waiter
    cdef public object _transport
    cdef public bint _paused
    cdef public object _source_traceback

    @cython.locals(size=Py_ssize_t)
    cdef object _feed(self, object data)
    cdef object _append(self, bytes data)
    @cython.locals(piece=bytearray)
    cdef object _make_piece(self)
    cdef object _drop_chunks(self)
    @cython.locals(future=Future)
    cdef object _wake(self)
    cdef object _pause(self)
    cdef object _resume(self)
    cdef Py_ssize_t _size(self) except -1
    cdef object _take(self, Py_ssize_t count)
    @cython.locals(start=Py_ssize_t, size=Py_ssize_t)
    cdef object _take_of_chunk(self, Py_ssize_t count)
    @cython.locals(parts=list, first=Py_ssize_t)
    cdef object _take_of_chunks(self, Py_ssize_t count)
    @cython.locals(data=bytes)
    cdef object _take_of_piece(self, Py_ssize_t count)
    # Called by interpreted code only, and so never dispatched.
    @cython.locals(count=Py_ssize_t)
    cpdef object _try_read(self, object n)
    cpdef object _take_now(self, object n)
    cpdef object _take_all(self)
    @cython.locals(count=Py_ssize_t)
    cpdef object _try_exactly(self, object n, bint again=*)
    @cython.locals(end=Py_ssize_t)
    cpdef object _try_line(self, bint again=*)
    cpdef object _try_until(self, tuple separators, bint again=*)
    cpdef object _new_waiter(self, object method)

    cpdef object _put_back(self, bytes data)

    cdef object _lost(self, object exc)
    cdef object _raise_unless_data(self)
    cdef object _line_slowly(self)
    cdef object _drop_line(self, Py_ssize_t end)
    cdef object _begin_search(self)
    @cython.locals(begin=Py_ssize_t, end=Py_ssize_t)
    cdef object _until(self, tuple separators)
    @cython.locals(begin=Py_ssize_t, end=Py_ssize_t, first_begin=Py_ssize_t, first_end=Py_ssize_t, separator=bytes)
    cdef tuple _find(self, tuple separators)
    @cython.locals(last=Future)
    cdef object _make_waiter(self)
