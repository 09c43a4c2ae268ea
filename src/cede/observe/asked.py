"""The watcher that the environment or a command line asks for. It begins with the first loop: programs fork before."""

from __future__ import annotations

import sys

from ..engine import forks


def watch_when_there_is_a_loop(seconds: str) -> None:
    """Let a watcher with this threshold begin when the next loop is made. What is no number of seconds is told."""
    threshold = as_threshold(seconds)
    if threshold is None:
        sys.stderr.write(f"cede: CEDE_WATCH={seconds} is no number of seconds (0.001 to 3600): nothing is watched\n")
        return
    forks.at_next_loop(lambda: _begin(threshold))


def as_threshold(seconds: str) -> float | None:
    """Return the number of seconds that a text states, None if that is no threshold for a watcher."""
    try:
        threshold = float(seconds)
    except ValueError:
        return None
    return threshold if 0.001 <= threshold <= 3600 else None


def _begin(threshold: float) -> None:
    try:
        from . import watcher

        if not watcher.is_watching():
            watcher.watch(threshold)
    except Exception as error:  # no thread is left, …: the program is to run all the same
        sys.stderr.write(f"cede: loops are not watched: {error}\n")
