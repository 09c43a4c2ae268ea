"""What a watcher of loops sleeps in, without Python's lock where it is compiled, and what it sees when it wakes."""

from . import native, sentry


def thread_frames():
    """Return the innermost frames of this interpreter's threads by their numbers; None for those that cannot be had."""
    return native.thread_frames()


def wait_for_stall(pulses, files, threshold, interval, patience):
    """Return the index of the first of the pulses that stands still, and what was seen of all; `sentry` says more."""
    if not (0.0001 <= interval <= threshold <= 3600 and 0 <= patience <= 60):
        raise ValueError("the interval must be at most the threshold, and both a sensible number of seconds")
    return sentry.wait_for_stall(list(pulses), list(files), threshold, interval, patience)
