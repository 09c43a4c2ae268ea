"""What a loop counts in ticks, in seconds."""

from __future__ import annotations

from typing import Any


def moment(loop: Any) -> tuple[int, float]:
    """Return the tick that it is now, and how many seconds a tick is, by the loop's age: rough of one just made."""
    ticks, nanoseconds = loop._moment()
    return ticks, max(nanoseconds - loop._made_at, 1) / max(ticks - loop._made_ticks, 1) * 1e-9


def seconds_busy(loop: Any) -> float:
    """Return how long ago a loop last looked at the kernel: for so long it has been busy, if it is not asleep."""
    ticks, tick = moment(loop)
    return float(max(ticks - loop._look_ticks, 0) * tick)
