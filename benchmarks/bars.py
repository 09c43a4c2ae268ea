"""What the project asks of cede, row by row; the page lists the rows that are short of it.

Compiled, both columns are measured against the best peer of the row, and on some rows against the
limit. Interpreted, nothing may be slower than stock asyncio.
"""

from __future__ import annotations

import fnmatch
from functools import partial

from .rounds import Result

# (rows, package, loop): how many times the best peer's speed. The first match counts.
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

# The same, where the peers of one Python are so much faster that more is not to be had.
BARS_OF: dict[str, tuple[tuple[str, float, float], ...]] = {"3.15": (("sleep0-*", 2.0, 1.5),)}

# (rows, column, limit, at most so many times the limit's time)
LIMITS: tuple[tuple[str, str, str, float], ...] = (
    ("sleep0-*", "package", "limit-package", 1.5),
    ("tcp-echo-*", "package", "limit", 1.1),
    ("tcp-echo-*", "loop", "limit", 1.1),
)


def _short_of_the_best_peer(python: str, result: Result, metric: str) -> list[str]:
    bars = BARS_OF.get(python, ()) + BARS
    _, package, loop = next(bar for bar in bars if fnmatch.fnmatchcase(result.name, bar[0]))
    best = result.best_peer(metric)
    found = []
    for column, bar in (("package", package), ("loop", loop)):
        times = result.ratio(best[0], column, metric) if best else None
        if times is not None and times < bar:
            found.append(f"{column}: {times:.2f} times the best peer, not {bar:.3g}")
    return found


def _far_from_the_limit(result: Result, metric: str) -> list[str]:
    found = []
    for rows, column, limit, most in LIMITS:
        times = result.ratio(column, limit, metric)
        if fnmatch.fnmatchcase(result.name, rows) and times is not None and times > most:
            found.append(f"{column}: {times:.2f} times the limit, not {most:.3g}")
    return found


def _slower_than_asyncio(result: Result, metric: str) -> list[str]:
    found = []
    for column in ("package-pure", "loop-pure"):
        times = result.ratio("asyncio", column, metric)
        if times is not None and times < 1:
            found.append(f"{column}: {times:.2f} times asyncio's speed")
    return found


def shortfalls(result: Result, python: str) -> list[str]:
    """Return a line for everything that a row asks for on this version of Python and does not give."""
    checks = (partial(_short_of_the_best_peer, python), _far_from_the_limit, _slower_than_asyncio)
    return [
        f"{result.name}{' ' + metric if metric else ''}, {found}"
        for metric in result.metrics
        for check in checks
        for found in check(result, metric)
    ]
