"""staggered_race: start attempts one after another, take the first that succeeds (RFC 8305's idea).

The next attempt starts when the last one started has failed, or when it has had `delay` seconds to
itself. Exactly one can win: the winner is decided inside its own task, which in the same breath
cancels the rest, so none of them can succeed beside it and leave a socket behind.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from ..engine.futures import future_add_to_awaited_by, future_discard_from_awaited_by, release
from ..engine.running import current_task, get_running_loop


class Race:
    """One race. Attempts are tasks; the timer starts the next of them."""

    def __init__(self, loop: Any, attempts: Iterable[Callable[[], Awaitable[Any]]], delay: float | None) -> None:
        self._loop = loop
        self._attempts = iter(attempts)
        self._delay = delay  # seconds; None: only a failure starts the next attempt
        self._parent = current_task(loop)
        self._context = contextvars.copy_context()  # each attempt runs in a copy of the caller's
        self._next: Any = None  # the handle that will start the next attempt, or None
        self._running: set[Any] = set()  # tasks
        self._waiter: Any = None  # the future that `run` awaits
        self._over = False  # True iff no further attempt may start: won, cancelled or exhausted
        self.exceptions: list[BaseException | None] = []  # one an attempt started; None for the winner
        self.winner: int | None = None
        self.result: Any = None

    async def run(self) -> None:
        """Race until one attempt has won or all have failed; no task is left running.

        Cancelling cancels every attempt. KeyboardInterrupt and SystemExit end the race and leave the
        loop at once, as from any task.
        """
        cancelled: asyncio.CancelledError | None = None
        self._start_next()
        try:
            while self._running or self._next is not None:
                self._waiter = self._loop.create_future()
                try:
                    await self._waiter
                except asyncio.CancelledError as exc:
                    cancelled = exc
                    self._finish(*exc.args)
            if cancelled is not None:
                raise cancelled
        finally:
            cancelled = self._waiter = self._parent = None

    def _start_next(self) -> None:
        self._next = None
        attempt = None if self._over else next(self._attempts, None)
        if attempt is None:
            self._over = True
            self._look_for_end()
            return
        self.exceptions.append(None)
        if self._delay is not None:
            # Order: the timer first, since an eager task may end before create_task returns.
            self._next = self._loop.call_later(self._delay, self._start_next, context=self._context)
        task = self._loop.create_task(self._attempt(len(self.exceptions) - 1, attempt))
        if not task.done():
            self._running.add(task)
            future_add_to_awaited_by(task, self._parent)
        task.add_done_callback(self._ended)

    async def _attempt(self, index: int, attempt: Callable[[], Awaitable[Any]]) -> None:
        try:
            result = await attempt()
        except (SystemExit, KeyboardInterrupt):
            self._finish()
            raise
        except BaseException as exc:
            self.exceptions[index] = exc
            if index == len(self.exceptions) - 1 and not self._over:
                self._hurry()
        else:
            if self.winner is None:  # else it swallowed its cancellation, and comes second
                self.winner, self.result = index, result
                self._finish()

    def _hurry(self) -> None:
        # A new handle, not a direct call: this runs in the failed attempt's context.
        if self._next is not None:
            self._next.cancel()
        self._next = self._loop.call_soon(self._start_next, context=self._context)

    def _finish(self, *reason: Any) -> None:
        """Start nothing more and cancel what runs, except the task that calls."""
        self._over = True
        if self._next is not None:
            self._next.cancel()
            self._next = None
        caller = current_task(self._loop)
        for task in self._running:
            if task is not caller:
                task.cancel(*reason)
        self._look_for_end()

    def _ended(self, task: Any) -> None:
        self._running.discard(task)
        future_discard_from_awaited_by(task, self._parent)
        if not task.cancelled():
            task.exception()  # retrieved; only KeyboardInterrupt and SystemExit get here
        self._look_for_end()

    def _look_for_end(self) -> None:
        if not self._running and self._next is None and self._waiter is not None:
            release(self._waiter)


async def staggered_race(
    coro_fns: Iterable[Callable[[], Awaitable[Any]]],
    delay: float | None,
    *,
    loop: Any = None,
) -> tuple[Any, int | None, list[BaseException | None]]:
    """Run coroutine functions with staggered starts; the first to succeed wins and the rest are cancelled.

    `delay`, in seconds, is how long the newest attempt has to itself; with None the next one starts
    only when it fails. Returns `(result, index, exceptions)` of the winner, or `(None, None,
    exceptions)` if all failed; `exceptions` has one entry for each attempt started, None for the winner.
    """
    race = Race(loop or get_running_loop(), coro_fns, delay)
    try:
        await race.run()
        return race.result, race.winner, race.exceptions
    finally:
        # An exception's traceback holds the frames of this race: do not let the race hold the exception.
        race.exceptions = []
        race.result = None
