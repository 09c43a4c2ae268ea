"""Task: drives a coroutine to its end, one step a turn.

    state      when                                   what then holds
    SCHEDULED  made, or what it awaited is done       it stands in the ready list, once
    RUNNING    its coroutine is on the stack          it is the thread's current task
    WAITING    its coroutine awaits a future          `_fut_waiter` is that future, which knows the task
    DONE       its coroutine ended                    the future's own state is FINISHED or CANCELLED

    SCHEDULED -> RUNNING -> SCHEDULED | WAITING | DONE;   WAITING -> SCHEDULED (the future woke it)

Cancelling goes to the future that is awaited, which then wakes the task. A cancellation that cannot
go there, because the task is SCHEDULED or RUNNING, is kept in `_must_cancel` for the next step.

A task on another library's loop (`_engine` is None) is stepped by that loop's `call_soon`.

Law: a task is in the set of live tasks from creation until it is DONE, so nothing collects it
half-way; and between two steps it is in at most one place: the ready list, or one future's waiters.
"""

import asyncio
import inspect
from asyncio import CancelledError, InvalidStateError, coroutines
from contextvars import Context
from types import CoroutineType

from . import await_slots, native, reports, running
from .awaitables import Done, Waiting
from .futures import Future, future_add_to_awaited_by, future_discard_from_awaited_by, new_future
from .loop import Loop

_PENDING = 0
_CANCELLED = 2

_SCHEDULED = 0
_WAITING = 1
_RUNNING = 2  # from here on no step may begin
_DONE = 3

_tasks_made = 0  # tasks without a name of their own, so far
_current_tasks = running.current_tasks
_swap_current_task = running.swap_current_task
_live = running.live


class Task(Future):
    """A coroutine that runs on a loop, and the future of what it returns.

    `name` is any object's str (default: Task-1, Task-2, ...); `context` is the `contextvars.Context`
    it runs in (default: a copy of the current one); `eager_start` runs the first step at once if the
    loop is running. TypeError if `coro` is no coroutine or `context` no context.
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
    #   _name                   a str; None stands for Task-<_number>, put into words when asked for

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
            global _tasks_made
            _tasks_made += 1
            self._number = _tasks_made
        else:
            self._name = str(name)
        if eager_start and self._loop.is_running():
            self._start_eagerly(context)
        else:
            self._schedule()
            _live.add(self)
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
                    future._awaited_by = None
                elif future._awaited_by is not None:
                    future._discard_edge(self)
                if future._phase == _CANCELLED:
                    error = future._cancelled_error()
                elif future._exception is not None or future._phase == _PENDING:
                    error = future._take_error()  # a result the coroutine takes itself
            else:
                error = self._outcome_of_foreign(waited)
        elif self._exception is not None:
            error = self._exception
            self._exception = None
        if self._must_cancel:
            self._must_cancel = False
            if not isinstance(error, CancelledError):
                error = self._make_cancelled_error()
        return error

    def _outcome_of_foreign(self, waited):
        future_discard_from_awaited_by(waited, self)
        kind, outcome = native.result_of(waited)
        return outcome if kind is BaseException else None

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
            self._throw_later(_own_await(self))
        elif awaited._loop is not self._loop:
            self._throw_later(_wrong_loop(self, awaited))
        elif not awaited._asyncio_future_blocking:
            self._throw_later(_plain_yield(self, awaited))
        else:
            awaited._asyncio_future_blocking = False
            if awaited._awaited_by is None:
                awaited._awaited_by = self
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
            self._throw_later(_bad_yield(self, awaited))
        elif _loop_of(awaited) is not self._loop:
            self._throw_later(_wrong_loop(self, awaited))
        elif not blocking:
            self._throw_later(_plain_yield(self, awaited))
        elif awaited is self:
            self._throw_later(_own_await(self))
        else:
            future_add_to_awaited_by(awaited, self)
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
                self._run()
            else:
                self._schedule()

    def _step_by_callback(self):
        """What a loop calls that is not ours: the task is scheduled, or what it waited for is done."""
        self._run()

    def _start_eagerly(self, given_context):
        """Take the first step now, inside whatever task is running."""
        if given_context is not None:
            given_context.run(_nothing)  # RuntimeError now if it is entered already
        _live.add(self)
        previous = _take_place(self._loop, self)
        self._stage = _RUNNING
        answer = native.resume(self._context, self._coro)
        _take_place(self._loop, previous)
        self._act_on(answer)
        if self._stage == _DONE:
            self._coro = None
        self = answer = None  # as in `_run`, and so in each function that leads here

    # --- The end ----------------------------------------------------------------------------------

    def _finish(self, result):
        self._stage = _DONE
        _live.discard(self)
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
        self._stage = _DONE
        _live.discard(self)
        error = InvalidStateError(f"__step(): already done: {self!r}, {self._coro!r}")
        context = {"message": "A task was given its outcome before its coroutine ended", "exception": error}
        self._loop.call_exception_handler({**context, "task": self})

    def _die(self, exc):
        self._stage = _DONE
        _live.discard(self)
        if isinstance(exc, CancelledError):
            self._exception = exc  # raised again by whoever asks for the result
            Future._cancel(self, None)
            return
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
            future_discard_from_awaited_by(waited, self)
            waited.remove_done_callback(self._wakeup)
            waited.add_done_callback(_pass_over)

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
        if self._name is None:
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

        Outermost first, at most `limit`; empty if it returned or was cancelled. Of a suspended
        coroutine only one frame can be told.
        """
        return reports.task_stack(self, limit)

    def print_stack(self, *, limit=None, file=None):
        """Print `get_stack(limit=limit)` as a traceback to `file` (default: standard error)."""
        reports.print_task_stack(self, limit, file)


