"""Loops that a program makes itself, in a world: `asyncio.run` in a script or in a thread, `new_event_loop`.

Such a loop turns by itself, on the thread that runs it. Where it would ask the kernel it lets the world go on:
everything that is due by then happens, and if it has nothing to do it stands still until its next timer, or until it is
woken. So its turns cost what those of other loops do, and it oversleeps as they do.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from _thread import get_ident
from typing import TYPE_CHECKING, Any

from ..engine import loop as engine
from ..engine.clock import as_clock
from ..event_loop import EventLoop
from . import current
from .errors import SimulationError
from .poller import WorldPoller

if TYPE_CHECKING:
    from .hosts import Host

_events = sys.modules["asyncio.events"]


class OwnPoller(WorldPoller):
    """The poller of a loop that turns by itself."""

    def __init__(self, host: Host) -> None:
        self._waiter = host.world.waiter()
        self._machine = host
        super().__init__(host, self._waiter.wake)

    def wait(self, timeout: float) -> None:
        host = self._machine
        host.turned()
        polls = 0
        if timeout == 0 or self.has_ready():
            polls = self._waiter.arrivals()
            self._waiter.wait(0.0)
        else:
            late = host.late()
            self._waiter.wait(None if timeout < 0 else timeout)
            if late:
                self._waiter.wait(late)
        try:
            host.world.count_own_turn(host, polls)
        except SimulationError as error:
            if host.world.threads.running(get_ident()) is None:
                raise
            host.world.fail(error)  # the keeper of the agenda raises it: on a thread it is the program's to catch
        super().wait(0.0)


def captured() -> list[tuple[Any, str, Any]]:
    """Return what makes loops of worlds, where a program in one makes a loop."""
    real_poller, real_new_event_loop = engine.DefaultPoller, _events.new_event_loop
    real_set_wakeup_fd = signal.set_wakeup_fd

    def default_poller() -> Any:
        host = current.host()
        return real_poller() if host is None else OwnPoller(host)

    def clock_of(clock: Any) -> Any:
        host = current.host()
        return as_clock(host.clock if clock is None and host is not None else clock)

    def new_event_loop() -> Any:
        host = current.host()
        if host is None:
            return real_new_event_loop()
        loop = EventLoop()
        host.join(loop)
        return loop

    def set_wakeup_fd(fd: int, **options: bool) -> int:
        return real_set_wakeup_fd(fd, **options) if current.host() is None else -1

    return [
        (engine, "DefaultPoller", default_poller),
        (engine, "as_clock", clock_of),
        (_events, "new_event_loop", new_event_loop),
        (asyncio, "new_event_loop", new_event_loop),
        (signal, "set_wakeup_fd", set_wakeup_fd),
    ]
