"""Clock: the only reader of the machine's clock.

A loop is given its clock. Another one (virtual time, a test's) is any object with `time()` in
seconds and, if it likes, `resolution`; the loop wraps it in a `ForeignClock`, so that the engine
always asks `_now()`.
"""

import time as _time

from . import native, syscalls

_SHORTEST_WAIT = 50e-6  # seconds; about what it takes to be woken, and many timers may become due meanwhile
_WINDOW = 1e-3  # seconds; the least over which the timers that were due are counted
_WAIT_PER_RATE = 2e-7  # seconds a timer a second; where many are due they share a wake-up: five at 5,000 a second
_CROWDED_WAIT = 0.9e-3  # seconds; the most of that
_LONG_WAIT = 2e-3  # seconds; the longer a processor has slept, the later it wakes
_LEAD = 400e-6  # seconds; out of a long wait the loop comes this much earlier, and waits for the rest


class Clock:
    """The machine's monotonic clock. It never goes back, and does not count the time of a suspended machine."""

    def __init__(self):
        self.resolution = self.natural_resolution()  # seconds; timers this near are due
        # How many timers were due a second in the last whole window, and how many were in this one, since when.
        self._rate = 0.0
        self._due = 0
        self._since = 0.0

    def natural_resolution(self):
        """Return the `resolution` that the clock has unless somebody says otherwise."""
        return _time.get_clock_info("monotonic").resolution

    def _now(self):
        return syscalls.monotonic()

    def _wait_until(self, deadline, lately):
        """How many seconds to wait now: 0 if that is too late, less or more than till the deadline if that is better.

        The next timer is due at `deadline`, and `lately` of them were since the loop last waited.
        """
        now = self._now()
        self._due += lately
        if now - self._since >= _WINDOW:
            self._rate = self._due / (now - self._since)
            self._since = now
            self._due = 0
        delay = deadline - now
        if delay <= 0.0:
            return 0.0
        if delay > _LONG_WAIT:
            return delay - _LEAD
        return max(delay, _SHORTEST_WAIT, min(self._rate * _WAIT_PER_RATE, _CROWDED_WAIT))

    def time(self):
        """Return the seconds since some moment in the past, as a float."""
        return self._now()


class ForeignClock(Clock):
    """The clock a loop was given, behind the engine's own face."""

    def __init__(self, clock):
        self.clock = clock  # any object with time()
        self.resolution = self.natural_resolution()

    def natural_resolution(self):
        return getattr(self.clock, "resolution", 1e-9)

    def _now(self):
        return self.clock.time()

    def _wait_until(self, deadline, lately):
        delay = deadline - self._now()
        return delay if delay > 0.0 else 0.0

    def time(self):
        return self.clock.time()


# Interpreted, no function of ours between; and what fakes the time of other modules does not find it, as it does not
# find the compiled one.
native.declare(Clock, {"_now": _time.monotonic})


_known = {Clock}


def know(kind):
    """Let loops go by clocks of the class `kind`, one of cede's own, without one around them."""
    _known.add(kind)


def as_clock(clock):
    """The Clock that a loop goes by: `clock` itself, one around it, or the machine's for None."""
    if clock is None:
        return Clock()
    return clock if type(clock) in _known else ForeignClock(clock)
