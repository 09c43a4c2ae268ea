"""Faults: what a world does to its hosts and links, asked for one by one or drawn.

`World` has these as its methods. What is drawn has streams of its own: `a|b/partition` and `a>b/oneway` in periods of
time, `bank/kill` and `bank/power` by what arrives at and leaves a host, `alice>bank/2/reset` by segments, `bank/drift`
once, `bank/jump` by readings of its wall clock. Nothing here sets timers while nothing goes wrong, so a world that has
nothing left to do still ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any

# How often things go wrong where no number is given. A run makes of each kind a multiple, from none to twenty times it.
PERIOD = 2.0  # seconds: in each at most one drawn partition between two hosts
PARTITION_PROBABILITY = 0.05  # of one, in a period
RESET_PROBABILITY = 0.005  # a segment
CUT_PROBABILITY = 0.1  # a read or write that could be shorter
KILL_PROBABILITY = 0.004  # each time that something arrives at or leaves a host
LONGEST_DOWN = 2.0  # seconds; how long a host that was killed stays down at most
LOSS_PROBABILITY = 0.01
LOOKUP_PROBABILITY = 0.03
DRIFT_PROBABILITY = 0.2  # of a host, whose clock then goes wrong until `heal`
LARGEST_DRIFT = 0.2  # seconds a second: far more than a quartz has, so that it tells within the seconds that a test has
JUMP_PROBABILITY = 0.02  # each time that a wall clock is read
LARGEST_JUMP = 3600.0  # seconds: a summer time that somebody took for a correction


class Faults:
    """The faults that are drawn, and how often."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self.partitions = 0.0  # probability, a period
        self.oneway = 0.0  # the same, a direction
        self.drift = 0.0  # probability, a host
        self.jumps = 0.0  # probability, each time that a wall clock is read
        self._readings: dict[str, int] = {}  # so often a host's wall clock was read
        self._drifts = 0  # how often it was asked for
        self._drifting: dict[str, Any] = {}  # hosts whose clocks go wrong
        self.kills: dict[str, float] = {}  # {host: probability each time something arrives there or leaves it}
        self.power: dict[str, float] = {}
        self._events: dict[str, int] = {}  # so many things arrived at or left a host
        self._down: set[str] = set()  # hosts that are to be started again

    def parted(self, one: str, other: str) -> bool:
        """Whether what the one host sends now never gets to the other."""
        if one == other:
            return False
        pair = "|".join(sorted((one, other)))
        return (
            self.partitions > 0.0
            and self._is_period_of(f"{pair}/partition", self.partitions, one, "and", other, "cannot hear each other")
        ) or (
            self.oneway > 0.0
            and self._is_period_of(f"{one}>{other}/oneway", self.oneway, other, "cannot hear", one, "any more")
        )

    def _is_period_of(self, stream: str, probability: float, *words: str) -> bool:
        """Whether it is now the time that a stream takes of this period, if it is wild in it."""
        world = self._world
        period, into = divmod(world.now, PERIOD)
        severity = world.draw(stream, int(period), probability)
        if not severity:
            return False
        length = severity * PERIOD
        begin = world.draw(f"{stream}_begins", int(period)) * (PERIOD - length)
        if world.log is not None:
            world.explain_choice((stream, int(period)), " ".join(words), f"for {length:.3g} s")
        return bool(begin <= into < begin + length)

    def ask_for_drift(self, probability: float) -> None:
        """Let the clocks of hosts go wrong, of those that are there and of those to come."""
        self.drift = probability
        self._drifts += 1
        for host in self._world.hosts.values():
            self.began(host)

    def began(self, host: Any) -> None:
        """A host is there: perhaps its clock is slow, or fast."""
        name = host.name
        severity = self._world.draw(f"{name}/drift", self._drifts, self.drift) if self.drift else 0.0
        if not severity:
            return
        drift = severity * LARGEST_DRIFT
        is_fast = bool(self._world.draw(f"{name}/drift_ahead", self._drifts, 0.5))
        if self._world.log is not None:
            words = f"the clock of {name} is {'fast' if is_fast else 'slow'}"
            self._world.explain_choice((f"{name}/drift", self._drifts), words, f"by {drift * 1e3:.3g} ms a second")
        self._drifting[name] = host
        host.drift(1 + drift if is_fast else 1 - drift)

    def wall_is_read(self, host: Any) -> None:
        """The wall clock of a host is about to be read: perhaps it was set since the last time."""
        if not self.jumps:
            return
        name = host.name
        number = self._readings[name] = self._readings.get(name, 0) + 1
        severity = self._world.draw(f"{name}/jump", number, self.jumps)
        if not severity:
            return
        seconds = severity * LARGEST_JUMP
        is_ahead = bool(self._world.draw(f"{name}/jump_ahead", number, 0.5))
        if self._world.log is not None:
            words = f"the wall clock of {name} is set {'forward' if is_ahead else 'back'}"
            self._world.explain_choice((f"{name}/jump", number), words, f"by {seconds:.3g} s")
        host.clock.jump(seconds if is_ahead else -seconds)

    def touched(self, host: Any) -> None:
        """Something arrives at a host, leaves it, or is done to its disk: perhaps it is killed, or loses its power."""
        name = host.name
        if name in self._down or host.dead or (name not in self.kills and name not in self.power):
            return
        number = self._events[name] = self._events.get(name, 0) + 1
        for what, probabilities in (("kill", self.kills), ("power", self.power)):
            probability = probabilities.get(name, 0.0)
            severity = self._world.draw(f"{name}/{what}", number, probability) if probability else 0.0
            if severity:
                seconds = severity * LONGEST_DOWN
                if self._world.log is not None:
                    words = f"{name} is killed" if what == "kill" else f"{name} loses its power"
                    self._world.explain_choice((f"{name}/{what}", number), words, f"and is down for {seconds:.3g} s")
                self._take_down(host, what, seconds)
                return

    def _take_down(self, host: Any, what: str, seconds: float) -> None:
        """End the program now. If its own turn runs, nothing that it does in the rest of it has any effect."""
        self._down.add(host.name)
        when = max(self._world.now, host.now)
        if what == "power":
            host.kernel.power_off()
            self._world.at(when, host._power_off)
        else:
            host.kernel.kill()
            self._world.at(when, host._kill)
        self._world.at(when + seconds, self._up, host)

    def _up(self, host: Any) -> None:
        if host.name in self._down:
            self._down.discard(host.name)
            host._restart()

    def end(self) -> None:
        """No more faults; hosts that were to be started again start now."""
        self.partitions = self.oneway = self.drift = self.jumps = 0.0
        self.kills = {}
        self.power = {}
        for host in self._drifting.values():
            host.drift(1.0)
        self._drifting.clear()
        for name in sorted(self._down):
            host = self._world.hosts[name]
            self._world.at(max(self._world.now, host.now), self._up, host)  # it may be about to go down


