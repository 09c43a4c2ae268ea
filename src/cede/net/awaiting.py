"""What the network layer needs of a task library: futures from awaitables, one turn, side by side.

The library itself (`gather`, `sleep`, `timeout`) stands above this layer and is not imported here.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine, Generator, Iterable

from ..engine.futures import future_add_to_awaited_by, future_discard_from_awaited_by, isfuture, release
from ..engine.running import current_task

TYPE_CHECKING = False  # not typing's: importing that takes as long as importing the engine
if TYPE_CHECKING:
    from typing import Any


class NextTurn:
    """Awaiting it suspends the task until the loop's next turn."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield


next_turn = NextTurn()


def loop_of(future: Any) -> Any:
    """Return the loop of a future, of asyncio's or of any that looks like one."""
    try:
        return future.get_loop()
    except AttributeError:
        return future._loop


async def _awaiting(awaitable: Any) -> Any:
    return await awaitable


def as_future(loop: Any, awaitable: Any) -> Any:
    """Return a future for `awaitable` on `loop`: itself if it is one, else a new task.

    ValueError for a future of another loop, TypeError for what cannot be awaited.
    """
    if isfuture(awaitable):
        if loop_of(awaitable) is not loop:
            raise ValueError("The future belongs to a different loop than the one specified as the loop argument")
        return awaitable
    if asyncio.iscoroutine(awaitable):
        try:
            return loop.create_task(awaitable)
        except RuntimeError:
            awaitable.close()
            raise
    if not inspect.isawaitable(awaitable):
        raise TypeError("An asyncio.Future, a coroutine or an awaitable is required")
    return loop.create_task(_awaiting(awaitable))


class SideBySide:
    """Tasks that run at once and are waited for together.

    `wait()` returns when all of them are done. Cancelling it cancels them, and still waits for them:
    nothing is left running.
    """

    def __init__(self, loop: Any, coroutines: Iterable[Coroutine[Any, Any, Any]]) -> None:
        self._loop = loop
        self._parent = current_task(loop)
        self._waiter: Any = None  # resolved when the last task ends; None while nobody waits
        self._tasks = [loop.create_task(coroutine) for coroutine in coroutines]
        self._running = {task for task in self._tasks if not task.done()}
        for task in self._running:
            future_add_to_awaited_by(task, self._parent)
            task.add_done_callback(self._ended)

    def _ended(self, task: Any) -> None:
        self._running.discard(task)
        future_discard_from_awaited_by(task, self._parent)
        if not self._running and self._waiter is not None:
            release(self._waiter)

    async def wait(self) -> list[Any]:
        """Return, in the order given, what each coroutine returned or the exception it raised."""
        cancelled: asyncio.CancelledError | None = None
        try:
            while self._running:
                self._waiter = self._loop.create_future()
                try:
                    await self._waiter
                except asyncio.CancelledError as exc:
                    cancelled = exc
                    for task in self._running:
                        task.cancel(*exc.args)
            if cancelled is not None:
                raise cancelled
            return [_outcome(task) for task in self._tasks]
        finally:
            # Break the cycle of an exception with the frames in its traceback.
            cancelled = self._waiter = self._parent = None


def _outcome(task: Any) -> Any:
    if task.cancelled():
        return asyncio.CancelledError()
    exc = task.exception()
    return task.result() if exc is None else exc
