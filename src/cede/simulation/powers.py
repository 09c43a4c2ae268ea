"""What may befall a host, and what a test does with one: run, kill, power off, restart, pause, signal.

Kill ends the program at once, as SIGKILL does: no `finally` runs. Its tasks are put aside, cut off from everything, and
closed when the world ends; its kernel lives, and closes what the program had open. Power off takes the kernel, too, so
that nobody is told anything, and what the disk had not been asked to keep. Restart runs `main` again.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from ..net.signals import handle_signals
from . import current
from .errors import HostLost

_ENDING = {signal.SIGALRM, signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGQUIT, signal.SIGABRT}


class Powers:
    """The part of a `Host` that is done to it."""

    name: str
    world: Any
    now: float
    dead: bool
    entry: int
    loop: Any
    loops: list[Any]
    kernel: Any
    main: Callable[[], Awaitable[Any]] | None
    signal_handlers: dict[int, Any]  # what the program gave to signal.signal
    awaited: dict[Any, Any]  # {task that `run` made: (the future that waits for it, whose)}
    entered: Any
    spawn: Any
    start: Any
    begin: Any
    children: dict[int, Any]
    main_thread: Any
    alarm: Any  # the arrival of SIGALRM, None if it is not to come
    alarm_rings: tuple[float, float]  # when that is, by the world's time, and the interval

    # --- Running something ------------------------------------------------------------------------

    async def run(self, function: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """Run `function(*args, **kwargs)`, an async callable, on this host; return or raise what it does.

        Awaited on any host, this one too. HostLost if the host is killed or loses its power meanwhile.
        """
        if self.dead:
            raise HostLost(f"host {self.name} is down: restart it before anything runs there")
        with self.entered():
            awaitable = function(*args, **kwargs)
            if not inspect.isawaitable(awaitable):
                raise TypeError(f"host.run wants an async callable; {function!r} returned {awaitable!r}")
        task = self.spawn(awaitable, getattr(function, "__name__", None))
        future = asyncio.get_running_loop().create_future()
        self.awaited[task] = (future, current.host())
        task.add_done_callback(self._hand_back)
        try:
            return await future
        finally:
            if self.awaited.pop(task, None) is not None:  # who waited was cancelled
                with self.entered():
                    task.cancel()
                self.world.wake(self)

    def _hand_back(self, task: Any) -> None:
        """Tell the host that waits for a task how it ended."""
        future, caller = self.awaited.pop(task, (None, None))
        if future is None or future.done():
            return
        if task.cancelled():
            future.cancel()
        elif task.exception() is not None:
            future.set_exception(task.exception())
        else:
            future.set_result(task.result())
        caller.wake()

    # --- Ending -----------------------------------------------------------------------------------

    def kill(self) -> None:
        """End the host's program as SIGKILL does: its peers see FIN or RST. Nothing if it is down."""
        self._soon(self._kill)

    def power_off(self) -> None:
        """Take the machine's power: its peers see silence, and what was not synced to the disk may be lost."""
        self._soon(self._power_off)

    def _soon(self, action: Callable[[], None]) -> None:
        """Do it now; from inside of the host's own turn, when that is over."""
        if current.host() is self:
            self.world.at(self.now, action)
        else:
            action()

    def _kill(self) -> None:
        if not self.dead:
            self._tell("is killed")
            self._end()

    def _end(self) -> None:
        """The program is over; its kernel closes what it had open."""
        if not self.dead:
            self.kernel.kill()
            self._stop()

    def _power_off(self) -> None:
        if self.kernel.powered:
            self.kernel.power_off()
        if not self.dead:
            self._tell("loses its power")
            self._stop()

    def _stop(self) -> None:
        self.dead = True
        self.entry = 0
        for loop in self.loops:
            loop.set_exception_handler(lambda loop, context: None)  # what is left of it has nobody to tell
            loop._signal_handlers.clear()
            for reference in list(loop._transports.values()):
                transport = reference()
                if transport is not None:
                    transport.abort()  # tells nobody, as the loop never runs again
        self.world.threads.put_aside(lambda thread: thread.host is self)
        self.children = {}
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None
        self.loop = None  # it stays among `loops`, with its tasks, until the world ends
        self.signal_handlers = {}
        lost, self.awaited = self.awaited, {}
        for future, caller in lost.values():
            if not future.done() and not caller.dead:
                future.set_exception(HostLost(f"host {self.name} went down while this ran on it"))
                caller.wake()

    def restart(self) -> None:
        """Start the host again: a fresh loop, `main` anew, the disk as it is. What still runs there is killed first."""
        self._soon(self._restart)

    def _restart(self) -> None:
        self._kill()
        self._tell("starts")
        self.kernel.powered = True
        self.kernel.gone = False
        self.dead = False
        self.now = max(self.now, self.world.now)
        self.start()
        self.begin()

    def main_ended(self, task: Any) -> None:
        """What `main` raises ends the run, unless it was ended itself."""
        if not self.kernel.gone:
            self.world._host_ended(task)

    def _tell(self, what: str) -> None:
        if self.world.log is not None:
            self.world.log.add(self.name, "fault", f"{self.name} {what}")

    # --- Alarms -----------------------------------------------------------------------------------

    def set_alarm(self, seconds: float, interval: float) -> tuple[float, float]:
        """Send the program SIGALRM in so many seconds (0: never), then each `interval`; return what was set before."""
        before = self.alarm_left()
        if self.alarm is not None:
            self.alarm.cancel()
        self.alarm = self.world.at(self.now + seconds, self._ring, interval) if seconds else None
        self.alarm_rings = (self.now + seconds, interval)
        return before

    def alarm_left(self) -> tuple[float, float]:
        """Return in how many seconds SIGALRM comes, and the interval; zeros if it does not."""
        return (max(0.0, self.alarm_rings[0] - self.now), self.alarm_rings[1]) if self.alarm is not None else (0.0, 0.0)

    def _ring(self, interval: float) -> None:
        self.alarm = None
        self.now = max(self.now, self.world.now)
        if interval:
            self.set_alarm(interval, interval)
        self.signal(signal.SIGALRM)

    # --- Disturbing -------------------------------------------------------------------------------

    def pause(self, seconds: float) -> None:
        """Let the host stand still for that long, as if it were stopped: then it finds all that came meanwhile."""
        if self.dead:
            return
        self._tell(f"stands still for {seconds:g} s")
        with self.entered():
            self.loop.call_soon(self._stand_still, seconds)
        self.world.wake(self)

    def _stand_still(self, seconds: float) -> None:
        self.now += seconds

    def signal(self, number: int) -> None:
        """Send the program a signal: to its handler, or it ends, or nothing happens, as the signal is."""
        if self.dead:
            return
        self._tell(f"gets {signal.Signals(number).name}")
        default: Any = signal.SIG_DFL
        if number == signal.SIGINT and self.main_thread is not None:
            default = signal.default_int_handler
        handler = self.signal_handlers.get(number, default)
        loop = next((loop for loop in self.loops if not loop.is_closed() and number in loop._signal_handlers), None)
        if loop is not None:
            with self.entered():
                handle_signals(loop, bytes([number]))
            loop._poller._wake()
        elif callable(handler) and self.main_thread is not None:
            self.world.threads.interrupt(self.main_thread, partial(handler, number, None))
        elif callable(handler):
            with self.entered():
                self.loop.call_soon(handler, number, None)
            self.world.wake(self)
        elif handler == signal.SIG_DFL and number in _ENDING:
            self.kill()
