"""Sets of tasks and threads by which the standard library says who comes first: in a world, those made first.

A set of objects is iterated by their addresses, which are others in each process. So a TaskGroup that fails, the end of
`asyncio.run` and of an executor would go through theirs in another order each time.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .. import runners, taskgroups
from ..engine import running
from . import current


class InOrder(dict[Any, None]):
    """A set, as far as such a one is asked for, of which the first is what came first."""

    def add(self, thing: Any) -> None:
        self[thing] = None

    def discard(self, thing: Any) -> None:
        self.pop(thing, None)


class TasksInOrder(set[Any]):
    """A set of tasks that is iterated in the order in which they were made."""

    def __iter__(self) -> Iterator[Any]:
        return iter(in_order(frozenset(self)))


def in_order(tasks: Iterable[Any]) -> list[Any]:
    """Return tasks in the order in which they were made, the same in each run; those that got names come last."""

    def place(task: Any) -> tuple[int, str]:
        name = task.get_name()
        number = name.removeprefix("Task-")
        return (int(number), "") if number != name and number.isdecimal() else (sys.maxsize, name)

    return sorted(tasks, key=place)


def captured() -> list[tuple[Any, str, Any]]:
    """Return what has such sets, with others."""

    def keeping(owner: Any, name: str) -> tuple[Any, str, Callable[..., None]]:
        real = owner.__init__

        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            real(self, *args, **kwargs)
            if current.host() is not None:
                setattr(self, name, InOrder())

        return owner, "__init__", init

    real_all_tasks = running.all_tasks

    def all_tasks(loop: Any = None) -> Any:
        found = real_all_tasks(loop)
        return found if current.host() is None else TasksInOrder(found)

    def each(tasks: Any) -> Any:
        return tasks if current.host() is None else in_order(tasks)

    return [
        keeping(ThreadPoolExecutor, "_threads"),
        keeping(asyncio.TaskGroup, "_tasks"),
        (taskgroups, "_each", each),
        (asyncio, "all_tasks", all_tasks),
        (asyncio.tasks, "all_tasks", all_tasks),
        (runners, "all_tasks", all_tasks),
    ]
