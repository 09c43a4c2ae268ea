"""Threads of a world: real ones, of which exactly one runs at a time.

The thread that began the world keeps the agenda. When an entry lets another thread go on, it hands that one the baton
and waits until it comes back: because the other one blocks, or has ended. So threads change hands only where a program
blocks: in a lock, a queue, a sleep, a socket, `join`; and the agenda says who goes on, as it does for hosts.

A blocking call on the keeper's own thread lets the agenda happen meanwhile, inside of that call; the host that blocks
gets no turn until it returns.

Law: whoever touches the world holds the baton. A thread that keeps it for five real seconds blocks on something real:
that ends the run, with its stack.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from _thread import LockType, allocate_lock, get_ident
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import current
from .errors import SimulationError

if TYPE_CHECKING:
    from .hosts import Host
    from .world import World

PATIENCE = 5.0  # real seconds for which a thread may keep the baton, or a lock of the real machine be waited for
_LOOKS = 10  # in that time; a machine that stands still (a laptop's lid) costs one: it is not the thread's fault
LATEST = 0.001  # seconds; the most by which a thread goes on later than it could
_LATE_PROBABILITY = 0.1
_TRIES_TO_END = 100  # a thread that catches what ends it is told again, so often

_acquire: Callable[..., bool] = vars(LockType)["acquire"]
_release: Callable[..., None] = vars(LockType)["release"]


class Waiter:
    """What a thread waits with. `wake` comes from whoever holds the baton; if nobody waits yet, it is remembered."""

    __slots__ = ("_expired", "_thread", "_woken", "_world")

    def __init__(self, world: World) -> None:
        self._world = world
        self._woken = False
        self._expired = False
        self._thread: WorldThread | None = None  # who waits, if that is not the keeper of the agenda

    def wake(self) -> None:
        """Let who waits go on."""
        self._woken = True
        self._call_thread()

    def _expire(self) -> None:
        self._expired = True
        self._call_thread()

    def _call_thread(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.goes_on()

    def arrivals(self) -> int:
        """Return how many there will be only because of a wait of no length, which begins now."""
        if self._woken:
            return 0
        return 1 if self._world.threads.running(get_ident()) is None else 2  # it expires, and the thread goes on

    def wait(self, timeout: float | None) -> bool:
        """Wait until `wake`, or for `timeout` seconds of the host's time; return False if that ended it."""
        host = current.host()
        if host is None:
            raise RuntimeError("only a program in a world waits in it")
        if not self._woken:
            arrival = None if timeout is None else self._world.at(host.now + max(timeout, 0.0), self._expire)
            try:
                self._stand_still(host)
            finally:
                if arrival is not None:
                    arrival.cancel()
        woken, self._woken, self._expired = self._woken, False, False
        return woken

    def _stand_still(self, host: Host) -> None:
        thread = self._world.threads.running(get_ident())
        if thread is None:
            self._world.threads.keep_agenda(host, lambda: self._woken or self._expired)
        else:
            while not (self._woken or self._expired):  # a signal's handler runs in between
                self._thread = thread
                thread.stand_still()
        host.now = max(host.now, self._world.now)


