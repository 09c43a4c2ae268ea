"""Loops whose time passes only while they have nothing to do: the stdlib's, and cede's.

The same rule in both: a loop that would wait advances the clock by just as long; one that would wait for ever has come
to a deadlock, and says so by an exception out of its run.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

MOST_WAITS = 20_000  # a program that asks the poller more often than this never ends


class Deadlock(Exception):
    """Nothing is ready, and no timer will ever make anything ready."""


class Clock:
    """Virtual time, in seconds."""

    resolution = 2.0**-44  # seconds; less than any two deadlines of a program differ by

    def __init__(self) -> None:
        self.now = 0.0
        self.waits = 0

    def time(self) -> float:
        return self.now

    def wait(self, timeout: float | None) -> None:
        """Let `timeout` seconds pass; None is for ever."""
        self.waits += 1
        if self.waits > MOST_WAITS:
            raise RuntimeError("the program never ends")
        if timeout is None:
            raise Deadlock
        self.now += max(timeout, 0.0)


class StillSelector(selectors.DefaultSelector):
    """A selector for which nothing is ever ready."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        self.clock.wait(timeout)
        return []


class StockLoop(asyncio.SelectorEventLoop):
    """The stdlib's loop in virtual time."""

    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__(StillSelector(self.clock))
        self._clock_resolution = self.clock.resolution

    def time(self) -> float:
        return self.clock.now


def stock_loop() -> Any:
    return StockLoop()


def cede_loop() -> Any:
    import cede

    clock = Clock()
    loop = cede.EventLoop(clock=clock, poller=still_poller()(clock))
    return loop


def still_poller() -> Callable[[Clock], Any]:
    from cede.engine.pollers.base import Poller

    class StillPoller(Poller):
        """A poller for which nothing is ever ready."""

        def __init__(self, clock: Clock) -> None:
            self.clock = clock

        def add(self, fd: int, watcher: Any, interest: int) -> None:
            pass

        modify = add

        def remove(self, fd: int) -> None:
            pass

        def wait(self, timeout: float) -> None:
            self.clock.wait(timeout if timeout >= 0 else None)

        def close(self) -> None:
            pass

    return StillPoller
