cimport cython

from . cimport await_slots, native
from .futures cimport Future, new_future
from .loop cimport Loop

cdef int _PENDING, _CANCELLED
cdef int _SCHEDULED, _RUNNING, _WAITING, _DONE
cdef dict _current_tasks
cdef object _swap_current_task, CancelledError, CoroutineType
cdef long long _tasks_made
cdef set _live

cdef class Task(Future):
    cdef unsigned char _stage
    cdef readonly bint _must_cancel
    cdef unsigned char _passes_cancel
    cdef public bint _log_destroy_pending
    cdef int _num_cancels_requested
    cdef readonly object _fut_waiter
    cdef readonly object _coro
    cdef object _context
    cdef object _name
    cdef long long _number

    cdef object _init_task(self, object coro, object name, object context, bint eager_start)
    @cython.locals(engine=Loop)
    cdef object _schedule(self)
    @cython.locals(error=object, answer=object, engine=Loop)
    cdef object _run(self)
    @cython.locals(future=Future)
    cdef object _step_error(self)
    cdef object _outcome_of_foreign(self, object waited)
    cdef object _act_on(self, object answer)
    cdef object _suspend_on(self, Future awaited)
    cdef object _suspend_on_foreign(self, object awaited)
    cdef object _pass_on_cancel(self)
    cdef object _throw_later(self, object error)
    cdef object _start_eagerly(self, object given_context)
    cdef object _finish(self, object result)
    cdef object _resolve(self, object result)
    cdef object _fail(self, object exception)
    cdef object _overtaken(self)
    cdef object _die(self, object exc)
    cdef bint _has_last_words(self) noexcept
    @cython.locals(engine=Loop)
    cdef object _enter(self)
    @cython.locals(task=Task, future=Future)
    cdef bint _cancel(self, object msg) except -1
    @cython.locals(last=Task, mark=Task, steps=Py_ssize_t, patience=Py_ssize_t)
    cdef Task _last_in_chain(self)
    @cython.locals(task=Task)
    cdef object _count_cancel(self, Task last)
    cdef bint _cancel_in_circle(self, Task task, object msg) except -1
    @cython.locals(task=Task)
    cdef Task _place_in_circle(self, Task member)
    cdef bint _cancel_foreign(self, object waited, object msg) except -1
    @cython.locals(future=Future)
    cdef object _let_go(self, object msg)

cdef object _take_place(object loop, object task)

cdef bint _passes_on(Task task) except -1

@cython.locals(task=Task)
cdef object _make_task(Loop loop, object coro, object name, object context, dict kwargs)

cdef class TaskLoop(Loop):
    pass
