cimport cython

from . cimport await_slots, native
from .futures cimport Future, new_future
from .handles cimport Runnable
from .loop cimport Loop
from .native cimport flag
from .ring cimport Ring

from libc.stdint cimport uint32_t

cdef int _PENDING, _CANCELLED
cdef int _SCHEDULED, _RUNNING, _WAITING, _DONE
cdef dict _current_tasks
cdef object _get_running_loop, _swap_current_task, CancelledError, CoroutineType
cdef unsigned int _last_id, _GREATEST_ID
cdef set _strays
cdef object _explainer, _NOBODY, _UNNAMED
cdef bint _listed

# From the coroutine to the place in a list the fields lie where C's asyncio.Task has its own (native.py, "What tools
# read").
cdef class Task(Future):
    cdef readonly object _coro
    cdef object _name
    cdef readonly object _fut_waiter
    cdef native.place _place
    cdef object _context
    cdef readonly flag _must_cancel
    cdef public flag _log_destroy_pending
    cdef int _num_cancels_requested
    cdef readonly unsigned int _id
    cdef readonly unsigned int _parent
    cdef readonly unsigned int _steps
    cdef readonly unsigned int _since
    cdef readonly unsigned int _woken_by

    @cython.locals(engine=Loop, parent=Task)
    cdef object _init_task(self, object coro, object name, object context, bint eager_start)
    @cython.locals(engine=Loop)
    cdef object _schedule(self)
    @cython.locals(error=object, answer=object, engine=Loop)
    cdef object _run(self)
    @cython.locals(future=Future)
    cdef object _step_error(self)
    cdef object _woken(self, Ring ring)
    @cython.locals(woken_by=uint32_t, ready_at=uint32_t, outer=uint32_t, task=Task, how=int)
    cdef object _run_recorded(self, Ring ring)
    cdef unsigned int _identity(self) noexcept
    @cython.locals(future=Future)
    cdef object _note_wait(self, Ring ring)
    cdef object _note_birth(self, Ring ring, bint eager)
    cdef object _note_death(self, Ring ring)
    cdef object _act_on(self, object answer)
    cdef object _suspend_on(self, Future awaited)
    cdef object _suspend_on_foreign(self, object awaited)
    cdef object _pass_on_cancel(self)
    cdef object _throw_later(self, object error)
    @cython.locals(engine=Loop, outer=Task, ring=Ring, running=uint32_t)
    cdef object _start_eagerly(self, object given_context)
    cdef object _enlist(self)
    cdef object _retire(self)
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

@cython.locals(task=Task)
cpdef bint show_to_tools(Py_ssize_t head, Py_ssize_t place) except -1

cdef object _take_place(object loop, object task)

cdef bint _passes_on(Task task) except -1

@cython.locals(task=Task)
cdef object _make_task(Loop loop, object coro, object name, object context, dict kwargs)

cdef class TaskLoop(Loop):
    pass
