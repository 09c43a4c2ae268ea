"""The loop and the server under the names where asyncio keeps them: some libraries import them from there."""

from __future__ import annotations

from asyncio.base_events import _format_handle, _interleave_addrinfos, _ipaddr_info  # type: ignore[attr-defined]

from .event_loop import EventLoop as BaseEventLoop
from .event_loop import _stop_its_loop as _run_until_complete_cb
from .net.server import Server

__all__ = (
    "BaseEventLoop",
    "Server",
    "_format_handle",
    "_interleave_addrinfos",
    "_ipaddr_info",
    "_run_until_complete_cb",
)
