"""Looking into a running program: what its tasks do, who waits for whom, what can never go on.

Nothing here is imported unless somebody asks: `CEDE_INSPECT=1`, `cede run --inspect`, `cede ps` from outside, or the
program itself. What it may call is listed below, with the module that has it.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .cancels import why_cancelled
    from .counters import stats
    from .leaked import Leak, leaks
    from .prometheus_text import prometheus
    from .recorder import dump, dump_on, mark, start, stop
    from .reporting import report
    from .stalls import Stall
    from .waits import Deadlock, deadlocks
    from .watcher import Watcher, watch

_HOMES = {
    "Deadlock": "waits",
    "Leak": "leaked",
    "Stall": "stalls",
    "Watcher": "watcher",
    "dump": "recorder",
    "dump_on": "recorder",
    "mark": "recorder",
    "prometheus": "prometheus_text",
    "start": "recorder",
    "stats": "counters",
    "stop": "recorder",
    "deadlocks": "waits",
    "leaks": "leaked",
    "report": "reporting",
    "watch": "watcher",
    "why_cancelled": "cancels",
}

__all__ = (
    "Deadlock", "Leak", "Stall", "Watcher", "deadlocks", "dump", "dump_on", "leaks", "mark", "prometheus", "report",
    "start", "stats", "stop", "watch", "why_cancelled",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
