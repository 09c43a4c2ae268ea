"""Lets the interpreter's own tools see cede's tasks: `python -m asyncio ps`, `pstree`, and the sampling profiler.

Those (Python 3.14 and newer) read memory from outside. They go through a list of tasks in each thread's state, and
take each for one of C's asyncio.Task. Compiled, a task of cede's has those fields in the same places
(`engine/native.py`, "What tools read"), so it can stand in that list; and from then on it does.

Law: nothing is assumed. The interpreter publishes where it has what, in the section `.AsyncioDebug` of the file that
the module `_asyncio` comes from. A task is made, and its fields looked for there. If one is not, there is no list.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
import sys
from typing import Any, NamedTuple

from ..engine import running, tasks
from ..engine.futures import Future, future_add_to_awaited_by, future_discard_from_awaited_by

_SECTION = ".AsyncioDebug"
_POINTER = struct.calcsize("P")


class Layout(NamedTuple):
    """What the section says, in its order: of a task, of the interpreter's state, of a thread's state."""

    task_size: int
    name: int
    awaited_by: int
    is_task: int
    is_awaited_by_set: int
    coro: int
    place: int
    interpreter_size: int
    interpreter_head: int
    thread_size: int
    running_loop: int
    running_task: int
    thread_head: int


def show_tasks() -> bool:
    """Let the tasks of this process be seen, from now on; return whether that can be.

    It cannot before 3.14, interpreted, without the global lock, and where the interpreter's file is no Linux one.
    """
    if sys.version_info < (3, 14) or (tasks.__file__ or "").endswith(".py"):
        return False
    try:
        layout = published()
    except (OSError, ValueError, struct.error):
        return False
    if layout is None or not fits(layout) or not tasks.show_to_tools(layout.thread_head, layout.place):
        return False
    # asyncio's own groups and gather note who waits by these names; C's functions note it of C's tasks only.
    names: Any = asyncio.futures
    names.future_add_to_awaited_by = future_add_to_awaited_by
    names.future_discard_from_awaited_by = future_discard_from_awaited_by
    return True


def published() -> Layout | None:
    """Return what the interpreter says of its tasks; None if it does not."""
    module: Any = sys.modules.get("_asyncio")
    path = getattr(module, "__file__", None) or os.path.realpath("/proc/self/exe")
    with open(path, "rb") as file:
        data = _section(file.read(), _SECTION)
    size = struct.calcsize(f"<{len(Layout._fields)}Q")
    return Layout._make(struct.unpack(f"<{size // 8}Q", data)) if len(data) == size else None


def _section(file: bytes, name: str) -> bytes:
    """Return the contents of a section of an ELF file of 64 bits; nothing if there is none of that name."""
    if file[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not an ELF file of 64 bits, the low byte first")
    begin, size, count, names = *struct.unpack_from("<Q", file, 0x28), *struct.unpack_from("<3H", file, 0x3A)
    headers = [struct.unpack_from("<2I4Q", file, begin + size * number) for number in range(count)]
    texts = headers[names][4]
    wanted = name.encode() + b"\0"
    for word, _, _, _, offset, length in headers:
        if file[texts + word : texts + word + len(wanted)] == wanted:
            return file[offset : offset + length]
    return b""


def fits(layout: Layout) -> bool:
    """Whether a task of cede's has what tools read where the interpreter's own has it."""
    if layout.task_size > tasks.Task.__basicsize__ or layout.place + 2 * _POINTER > layout.task_size:
        return False
    if layout.running_task + _POINTER > layout.thread_size or layout.thread_head + 2 * _POINTER > layout.thread_size:
        return False

    async def nothing() -> None:
        pass

    loop: Any = _NoLoop()
    probe, awaiter = (tasks.Task(nothing(), loop=loop, name=name) for name in ("probe", "awaiter"))
    try:
        return _is_laid_out(layout, probe, awaiter, Future(loop=loop))
    finally:
        running.release(loop)
        for task in probe, awaiter:
            task._log_destroy_pending = False
            task.get_coro().close()


def _is_laid_out(layout: Layout, probe: Any, awaiter: Any, future: Any) -> bool:
    begin = id(probe)
    seen = [_pointer(begin + layout.coro) == id(probe.get_coro())]
    seen += [_pointer(begin + layout.name) == id(probe.get_name())]
    # Of a task that is scheduled a one, which no pointer ends with.
    seen += [_byte(begin + layout.is_task) == 1, _byte(id(future) + layout.is_task) == 0]
    seen += [_byte(begin + layout.is_awaited_by_set) != 0]  # nobody: an empty set
    future_add_to_awaited_by(probe, awaiter)
    seen += [_byte(begin + layout.is_awaited_by_set) == 0, _pointer(begin + layout.awaited_by) == id(awaiter)]
    future_add_to_awaited_by(probe, future)
    seen += [_byte(begin + layout.is_awaited_by_set) != 0, _pointer(begin + layout.awaited_by) != id(awaiter)]
    for one in (awaiter, future):
        future_discard_from_awaited_by(probe, one)
    return all(seen) and not any(map(_byte, range(begin + layout.place, begin + layout.place + 2 * _POINTER)))


def _pointer(address: int) -> int | None:
    return ctypes.c_void_p.from_address(address).value


def _byte(address: int) -> int:
    return ctypes.c_ubyte.from_address(address).value


class _NoLoop:
    """What two tasks belong to that never run."""

    def call_soon(self, *args: Any, **kwargs: Any) -> None:
        """Call nothing."""

    def get_debug(self) -> bool:
        """Return False."""
        return False
