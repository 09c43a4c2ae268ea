"""What the project asks of cede: how many times the best peer's speed, a row.

The bar of a row is (package, loop). `report.py` lists the rows that are short of it; nothing
else depends on it.
"""

from __future__ import annotations

import fnmatch

BARS: tuple[tuple[str, float, float], ...] = (
    ("sleep0-*", 2.5, 1.5),
    ("task-await", 2.0, 2.0),
    ("gather", 2.5, 1.3),
    ("future-*", 2.0, 2.0),
    ("taskgroup-child", 2.0, 1.0),
    ("timeout-*", 2.0, 1.0),
    ("wait-for-*", 2.0, 1.0),
    ("cancel", 2.0, 1.0),
    ("call-soon-threadsafe", 1.2, 1.2),
    ("call-soon-*", 1.3, 1.3),
    ("call-later-cancel", 1.8, 1.8),
    ("lateness-*", 1.0, 1.0),
    ("queue-1to1-1", 2.2, 1.0),
    ("queue-*", 2.0, 1.0),
    ("lock-contended", 2.2, 1.0),
    ("lock-*", 2.0, 1.0),
    ("semaphore-*", 2.0, 1.0),
    ("event-*", 1.6, 1.0),
    ("condition-*", 1.6, 1.0),
    ("as-completed", 1.5, 1.0),
    ("shield", 1.5, 1.0),
    ("import", 1 / 1.15, 1 / 1.15),
    ("streams-lines-*", 1.5, 1.0),
    ("streams-*", 1.35, 1.0),
    ("sock-*", 1.5, 1.5),
    ("tcp-*", 1.0, 1.0),
    ("buffered-*", 1.1, 1.1),
    ("tls-streams-*", 1.2, 1.0),
    ("udp-*", 1.1, 1.1),
    ("unix-streams-*", 1.5, 1.0),
    ("unix-*", 1.1, 1.1),
    ("closing-*", 1.2, 1.2),
    ("bulk-streams-*", 1.3, 1.0),
    ("subprocess-*", 1.1, 1.1),
    ("http-*", 1.1, 1.1),
    ("memory-idle-streams", 1.3, 1.0),
    ("*", 1.0, 1.0),
)


def bar_for(row: str, column: str) -> float | None:
    """Return the least ratio to the best peer for a compiled column of cede; None for others."""
    package, loop = next((package, loop) for pattern, package, loop in BARS if fnmatch.fnmatchcase(row, pattern))
    return {"package": package, "loop": loop}.get(column)
