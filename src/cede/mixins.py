"""What locks and queues have in common: the loop they belong to, and the line of those who wait.

The law of waiting, written once: **whoever wakes a waiter takes it out of the line**, and a waiter
that was woken and cannot use its turn passes it on. So a line holds only those who still wait, and
those who were cancelled and not yet cleared away; waking is O(1), and so is cancelling, however
long the line and in whatever order.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from .engine.futures import new_future
from .engine.running import get_running_loop

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

_binding = threading.Lock()


class _LoopBoundMixin:
    """An object that belongs to the loop in which it first had to wait."""

    _loop: AbstractEventLoop | None = None  # None until then

    def _get_loop(self) -> AbstractEventLoop:
        """Return the running loop. RuntimeError if there is none, or if this object belongs to another."""
        loop = get_running_loop()
        if loop is not self._loop:
            self._bind(loop)
        return loop

    def _bind(self, loop: AbstractEventLoop) -> None:
        with _binding:  # two threads with a loop each may come at the same time
            if self._loop is None:
                self._loop = loop
        if loop is not self._loop:
            raise RuntimeError(f"{self!r} is bound to a different event loop")

    def _new_waiter(self) -> Future[Any]:
        """Return a pending future of the running loop; the errors are those of `_get_loop`."""
        loop = get_running_loop()
        if loop is not self._loop:
            self._bind(loop)
        return new_future(loop)  # type: ignore[no-any-return]


class WaitLine(deque):  # type: ignore[type-arg]
    """Those who wait, first come first: futures, each awaited by one task.

    `append` puts one in line. A waiter that was cancelled calls `leave`; it may stay in the line
    for a while, where `wake_next` steps over it.
    """

    _left = 0  # an upper bound of how many in the line have left

    def wake_next(self) -> bool:
        """Take out and wake the first who still waits. Return False if nobody does."""
        while self:
            waiter = self.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return True
        return False

    def wake_all(self) -> None:
        """Take out and wake everyone who still waits."""
        while self:
            waiter = self.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def leave(self, waiter: Future[Any]) -> None:
        """Take out a waiter that will not use its turn. It may have been taken out already.

        Amortized O(1): one in the middle stays until half of the line has left.
        """
        if not self:
            return
        if self[0] is waiter:
            self.popleft()
        elif self[-1] is waiter:
            self.pop()
        elif not waiter.done():
            # Its coroutine was closed, or got an exception thrown in by hand: nothing marks it as gone.
            if waiter in self:
                self.remove(waiter)
        else:
            self._left += 1
            if self._left * 2 > len(self):
                self._clear_away()

    def _clear_away(self) -> None:
        waiting = [waiter for waiter in self if not waiter.done()]
        self.clear()
        self.extend(waiting)
        self._left = 0

    def waiting(self) -> int:
        """Return how many wait."""
        return sum(not waiter.cancelled() for waiter in self)
