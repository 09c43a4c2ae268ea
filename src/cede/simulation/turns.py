"""Turns: the agenda of a world, and the turns of its hosts.

The agenda is a heap by time: hosts whose turn it is then, and arrivals, callbacks of the network. The first entry is
taken, the world's time set to that of the entry, and it happens; so nobody ever waits for real. A host stands in the
agenda once at most: when a turn leaves something to do, at the end of that turn; else when its next timer is due or, if
that comes first, when somebody wakes it. Hosts that sleep are not looked at.

Law: of two entries due at the same time the one that was made first happens first.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from typing import Any

from . import current
from .clock import HostTime, VirtualClock
from .errors import OutOfTime
from .poller import WorldPoller

TURN = 10e-6  # seconds that a turn takes
_TURN = TURN
_INFINITY = inf
_TURNS_PER_COLLECTION = 10_000


class Arrival:
    """A callback in the agenda."""

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.callback: Callable[..., Any] | None = callback
        self.args = args

    def cancel(self) -> None:
        """Let it not happen. Doing so afterwards, or twice, changes nothing."""
        self.callback = None
        self.args = ()


class Machine(HostTime):
    """What has turns: a host, as the agenda knows it."""

    def __init__(self, name: str, now: float, wall: float) -> None:
        super().__init__(now)
        self.name = name
        self.running = False  # True iff its turn runs, or stands still in a call that blocks
        self.dead = False  # True iff it was killed and not started again
        self.loop: Any = None  # the loop that the world drives
        self.clock = VirtualClock(self, wall=wall)
        self.belongings: Any = None  # what it has for itself of what the process has once
        self.entry = 0  # number of its entry in the world's agenda; 0: it has none
        self.due = 0.0  # seconds of the world: when that entry is due
        self.oversleep = 0.0  # seconds by which it is going to be late when it is woken

    def turned(self) -> None:
        """Charge a turn: fixed, not drawn."""
        self.now += _TURN

    def late(self) -> float:
        """Draw by how many seconds a sleep that begins now takes too long."""
        raise NotImplementedError

    def has_work(self) -> bool:
        """Whether a turn would do something now."""
        return not self.dead and can_run(self.loop)

    def deadline(self) -> float:
        """Return when, by the world's time, its next timer is due; inf if there is none."""
        return _INFINITY if self.dead else self.clock.world_time(next_deadline(self.loop))


def can_run(loop: Any) -> bool:
    """Whether a turn of the loop would do something now."""
    if loop._upcoming or loop._incoming or loop._stopping:
        return True
    poller: WorldPoller = loop._poller
    return poller.has_ready()


def next_deadline(loop: Any) -> float:
    """Return the earliest deadline of a loop's timers, by its clock; inf if there is none."""
    deadline: float = loop._timers._next_deadline()
    return deadline


