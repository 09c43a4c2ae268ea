"""Future, and how futures of this loop, of other loops and of threads follow each other."""

from __future__ import annotations

import concurrent.futures
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .engine.farewell import tells_thread
from .engine.futures import future_add_to_awaited_by, future_discard_from_awaited_by, isfuture
from .engine.running import _get_running_loop
from .events import get_event_loop
from .net.executor import copy_outcome, translated

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
else:
    from .engine.futures import Future

__all__ = ("Future", "wrap_future", "isfuture", "future_add_to_awaited_by", "future_discard_from_awaited_by")

T = TypeVar("T")


def wrap_future(
    future: concurrent.futures.Future[T] | Future[T], *, loop: AbstractEventLoop | None = None
) -> Future[T]:
    """Return a future of `loop` (default: the running or current one) that ends as a thread's future does.

    Cancelling it cancels the other. A future of a loop is returned as it is.
    """
    if isfuture(future):
        return future
    assert isinstance(future, concurrent.futures.Future), f"concurrent.futures.Future is expected, got {future!r}"
    if loop is None:
        loop = get_event_loop()
    made: Future[T] = loop.create_future()
    chain_future(future, made)
    return made


def chain_future(source: Any, destination: Any) -> None:
    """Let `destination` end as `source` does, and cancelling `destination` cancel `source`.

    Each is a loop's future or a thread's; what happens to a loop's future happens in its loop.
    TypeError for anything else.
    """
    for future, role in ((source, "source"), (destination, "destination")):
        if not isfuture(future) and not isinstance(future, concurrent.futures.Future):
            raise TypeError(f"A future is required for {role} argument")
    source_loop = source.get_loop() if isfuture(source) else None
    loop = destination.get_loop() if isfuture(destination) else None
    destination.add_done_callback(partial(_pass_on_cancellation, source, source_loop))
    source.add_done_callback(partial(_pass_on_outcome, destination, loop))


# asyncio: under these names libraries import them.
_chain_future = chain_future
_copy_future_state = copy_outcome


def _pass_on_cancellation(source: Any, loop: AbstractEventLoop | None, destination: Any) -> None:
    if not destination.cancelled():
        return
    if loop is None or loop is _get_running_loop():
        source.cancel()
    elif not loop.is_closed():
        loop.call_soon_threadsafe(source.cancel)


@tells_thread
def _pass_on_outcome(destination: Any, loop: AbstractEventLoop | None, source: Any) -> None:
    if loop is None:
        _tell_thread(destination, source)
    elif loop is _get_running_loop():
        copy_outcome(source, destination)
    elif not loop.is_closed():  # a closed loop has nobody left who would listen
        loop.call_soon_threadsafe(copy_outcome, source, destination)


def _tell_thread(destination: concurrent.futures.Future[Any], source: Any) -> None:
    if source.cancelled():
        destination.cancel()
    if not destination.set_running_or_notify_cancel():
        return
    exc = source.exception()
    if exc is None:
        destination.set_result(source.result())
    else:
        destination.set_exception(translated(exc))
