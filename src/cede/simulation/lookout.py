"""Telling of a program that computes without end: its world stands still, and no limit of the world is asked."""

from __future__ import annotations

import _thread
from collections.abc import Callable
from typing import Any

from ..engine.watch import thread_frames
from ..observe.stacks import stack_outside_tasks
from .report import place

PATIENCE = 10.0  # seconds of the machine's until the first word, and then twice as long until each next


class Lookout:
    """Says where the thread is that entered it, whenever `turn()` stays the same for long.

    `turn` and `tell` are called in a thread beside it.
    """

    def __init__(self, turn: Callable[[], object], tell: Callable[[str], object], patience: float = PATIENCE) -> None:
        self._turn = turn
        self._tell = tell
        self._patience = patience
        self._thread = 0  # that is looked at
        self._entered = _thread.allocate_lock()  # held from the entering to the end
        self._looking = _thread.allocate_lock()  # held while the thread beside runs
        self._frames: list[Any] = []  # let go by the thread whose they are, with what nobody else holds any more

    def __enter__(self) -> None:
        self._thread = _thread.get_ident()
        self._entered.acquire()
        self._looking.acquire()
        _thread.start_new_thread(self._look_out, ())

    def __exit__(self, *exc: object) -> None:
        self._entered.release()
        with self._looking:
            self._frames.clear()

    def _look_out(self) -> None:
        try:
            seen, waited, patience = self._turn(), 0.0, self._patience
            while not self._entered.acquire(timeout=self._patience / 10):
                if (turn := self._turn()) != seen:
                    seen, waited, patience = turn, 0.0, self._patience
                    continue
                waited += self._patience / 10
                if waited >= patience:
                    patience *= 2
                    stack = stack_outside_tasks(thread_frames().get(self._thread), self._frames)
                    self._tell(
                        "\n".join([f"no turn for {waited:.0f} s of the machine's: the program is here", *place(stack)])
                    )
        finally:
            self._looking.release()