class WorldThread:
    """One thread of a world, beside the keeper of the agenda."""

    def __init__(self, threads: Threads, host: Host, program: Any, join: Callable[[], None]) -> None:
        self.host = host
        self.program = program  # the program's Thread, None for one without
        self.ended = False
        self.gone = False  # True iff its process was killed: it never goes on, until the world ends
        self.interrupts: list[Callable[[], Any]] = []  # handlers of signals, to be called when it goes on
        self.joiners: list[Waiter] = []
        self._threads = threads
        self._join = join  # waits, for real, until the thread is gone
        self._baton = allocate_lock()
        _acquire(self._baton)
        self.ends = False  # True iff it is to end where it stands
        host.threads += 1
        self._late = threads.world.stream(f"{host.name}/{host.threads}/thread", _LATE_PROBABILITY)
        self._where = f"{host.name}, thread {host.threads} goes on"

    def goes_on(self) -> None:
        """Let the thread run on as soon as it can."""
        world = self._threads.world
        delay = self._late.draw() * LATEST
        if delay and world.log is not None:
            world.explain(self._late, self._where, f"{delay * 1e3:.3g} ms late")
        world.at(max(world.now, self.host.now) + delay, self._hand_over)

    def _hand_over(self) -> None:
        if not self.ended and (self.ends or not self.gone):
            self.host.now = max(self.host.now, self._threads.world.now)
            self._threads.hand_over(self)
            if self.ended:
                self._join()

    def give_baton(self) -> None:
        """Let it run. Called by the keeper."""
        _release(self._baton)

    def stand_still(self) -> None:
        """Give the baton back, and wait for it. Called by the thread."""
        if not self.ends:
            before = current.enter(None)
            self._threads.come_back()
            _acquire(self._baton)
            current.enter(before)
            self._threads.world.wear(self.host)
        if self.ends:
            raise SystemExit
        while self.interrupts:
            self.interrupts.pop(0)()

    def end(self) -> None:
        """Let it end where it stands."""
        self.ends = True
        for _ in range(_TRIES_TO_END):
            if self.ended:
                return
            self._hand_over()

    def life(self, function: Callable[..., Any], *args: Any) -> None:
        """All that the real thread does."""
        _acquire(self._baton)
        self._threads.enter(self, get_ident())
        try:
            if not self.ends:
                function(*args)
        finally:
            for waiter in self.joiners:
                waiter.wake()
            self.ended = True
            self._threads.leave(self, get_ident())
            self._threads.come_back()


