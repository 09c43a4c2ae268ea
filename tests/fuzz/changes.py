"""What asyncio of older Pythons does differently from 3.15's, which cede follows.

Some differences are cede's on purpose; asyncio's documentation allows both. Where stock asyncio is older than the change, programs do not use the statement in the modes that are named: in `loop`
mode the tasks and futures are cede's, in `package` mode everything is.
"""

from __future__ import annotations

import sys
from typing import NamedTuple


class Change(NamedTuple):
    kind: str  # one of programs.kinds_in()
    since: tuple[int, int]  # the first Python that behaves as cede does
    modes: tuple[str, ...]
    why: str


BOTH = ("loop", "package")
NEVER = (99, 0)  # cede differs on purpose

CHANGES = [
    Change("eager", (3, 12), BOTH, "Task has no eager_start before 3.12"),
    Change("queue_shutdown", (3, 13), BOTH, "Queue.shutdown is new in 3.13"),
    Change("group_cancel", (3, 15), BOTH, "TaskGroup.cancel is new in 3.15"),
    Change("uncancel", (3, 13), BOTH, "uncancel() to zero takes back a cancellation that was not delivered yet"),
    Change("wait_for", (3, 12), ("package",), "wait_for ran the coroutine in a task of its own before 3.12"),
    Change("gather", (3, 12), ("package",), "gather took a turn to notice what was done already before 3.12"),
    Change("group", (3, 13), ("package",), "before 3.13 a group left its own cancellation counted on the parent"),
    Change(
        "condition_wait",
        NEVER,
        ("package",),
        "asyncio wakes one more waiter, whom nobody notified, when one is cancelled",
    ),
    Change("counted_barrier", NEVER, ("package",), "a barrier's waiters wait on a condition: see condition_wait"),
]


def avoided(mode: str, version: tuple[int, int] = sys.version_info[:2]) -> frozenset[str]:
    """Return the kinds of statements that stock asyncio of `version` runs differently from cede in `mode`."""
    return frozenset(change.kind for change in CHANGES if version < change.since and mode in change.modes)
