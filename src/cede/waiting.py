"""wait, wait_for and as_completed: wait for futures without taking them over.

What is waited for stays the caller's: only `wait_for` cancels it, when its time is up. Some private
names (`_wait`, `_cancel_and_wait`, `_wait_for_one`) are asyncio's, because call graphs show them.
"""

from __future__ import annotations

import concurrent.futures
import inspect
from collections.abc import Awaitable, Coroutine, Iterable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeVar

from .coroutines import iscoroutine
from .engine.futures import new_future, note_wait, release
from .engine.joins import Arrivals
from .engine.running import current_task, get_running_loop
from .engine.waited import TASKS
from .events import get_event_loop
from .exceptions import CancelledError
from .futures import future_add_to_awaited_by, future_discard_from_awaited_by, isfuture
from .spawning import ensure_future
from .timeouts import timeout as _limit_of

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import AsyncIterator, Iterator

    from .queues import Queue

T = TypeVar("T")
F = TypeVar("F", bound="Future[Any]")

FIRST_COMPLETED = concurrent.futures.FIRST_COMPLETED
FIRST_EXCEPTION = concurrent.futures.FIRST_EXCEPTION
ALL_COMPLETED = concurrent.futures.ALL_COMPLETED


# --- wait ---------------------------------------------------------------------------------------


class _Wait:
    """One call of `wait`: counts down as the futures become done, and resolves one waiter."""

    __slots__ = ("_futures", "_unfinished", "_return_when", "_waiter")

    def __init__(self, futures: set[Future[Any]], return_when: str, loop: AbstractEventLoop) -> None:
        self._futures = futures
        self._unfinished = len(futures)  # those whose end has not been heard of
        self._return_when = return_when
        self._waiter = new_future(loop)
        note_wait(self._waiter, TASKS)

    async def _wait(self, timeout: float | None, loop: AbstractEventLoop) -> None:
        """Wait until the condition holds or the time is up."""
        arrivals = Arrivals(current_task(), self._future_done)
        arrivals.watch(self._futures)
        timer = None if timeout is None else loop.call_later(timeout, release, self._waiter)
        try:
            await self._waiter
        finally:
            if timer is not None:
                timer.cancel()
            arrivals.give_up()

    def _future_done(self, future: Future[Any]) -> None:
        self._unfinished -= 1
        if (
            self._unfinished <= 0
            or self._return_when == FIRST_COMPLETED
            or (self._return_when == FIRST_EXCEPTION and not future.cancelled() and future.exception() is not None)
        ):
            release(self._waiter)


async def wait(
    fs: Iterable[F], *, timeout: float | None = None, return_when: str = ALL_COMPLETED
) -> tuple[set[F], set[F]]:
    """Wait for futures and tasks; return two sets, those that are done and those that are not.

    `return_when` is FIRST_COMPLETED, FIRST_EXCEPTION or ALL_COMPLETED. When `timeout` seconds are
    up it returns what there is: nothing is cancelled and nothing raised. TypeError for coroutines,
    ValueError if `fs` is empty.
    """
    if isfuture(fs) or iscoroutine(fs):
        raise TypeError(f"expect a list of futures, not {type(fs).__name__}")
    if not fs:
        raise ValueError("Set of Tasks/Futures is empty.")
    if return_when not in (FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED):
        raise ValueError(f"Invalid return_when value: {return_when}")
    futures: set[Any] = set(fs)
    for future in futures:
        if iscoroutine(future):
            raise TypeError("Passing coroutines is forbidden, use tasks explicitly.")
    loop = get_running_loop()
    await _Wait(futures, return_when, loop)._wait(timeout, loop)
    done = {future for future in futures if future.done()}
    return done, futures - done


# --- wait_for -----------------------------------------------------------------------------------


