"""Tasks that start at once, inside `create_task`: the factories of asyncio, and which of them a loop need not call."""

from __future__ import annotations

import asyncio

from .engine.tasks import Task

TYPE_CHECKING = False  # not typing's: importing that takes as long as importing the engine
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from typing import Any


def create_eager_task_factory(custom_task_constructor: Callable[..., Any]) -> Callable[..., Any]:
    """Return a task factory whose tasks start at once, inside `create_task`, and not in the next turn.

    `custom_task_constructor` is `Task` or takes what `Task` takes. Use it as
    `loop.set_task_factory(create_eager_task_factory(MyTask))`.
    """

    def factory(loop: AbstractEventLoop, coro: Any, *, eager_start: bool = True, **kwargs: Any) -> Any:
        """Make a task that starts at once, unless `eager_start` says otherwise."""
        return custom_task_constructor(coro, loop=loop, eager_start=eager_start, **kwargs)

    return factory


eager_task_factory = create_eager_task_factory(Task)
_STOCK = getattr(asyncio, "eager_task_factory", None)  # new in Python 3.12


def makes_plain_tasks(factory: Any) -> bool:
    """Whether a task factory makes what the loop makes without any, but begun at once: then the loop makes them."""
    return factory is not None and (factory is eager_task_factory or factory is _STOCK)
