"""VirtualClock: the clock of a host, over the time of its world.

A host's monotonic clock begins at 1,000 s and its wall clock at 2000-01-01: small numbers on purpose, as a float of the
size of a real date has lost the microseconds that timers count in. A clock may run fast or slow (`rate`), and its wall
time may jump; its monotonic time never goes back.

A reading takes 0.1 µs of the host's time, so that a program which waits for the clock by reading it gets on.
"""

from __future__ import annotations

from math import inf

from ..engine.clock import Clock, know

BOOT = 1_000.0  # seconds; what the monotonic clock of a host shows when its world begins
WALL_EPOCH = 946_684_800  # seconds; 2000-01-01 00:00:00 UTC
READING = 1e-7  # seconds that it takes to read a clock
_READING = READING
_INFINITY = inf


class HostTime:
    """What time it is for a host."""

    def __init__(self, now: float) -> None:
        self.now = now  # seconds of the world, as the host's running turn has it


class VirtualClock(Clock):
    """What a loop and the captured functions of `time` read. `resolution` is as fine as floats are."""

    def __init__(self, host: HostTime, *, rate: float = 1.0, wall: float = WALL_EPOCH) -> None:
        self.resolution = self.natural_resolution()
        self._host = host
        self._rate = rate  # seconds of this clock in a second of the world
        self._since = 0.0  # seconds of the world: when the rate was set last
        self._shown = BOOT  # what the clock showed then
        self._wall = wall - BOOT  # seconds from the monotonic to the wall clock

    def natural_resolution(self) -> float:
        return 1e-9

    def time(self) -> float:
        """Return the monotonic time in seconds."""
        return self._now()

    def _now(self) -> float:
        host = self._host
        host.now += _READING
        return self._shown + (host.now - self._since) * self._rate

    def peek(self) -> float:
        """Return the monotonic time without reading the clock, for who only looks on."""
        return self._shown + (self._host.now - self._since) * self._rate

    def _wait_until(self, deadline: float, lately: int) -> float:
        delay = deadline - self._now()
        return delay if delay > 0.0 else 0.0

    def wall(self) -> float:
        """Return the wall time: seconds since 1970."""
        return self._now() + self._wall

    def world_time(self, deadline: float) -> float:
        """Return when, by the world's time, this clock shows `deadline`; inf for inf."""
        if deadline == _INFINITY:
            return _INFINITY
        return self._since + (deadline - self._shown) / self._rate

    def set_rate(self, rate: float) -> None:
        """Let the clock run at `rate` of its seconds a second from now on. ValueError unless it is positive."""
        if not rate > 0:
            raise ValueError(f"a clock that goes {rate} seconds a second never gets anywhere: give a positive number")
        self._shown = self._now()
        self._since = self._host.now
        self._rate = rate

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back if negative. The monotonic clock does not notice."""
        self._wall += seconds


know(VirtualClock)
