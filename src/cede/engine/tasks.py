"""Task: drives a coroutine to its end, one step a turn.

    state      when                                   what then holds
    SCHEDULED  made, or what it awaited is done       it stands in the ready list, once
    RUNNING    its coroutine is on the stack          it is the thread's current task
    WAITING    its coroutine awaits a future          `_fut_waiter` is that future, which knows the task
    DONE       its coroutine ended                    the future's own state is FINISHED or CANCELLED

    SCHEDULED -> RUNNING -> SCHEDULED | WAITING | DONE;   WAITING -> SCHEDULED (the future woke it)

Cancelling goes to the future that is awaited, which then wakes the task. A cancellation that cannot go there, because
the task is SCHEDULED or RUNNING, is kept in `_must_cancel` for the next step.

Law: a task is in its loop's set of live tasks from creation until it is DONE, so nothing collects it half-way; and
between two steps it is in at most one place: the ready list, or one future's waiters.
"""

import asyncio
from asyncio import CancelledError, coroutines
from contextvars import Context
from types import CoroutineType

from . import await_slots, futures, native, reports, running
from .awaitables import Done, Waiting
from .futures import NOBODY, Future, new_future
from .loop import Loop

_PENDING = 0
_CANCELLED = 2

_SCHEDULED = 1  # for tools, zero says that it is no task
_WAITING = 2
_RUNNING = 3  # from here on no step may begin
_DONE = 4

_NOBODY = NOBODY
_UNNAMED = native.unnamed()
_listed = False  # whether tasks stand in the interpreter's list, where tools look for them

_explainer = None  # who notes why tasks are cancelled (`cede.observe.cancels`); None while nobody wants to know
_last_id = 0  # the number of the task made last
_GREATEST_ID = 0x7FFFFFFF  # then it begins again at 1
_current_tasks = running.current_tasks
_get_running_loop = running.get_running_loop
_swap_current_task = running.swap_current_task
_strays = running.strays


