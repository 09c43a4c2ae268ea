"""Waiting, without Python's lock, until a loop has been busy for too long; a twin, as `native` is.

Interpreted, it takes the lock for a moment at each look at the counters, and may come late: so it goes by the time that
the loop itself noted, which is nanoseconds then.
"""

import os
import time

from . import ticks


def wait_for_stall(pulses, files, threshold, interval, patience):
    """Look at the pulses each `interval` seconds until one has stood still, and busy, for `threshold` seconds.

    Return its index, and for each what its file (a descriptor of the thread's schedstat, or -1) said when its pulse was
    last seen to move: nanoseconds on a processor, and waiting for one. The index is -1 when `patience` seconds are over
    and no loop looks suspicious.
    """
    begun = time.monotonic()
    seen = [0] * len(pulses)
    before = [(0, 0)] * len(pulses)
    while True:
        suspicious = False
        for index, pulse in enumerate(pulses):
            looks = pulse._looks
            busy = 0.0 if looks & 1 else (ticks.now() - pulse._look_ticks) / 1e9
            if busy >= threshold and seen[index]:
                return index, before
            if looks != seen[index]:
                seen[index], before[index] = looks, _schedstat(files[index])
            elif busy:
                suspicious = True
        if not suspicious and time.monotonic() - begun >= patience:
            return -1, before
        time.sleep(interval)


def _schedstat(file):
    try:
        on_processor, waited, _ = os.pread(file, 100, 0).split()
    except (OSError, ValueError):
        return 0, 0
    return int(on_processor), int(waited)
