"""Who took one of asyncio's own locks by `await lock.acquire()`: noted while a process can be looked at.

Such a lock keeps no word of who has it, and its `acquire` asks the loop for nothing when it is free. So the interpreter
is asked to tell of each return of that one function (`sys.monitoring`); nothing else becomes slower. Before Python
3.12, and where both tool ids without a purpose of their own are taken, such locks have no known holder.
"""

from __future__ import annotations

import asyncio
import sys
from types import CodeType

_TOOLS = (4, 3)  # those that no kind of tool has a claim to


def note_takers() -> bool:
    """From now on let asyncio's locks have a `_taken_by`, as cede's do: the number of the task that took it last.

    Return whether they do.
    """
    if sys.version_info < (3, 12):
        return False
    monitoring = sys.monitoring
    for tool in _TOOLS:
        if monitoring.get_tool(tool) == "cede":
            return True
        if monitoring.get_tool(tool) is None:
            monitoring.use_tool_id(tool, "cede")
            monitoring.register_callback(tool, monitoring.events.PY_RETURN, _note)
            monitoring.set_local_events(tool, asyncio.Lock.acquire.__code__, monitoring.events.PY_RETURN)
            return True
    return False


def _note(code: CodeType, offset: int, value: object) -> None:
    """Note the task that returns from `acquire` in the lock."""
    lock = sys._getframe(1).f_locals.get("self")
    if isinstance(lock, asyncio.Lock):
        object.__setattr__(lock, "_taken_by", getattr(asyncio.current_task(), "_id", 0))
