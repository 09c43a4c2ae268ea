"""What uvicorn's `--loop auto`, its default, finds under `cede run`: cede's loop.

The file is executed as the module `uvicorn.loops.auto`. (`other_loops.py` sees to that.) uvicorn's own takes uvloop or,
where that is missing, the standard library's loop by its class, which no policy can change.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable

from cede.policy import install, new_event_loop


def auto_loop_factory(use_subprocess: bool = False) -> Callable[[], AbstractEventLoop]:
    """Return what makes the loop (asked for since uvicorn 0.36)."""
    return new_event_loop


def auto_loop_setup(use_subprocess: bool = False) -> None:
    """Make asyncio's functions make the loop (asked for before uvicorn 0.36)."""
    install()