class Threads:
    """The threads of one world, and what they wait for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._all: dict[Any, WorldThread] = {}  # by the program's Thread; as long as it lives
        self._running: dict[int, WorldThread] = {}  # by number
        self._back = allocate_lock()  # locked until the baton comes back
        _acquire(self._back)
        self._holder: WorldThread | None = None  # who has the baton, if not the keeper
        self._waiting: dict[int, deque[Waiter]] = {}  # by id of a lock or a queue: who waits for it
        self.held: set[int] = set()  # ids of the locks that were taken in this world

    # --- The baton

    def running(self, number: int) -> WorldThread | None:
        """Return the thread of that number; None for the keeper of the agenda."""
        return self._running.get(number)

    def ends(self, number: int) -> bool:
        """Whether the thread of that number is to end where it stands."""
        thread = self._running.get(number)
        return thread is not None and thread.ends

    def hand_over(self, thread: WorldThread) -> None:
        """Let a thread run until it blocks or ends."""
        self._holder = thread
        thread.give_baton()
        self._await_baton()

    def come_back(self) -> None:
        """Give the baton to the keeper."""
        _release(self._back)

    def _await_baton(self) -> None:
        for _ in range(_LOOKS):
            if _acquire(self._back, True, PATIENCE / _LOOKS):
                self._holder = None
                return
        raise SimulationError(self._stuck())

    def _stuck(self) -> str:
        number = next((number for number, thread in self._running.items() if thread is self._holder), 0)
        frame = sys._current_frames().get(number)
        stack = "" if frame is None else "".join(traceback.format_stack(frame))
        head = (
            f"a thread has run for {PATIENCE:g} real seconds without blocking on anything of its world: it computes, "
        )
        head += "or waits for something real (a lock of another thread, C with sockets of its own). It is here:\n"
        return head + stack

    def keep_agenda(self, host: Host, until: Callable[[], bool]) -> None:
        """Let the agenda happen until `until()`, while `host` stands still. On the keeper's thread."""
        before, host.running = host.running, True
        entered = current.enter(None)
        try:
            self.world.advance(until)
        finally:
            current.enter(entered)
            host.running = before
            self.world.wear(host)
            if before:
                self.world.hook(host.loop)
            if not before and host.has_work():
                self.world.wake(host)

    # --- Their lives

    def start(self, real: Callable[..., Any], function: Any, *args: Any, **kwargs: Any) -> Any:
        """Start a thread as `real` does, which `threading` uses for it, but as one of the world."""
        host = current.host()
        assert host is not None
        program = getattr(function, "__self__", None)  # the program's Thread
        handle = kwargs.get("handle")
        join = (lambda: _join_before_313(program)) if handle is None else handle.join
        thread = WorldThread(self, host, program, join)
        if program is not None:
            self._all[program] = thread
        if args:  # (function, arguments)
            args = ((function, *args[0]), *args[1:])
            result = real(thread.life, *args, **kwargs)
        else:
            result = real(lambda: thread.life(function), **kwargs)
        thread.goes_on()
        return result

    def enter(self, thread: WorldThread, number: int) -> None:
        self._running[number] = thread
        current.enter(thread.host)
        self.world.wear(thread.host)

    def leave(self, thread: WorldThread, number: int) -> None:
        current.enter(None)
        del self._running[number]
        for program in [program for program, one in self._all.items() if one is thread]:
            del self._all[program]

    def join(self, program: Any, timeout: float | None) -> bool:
        """Wait until a thread has ended; return False if it has not within `timeout`."""
        thread = self._all.get(program)
        if thread is None or thread is self.running(get_ident()):
            return True  # the real one says what is wrong
        waiter = Waiter(self.world)
        thread.joiners.append(waiter)
        return waiter.wait(None if timeout is None or timeout < 0 else timeout)

    def of(self, host: Host) -> list[Any]:
        """Return the threads of a host that are there, as the program knows them."""
        return [program for program, thread in self._all.items() if thread.host is host and not thread.gone]

    def standing(self) -> list[tuple[str, str, traceback.StackSummary]]:
        """Return (host, name, stack) of the threads that stand still in the middle of something."""
        frames = sys._current_frames()
        return [
            (thread.host.name, getattr(thread.program, "name", "?"), traceback.extract_stack(frames[number]))
            for number, thread in self._running.items()
            if number in frames and not thread.gone
        ]

    def put_aside(self, which: Callable[[WorldThread], bool]) -> None:
        """Let threads not go on, without a word to them: their process was killed."""
        for thread in self._all.values():
            if which(thread):
                thread.gone = True

    def interrupt(self, program: Any, handler: Callable[[], Any]) -> None:
        """Call a signal's handler in a thread of the program, in the middle of what it waits for."""
        thread = self._all.get(program)
        if thread is not None:
            thread.interrupts.append(handler)
            thread.goes_on()

    def close(self) -> None:
        """End the threads that are left, where they stand."""
        if self._holder is not None:
            self._await_baton()
        for host in self.world.hosts.values():
            tasks: list[Any] = [
                task for loop in host.loops if loop is not host.loop for task in asyncio.all_tasks(loop)
            ]
            for task in tasks:
                task._log_destroy_pending = False
        for thread in list(self._all.values()):
            thread.end()

    # --- What they wait for

    def wait_for(self, thing: Any, attempt: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until `attempt()`, which is tried whenever somebody says that `thing` is free; False after `timeout`."""
        host = current.host()
        assert host is not None
        deadline = None if timeout is None else host.now + timeout
        waiter = Waiter(self.world)
        self._waiting.setdefault(id(thing), deque()).append(waiter)
        try:
            while True:
                woken = waiter.wait(None if deadline is None else deadline - host.now)
                if attempt():
                    return True
                if not woken:
                    return False
                self._waiting.setdefault(id(thing), deque()).appendleft(waiter)  # somebody was quicker
        finally:
            queue = self._waiting.get(id(thing)) or deque()
            if waiter in queue:
                queue.remove(waiter)
            if not queue:
                self._waiting.pop(id(thing), None)

    def is_free(self, thing: Any) -> None:
        """Wake the first of those who wait for a thing."""
        queue = self._waiting.get(id(thing))
        if queue:
            queue.popleft().wake()


def _join_before_313(program: Any) -> None:
    lock = getattr(program, "_tstate_lock", None)
    if lock is not None and _acquire(lock, True, PATIENCE):
        _release(lock)


def captured() -> list[tuple[Any, str, Any]]:
    """Return the attributes of `threading` that start and join threads of a world."""
    name = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"
    real_start, real_join, real_excepthook = vars(threading)[name], threading.Thread.join, threading.excepthook

    def start(function: Any, *args: Any, **kwargs: Any) -> Any:
        host = current.host()
        if host is None:
            return real_start(function, *args, **kwargs)
        return host.world.threads.start(real_start, function, *args, **kwargs)

    def join(self: threading.Thread, timeout: float | None = None) -> None:
        host = current.host()
        if host is None or host.world.threads.join(self, timeout):
            real_join(self, timeout)

    def excepthook(args: Any, /) -> None:
        host = current.host()
        if host is None or args.exc_type is not SystemExit or not host.world.threads.ends(get_ident()):
            real_excepthook(args)

    return [(threading, name, start), (threading.Thread, "join", join), (threading, "excepthook", excepthook)]
