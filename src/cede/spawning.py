"""Making tasks: from coroutines, from any awaitable, and from another thread."""

from __future__ import annotations

import concurrent.futures
import inspect
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from .coroutines import await_it, iscoroutine
from .engine.farewell import tells_thread
from .events import get_event_loop
from .futures import chain_future, isfuture

T = TypeVar("T")

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task

    def create_task(coro: Coroutine[Any, Any, T], **kwargs: Any) -> Task[T]: ...
else:
    from .engine.tasks import create_task  # noqa: F401


def ensure_future(coro_or_future: Awaitable[T], *, loop: AbstractEventLoop | None = None) -> Future[T]:
    """Return a future for any awaitable: itself if it is one, else a new task.

    `loop` is where the task goes; without it the running loop, else the current one (RuntimeError
    if there is none). ValueError for a future of another loop, TypeError for what cannot be awaited.
    """
    if isfuture(coro_or_future):
        if loop is not None and loop is not coro_or_future.get_loop():
            raise ValueError("The future belongs to a different loop than the one specified as the loop argument")
        return coro_or_future
    if iscoroutine(coro_or_future):
        coro: Any = coro_or_future
    elif inspect.isawaitable(coro_or_future):
        coro = await_it(coro_or_future)
    else:
        raise TypeError("An asyncio.Future, a coroutine or an awaitable is required")
    try:
        return (get_event_loop() if loop is None else loop).create_task(coro)
    except RuntimeError:
        coro.close()
        raise


def run_coroutine_threadsafe(coro: Coroutine[Any, Any, T], loop: AbstractEventLoop) -> concurrent.futures.Future[T]:
    """Start a coroutine on `loop` from another thread; return a `concurrent.futures.Future` of its result.

    Cancelling that future cancels the task. If the loop is closed before the coroutine has ended, it ends with a
    RuntimeError.
    """
    if not iscoroutine(coro):
        raise TypeError("A coroutine object is required")
    future: concurrent.futures.Future[T] = concurrent.futures.Future()
    loop.call_soon_threadsafe(_start_for, future, coro, loop)
    return future


@tells_thread
def _start_for(future: concurrent.futures.Future[Any], coro: Coroutine[Any, Any, Any], loop: AbstractEventLoop) -> None:
    try:
        chain_future(ensure_future(coro, loop=loop), future)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as exc:
        if future.set_running_or_notify_cancel():
            future.set_exception(exc)
        raise