class TaskLoop(Loop):
    """A loop that makes futures and tasks."""

    def create_future(self):
        """Return a new future of this loop."""
        return new_future(self)

    def create_task(self, coro, *, name=None, context=None, **kwargs):
        """Run a coroutine as a task of this loop.

        The keywords are `Task`'s, or those of the loop's task factory, which gets only those that say something.
        """
        return _make_task(self, coro, name, context, kwargs)


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
    previous = _current_tasks.get(loop)
    if task is None:
        _current_tasks.pop(loop, None)
    else:
        _current_tasks[loop] = task
    return previous


def _passes_on(task):
    """Whether a task is not done, and passes its cancellation on as this module does it."""
    if task._phase != _PENDING:
        return False
    if type(task) is Task:
        return not native.has_own(task, "cancel")
    return task.cancel == Task.cancel.__get__(task)


def _pass_over(future):
    """A cancellation that is the outcome of what nobody awaits any more is no error to report."""
    if not future.cancelled() and isinstance(getattr(future, "_exception", None), CancelledError):
        future.exception()


def _nothing():
    pass


def _loop_of(future):
    get_loop = getattr(future, "get_loop", None)
    return future._loop if get_loop is None else get_loop()


def _own_await(task):
    return RuntimeError(f"Task cannot await on itself: {reports.safe_repr(task)}")


def _wrong_loop(task, awaited):
    pair = (reports.safe_repr(task), reports.safe_repr(awaited))
    return RuntimeError("Task {} got Future {} attached to a different loop".format(*pair))


def _plain_yield(task, awaited):
    pair = (reports.safe_repr(task), reports.safe_repr(awaited))
    return RuntimeError("yield was used instead of yield from in task {} with {}".format(*pair))


def _bad_yield(task, answer):
    if inspect.isgenerator(answer):
        return RuntimeError(f"yield was used instead of yield from for generator in task {task!r} with {answer!r}")
    return RuntimeError(f"Task got bad yield: {answer!r}")


await_slots.install(Future, Task)
await_slots.install_awaitables(Done, Waiting)
native.keep_memory(Task)
native.sign(globals())
