"""Host: one machine of a world: its loop, its clock, its name.

A host's loop is driven turn by turn, by the world. While a turn runs, `now` moves on: by what each reading of a clock
and each turn costs, and by what the program sleeps in it. The world's own time follows when the turns of all are done,
so a host is at most ahead of it, never behind.
"""

from __future__ import annotations

import asyncio
import datetime
import inspect
import ipaddress
import random
from _thread import get_ident
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ..event_loop import EventLoop
from ..gathering import gather
from . import current
from .choices import key_of
from .clock import WALL_EPOCH
from .in_order import in_order
from .order import Order
from .powers import Powers
from .turns import Machine

if TYPE_CHECKING:
    from .children import Child
    from .world import World

LATE_PROBABILITY = 0.05  # of a sleep that takes too long
LATEST = 0.020  # seconds; the most that one does


class Host(Machine, Powers):
    """A machine in a world. `World.host` makes them."""

    def __init__(
        self,
        world: World,
        name: str,
        *,
        address: str | Iterable[str] | None = None,
        wall_clock: float | datetime.datetime | None = None,
    ) -> None:
        super().__init__(name, world.now, _seconds(wall_clock))
        self.world = world
        self.main_thread: Any = None  # of a script's
        self.order = None if world.order == "fifo" else Order(self, world.order == "any")
        self.children: dict[int, Child] = {}  # the processes that its program has started
        self.threads = 0  # that its programs started
        self.randomness = random.Random(key_of(world.seed, "random", name))  # what the program's chance is made of
        self.loops: list[Any] = []  # the one that the world drives, and those that the program made
        self.main = None  # the async callable that runs when it starts, or None
        self.signal_handlers = {}
        self.alarm = None
        self.alarm_rings = (0.0, 0.0)
        self.awaited = {}
        self._late = world.stream(f"{name}/late", LATE_PROBABILITY)
        with self.entered():
            self.kernel = world.network.attach(self, () if address is None else _listed(address))

    def __repr__(self) -> str:
        return f"<Host {self.name}{' dead' if self.dead else ''} at {self.now:.6f}>"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let the calling thread run on behalf of this host."""
        before = current.enter(self)
        self.world.wear(self)
        try:
            yield
        finally:
            current.enter(before)
            if before is not None:
                self.world.wear(before)

    def start(self) -> None:
        """Give the host a loop."""
        from .poller import DrivenPoller

        with self.entered():
            self.loop = EventLoop(clock=self.clock, poller=DrivenPoller(self, self.wake))
        self.join(self.loop)

    def join(self, loop: Any) -> None:
        """Let a loop be one of this host's."""
        loop._machine = self.kernel
        if self.order is not None:
            loop._arrange_by(self.order.arrange)
        self.loops.append(loop)

    def wall(self) -> float:
        """Read its wall clock: seconds since 1970."""
        self.world.network.faults.wall_is_read(self)
        return self.clock.wall()

    def drift(self, rate: float) -> None:
        """Let its clock go at `rate` of its seconds a second from now on."""
        self.now = max(self.now, self.world.now)
        self.clock.set_rate(rate)
        self.wake()  # when its timers are due is another time of the world now

    def begin(self) -> None:
        """Run its main, if it has one."""
        if self.main is not None:
            with self.entered():
                awaitable = self.main()
            if not inspect.isawaitable(awaitable):
                what = f"{self.main!r} returned {awaitable!r}"
                raise TypeError(f"what runs on host {self.name!r} must be an async callable; {what}: say async def")
            self.spawn(awaitable, self.name).add_done_callback(self.main_ended)

    def watch_child(self, loop: Any, pid: int, ended: Callable[[int | None], None]) -> Any:
        """Have `ended(returncode)` called in the loop when a process that this host has started has ended."""
        from .children import Watch

        return Watch(loop, self.children[pid], ended)

    def spawn(self, awaitable: Awaitable[Any], name: str | None = None) -> Any:
        """Make a task of a coroutine or another awaitable on this host, and return it."""
        coro = awaitable if inspect.iscoroutine(awaitable) else _awaited(awaitable)
        with self.entered():
            task = self.loop.create_task(coro, name=name)
        self.wake()
        return task

    def wake(self) -> None:
        """Say that the host has something to do: it gets a turn as soon as it has slept out."""
        self.world.wake(self)

    def sleep(self, seconds: float) -> None:
        """Block the calling thread, as `time.sleep` does. A loop's time goes on, and it notices nothing meanwhile."""
        if not self.running or self.world.threads.running(get_ident()) is not None:
            self.world.waiter().wait(seconds)
            return
        if self.world.log is not None:
            self.world.log.add(self.name, "block", f"{seconds:g} s in time.sleep")
        self.now += seconds

    def fresh_seed(self) -> int:
        """Return what a generator that is given no seed begins with."""
        return self.randomness.getrandbits(128)

    def late(self) -> float:
        """Draw by how many seconds a sleep that begins now takes too long."""
        if not self.world.late:
            return 0.0
        seconds = self._late.draw() * LATEST
        if seconds and self.world.log is not None:
            self.world.explain(self._late, f"{self.name} oversleeps", f"{seconds * 1e3:.3g} ms late")
        return seconds


def _seconds(wall_clock: float | datetime.datetime | None) -> float:
    if wall_clock is None:
        return WALL_EPOCH
    if not isinstance(wall_clock, datetime.datetime):
        return float(wall_clock)
    aware = wall_clock if wall_clock.tzinfo is not None else wall_clock.replace(tzinfo=datetime.UTC)
    return aware.timestamp()


def _listed(address: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(str(ipaddress.ip_address(one)) for one in ([address] if isinstance(address, str) else address))


async def shut_down(loop: Any) -> None:
    """End what is left on a loop, as `cede.run` does at the end of a program."""
    tasks = in_order(asyncio.all_tasks(loop) - {asyncio.current_task(loop)})
    for task in tasks:
        task.cancel()
    await gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled() and task.exception() is not None:
            message = "unhandled exception while a host of a world was ended"
            loop.call_exception_handler({"message": message, "exception": task.exception(), "task": task})
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


def abandon(loop: Any) -> None:
    """Close a loop, and the coroutines of the tasks that did not end."""
    if loop.is_closed():
        return
    for task in in_order(asyncio.all_tasks(loop)):
        task._log_destroy_pending = False  # whoever ends a world like this says so
        with suppress(Exception):
            task.get_coro().close()  # RuntimeError: it awaits in a `finally`
    loop.close()


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
