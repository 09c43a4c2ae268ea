"""Where asyncio's own code makes a future to wait for: its locks, queues, groups and streams, on a loop of cede's.

They tell nobody on what a task waits. While a loop is recorded it looks at who asks it for a future.
"""

from __future__ import annotations

import asyncio
import asyncio.locks
import asyncio.queues
import asyncio.runners
import asyncio.streams
import asyncio.tasks
import asyncio.timeouts
from types import CodeType
from typing import Any

from .. import runners as cede_runners
from .. import taskgroups as cede_groups
from .. import timeouts as cede_timeouts
from ..engine import waited

_PLACES: list[tuple[Any, str, int]] = [
    (asyncio.locks.Lock, "acquire", waited.LOCK),
    (asyncio.locks.Semaphore, "acquire", waited.SEMAPHORE),
    (asyncio.locks.Event, "wait", waited.EVENT),
    (asyncio.locks.Condition, "wait", waited.CONDITION),
    (asyncio.queues.Queue, "get", waited.QUEUE_GET),
    (asyncio.queues.Queue, "put", waited.QUEUE_PUT),
    (asyncio.tasks, "sleep", waited.SLEEP),
    (asyncio.tasks, "_wait", waited.TASKS),
    (asyncio.TaskGroup, "__aexit__", waited.TASKS),
    (asyncio.TaskGroup, "_aexit", waited.TASKS),
    (asyncio.streams.StreamReader, "_wait_for_data", waited.READ),
    (asyncio.streams.FlowControlMixin, "_drain_helper", waited.DRAIN),
]


_BY_TIMEOUT, _BY_GROUP, _BY_SIGNAL, _BY_RUNNER = 2, 3, 4, 5  # of `schema.CANCELS`
_CANCELS: list[tuple[Any, str, int]] = [
    (asyncio.timeouts.Timeout, "_on_timeout", _BY_TIMEOUT),
    (cede_timeouts.Timeout, "_expire", _BY_TIMEOUT),
    (asyncio.TaskGroup, "_abort", _BY_GROUP),
    (asyncio.TaskGroup, "_on_task_done", _BY_GROUP),
    (cede_groups.TaskGroup, "_abort", _BY_GROUP),
    (cede_groups.TaskGroup, "_cancel_parent", _BY_GROUP),
    (asyncio.runners.Runner, "_on_sigint", _BY_SIGNAL),
    (cede_runners.Runner, "_on_sigint", _BY_SIGNAL),
    (asyncio.runners, "_cancel_all_tasks", _BY_RUNNER),
    (cede_runners, "_cancel_all_tasks", _BY_RUNNER),
]


def cancels_by_address() -> dict[int, int]:
    """Return by what tasks are cancelled there, by the address of its code."""
    return _by_address(_CANCELS)


def by_address() -> dict[int, int]:
    """Return what is waited for in each of these places, by the address of its code."""
    return _by_address(_PLACES)


def _by_address(places: list[tuple[Any, str, int]]) -> dict[int, int]:
    found = {}
    for home, name, what in places:
        code = getattr(getattr(home, name, None), "__code__", None)
        if type(code) is CodeType:
            found[id(code)] = what
    return found
