cimport cython

from . cimport native
from .native cimport flag
from .handles cimport Handle, Runnable
from .loop cimport Loop

cdef int _PENDING, _FINISHED, _CANCELLED
cdef unsigned int BITS, SLEEP
cdef object _NOBODY, _get_running_loop

# From `_awaited_by` on the fields lie where C's asyncio.Future has its own (native.py, "What tools read").
cdef class Future(Runnable):
    cdef public object _loop
    cdef Loop _engine
    cdef readonly object _result
    cdef readonly object _exception
    cdef object _exception_tb
    cdef public object _cancel_message
    cdef Runnable _waiter
    cdef list _others
    cdef unsigned int _noted
    cdef unsigned int _number
    cdef object _awaited_by
    cdef unsigned char _phase
    cdef unsigned char _log_unretrieved
    cdef public flag _asyncio_future_blocking
    cdef unsigned char _passes_cancel
    cdef unsigned char _stage
    cdef unsigned char _is_awaited_by_set
    cdef dict __dict__
    cdef object __weakref__

    @cython.locals(engine=Loop)
    cdef object _init(self, object loop)
    cdef object _take_error(self)
    cdef object _cancelled_error(self)
    cdef object _resolve(self, object result)
    cdef object _fail(self, object exception)
    cdef bint _cancel(self, object msg) except -1
    cdef object _refusal(self)
    @cython.locals(waiter=Runnable, others=list, engine=Loop)
    cdef object _wake_all(self)
    @cython.locals(engine=Loop, handle=Handle)
    cdef object _ready(self, Runnable waiter)
    @cython.locals(engine=Loop)
    cdef object _ready_slowly(self, Runnable task)
    @cython.locals(handle=Handle)
    cdef object _add_callback(self, object fn, object context)
    cdef object _add_waiter(self, Runnable waiter)
    cdef object _remove_waiter(self, Runnable waiter)
    cdef object _add_edge(self, object waiter)
    cdef object _discard_edge(self, object waiter)
    cdef object _report_unretrieved(self)
    cdef bint _has_last_words(self) noexcept

@cython.locals(engine=Loop)
cpdef unsigned int number_of_current() except? 0

@cython.locals(future=Future)
cpdef Future new_future(object loop)

@cython.locals(future=Future)
cpdef Future new_sleep(object loop)

@cython.locals(ours=Future)
cpdef object note_wait(object future, unsigned int what, unsigned int resource=*)

cdef object _edge(Future fut, object waiter, bint add)
