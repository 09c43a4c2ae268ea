"""What was looked at of a loop is let go in the loop's own thread: ours may have become the last reference to it."""

from __future__ import annotations

import threading
from typing import Any

_PART = 500  # things that a loop forgets in one turn


def hand_over(loop: Any, things: list[Any]) -> None:
    """Let the loop's thread forget what was looked at of it, if the loop runs in another one."""
    if getattr(loop, "_thread_id", None) in (None, threading.get_ident()):
        return
    try:
        loop.call_soon_threadsafe(_forget, loop, things)
    except RuntimeError:
        pass  # it was closed just now


def _forget(loop: Any, things: list[Any]) -> None:
    """Drop what a snapshot held, in the loop's thread."""
    del things[-_PART:]
    if things and not loop.is_closed():
        loop.call_soon(_forget, loop, things)
