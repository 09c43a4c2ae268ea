"""Task and everything that starts tasks and waits for them, under the name where asyncio keeps it.

`sleep` stands here; the rest has files of its own: `spawning` makes tasks, `gathering` lets one
future stand for many, `waiting` waits for what others own.
"""

from __future__ import annotations

from asyncio.tasks import _enter_task, _leave_task, _register_task, _unregister_task
from typing import TYPE_CHECKING, Any

from .coroutines import native_coroutine
from .eager import create_eager_task_factory, eager_task_factory
from .engine.futures import new_sleep
from .engine.running import all_tasks, current_task, get_running_loop
from .gathering import _GatheringFuture, shield  # noqa: F401
from .spawning import create_task, run_coroutine_threadsafe
from .waiting import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, as_completed, wait, wait_for

if TYPE_CHECKING:
    # What these return depends on what they are given, in a dozen overloads each.
    from asyncio import Future, Task, ensure_future, gather, sleep
else:
    from .engine.tasks import Task
    from .gathering import gather
    from .spawning import ensure_future

__all__ = (
    "Task",
    "create_task",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "ALL_COMPLETED",
    "wait",
    "wait_for",
    "as_completed",
    "sleep",
    "gather",
    "shield",
    "ensure_future",
    "run_coroutine_threadsafe",
    "current_task",
    "all_tasks",
    "create_eager_task_factory",
    "eager_task_factory",
    "_register_task",
    "_unregister_task",
    "_enter_task",
    "_leave_task",
)

if not TYPE_CHECKING:

    @native_coroutine
    def sleep(delay, result=None):
        """Wait `delay` seconds, then return `result`. Zero or less: let the others have one turn."""
        if delay <= 0:
            yield
            return result
        if delay != delay:
            raise ValueError("Invalid delay: NaN (not a number)")
        loop = get_running_loop()
        future = new_sleep(loop)
        timer = loop.call_later(delay, _wake_up, future, result)
        # What `await future` does, without a step between: here the cancellation of many a task arrives.
        future._asyncio_future_blocking = True
        try:
            yield future
        except BaseException:
            timer.cancel()
            raise
        return future.result()


def _wake_up(future: Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)
