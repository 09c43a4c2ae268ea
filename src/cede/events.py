"""The abstract loop, handles, the running loop, and the loop that is current while none runs."""

from __future__ import annotations

from asyncio.events import AbstractEventLoop, AbstractServer

from .engine.running import _get_running_loop, _set_running_loop, get_event_loop, get_running_loop
from .policy import (
    _AbstractEventLoopPolicy,
    _BaseDefaultEventLoopPolicy,
    _deprecated,
    get_event_loop_policy,
    new_event_loop,
    set_event_loop,
    set_event_loop_policy,
)
from .policy import (
    _get_stock_policy as _get_event_loop_policy,  # noqa: F401
)

TYPE_CHECKING = False  # not typing's: importing that takes as long as importing the engine
if TYPE_CHECKING:
    from asyncio.events import Handle, TimerHandle
    from typing import Any
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

# Names that asyncio had for everybody up to 3.13.
_POLICIES = {
    "AbstractEventLoopPolicy": _AbstractEventLoopPolicy,
    "BaseDefaultEventLoopPolicy": _BaseDefaultEventLoopPolicy,
}


def __getattr__(name: str) -> Any:
    if name in _POLICIES:
        _deprecated(name)
        return _POLICIES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
