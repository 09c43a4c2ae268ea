"""The abstract loop, handles, the running loop, and the loop that is current while none runs."""

from __future__ import annotations

from asyncio.events import AbstractEventLoop, AbstractServer
from typing import TYPE_CHECKING

from .engine.running import _get_running_loop, _set_running_loop, get_event_loop, get_running_loop
from .policy import get_event_loop_policy, new_event_loop, set_event_loop, set_event_loop_policy

if TYPE_CHECKING:
    from asyncio.events import Handle, TimerHandle
else:
    from .engine.handles import Handle, TimerHandle

__all__ = (
    "AbstractEventLoop",
    "AbstractServer",
    "Handle",
    "TimerHandle",
    "get_event_loop_policy",
    "set_event_loop_policy",
    "get_event_loop",
    "set_event_loop",
    "new_event_loop",
    "_set_running_loop",
    "get_running_loop",
    "_get_running_loop",
)
