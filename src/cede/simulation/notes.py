"""Notes: what the event log of a world is made of, written down at once and put into words when somebody reads it.

A note is a tuple: (time, host) of a turn; (time, host, task, kind, detail) of all else, where `detail` is a text or a
tuple (template, …) for `str.format`.
"""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import ref

from . import current

MOST = 1_000_000  # notes that are kept
_MOST = MOST
_running_loop = asyncio._get_running_loop
_current_task = asyncio.current_task


class Notes:
    """The notes of one world."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.notes: list[tuple[Any, ...]] = []
        self._labels: dict[int, tuple[Any, str]] = {}  # {id of a task: (weak reference to it, what it is called)}
        self._counts: dict[tuple[str, str], int] = {}

    def turn(self, host: str, now: float) -> None:
        """Note that a host begins a turn."""
        if len(self.notes) < _MOST:
            self.notes.append((now, host))

    def add(self, host: str, kind: str, detail: Any = "") -> None:
        """Note that something happened now. `host` is a name, "" for the network's own doing."""
        if len(self.notes) >= _MOST:
            return
        running: Any = current.host()
        time = self.world.now if running is None else running.now
        loop = _running_loop()
        task = None if loop is None else _current_task(loop)
        self.notes.append((time, host, "" if task is None else self.label(task, host), kind, detail))

    def label(self, task: Any, host: str) -> str:
        """Return what a task of a host is called in this log: by its name if it got one, else by its coroutine."""
        number = id(task)
        known = self._labels.get(number)
        if known is None:
            labels = self._labels
            known = labels[number] = (ref(task, _Forgetting(labels, number)), self._new_label(task, host))
        return known[1]

    def _new_label(self, task: Any, host: str) -> str:
        name: str = task.get_name()
        if not name.startswith("Task-"):  # else a number that the whole process counts
            return name
        coro = task.get_coro()
        name = getattr(coro, "__qualname__", type(coro).__name__).rpartition(".")[2]
        count = self._counts[(host, name)] = self._counts.get((host, name), 0) + 1
        return f"{name}#{count}"


class _Forgetting:
    """Called when a task is gone: its id may be another one's next."""

    def __init__(self, labels: dict[int, Any], number: int) -> None:
        self._labels = labels
        self._number = number

    def __call__(self, reference: Any) -> None:
        self._labels.pop(self._number, None)