class Task(Future):
    """A coroutine that runs on a loop, and the future of what it returns.

    `name` is any object's str (default: Task-1, …); `context` is the `contextvars.Context` it runs in (default: a copy
    of the current one); `eager_start` begins at once if the loop runs. TypeError if `coro` or `context` is no such.
    """

    def __init__(self, coro, *, loop=None, name=None, context=None, eager_start=False):
        """Begin to run `coro`. RuntimeError if the task has begun already."""
        if getattr(self, "_loop", None) is not None:
            raise RuntimeError(f"{type(self).__name__} object is already initialized")
        native.drop_empty_dict(self)
        self._init(running.get_event_loop() if loop is None else loop)
        self._init_task(coro, name, context, eager_start)
        self = None  # as in `_start_eagerly`

    # The fields beside Future's, None or zero by nature as those:
    #
    #   _stage                  _SCHEDULED, _WAITING, _RUNNING or _DONE
    #   _coro, _context         the coroutine, and what it runs in
    #   _fut_waiter             what it awaits; stays, though done, until the next step begins
    #   _must_cancel            true iff the next step is to raise CancelledError
    #   _num_cancels_requested  how many cancellations were asked for, less those taken back
    #   _passes_cancel          true while `cancel` of what it awaits, another library's, is running
    #   _log_destroy_pending    true iff dying before the end is to be reported
    #   _name                   a str; _UNNAMED stands for Task-<_number>, put into words when asked for
    #   _place                  compiled: its place in the interpreter's list of tasks, while `_listed`
    # What is there only for whoever looks at the program (compiled, numbers of 32 bits, which begin anew at their end):
    #   _id                     its number in the process, from 1
    #   _parent                 the number of the task that made it, 0 if it was none
    #   _steps                  how many it has begun
    #   _woken_by               who made it ready last: the number of a task, or 2 ** 31 and a descriptor's; 0: neither
    #   _since                  when the last one began, to a turn: the loop's `_look_ticks`, in units of 2 ** 24

    def __cinit__(self, *args, **kwargs):
        self._name = _UNNAMED  # as in `Future`

    def _init_task(self, coro, name, context, eager_start):
        self._coro = coro
        if type(coro) is not CoroutineType and not coroutines.iscoroutine(coro):
            raise TypeError(f"a coroutine was expected, got {coro!r}")
        if context is None:
            self._context = native.copy_context()
        elif isinstance(context, Context):
            self._context = context
        else:
            raise TypeError(f"a contextvars.Context was expected, got {type(context).__name__}")
        # Order: asyncio reports a task, too, that the loop then refuses.
        self._log_destroy_pending = True
        if name is None:
            self._number = native.next_number()
        else:
            self._name = str(name)
        global _last_id
        _last_id = _last_id + 1 if _last_id < _GREATEST_ID else 1
        self._id = _last_id
        engine = self._engine
        if engine is not None and engine._entered is not None:
            parent = engine._entered
            self._parent = parent._id
        if eager_start and self._loop.is_running():
            self._start_eagerly(context)
        else:
            self._schedule()
            self._enlist()
        self = None  # as in `_start_eagerly`

    # asyncio: isinstance(task, asyncio.Task) is asked by libraries.
    @property
    def __class__(self):
        return asyncio.Task

    def __repr__(self):
        return reports.task_repr(self)

    # --- A step -----------------------------------------------------------------------------------

    def _schedule(self):
        self._stage = _SCHEDULED
        engine = self._engine
        if engine is not None and engine._direct:
            engine._upcoming.append(self)
        else:
            self._ready_slowly(self)

    def _run(self):
        """Take one step: run the coroutine until it awaits something that is not there, or ends."""
        if self._stage >= _RUNNING:
            return
        error = None
        if self._fut_waiter is not None or self._must_cancel or self._exception is not None:
            error = self._step_error()
        engine = self._engine
        if engine is None or engine._entered is not self:
            self._enter()
        self._stage = _RUNNING
        self._steps = self._steps + 1  # compiled, `+=` counts a reference to the task
        if engine is not None:
            self._since = engine._look_ticks >> 24
        if error is None:
            answer = native.resume(self._context, self._coro)
        else:
            answer = native.throw(self._context, self._coro, error)
        if engine is None:
            running.leave_task(self._loop)
        self._act_on(answer)
        # Interpreted, the frames of a traceback lead back to this one: no cycle of it, the error and the task.
        self = error = answer = None

    def _step_error(self):
        """The exception to throw into the coroutine, or None."""
        error = None
        waited = self._fut_waiter
        if waited is not None:
            self._fut_waiter = None
            if type(waited) is Future or type(waited) is Task:
                future = waited
                if future._awaited_by is self:
                    future._awaited_by = _NOBODY
                    future._is_awaited_by_set = True
                elif future._awaited_by is not _NOBODY:
                    future._discard_edge(self)
                if future._phase == _CANCELLED:
                    error = future._cancelled_error()
                elif future._exception is not None or future._phase == _PENDING:
                    error = future._take_error()  # a result the coroutine takes itself
            else:
                error = futures.error_of_foreign(waited, self)
        elif self._exception is not None:
            error = self._exception
            self._exception = None
        if self._must_cancel:
            self._must_cancel = False
            if not isinstance(error, CancelledError):
                error = self._make_cancelled_error()
        if error is not None and _explainer is not None:
            _explainer.thrown(self, error)
        return error

    def _act_on(self, answer):
        """Go on from a step's answer; `native` says what it can be."""
        if answer is None:
            self._schedule()  # a bare yield: wait for the next turn
        elif type(answer) is Future or type(answer) is Task:
            self._suspend_on(answer)
        elif type(answer) is tuple and len(answer) == 2 and answer[0] is StopIteration:
            self._finish(answer[1])
        elif type(answer) is tuple and len(answer) == 2 and answer[0] is BaseException:
            self._die(answer[1])
        else:
            try:
                self._suspend_on_foreign(answer)
            except BaseException as exc:
                # What is awaited misbehaves: whoever awaits it is told.
                self._fut_waiter = None
                self._throw_later(exc)

    def _suspend_on(self, awaited):
        """Wait for a future of ours."""
        if awaited is self:
            self._throw_later(reports.own_await(self))
        elif awaited._loop is not self._loop:
            self._throw_later(reports.wrong_loop(self, awaited))
        elif not awaited._asyncio_future_blocking:
            self._throw_later(reports.plain_yield(self, awaited))
        else:
            awaited._asyncio_future_blocking = False
            if awaited._awaited_by is _NOBODY:
                awaited._awaited_by = self
                awaited._is_awaited_by_set = False
            else:
                awaited._add_edge(self)
            self._stage = _WAITING
            self._fut_waiter = awaited
            awaited._add_waiter(self)
            if self._must_cancel:
                self._pass_on_cancel()

    def _suspend_on_foreign(self, awaited):
        """Wait for a future of another library or of a subclass; anything else is an error thrown back."""
        blocking = getattr(awaited, "_asyncio_future_blocking", None)
        if blocking is None:
            self._throw_later(reports.bad_yield(self, awaited))
        elif futures.loop_of(awaited) is not self._loop:
            self._throw_later(reports.wrong_loop(self, awaited))
        elif not blocking:
            self._throw_later(reports.plain_yield(self, awaited))
        elif awaited is self:
            self._throw_later(reports.own_await(self))
        else:
            futures.future_add_to_awaited_by(awaited, self)
            awaited._asyncio_future_blocking = False
            # Order: some futures call back at once.
            self._stage = _WAITING
            self._fut_waiter = awaited
            # The step enters the task's context itself, so the callback gets another one: a copy.
            awaited.add_done_callback(self._wakeup, context=native.copy_context())
            if self._must_cancel and self._fut_waiter is awaited:
                self._pass_on_cancel()

    def _pass_on_cancel(self):
        """Cancel what is now awaited: the cancellation came while the task was running."""
        if self._fut_waiter.cancel(msg=self._cancel_message):
            self._must_cancel = False

    def _throw_later(self, error):
        """Throw `error` into the coroutine at the next turn."""
        self._exception = error
        self._schedule()

    def _wakeup(self, future):
        """What a future calls that is not ours: take the step at once, as asyncio does, unless a task is in its own."""
        if self._stage == _WAITING and self._fut_waiter is future:
            if running.current_task(self._loop) is None:
                if self._engine is not None and self._engine._ring is not None:
                    self._woken_by = self._noted = 0
                    self._run_recorded(self._engine._ring)
                else:
                    self._run()
            else:
                self._schedule()

    def _step_by_callback(self):
        """What a loop calls that is not ours: the task is scheduled, or what it waited for is done."""
        self._run()

    def _start_eagerly(self, given_context):
        """Take the first step now, inside whatever task is running."""
        if given_context is not None:
            given_context.run(int)  # RuntimeError now if it is entered already
        engine = self._engine
        self._enlist()
        outer = None if engine is None else engine._entered
        previous = _take_place(self._loop, self)
        if engine is not None:
            engine._entered = self  # whose number the tasks that it makes get
            self._since = engine._look_ticks >> 24
            if engine._ring is not None:
                self._note_birth(engine._ring, True)
        self._stage = _RUNNING
        self._steps += 1
        ring = None if engine is None else engine._ring
        running = 0
        if ring is not None:
            running, ring._running = ring._running, self._id
        answer = native.resume(self._context, self._coro)
        if ring is not None:
            ring._running = running
        _take_place(self._loop, previous)
        if engine is not None:
            engine._entered = outer
        self._act_on(answer)
        if self._stage == _DONE:
            if engine is not None and engine._ring is not None:
                self._note_death(engine._ring)
            self._coro = None
        elif engine is not None and engine._ring is not None:
            self._note_wait(engine._ring)
        self = answer = None  # as in `_run`, and so in each function that leads here

    # --- What is recorded of it -------------------------------------------------------------------

    def _woken(self, ring):
        self._woken_by = ring._running
        if self._woken_by == self._id:
            self._noted = 0  # at the end of the step that runs, which is not known yet
            return
        if self._woken_by == 0 and self._engine._told_of >= 0:
            self._woken_by = 0x80000000 | self._engine._told_of
        self._noted = ring._short()
        if self._steps == 0:
            self._note_birth(ring, False)

    def _run_recorded(self, ring):
        # What the step itself may change is read before it.
        woken_by, ready_at, outer = self._woken_by, self._noted, ring._running
        ring._running = self._id
        self._run()
        ring._running = outer
        if self._stage == _WAITING and isinstance(self._fut_waiter, Task):
            task = self._fut_waiter
            ring._step(1, self._id, task._id, woken_by, ready_at)
        elif self._stage == _WAITING:
            ring._step(1, self._id, 0, woken_by, ready_at)
            self._note_wait(ring)
        elif self._stage == _SCHEDULED:
            ring._step(0, self._id, 0, woken_by, ready_at)
            if self._noted == 0:
                self._noted = ring._last >> 6 or 1
        else:
            how = 4 if self._phase == _CANCELLED else 2 if self._exception is None else 3
            ring._step(how, self._id, 0, woken_by, ready_at)
            self._note_death(ring)

    def _note_wait(self, ring):
        if self._stage == _WAITING and isinstance(self._fut_waiter, Future) and not isinstance(self._fut_waiter, Task):
            future = self._fut_waiter
            if future._noted:
                ring._wait(self._id, future._noted)

    def _identity(self):
        return self._id

    def _note_birth(self, ring, eager):
        ring._birth(eager, self._id, self._parent, self._number, ring._name_of_coroutine(self._coro))
        if self._name is not _UNNAMED:
            ring._call_name(self._id, self._name)

    def _note_death(self, ring):
        ring._death(self._id, self._parent, self._number, ring._name_of_coroutine(self._coro))
        if self._name is not _UNNAMED:
            ring._call_name(self._id, self._name)

    # --- The end ----------------------------------------------------------------------------------

    def _enlist(self):
        """Be among the live tasks, which are held."""
        (_strays if self._engine is None else self._engine._live).add(self)
        if _listed:
            self.get_name()  # what tools read is put into words now
            native.enlist(self)

    def _retire(self):
        """Take no more steps, and be among the live tasks no longer."""
        self._stage = _DONE
        (_strays if self._engine is None else self._engine._live).discard(self)
        if _listed:
            native.delist(self)

    def _finish(self, result):
        self._retire()
        if self._must_cancel:
            # Cancelled during its last step: too late for the coroutine, in time for whoever awaits it.
            self._must_cancel = False
            Future._cancel(self, self._cancel_message)
        else:
            Future._resolve(self, result)

    def _resolve(self, result):
        Future._resolve(self, result)
        self._overtaken()

    def _fail(self, exception):
        Future._fail(self, exception)
        self._overtaken()

    def _overtaken(self):
        """Take no step any more: `Future.set_result(task, …)` has ended the task before its coroutine did."""
        self._retire()
        self._loop.call_exception_handler(reports.overtaken(self))

    def _die(self, exc):
        self._retire()
        if isinstance(exc, CancelledError):
            if _explainer is not None and type(self._waiter) is not Task:
                _explainer.ended(exc)  # no other task will hand it on
            self._exception = exc  # raised again by whoever asks for the result
            Future._cancel(self, None)
            return
        if _explainer is not None:
            _explainer.ended(exc)
        Future._fail(self, exc)
        if isinstance(exc, (KeyboardInterrupt, SystemExit)):
            raise exc

    def __del__(self):
        if self._log_destroy_pending and self._phase == _PENDING:
            reports.destroyed_pending(self)
        if self._log_unretrieved:
            self._report_unretrieved()

    def _has_last_words(self):
        return self._log_unretrieved or (self._phase == _PENDING and self._log_destroy_pending)

    # --- The current task -------------------------------------------------------------------------

    def _enter(self):
        """Become the current task. The loop leaves it when something else runs than the next task."""
        engine = self._engine
        if engine is not None:
            engine._entered = self
        if _current_tasks is None:
            _swap_current_task(self._loop, self)
        else:
            _current_tasks[self._loop] = self

    # --- Cancelling -------------------------------------------------------------------------------

    def cancel(self, msg=None):
        """Ask the task to stop: CancelledError is raised in its coroutine, at its next step.

        The coroutine may clean up, or catch it and go on. Returns False if the task is done. Each
        call counts in `cancelling()`. `msg` is the argument of the CancelledError.
        """
        return self._cancel(msg)

    def _cancel(self, msg):
        self._log_unretrieved = False
        if self._phase != _PENDING:
            return False
        if self._engine is not None and self._engine._ring is not None:
            self._engine._ring._cancel(self._id)
        task = self
        waited = self._fut_waiter
        if isinstance(waited, Task) and _passes_on(waited):
            task = self._last_in_chain()
            waited = task._fut_waiter
            if (isinstance(waited, Task) and _passes_on(waited)) or task._passes_cancel:
                return self._cancel_in_circle(task, msg)
        elif self._passes_cancel:
            return self._cancel_in_circle(self, msg)
        self._num_cancels_requested += 1
        if task is not self:
            self._count_cancel(task)
        if _explainer is not None:
            _explainer.cancelled(task)
        if type(waited) is Future and not native.has_own(waited, "cancel"):
            future = waited
            if future._cancel(msg):
                return True
        elif waited is not None and task._cancel_foreign(waited, msg):
            return True
        task._must_cancel = True
        task._cancel_message = msg
        return True

    def _last_in_chain(self):
        """Follow the tasks that await one another, and return the last.

        The last one awaits no task, or the chain leads into a circle: then it is this task, if that is part of the
        circle, else another that is.
        """
        # A loop, not a recursion: a hundred thousand tasks may stand in a chain. Brent's way to see a circle:
        # look out for one of those that were passed, each time a later one, and for longer.
        last = mark = self
        waited = self._fut_waiter
        steps, patience = 0, 1
        while isinstance(waited, Task) and _passes_on(waited):
            last = waited
            waited = last._fut_waiter
            if last is mark:
                return self._place_in_circle(last)
            steps += 1
            if steps == patience:
                mark, steps, patience = last, 0, patience * 2
        return last

    def _count_cancel(self, last):
        """Count a cancellation of each task behind this one, up to `last`."""
        task = self
        while task is not last:
            task = task._fut_waiter
            task._num_cancels_requested += 1
            task._log_unretrieved = False

    def _cancel_in_circle(self, task, msg):
        """Cancel one that awaits itself in the end: `task`, where the chain from this one leads, awaits no more."""
        waited = task._fut_waiter
        ended = waited is None or waited.done()  # by what calls back here from its `cancel`: then it is no circle
        if ended or not task._passes_cancel:  # else it goes through others' `cancel`, and all have been counted
            self._num_cancels_requested += 1
            self._count_cancel(task)
        if ended:
            task._must_cancel = True
            task._cancel_message = msg
        else:
            task._let_go(msg)
        return True

    def _place_in_circle(self, member):
        """Return this task, if it is one of the circle in which `member` is; else `member`."""
        task = member
        while task is not self:
            task = task._fut_waiter
            if task is member:
                return member
        return self

    def _cancel_foreign(self, waited, msg):
        """Cancel what is awaited, a future of another library or of a subclass; return what its `cancel` does."""
        self._passes_cancel = True
        try:
            return bool(native.cancel(waited, msg))
        finally:
            self._passes_cancel = False

    def _let_go(self, msg):
        """Await no more, and raise CancelledError at the next step: what is awaited waits for this very task."""
        waited = self._fut_waiter
        # Order: whatever the one awaited does now, or calls, this task does not hear of it any more.
        self._fut_waiter = None
        self._must_cancel = True
        self._cancel_message = msg
        self._schedule()
        if type(waited) is Future or type(waited) is Task:
            future = waited
            future._discard_edge(self)
            future._remove_waiter(self)
        else:
            futures.future_discard_from_awaited_by(waited, self)
            waited.remove_done_callback(self._wakeup)
            waited.add_done_callback(futures.pass_over)

    def cancelling(self):
        """Return how many cancellations were asked for, less those taken back by `uncancel`."""
        return self._num_cancels_requested

    def uncancel(self):
        """Take one cancellation back, as whoever asked for it should; return how many are left."""
        if self._num_cancels_requested > 0:
            self._num_cancels_requested -= 1
            if self._num_cancels_requested == 0:
                self._must_cancel = False
        return self._num_cancels_requested

    # --- What it is -------------------------------------------------------------------------------

    def get_coro(self):
        """Return the coroutine; None if it ended in its eager first step."""
        return self._coro

    def get_context(self):
        """Return the `contextvars.Context` the coroutine runs in."""
        return self._context

    def get_name(self):
        """Return the name, a str."""
        if self._name is _UNNAMED:
            self._name = f"Task-{self._number}"
        return self._name

    def set_name(self, value, /):
        """Name the task `str(value)`."""
        self._name = str(value)

    def set_result(self, result, /):
        """Refuse: a task's result is what its coroutine returns."""
        raise RuntimeError("Task does not support set_result operation")

    def set_exception(self, exception, /):
        """Refuse: a task's exception is what its coroutine raises."""
        raise RuntimeError("Task does not support set_exception operation")

    def get_stack(self, *, limit=None):
        """Return the frames where the coroutine is suspended, or those of the traceback it ended with.

        Outermost first, at most `limit`; empty if it returned or was cancelled. One that is suspended tells one frame.
        """
        return reports.task_stack(self, limit)

    def print_stack(self, *, limit=None, file=None):
        """Print `get_stack(limit=limit)` as a traceback to `file` (default: standard error)."""
        reports.print_task_stack(self, limit, file)


