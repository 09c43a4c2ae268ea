"""Functions run in threads: `run_in_executor`, the default executor and its end.

The default executor belongs to the program; look-ups of names have threads of their own (`resolve`),
so a program that fills the executor does not stop its own connections.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import threading
import warnings
from collections.abc import Callable
from typing import Any

from ..engine import own_calls
from ..engine.futures import note_wait, release
from ..engine.waited import EXECUTOR
from .awaiting import next_turn


def run_in_executor(
    loop: Any, executor: concurrent.futures.Executor | None, func: Callable[..., Any], *args: Any
) -> Any:
    """Call `func(*args)` in `executor` (None: the loop's own) and return a future of the result.

    RuntimeError once the default executor was shut down. Cancelling the future keeps a call that
    waits from starting; a call that runs goes on, and its result is dropped.
    """
    loop._check_closed()
    if loop.get_debug():
        _check_function(func)
    if executor is None:
        executor = _default_executor(loop)
    return wrap_future(loop, executor.submit(func, *args))


def _check_function(func: Any) -> None:
    if asyncio.iscoroutine(func) or inspect.iscoroutinefunction(func):
        raise TypeError("coroutines cannot be used with run_in_executor()")
    if not callable(func):
        raise TypeError(f"a callable object was expected by run_in_executor(), got {func!r}")


def _default_executor(loop: Any) -> concurrent.futures.Executor:
    if loop._executor_shutdown_called:
        raise RuntimeError("Executor shutdown has been called")
    if loop._default_executor is None:
        loop._default_executor = concurrent.futures.ThreadPoolExecutor(thread_name_prefix="asyncio")
    return loop._default_executor


def set_default_executor(loop: Any, executor: concurrent.futures.ThreadPoolExecutor) -> None:
    """Make `executor` the one that None stands for in `run_in_executor`."""
    if not isinstance(executor, concurrent.futures.ThreadPoolExecutor):
        raise TypeError("executor must be ThreadPoolExecutor instance")
    loop._default_executor = executor


async def shutdown_default_executor(loop: Any, timeout: float | None = None) -> None:
    """Refuse further calls in the default executor and wait until its threads have ended.

    After `timeout` seconds (None: no limit) warn with RuntimeWarning and leave them to themselves.
    """
    loop._executor_shutdown_called = True
    executor = loop._default_executor
    if executor is None:
        return
    ended = loop.create_future()  # resolved with None when joined, with True when time was up
    thread = threading.Thread(target=_join_threads, args=(loop, executor, ended))
    thread.start()
    timer = None if timeout is None else loop.call_later(timeout, _time_is_up, ended)
    try:
        late = await ended
    finally:
        if timer is not None:
            timer.cancel()
    if late:
        warnings.warn(
            f"The executor did not finishing joining its threads within {timeout} seconds.",
            RuntimeWarning,
            stacklevel=2,
        )
        executor.shutdown(wait=False)
    else:
        # It has nothing left to do but to end. `join` would wait for a lock in the loop's thread.
        while thread.is_alive():
            own_calls.sleep(0)  # lets others run
            await next_turn


def _time_is_up(ended: Any) -> None:
    if not ended.done():
        ended.set_result(True)


def _join_threads(loop: Any, executor: concurrent.futures.Executor, ended: Any) -> None:
    try:
        executor.shutdown(wait=True)
    except Exception as exc:
        _tell(loop, _fail, ended, exc)
    else:
        _tell(loop, release, ended)


def _fail(future: Any, exc: BaseException) -> None:
    if not future.done():
        future.set_exception(exc)


def _tell(loop: Any, callback: Callable[..., Any], *args: Any) -> None:
    """Call back in the loop's thread; a loop that was closed meanwhile has nobody who would listen."""
    if loop.is_closed():
        return
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        if not loop.is_closed():
            raise


# --- From a thread's future to the loop's --------------------------------------------------------


def wrap_future(loop: Any, source: concurrent.futures.Future[Any], what: int = EXECUTOR) -> Any:
    """Return a future of `loop` that ends as `source` does. Cancelling it cancels `source`."""
    future = loop.create_future()
    note_wait(future, what)
    future.add_done_callback(functools.partial(_pass_on_cancellation, source))
    source.add_done_callback(functools.partial(_hand_over, loop, future))
    return future


def _pass_on_cancellation(source: concurrent.futures.Future[Any], future: Any) -> None:
    if future.cancelled():
        source.cancel()


def _hand_over(loop: Any, future: Any, source: concurrent.futures.Future[Any]) -> None:
    # Runs in the thread that finished, or in the loop's own when a cancellation is passed on.
    if not future.cancelled():
        _tell(loop, copy_outcome, source, future)


def copy_outcome(source: Any, destination: Any) -> None:
    """Give a loop's future, unless it is done, the outcome of `source`, which is: a thread's future or a loop's."""
    if destination.done():
        return
    if hasattr(source, "_get_snapshot"):  # Python 3.14 and later: a thread's future tells all of it at once
        _, cancelled, result, exc = source._get_snapshot()
    else:
        cancelled = source.cancelled()
        exc = None if cancelled else source.exception()
        result = source.result() if exc is None and not cancelled else None
    if cancelled:
        destination.cancel()
    elif exc is None:
        destination.set_result(result)
    else:
        destination.set_exception(translated(exc))


def translated(exc: BaseException) -> BaseException:
    """The exception as asyncio's, where concurrent.futures has a class of its own for the same thing."""
    if type(exc) is concurrent.futures.CancelledError:
        return asyncio.CancelledError(*exc.args).with_traceback(exc.__traceback__)
    if type(exc) is concurrent.futures.InvalidStateError:
        return asyncio.InvalidStateError(*exc.args).with_traceback(exc.__traceback__)
    return exc
