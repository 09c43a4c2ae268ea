"""Who waits for a future through a callback: asyncio's own TaskGroup, gather and wait do not tell cede's tasks.

(Before Python 3.14 they note it nowhere, since then on tasks of the standard library only.) What they gave to
`add_done_callback` tells: a method of the group, or a closure over the future that stands for all. It is read there.
"""

from __future__ import annotations

import asyncio
import functools
from types import FunctionType, MethodType
from typing import Any


def leads_to(future: Any, things: list[Any]) -> list[int]:
    """Return the ids of tasks, or of futures that tasks wait for, to which the callbacks of a future lead."""
    return [id(thing) for thing in _led_to(future, things)]


def awaiting_tasks(future: Any, things: list[Any]) -> list[Any]:
    """Return the tasks to which the callbacks of a future lead, directly or by another future."""
    found = []
    for thing in _led_to(future, things):
        if hasattr(type(thing), "get_coro"):
            found.append(thing)
            continue
        for callback, _ in getattr(thing, "_callbacks", None) or ():
            owner = getattr(callback, "__self__", None)
            if hasattr(type(owner), "get_coro"):
                found.append(owner)
    return found


def _led_to(future: Any, things: list[Any]) -> list[Any]:
    found: list[Any] = []
    for callback, _ in getattr(future, "_callbacks", None) or ():
        things.append(callback)
        group: Any = callback.__self__ if type(callback) is MethodType else None
        if type(group) is asyncio.TaskGroup:
            parent: Any = getattr(group, "_parent_task", None)
            things.append(parent)
            found.append(parent)
        else:
            found += [thing for thing in _closed_over(callback, things) if hasattr(type(thing), "get_loop")]
    return found


def _closed_over(callback: Any, things: list[Any]) -> list[Any]:
    """Return what asyncio's own function closes over, or a partial of it has as arguments."""
    if type(callback) is functools.partial:
        values = list(callback.args)
        callback = callback.func
    else:
        values = []
    if type(callback) is not FunctionType or not callback.__module__.startswith("asyncio"):
        return []
    for cell in callback.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:
            pass  # it is empty as yet
    things += values
    return values