def no_host(hosts: Iterable[str], name: object) -> str:
    """Say that no host has a name, and which there are."""
    known = f"there are {', '.join(sorted(hosts))}" if hosts else "there are none yet"
    return f"there is no host {name!r} ({known}): make it first, by world.host({name!r})"


def _names(hosts: Any) -> list[str]:
    """The names of hosts, given as such, as hosts, or one alone."""
    if isinstance(hosts, str) or not isinstance(hosts, Iterable):
        hosts = [hosts]
    return [host if isinstance(host, str) else host.name for host in hosts]


class Troubles:
    """The part of a `World` that is about its network and its faults. Hosts are given by name, or as Host."""

    network: Any
    hosts: dict[str, Any]
    late: bool

    def _known(self, hosts: Any) -> list[str]:
        """Return the names of hosts, given as such, as hosts, or one alone. ValueError if there is none of a name."""
        found = _names(hosts)
        for name in found:
            if name not in self.hosts:
                raise ValueError(no_host(self.hosts, name))
        return found

    @property
    def names(self) -> Any:
        """The names that hosts look up: `world.names.add("db.example", "10.0.0.2")`."""
        return self.network.names

    def lookup(self, *, delay: tuple[float, float] | None = None, failure: float | None = None) -> None:
        """Set what looking up a name takes (seconds, least and most), and how probably it fails for now."""
        if delay is not None:
            self.names.delay = _between("delay", delay)
        if failure is not None:
            self.names.failure = _probability("failure", failure, failure)

    def link(
        self,
        one: Any,
        other: Any,
        *,
        latency: tuple[float, float] | float | None = None,
        loss: float | None = None,
        duplicate: float | None = None,
        reorder: float | None = None,
        bandwidth: float | None = None,
        oneway: bool = False,
    ) -> None:
        """Say what the way between two hosts is like (`oneway`: from the first to the second only).

        `latency` in seconds, the least and the most, or always the same; `loss`, `duplicate` and `reorder` are
        probabilities (a lost segment of TCP comes later, a lost datagram never); `bandwidth` in bytes a second.
        """
        self._known([one, other])
        if latency is not None:
            latency = _between("latency", latency)
        if bandwidth is not None and not bandwidth > 0:
            raise ValueError(f"bandwidth is in bytes a second, above 0, not {bandwidth}; to cut a link: partition()")
        for value, what in ((loss, "loss"), (duplicate, "duplicate"), (reorder, "reorder")):
            if value is not None:
                _probability(what, value, value)
        name, other_name = self._known([one, other])
        self.network.set_link(
            name,
            other_name,
            oneway,
            latency=latency,
            loss=loss,
            duplicate=duplicate,
            reorder=reorder,
            bandwidth=bandwidth,
        )

    def partition(self, side: Any, others: Any = None, *, oneway: bool = False) -> None:
        """Cut a host, or hosts, off from others (None: from all others). `oneway`: what the side sends is lost."""
        self.network.partition(self._known(side), None if others is None else self._known(others), oneway)

    def hold(self, side: Any, others: Any = None, *, oneway: bool = False) -> None:
        """Let nothing get from a side to the others, nor back, until `release`; nothing is lost."""
        self.network.hold(self._known(side), None if others is None else self._known(others), oneway)

    def release(self, side: Any = None, others: Any = None) -> None:
        """Let go on what was held between the two sides, or everywhere."""
        self.network.release(
            None if side is None else self._known(side), None if others is None else self._known(others)
        )

    def reset(self, one: Any, other: Any) -> int:
        """Reset all connections between two hosts, as a router that restarts; return how many there were."""
        name, other_name = self._known([one, other])
        return int(self.network.reset(name, other_name))

    def faults(
        self,
        *,
        partitions: bool | float = False,
        oneway: bool | float = False,
        resets: bool | float = False,
        chunks: bool | float = False,
        loss: bool | float = False,
        lookups: bool | float = False,
        kills: Any = (),
        power: Any = (),
        drift: bool | float = False,
        jumps: bool | float = False,
        late: bool | None = None,
    ) -> None:
        """Let these faults be drawn from now on, until `heal`.

        True stands for a usual probability: of a partition between two hosts (a period of 2 s), of one that cuts only
        what one of them sends (`oneway`), of a reset (a segment), of a read or write that is cut short, of a segment or
        datagram that is lost, of a look-up that fails, of a clock that goes a fifth too slow or too fast at most,
        of a wall clock that is set forward or back by an hour at most (each time that it is read).
        `kills` and `power` are hosts, or one alone, that may be killed or lose their power; they are started again
        within 2 s.
        """
        network = self.network
        drawn = network.faults
        drawn.partitions = _probability("partitions", partitions, PARTITION_PROBABILITY)
        drawn.oneway = _probability("oneway", oneway, PARTITION_PROBABILITY)
        drawn.jumps = _probability("jumps", jumps, JUMP_PROBABILITY)
        network.resets = _probability("resets", resets, RESET_PROBABILITY)
        network.chunks = _probability("chunks", chunks, CUT_PROBABILITY)
        network.loss = _probability("loss", loss, LOSS_PROBABILITY)
        if lookups:
            self.names.failure = _probability("lookups", lookups, LOOKUP_PROBABILITY)
        drawn.kills = dict.fromkeys(self._known(kills), KILL_PROBABILITY)
        drawn.power = dict.fromkeys(self._known(power), KILL_PROBABILITY)
        if drift:
            drawn.ask_for_drift(_probability("drift", drift, DRIFT_PROBABILITY))
        if late is not None:
            self.late = late

    def heal(self) -> None:
        """End all faults, drawn and asked for; from here on the system has to get well. Latencies stay."""
        self.network.heal()
        self.late = False


def _between(what: str, seconds: tuple[float, float] | float) -> tuple[float, float]:
    """Return the least and the most of a time that is drawn. ValueError if it is no time."""
    least, most = seconds if isinstance(seconds, (tuple, list)) else (seconds, seconds)
    if not 0 <= least <= most < inf:
        raise ValueError(f"{what} is in seconds, the least and the most, from 0 on, not {seconds}")
    return least, most


def _probability(what: str, wanted: bool | float, usual: float) -> float:
    """Return what was asked for, the usual probability for True. ValueError if it is none."""
    if not 0 <= wanted <= 1:
        raise ValueError(f"{what} is a probability, from 0 to 1, not {wanted}")
    return usual if wanted is True else float(wanted)
