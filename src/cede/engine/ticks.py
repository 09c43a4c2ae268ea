"""The quickest clock there is; a twin, as `native` is.

Compiled, `now` reads the processor's counter where the kernel keeps time by it, else the system's monotonic clock in
nanoseconds; interpreted, always that. What a tick is worth is told by two readings of both. It is only for
counting: loops go by the time of their clock, and who plays with the time of programs does not change this one.
"""

from time import CLOCK_MONOTONIC, clock_gettime_ns


def now():
    """Return how many ticks went by since some moment in the past."""
    return clock_gettime_ns(CLOCK_MONOTONIC)


def nanoseconds():
    """Return the machine's monotonic clock."""
    return clock_gettime_ns(CLOCK_MONOTONIC)


def bits(number):
    """Return how many bits a number has: 0 for 0, 1 for 1, 2 for 2 and 3, 3 for 4 to 7 …"""
    return number.bit_length()
