"""What `import uvloop` gives a program under `cede run`: uvloop's names, with cede's loop behind them.

The file is executed as the module `uvloop`. (`other_loops.py` sees to that.)
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from cede.event_loop import EventLoop as Loop
from cede.policy import EventLoopPolicy as _CedePolicy
from cede.policy import install as _install

__all__ = ("EventLoopPolicy", "install", "new_event_loop", "run")

_T = TypeVar("_T")

# `from uvloop.loop import Loop` is found here, too.
sys.modules["uvloop.loop"] = sys.modules["uvloop._version"] = sys.modules[__name__]


class EventLoopPolicy(_CedePolicy):
    """The policy that programs put in place as uvloop's: cede's."""


def new_event_loop() -> Loop:
    """Return a new event loop of cede's."""
    return Loop()


def install() -> None:
    """Make cede the default of `asyncio.run` and its relatives."""
    _install()


def run(
    main: Awaitable[_T],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = new_event_loop,
    debug: bool | None = None,
    **kwargs: Any,
) -> _T:
    """Run `main`, which may be any awaitable, on a loop of its own; return its result."""

    async def wrapper() -> _T:
        return await main

    with asyncio.Runner(loop_factory=loop_factory, debug=debug, **kwargs) as runner:
        return runner.run(wrapper())


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("uvloop")
    raise AttributeError(f"module {__name__!r}, which is cede's under `cede run`, has no attribute {name!r}")
