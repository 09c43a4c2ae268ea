"""gather and shield: one future that stands for others.

Neither makes a closure for each child: a small link stands among those who wait for it (`engine.joins`), and
gathering n children is n links that count down.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeVar

from .engine.futures import Future as _EngineFuture
from .engine.futures import note_wait
from .engine.joins import Countdown, Shield
from .engine.running import _get_running_loop, current_task
from .engine.waited import TASKS
from .events import get_event_loop
from .exceptions import CancelledError
from .futures import future_discard_from_awaited_by
from .spawning import ensure_future

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task

T = TypeVar("T")


class _GatheringFuture(_EngineFuture):
    """What `gather` returns. Cancelling it cancels the children; it is done when they are."""

    def __init__(
        self, children: list[Future[Any]], waiter: Task[Any] | None, return_exceptions: bool, loop: AbstractEventLoop
    ) -> None:
        super().__init__(loop=loop)
        self._children = children  # in the order of the results; a future that was given twice stands here twice
        self._awaiter = waiter  # the task that called gather, for call graphs
        self._return_exceptions = return_exceptions
        self._cancel_requested = False  # True iff cancel() reached a child

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel every child. Return False if this is done, or no child could be cancelled."""
        if self.done():
            return False
        reached = False
        for child in self._children:
            if child.cancel(msg=msg):
                reached = True
        if reached:
            self._cancel_requested = True
        return reached

    def _fail_early(self, child: Future[Any]) -> None:
        """Fail as `child` did, the first; the other children run on, and nobody waits for them."""
        if self.done():
            return
        if self._awaiter is not None:
            for other in self._children:
                future_discard_from_awaited_by(other, self._awaiter)
        self.set_exception(child._make_cancelled_error() if child.cancelled() else child.exception())

    def _finish(self) -> None:
        if self.done():
            return
        if self._cancel_requested:
            # The children may have swallowed it; whoever cancelled gather() must see it all the same.
            self.set_exception(self._children[-1]._make_cancelled_error())
        elif self._return_exceptions:
            self.set_result([_outcome(child) for child in self._children])
        else:
            self.set_result([child.result() for child in self._children])


def _outcome(child: Future[Any]) -> Any:
    """Return the result, the exception or the CancelledError of a future that is done."""
    if child.cancelled():
        message = child._cancel_message
        return CancelledError("" if message is None else message)
    exc = child.exception()
    return child.result() if exc is None else exc


def gather(*coros_or_futures: Awaitable[Any], return_exceptions: bool = False) -> Future[list[Any]]:
    """Run awaitables at the same time; return a future of the list of their results, in the order given.

    Coroutines become tasks. The first exception becomes the future's, and the other awaitables run
    on; with `return_exceptions` exceptions stand in the list like results. Cancelling the future
    cancels every awaitable that is not done; a child that is cancelled by others counts as one that
    raised CancelledError. An awaitable given twice is run once.
    """
    loop = _get_running_loop()
    if not coros_or_futures:
        empty: Future[list[Any]] = (get_event_loop() if loop is None else loop).create_future()
        empty.set_result([])
        return empty
    waiter = None if loop is None else current_task(loop)
    different = dict.fromkeys(coros_or_futures)
    once = _start(different, loop)
    if len(different) == len(coros_or_futures):
        children = once
    else:
        started = dict(zip(different, once, strict=True))
        children = [started[arg] for arg in coros_or_futures]
    outer = _GatheringFuture(children, waiter, return_exceptions, once[0].get_loop() if loop is None else loop)
    note_wait(outer, TASKS)
    # Not kept by the future: it would be a cycle. The links in the children hold it.
    Countdown(waiter, not return_exceptions, outer._fail_early, outer._finish).watch(once)
    return outer


def _start(awaitables: Iterable[Awaitable[Any]], loop: AbstractEventLoop | None) -> list[Future[Any]]:
    """Return a future for each awaitable, in order; without a loop the first of them says which."""
    started: list[Any] = []
    for awaitable in awaitables:
        if type(awaitable) is CoroutineType and loop is not None:
            try:
                future: Any = loop.create_task(awaitable)
            except RuntimeError:
                awaitable.close()
                raise
        else:
            future = ensure_future(awaitable, loop=loop)
            if loop is None:
                loop = future.get_loop()
        if future is not awaitable:
            # The caller cannot get at this task: it need not hear of it if the loop ends first.
            future._log_destroy_pending = False
        started.append(future)
    return started


# --- shield -------------------------------------------------------------------------------------


def shield(arg: Awaitable[T]) -> Future[T]:
    """Return a future that ends as the awaitable does, and that can be cancelled without cancelling it.

    A coroutine becomes a task, which goes on when the shield is cancelled; if it fails after that,
    and nobody asks it for its exception, the loop reports it. Cancelling the awaitable itself
    cancels the shield.
    """
    inner = ensure_future(arg)
    if inner.done():
        return inner
    loop = inner.get_loop()
    outer: Future[T] = loop.create_future()
    # Not kept by the future, which would be a cycle: what stands in both futures holds it.
    Shield(inner, outer, current_task(loop))
    return outer