def explain_to(explainer):
    """Tell `explainer` of every cancellation, by its `cancelled(task)`, `thrown(task, error)` and `ended(error)`.

    None: tell nobody. It must not raise.
    """
    global _explainer
    _explainer = explainer


def show_to_tools(head, place):
    """Let tasks stand in the interpreter's list, as `observe.mirror` found it; return whether they do."""
    global _listed
    _listed = _listed or native.list_tasks(head, place)
    for task in running.live_tasks() if _listed else ():
        task._enlist()
    return _listed


def made():
    """Return how many tasks were made in this process; it begins anew at 2 ** 31."""
    return _last_id


class TaskLoop(Loop):
    """A loop that makes futures and tasks."""

    def create_future(self):
        """Return a new future of this loop."""
        future = new_future(self)
        if self._ring is not None:
            future._noted = self._ring._stock_wait()
        return future

    def create_task(self, coro, *, name=None, context=None, **kwargs):
        """Run a coroutine as a task of this loop.

        The keywords are `Task`'s, or those of the loop's task factory, which gets only those that say something.
        """
        return _make_task(self, coro, name, context, kwargs)


def create_task(coro, **kwargs):
    """Start a coroutine in a task of the running loop, and return the task.

    Keywords (`name`, `context`, `eager_start`, or your own) go to the loop's task factory, else to `Task`. It is kept
    alive until it is done; nobody needs to hold it.
    """
    loop = _get_running_loop()
    if kwargs:
        return loop.create_task(coro, **kwargs)
    return loop.create_task(coro)


def _make_task(loop, coro, name, context, kwargs):
    if loop._closed:
        loop._check_closed()
    if loop._task_factory is not None and not loop._eager:
        return loop._task_of_factory(coro, name, context, kwargs)
    if kwargs:
        kwargs.setdefault("eager_start", loop._eager)
        return Task(coro, loop=loop, name=name, context=context, **kwargs)
    task = native.fresh(Task)
    task._init(loop)
    task._init_task(coro, name, context, loop._eager)
    try:
        return task
    finally:
        task = None  # as in `_start_eagerly`


def _take_place(loop, task):
    """Make `task` (None: no task) the current one; return the one before."""
    if _current_tasks is None:
        return _swap_current_task(loop, task)
    if task is None:
        return _current_tasks.pop(loop, None)
    previous = _current_tasks.get(loop)
    _current_tasks[loop] = task
    return previous


def _passes_on(task):
    """Whether a task is not done, and passes its cancellation on as this module does it."""
    if task._phase != _PENDING:
        return False
    if type(task) is Task:
        return not native.has_own(task, "cancel")
    return task.cancel == Task.cancel.__get__(task)


await_slots.install(Future, Task)
await_slots.install_awaitables(Done, Waiting)
native.keep_memory(Task)
native.sign(globals())
