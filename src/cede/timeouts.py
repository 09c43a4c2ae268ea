"""timeout, timeout_at: cancel a block that takes too long, and turn that cancellation into TimeoutError.

    state       it became so when                     then
    created     it was made                           it may be entered, once
    active      its block was entered                 the deadline may be moved
    expiring    the deadline came; the task was       the CancelledError is on its way out of the block
                cancelled
    expired     its block was left while expiring     CancelledError became TimeoutError
    finished    its block was left while active       nothing happened

The task's count of cancellations tells whose a CancelledError is: if it is back at what it was on
entering, nobody but this timeout asked for it. Otherwise somebody outside did, and it stays what it is.
"""

from __future__ import annotations

from collections.abc import Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .engine import native
from .engine.awaitables import Done
from .engine.handles import TimerHandle
from .engine.loop import Loop
from .engine.running import current_task, get_running_loop
from .engine.tasks import Task as EngineTask
from .exceptions import CancelledError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task

__all__ = ("Timeout", "timeout", "timeout_at")

_CREATED = "created"
_ACTIVE = "active"
_EXPIRING = "expiring"
_EXPIRED = "expired"
_FINISHED = "finished"


_BY_TIMEOUT = 2  # of `cede.observe.schema.CANCELS`
_explainer: Any = None  # as in `engine.tasks`


def explain_to(explainer: Any) -> None:
    """Tell `explainer` of timeouts: its `expires(limit)` before the cancelling, `timed_out(limit, error, cause)`.

    None: tell nobody. It must not raise.
    """
    global _explainer
    _explainer = explainer


class Timeout:
    """The context manager that `timeout` and `timeout_at` return.

    `when` is the deadline in seconds of the loop's clock; None: never.
    """

    def __init__(self, when: float | None) -> None:
        """Expire at `when`, seconds of the loop's clock; None: never."""
        self._init(when)

    def _init(self, when: float | None) -> None:
        self._state = _CREATED
        self._when = when
        self._handle: Any = None  # what will call _expire; None without a deadline
        self._task: Task[Any] | None = None  # the task in the block, while it is there
        self._delay: Any = None  # what `timeout` was given
        self._cancelling = 0  # how many cancellations of it were under way on entering

    def __repr__(self) -> str:
        when = ""
        if self._state is _ACTIVE:
            when = f" when={None if self._when is None else round(self._when, 3)}"
        return f"<Timeout [{self._state}]{when}>"

    def when(self) -> float | None:
        """Return the deadline: seconds of the loop's clock, or None."""
        return self._when

    def expired(self) -> bool:
        """Return True if the deadline came while the block was running."""
        return self._state is _EXPIRING or self._state is _EXPIRED

    def reschedule(self, when: float | None) -> None:
        """Move the deadline; one that has passed ends the block at its next suspension.

        RuntimeError unless the block is running and its deadline has not come.
        """
        if self._state is not _ACTIVE:
            if self._state is _CREATED:
                raise RuntimeError("Timeout has not been entered")
            raise RuntimeError(f"Cannot change state of {self._state} Timeout")
        self._when = when
        if self._handle is not None:
            _disarm(self._handle)
            self._handle = None
        if when is not None:
            self._arm(when, get_running_loop())

    def _arm(self, when: float, loop: AbstractEventLoop) -> None:
        if isinstance(loop, Loop):
            self._handle = _deadline(self, loop, when)
        if self._handle is None:
            # A deadline that has passed cancels before the block's next step, a timer would after it.
            late = when <= loop.time()
            self._handle = loop.call_soon(self._expire) if late else loop.call_at(when, self._expire)

    def __aenter__(self) -> Coroutine[Any, Any, Timeout]:
        entering: _Entering = native.fresh(_Entering)
        entering._limit = self
        return entering

    def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> Coroutine[Any, Any, None]:
        self._leave(exc_val)
        return _LEFT

    def _enter(self) -> None:
        if self._state is not _CREATED:
            raise RuntimeError("Timeout has already been entered")
        task: Any = current_task()
        if task is None:
            raise RuntimeError("Timeout should be used inside a task")
        self._state = _ACTIVE
        self._task = task
        if type(task) is EngineTask:
            ours: Any = task
            self._cancelling = ours._num_cancels_requested
            loop = ours._loop
        else:
            self._cancelling = task.cancelling()
            loop = get_running_loop()
        if self._when is not None:
            self._arm(self._when, loop)

    def _leave(self, exc: BaseException | None) -> None:
        """End the block, which raised `exc`. TimeoutError if that is this timeout's own cancellation."""
        task, self._task = self._task, None  # else a task that fails would be kept by its own traceback
        if self._state is _ACTIVE:
            self._state = _FINISHED
            if self._handle is not None:
                _disarm(self._handle)
                self._handle = None
            return
        assert self._state is _EXPIRING
        assert task is not None
        self._state = _EXPIRED
        others = task.uncancel()
        del task
        if others > self._cancelling or exc is None:
            return  # somebody else cancelled the task too, or the block swallowed the cancellation
        if isinstance(exc, CancelledError):
            if _explainer is not None:
                _raise_explained(self, exc)
            raise TimeoutError from exc
        _say_why(exc)
        if isinstance(exc, ExceptionGroup):
            for part in exc.exceptions:
                _say_why(part)

    def _expire(self) -> None:
        assert self._state is _ACTIVE
        assert self._task is not None
        if _explainer is not None:
            _explainer.expires(self)
        ring = getattr(self._task.get_loop(), "_ring", None)
        if ring is not None:
            ring.cancels(_BY_TIMEOUT)
        self._task.cancel()
        self._state = _EXPIRING
        self._handle = None