async def wait_for(fut: Awaitable[T], timeout: float | None) -> T:
    """Wait for an awaitable for at most `timeout` seconds (None: for ever), and return its result.

    When the time is up the awaitable is cancelled and TimeoutError raised; if it swallows the
    cancellation and returns a value, that is what you get. Cancelling `wait_for` cancels it too. With
    a timeout of zero or less, what is not done already is cancelled before it runs.
    """
    try:
        if timeout is None:
            return await fut
        if timeout <= 0:
            fut = ensure_future(fut)
            if fut.done():
                return fut.result()
            await _cancel_and_wait(fut)
            return _result_by_now(fut)
        if type(fut) is not CoroutineType and isfuture(fut) and fut.done():
            return fut.result()
        limit = _limit_of(timeout)
        limit._enter()
        try:
            result = await fut
        except BaseException as exc:
            limit._leave(exc)
            raise
        limit._leave(None)
        return result
    finally:
        del fut  # an exception's traceback refers to this frame, and a future to its exception


def _result_by_now(future: Future[T]) -> T:
    """Return the result of a future that was cancelled, if it has one all the same. TimeoutError if it has none."""
    try:
        return future.result()
    except CancelledError as exc:
        raise TimeoutError from exc
    finally:
        del future  # as above


async def _cancel_and_wait(future: Future[Any]) -> None:
    """Cancel a future and wait until it is done."""
    waiter = new_future(get_running_loop())

    def wake(_: Any) -> None:
        release(waiter)

    task = current_task()
    future.add_done_callback(wake)
    future_add_to_awaited_by(future, task)
    try:
        future.cancel()
        # Not `await future`: this task may be cancelled meanwhile, and must not take that for the future's end.
        await waiter
    finally:
        future.remove_done_callback(wake)
        future_discard_from_awaited_by(future, task)


# --- as_completed -------------------------------------------------------------------------------


class _AsCompleted:
    """What `as_completed` returns; an iterator of both kinds, each step of which takes what is done next."""

    def __init__(self, awaitables: Iterable[Awaitable[Any]], timeout: float | None) -> None:
        from .queues import Queue  # here, for `import cede` does not import it

        loop = get_event_loop()
        self._done: Queue[Future[Any] | None] = Queue()  # in order of completion; a None for each that came too late
        self._arrivals = Arrivals(current_task(), self._done.put_nowait)
        futures = {ensure_future(awaitable, loop=loop) for awaitable in set(awaitables)}
        self._left = len(futures)  # steps that are not taken yet
        self._arrivals.watch(futures)
        if futures and timeout is not None:
            self._arrivals.timer = loop.call_later(timeout, self._time_is_up)

    def __aiter__(self) -> _AsCompleted:
        return self

    def __iter__(self) -> _AsCompleted:
        return self

    async def __anext__(self) -> Future[Any]:
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        return await self._wait_for_one()

    def __next__(self) -> Coroutine[Any, Any, Any]:
        if not self._left:
            raise StopIteration
        self._left -= 1
        return self._wait_for_one(resolve=True)

    async def _wait_for_one(self, resolve: bool = False) -> Any:
        """Return the next future that is done, or its result."""
        try:
            future = await self._done.get()
        except BaseException:
            self._left += 1  # this step was not taken: there is another one
            raise
        if future is None:
            raise TimeoutError
        if not resolve:
            return future
        try:
            return future.result()
        finally:
            del future  # it holds the exception, whose traceback refers to this frame

    def _time_is_up(self) -> None:
        for _ in range(self._arrivals.give_up()):
            self._done.put_nowait(None)


if TYPE_CHECKING:

    class Steps(Iterator[Coroutine[Any, Any, T]], AsyncIterator[Future[T]]):
        """What `as_completed` returns, to go through with `for` or with `async for`."""


def as_completed(fs: Iterable[Awaitable[T]], *, timeout: float | None = None) -> Steps[T]:
    """Run awaitables at the same time and go through them in the order in which they become done.

        async for task in as_completed(tasks):      # the very tasks and futures that were given,
            result = await task                     # and new tasks for coroutines

        for step in as_completed(tasks):            # a coroutine for each,
            result = await step                     # which returns the next result

    A step raises TimeoutError when `timeout` seconds are up and the awaitable is not done. A step
    that is cancelled loses nothing: the next one takes its place.
    """
    if inspect.isawaitable(fs):
        raise TypeError(f"expects an iterable of awaitables, not {type(fs).__name__}")
    return _AsCompleted(fs, timeout)
