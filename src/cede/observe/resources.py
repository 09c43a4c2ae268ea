"""Locks, queues, executors: what tasks share, described by their fields. Nothing of the program's own is called."""

from __future__ import annotations

import sys
from collections import deque
from types import FrameType
from typing import Any

from ..waitlines import LockCore, WaitLine
from .stacks import (
    BARRIERS,
    CONDITIONS,
    EVENTS,
    LOCKS,
    QUEUES,
    SEMAPHORES,
    Entry,
    callable_name,
    entry,
    frames_from,
)


def describe(thing: Any, things: list[Any]) -> dict[str, Any]:
    """Return the `kind`, the `state` in words and what else can be counted of a lock, a queue, an event, …"""
    row: dict[str, Any] = {"id": id(thing), "kind": type(thing).__name__}
    kind = type(thing)
    row["exclusive"] = issubclass(kind, LOCKS)  # whether one that has it keeps all others out
    if issubclass(kind, LOCKS):
        row["state"] = "locked" if _is_locked(thing) else "unlocked"
        row["taken_by"] = getattr(thing, "_taken_by", 0) if _is_locked(thing) else 0
    elif issubclass(kind, SEMAPHORES):
        row["state"] = f"value {_number(thing._value)}"
    elif issubclass(kind, CONDITIONS):
        lock = thing._lock
        things.append(lock)
        row["state"] = "locked" if issubclass(type(lock), LOCKS) and _is_locked(lock) else "unlocked"
        row["lock"] = id(lock)
    elif issubclass(kind, EVENTS):
        row["state"] = "set" if thing._value else "unset"
    elif issubclass(kind, BARRIERS):
        row["state"] = f"{_number(thing._count)} of {_number(thing._parties)} arrived"
    elif issubclass(kind, QUEUES):
        row.update(_of_queue(thing))
        return row
    row["waiting"] = _length(getattr(thing, "_waiters", getattr(thing, "_arrived", None)))
    return row


def _is_locked(lock: Any) -> bool:
    return LockCore.locked(lock) if isinstance(lock, LockCore) else bool(getattr(lock, "_locked", False))


def _of_queue(queue: Any) -> dict[str, Any]:
    depth = _length(queue._queue)
    size = _number(queue._maxsize)
    return {
        "state": f"{depth} of {size} items" if size > 0 else f"{depth} items",
        "depth": depth,
        "maxsize": size,
        "unfinished": _number(queue._unfinished_tasks),
        "getters": _length(queue._getters),
        "putters": _length(queue._putters),
        "waiting": _length(queue._getters) + _length(queue._putters),
    }


def _number(value: Any) -> int:
    return value if type(value) is int else 0


def _length(line: Any) -> int:
    """Return how many stand in a line, or lie in a queue; 0 where only the program's own code could tell."""
    if type(line) is WaitLine:
        return line.waiting()
    if line is None or type(line).__len__ not in _LENGTHS:
        return 0
    return len(line)


_LENGTHS = (list.__len__, deque.__len__)


# --- Executors ----------------------------------------------------------------------------------


def describe_executor(executor: Any, kind: str, tops: dict[int, FrameType], things: list[Any]) -> dict[str, Any] | None:
    """Return what the threads of an executor do and how many calls wait for one of them; None for one that has none."""
    pool = sys.modules.get(_POOL)
    threads = getattr(executor, "_threads", None)
    queued = getattr(executor, "_work_queue", None)
    if pool is None or not isinstance(executor, pool.ThreadPoolExecutor) or threads is None or queued is None:
        return None
    running = [stack for thread in list(threads) if (stack := _call_of(tops.get(thread.ident), things))]
    waiting = max(queued.qsize(), 0)
    most = _number(executor._max_workers)
    return {
        "id": id(executor),
        "kind": kind,
        "exclusive": False,
        "state": f"{len(running)} of {most} threads busy, {waiting} calls queued",
        "depth": waiting,
        "threads": len(threads),
        "most": most,
        "busy": [stack[:_SHOWN] for stack in running],
        "waiting": waiting,
    }


_SHOWN = 5  # frames of what a thread is doing
# Never imported here: it asks to be told of forks, and a watcher may begin in one thread while another one forks. That
# one would then be told of the end of a fork of whose beginning it was not, and release a lock that nobody holds.
_POOL = "concurrent.futures.thread"


def _call_of(top: FrameType | None, things: list[Any]) -> list[Entry]:
    """Return the stack of the call that a worker is in; nothing if it waits for one."""
    stack: list[Entry] = []
    for frame in frames_from(top, things):
        if frame.f_globals.get("__name__") == _POOL:
            # Between two calls it is in `_worker` itself; in a call `run` stands between.
            return (stack or [_call_in(frame)]) if frame.f_code.co_name == "run" else []
        stack.append(entry(frame))
    return []


def _call_in(frame: FrameType) -> Entry:
    """Describe the call of a function of C, which has no frame."""
    item = frame.f_locals.get("self")
    func = getattr(item, "fn", None) or next(iter(getattr(item, "task", None) or ()), None)
    return (entry(frame)[0] if func is None else callable_name(func), *entry(frame)[1:])