def _raise_explained(limit: Timeout, exc: CancelledError) -> None:
    error = TimeoutError()
    _explainer.timed_out(limit, error, exc)
    try:
        raise error from exc
    finally:
        del error  # interpreted, its traceback leads back to this frame


def _from_now(loop: AbstractEventLoop, delay: float) -> float:
    if not isinstance(loop, Loop):
        return loop.time() + delay
    ours: Any = loop
    if native.COMPILED:
        return ours._now() + native.seconds(delay)
    return ours.time() + native.seconds(delay)


class _Deadline(TimerHandle):
    """The timer of a timeout on a loop whose `call_at` is cede's own: it expires the timeout without a callback."""

    _limit: Timeout
    _heap: Any  # a handle's own

    def _run(self) -> None:
        if self._cancelled:
            return
        try:
            self._limit._expire()
        except BaseException as exc:
            self._callback = self._limit._expire  # for the report
            self._fail(exc)


def _deadline(limit: Timeout, loop: Loop, when: float) -> _Deadline | None:
    """Arm a timer; None if it is too late, or if somebody wants to see what is scheduled."""
    seconds = native.seconds(when)
    if not loop._direct:
        return None
    if native.COMPILED:
        now = loop._now()
    else:
        now = loop.time()
    if not seconds > now:
        return None
    deadline: _Deadline = native.fresh(_Deadline)
    deadline._limit = limit
    loop._arm(deadline, seconds)
    return deadline


def _disarm(handle: Any) -> None:
    """Cancel it; the timeout lets go of it now, and nobody else has it."""
    if type(handle) is not _Deadline:
        handle.cancel()
        return
    deadline: Any = handle
    if deadline._heap is not None:
        deadline._heap._discard(deadline)
    deadline._cancelled = True


class _Entering(Done):
    """What `__aenter__` returns: awaited, it enters the timeout and gives it."""

    _limit: Timeout

    def _end(self) -> Timeout:
        limit = self._limit
        limit._enter()
        return limit


# The interpreter's, whatever the class of an exception has under the name.
_Error: Any = BaseException
_context_of = _Error.__context__.__get__
_set_context = _Error.__context__.__set__

_LEFT: Any = Done(None)  # one for all


def _say_why(exc: BaseException) -> None:
    """Put a TimeoutError before the first CancelledError among the contexts of `exc`."""
    seen = set()  # a program can make a circle of them
    context = _context_of(exc)
    while context is not None and id(context) not in seen:
        if isinstance(context, CancelledError):
            reason = TimeoutError()
            reason.__context__ = reason.__cause__ = context
            _set_context(exc, reason)
            return
        seen.add(id(context))
        exc, context = context, _context_of(context)


def timeout(delay: float | None) -> Timeout:
    """Return a context manager that gives its block `delay` seconds (None: for ever), then raises TimeoutError.

    The block is cancelled; what it raises then is what you get, only its CancelledError becomes
    TimeoutError, outside the block:

        async with timeout(10):
            await fetch()
    """
    return _timeout(None if delay is None else _from_now(get_running_loop(), delay), delay)


def timeout_at(when: float | None) -> Timeout:
    """Return what `timeout` returns, with a deadline in seconds of the loop's clock, `loop.time()`."""
    return _timeout(when, None)


def _timeout(when: float | None, delay: float | None) -> Timeout:
    limit: Timeout = native.fresh(Timeout)
    limit._init(when)
    limit._delay = delay
    return limit


# They come and go with every block.
native.keep_memory(Timeout)
native.keep_memory(_Entering, True)
native.keep_memory(_Deadline, True)
native.sign(globals())