class Turns:
    """The part of a `World` that says whose turn it is, and what time."""

    def __init__(self, max_time: float, max_turns: float, log: Any) -> None:
        self.max_time = max_time  # seconds of the world
        self.max_turns = max_turns
        self.log = log
        self.now = 0.0  # seconds since the world began
        self.turns = 0  # of all hosts
        self.current: Any = None  # the host whose turn runs
        self._agenda: list[tuple[float, int, Any]] = []  # (when, number, Arrival or Machine)
        self._number = 0  # of the last entry
        self._arrivals = 0  # that happened
        self._failure: BaseException | None = None  # what a host that is not main raised
        self._settlers: list[Any] = []  # futures of those who wait until all is quiet
        self._invariants: list[Callable[[], Any]] = []
        self._look_at = min(_TURNS_PER_COLLECTION, max_turns)  # turns at which something is to be done
        self._real_machine: Any = None  # what is let through to it, if anything is
        self._worn: Any = None  # the belongings that lie in place
        self._hooked: Any = None  # the loop to which async generators belong now

    # What a World does about it.

    def wear(self, host: Any) -> None:
        """Lay a host's belongings in place, as its code is to run."""

    def _has_settled(self) -> bool:
        """Whether nobody can go on at this instant."""
        raise NotImplementedError

    def _wake_settler(self) -> None:
        """Tell the first of those who wait for that."""
        raise NotImplementedError

    def _cannot_go_on(self) -> None:
        """Raise what says so: the agenda is empty."""
        raise NotImplementedError

    def _see_whether_anybody_gets_on(self, host: Any) -> None:
        """Raise what says so if nobody does; asked once in many turns."""

    # The agenda.

    def at(self, when: float, callback: Callable[..., Any], *args: Any) -> Arrival:
        """Call `callback(*args)` at `when` (seconds of the world), between two turns; it must not raise."""
        return self._at(when, callback, args)

    def _at(self, when: float, callback: Callable[..., Any], args: tuple[Any, ...]) -> Arrival:
        arrival = Arrival(callback, args)
        self._number += 1
        heappush(self._agenda, (when if when > self.now else self.now, self._number, arrival))
        return arrival

    def wake(self, host: Machine) -> None:
        """Give a host a turn as soon as it may have one."""
        if host.running or host.dead:
            return  # its turn runs, and is followed by a look at what it left
        when = (host.now if host.now > self.now else self.now) + host.oversleep
        if not host.entry or when < host.due:
            self._enlist(host, when)

    def _enlist(self, host: Machine, when: float) -> None:
        self._number += 1
        host.entry = self._number
        host.due = when
        heappush(self._agenda, (when, self._number, host))

    def advance(self, until: Callable[[], bool]) -> None:
        """Let the agenda happen until `until()`. Deadlock, Livelock or OutOfTime if that cannot be."""
        agenda = self._agenda
        while not until():
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            if self._settlers and (not agenda or agenda[0][0] > self.now) and self._has_settled():
                self._wake_settler()
                continue
            if (
                self._real_machine is not None
                and (not agenda or agenda[0][0] > self.now)
                and self._real_machine.stand_still(not agenda)
            ):
                continue
            if not agenda:
                self._cannot_go_on()
            entry = heappop(agenda)
            when, number, item = entry[0], entry[1], entry[2]
            if isinstance(item, Arrival):
                self._happens(when, item)
                continue
            host: Machine = item
            if host.entry == number and host.running:  # it stands still in a call that blocks
                host.entry = 0
            elif host.entry == number:  # else it was woken earlier
                if when > self.max_time:
                    raise OutOfTime(f"{when:.3f} s have passed in the world, and max_time is {self.max_time:.3f} s")
                if when > self.now:
                    self.now = when
                self._turns_of(host, until)

    def _happens(self, when: float, arrival: Arrival) -> None:
        callback = arrival.callback
        if callback is not None:
            if when > self.now:
                self.now = when
            self._arrivals += 1
            callback(*arrival.args)

    def _turns_of(self, host: Any, until: Callable[[], bool]) -> None:
        """Let a host have its turn, and those that follow at once because nothing else is due before."""
        host.entry = 0
        host.oversleep = 0.0
        if self.now > host.now:
            host.now = self.now
        outer, self.current, host.running = self.current, host, True
        before = current.enter(host)
        if host.belongings is not self._worn:
            self.wear(host)
        loop = host.loop
        self.hook(loop)
        try:
            loop._begin_turns()
            self._have_turns(host, loop, until)
        finally:
            loop._waker._wanted = True  # between turns it sleeps
            if loop._batch is not None:  # an interrupt left some of it
                loop._put_back()
            loop._end_turns()
            current.enter(before)
            self.current, host.running = outer, False
        self._plan(host)
        if self.turns >= self._look_at:
            self._look(host)

    def _have_turns(self, host: Machine, loop: Any, until: Callable[[], bool]) -> None:
        agenda, log = self._agenda, self.log
        while True:
            if log is not None:
                log.turn(host.name, host.now)
            loop._turn()
            loop._stopping = False  # a loop that others drive is not stopped
            host.now += _TURN
            self.turns += 1
            if self._invariants:
                loop._end_turns()
                for invariant in self._invariants:
                    invariant()
                loop._begin_turns()
            if not can_run(loop):
                break
            if agenda:
                first = agenda[0]
                due = first[0]
                if due <= host.now:
                    break
            if self.turns >= self._look_at or self._failure is not None or self._settlers or self.now > self.max_time:
                break
            if until():
                break
            self.now = host.now

    def count_own_turn(self, host: Machine, arrivals: int) -> None:
        """Count a turn of a loop that turns by itself; of what arrived, so many only let it have that turn.

        Livelock or OutOfTime if the run cannot go on.
        """
        self.turns += 1
        self._arrivals -= arrivals
        if self.now > self.max_time:
            raise OutOfTime(f"{self.now:.3f} s have passed in the world, and max_time is {self.max_time:.3f} s")
        if self.turns >= self._look_at:
            self._look(host)

    def hook(self, loop: Any) -> None:
        """Let async generators that begin on this thread belong to the loop whose turn comes."""
        if self._hooked is not loop:
            self._hooked = loop
            sys.set_asyncgen_hooks(*loop._asyncgen_hooks())

    def _plan(self, host: Machine) -> None:
        """Put a host whose turn is over into the agenda, if there is a time at which it goes on by itself."""
        if host.dead:
            return
        if can_run(host.loop):
            self._enlist(host, host.now)
            return
        host.oversleep = host.late()
        deadline = host.clock.world_time(next_deadline(host.loop))
        if deadline != _INFINITY:
            self._enlist(host, (deadline if deadline > host.now else host.now) + host.oversleep)

    def _look(self, host: Machine) -> None:
        """Do what is done once in many turns: collect garbage, and see whether anybody gets on."""
        if self.turns >= self.max_turns:
            raise OutOfTime(f"{self.turns} turns have passed in the world, and max_turns is {self.max_turns}")
        gc.collect()
        self._look_at = min(self.turns + _TURNS_PER_COLLECTION, self.max_turns)
        self._see_whether_anybody_gets_on(host)
