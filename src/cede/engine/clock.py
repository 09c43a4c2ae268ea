"""Clock: the only reader of the machine's clock.

A loop is given its clock. Another one (virtual time, a test's) is any object with `time()` in
seconds and, if it likes, `resolution`; the loop wraps it in a `ForeignClock`, so that the engine
always asks `_now()`.
"""

import time as _time

from . import native


class Clock:
    """The machine's monotonic clock. It never goes back, and does not count the time of a suspended machine."""

    def __init__(self):
        self.resolution = _time.get_clock_info("monotonic").resolution  # seconds; timers this near are due

    def _now(self):
        return native.monotonic()

    def time(self):
        """Return the seconds since some moment in the past, as a float."""
        return self._now()


class ForeignClock(Clock):
    """The clock a loop was given, behind the engine's own face."""

    def __init__(self, clock):
        self.clock = clock  # any object with time()
        self.resolution = getattr(clock, "resolution", 1e-9)

    def _now(self):
        return self.clock.time()

    def time(self):
        return self.clock.time()
