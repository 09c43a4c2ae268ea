"""What the tasks of this process are doing, as plain data that can be sent away.

It is taken by a thread of its own, or wherever the main thread is just now: beside loops that run on, or that hang. So
nothing here waits for a loop, takes a lock of the program's, or calls what the program wrote, but for `get_name` of a
task class of its own.

The law of letting go: what was looked at may end while it is looked at, and then ours would be the last reference to
it. A task's destructor belongs into its loop's thread. So everything is held until the end, and handed over to
the loop to be forgotten there.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from types import FrameType
from typing import Any

from .._version import __version__
from ..engine.running import live

FORMAT = 1
"""What the answer looks like; another number for every change that readers must know."""

_TRIES = 1000  # to copy a weak set that other threads change
_DEEPEST = 1000  # frames of one stack

# Not shown: how a future is awaited. (A compiled module's frames name its file relative to where it was built.)
_ENGINE = os.path.join("cede", "engine", "")

Entry = tuple[str, str, int]  # qualified name of the function, its file, line


def as_text() -> str:
    """Return the snapshot as JSON.

    An object with `format`, `pid`, `cede` and `python` (versions), and `tasks`: for each task that is not done its
    `id`, `name`, `tid` (of the thread that runs its loop; 0: none does), `stack` (innermost first, each entry
    function, file and line) and `awaited_by` (the ids of tasks).
    """
    return json.dumps(
        {
            "format": FORMAT,
            "pid": os.getpid(),
            "cede": __version__,
            "python": sys.version.split()[0],
            "tasks": capture(),
        }
    )


def capture() -> list[dict[str, Any]]:
    """Return a description of every task that is not done, of every loop in this process."""
    held: dict[Any, list[Any]] = {}  # loop: what was looked at of it
    try:
        return _describe_all(held)
    finally:
        _let_go(held)


def _let_go(held: dict[Any, list[Any]]) -> None:
    here = threading.get_ident()
    while held:
        loop, things = held.popitem()
        if getattr(loop, "_thread_id", None) in (None, here):
            continue  # it does not run, or it runs here
        try:
            loop.call_soon_threadsafe(things.clear)
        except RuntimeError:
            pass  # it was closed just now


def _describe_all(held: dict[Any, list[Any]]) -> list[dict[str, Any]]:
    tops = {ident: frame for ident, frame in sys._current_frames().items() if ident != threading.get_ident()}
    if threading.current_thread() is threading.main_thread():
        tops[threading.get_ident()] = sys._getframe()
    threads = {thread.ident: thread.native_id for thread in threading.enumerate()}
    rows: list[dict[str, Any]] = []
    waiting: dict[int, set[int]] = {}  # id of a future: those of the tasks whose coroutines wait for it
    for task in _all_tasks(tops, held):
        loop = task.get_loop()
        ident: Any = getattr(loop, "_thread_id", None)
        things = held.setdefault(loop, [])
        things += [tops.get(ident), task]
        if task.done():
            continue
        awaiters = getattr(task, "_asyncio_awaited_by", None) or ()
        target = getattr(task, "_fut_waiter", None)
        things += [target, awaiters]
        if target is not None:
            waiting.setdefault(id(target), set()).add(id(task))
        rows.append(
            {
                "id": id(task),
                "name": _name_of(task),
                "tid": threads.get(ident) or 0,
                "stack": _stack_of(task, tops.get(ident), things),
                "awaited_by": {id(awaiter) for awaiter in awaiters if hasattr(awaiter, "get_coro")},
            }
        )
    for row in rows:
        # The stdlib's own tasks keep no list of who awaits them before Python 3.14.
        row["awaited_by"] = sorted(row["awaited_by"] | waiting.get(row["id"], set()))
    return sorted(rows, key=lambda row: (row["tid"], _in_order(row["name"]), row["id"]))


def _name_of(task: Any) -> str:
    try:
        return str(task.get_name())
    except Exception as exc:
        return f"<{type(exc).__name__} in get_name>"


def _in_order(name: str) -> tuple[str, int]:
    """Return what sorts Task-10 behind Task-2."""
    head = name.rstrip("0123456789")
    return head, int(name[len(head) :] or 0) if len(name) - len(head) < 20 else 0


# --- Which tasks --------------------------------------------------------------------------------


def _all_tasks(tops: dict[int, FrameType], held: dict[Any, list[Any]]) -> set[Any]:
    """Return the tasks, cede's and the stdlib's; some may be done."""
    found = live.copy()  # Order: in one step, whatever the other threads do
    if sys.version_info >= (3, 14):
        loops = {task.get_loop() for task in found}
        seen = {ident: _looked_at(top) for ident, top in tops.items()}
        for things in seen.values():
            loops.update([thing for thing in things if issubclass(type(thing), asyncio.AbstractEventLoop)])
        for loop in loops:
            found |= asyncio.all_tasks(loop)
            if (ident := getattr(loop, "_thread_id", None)) in seen:
                held.setdefault(loop, []).append(seen[ident])
    else:
        registry = getattr(asyncio.tasks, "_scheduled_tasks", None)
        found.update(_copied(asyncio.tasks._all_tasks if registry is None else registry))
    return found


def _copied(registry: Any) -> list[Any]:
    """Return what is in a weak set, which may change while it is read."""
    found: list[Any] = []  # Lifetime: what was found stays held when a try fails; it dies with the rest
    for _ in range(_TRIES):
        try:
            for task in registry:
                found.append(task)
            break
        except RuntimeError:
            pass
    return found


def _looked_at(top: FrameType) -> list[Any]:
    """Return the functions on a thread's stack and what they hold: 3.14 tells the stdlib's tasks by loop only."""
    things: list[Any] = []  # Lifetime: a function may end, or drop a variable, while it is looked at
    frame: FrameType | None = top
    while frame is not None:
        things.append(frame)
        things += frame.f_locals.values()
        frame = frame.f_back
    return things


# --- Stacks -------------------------------------------------------------------------------------


def _stack_of(task: Any, top: FrameType | None, things: list[Any]) -> list[Entry]:
    """Return where a task is, innermost first; `top` is the innermost frame of the thread that runs its loop."""
    coro = task.get_coro()
    things.append(coro)
    if top is not None and _attribute(coro, "running"):
        return _running_stack(_attribute(coro, "frame"), top, things)
    stack: list[Entry] = []
    while coro is not None and len(stack) < _DEEPEST:
        frame = _attribute(coro, "frame")
        things.append(frame)
        if frame is not None and _ENGINE not in frame.f_code.co_filename:
            stack.append(_entry(frame))
        coro = _attribute(coro, "await") or _attribute(coro, "yieldfrom")
        things.append(coro)
    stack.reverse()
    return stack


def _attribute(coro: Any, name: str) -> Any:
    """Return `cr_name`, `ag_name` or `gi_name` of a coroutine, an asynchronous generator or a generator, else None."""
    for kind in ("cr_", "ag_", "gi_"):
        value = getattr(coro, kind + name, None)
        if value is not None:
            return value
    return None


def _running_stack(outermost: FrameType | None, top: FrameType, things: list[Any]) -> list[Entry]:
    """Return the frames from `top` out to the coroutine's own; none but that one if `top` is not inside it."""
    things.append(outermost)
    stack: list[Entry] = []
    frame: FrameType | None = top
    while frame is not None and len(stack) < _DEEPEST:
        things.append(frame)
        if _ENGINE not in frame.f_code.co_filename and frame.f_code.co_filename != __file__:
            stack.append(_entry(frame))
        if frame is outermost:
            return stack
        frame = frame.f_back
    return [] if outermost is None else [_entry(outermost)]


def _entry(frame: FrameType) -> Entry:
    code = frame.f_code
    return code.co_qualname, code.co_filename, frame.f_lineno or 0
