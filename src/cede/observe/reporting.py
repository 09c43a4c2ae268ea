"""All there is to be said of the process, as text: for an exception handler, for a bug report."""

from __future__ import annotations

import sys
from typing import IO

from . import describe, snapshot, waits


def report(file: IO[str] | None = None) -> None:
    """Write to `file` (default: standard error) what `cede ps` shows, and tasks that wait for each other.

    It may be called anywhere, on the thread of a loop as well. Deadlocks are then those of one look.
    """
    answer = snapshot.capture()
    lines = [describe.head(answer), *describe.busy_loops(answer), ""]
    lines += describe.task_table(answer, answer["tasks"], None)
    resources = list(describe.resource_table(answer, None))
    if resources:
        lines += ["", *resources]
    for circle in waits.find(answer):
        lines += ["", str(circle)]
    (sys.stderr if file is None else file).write("\n".join(lines) + "\n")
