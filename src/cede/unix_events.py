"""The loop, pipes and policies of Unix under asyncio's names for them. Child watchers are gone, as in Python 3.14."""

from __future__ import annotations

from typing import Any

from .event_loop import EventLoop
from .io.pipe_transport import ReadPipeTransport as _UnixReadPipeTransport
from .io.pipe_transport import WritePipeTransport as _UnixWritePipeTransport
from .policy import EventLoopPolicy as _DefaultEventLoopPolicy
from .policy import _deprecated

_UnixSelectorEventLoop = SelectorEventLoop = EventLoop
_UnixDefaultEventLoopPolicy = _DefaultEventLoopPolicy

__all__ = ("EventLoop", "SelectorEventLoop", "_UnixReadPipeTransport", "_UnixWritePipeTransport")


def __getattr__(name: str) -> Any:
    if name == "DefaultEventLoopPolicy":
        _deprecated(name)
        return _DefaultEventLoopPolicy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
