cimport cython

from . cimport await_slots, native
from .futures cimport Future
from .loop cimport Loop

cdef int _PENDING, _FINISHED
cdef int _SCHEDULED, _RUNNING, _WAITING, _DONE
cdef dict _current_tasks
cdef set _live

cdef class Task(Future):
    cdef unsigned char _stage
    cdef readonly bint _must_cancel
    cdef public bint _log_destroy_pending
    cdef int _num_cancels_requested
    cdef readonly object _fut_waiter
    cdef readonly object _coro
    cdef object _context
    cdef object _name

    cdef void _init_task(self, object coro, object name, object context, bint eager_start) except *
    cdef void _schedule(self) except *
    @cython.locals(error=object, answer=object)
    cdef void _run(self) except *
    cdef object _step_error(self)
    cdef object _outcome_of(self, Future waited)
    cdef object _outcome_of_foreign(self, object waited)
    cdef void _act_on(self, object answer) except *
    cdef void _suspend_on(self, Future awaited) except *
    cdef void _suspend_on_foreign(self, object awaited) except *
    cdef void _pass_on_cancel(self) except *
    cdef void _throw_later(self, object error) except *
    cdef void _start_eagerly(self, object given_context) except *
    cdef void _finish(self, object result) except *
    cdef void _die(self, object exc) except *
    cdef void _enter(self) except *
    cdef void _leave(self) except *
    @cython.locals(task=Task, future=Future)
    cdef bint _cancel(self, object msg) except -1

@cython.locals(task=Task)
cpdef Task new_task(object loop, object coro)
