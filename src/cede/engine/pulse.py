"""Pulse: when a loop asks the kernel what came, and how long what came had to wait, counted.

Between two looks at the kernel a loop is busy, and what the kernel has for it waits until the next one. So how long
these stretches are is how late the loop is, measured without a timer of its own: two readings of the quickest clock a
look. The counters are always on. Whoever wants to know reads them, from whatever thread, and the loop does not notice.
"""

from . import ticks

_NEVER = 2**62  # ticks


def by_two_clocks():
    """Return what time it is in ticks, and in nanoseconds of the monotonic clock."""
    # Between the two another process may run; of some readings the one is taken during which least time went by.
    least, ours, monotonic = _NEVER, 0, 0
    for _ in range(5):
        before, between, after = ticks.now(), ticks.nanoseconds(), ticks.now()
        if after - before <= least:
            least, ours, monotonic = after - before, (before + after) // 2, between
    return ours, monotonic


class Pulse:
    """The counters of one loop."""

    def __init__(self):
        # Grows by one when the loop goes to the poller and when it comes back: odd, it is there, or does not run; even
        # and standing still, it is busy with what it found. In 64 bits, which a thread may read at any time.
        self._looks = 1
        self._look_ticks = ticks.now()  # when `_looks` last changed
        self._turns = 0  # how many turns there were
        self._events = 0  # how many descriptors the kernel told of last
        self._told_of = -1  # the descriptor whose watcher was told last; -1 once the watchers have been told
        self._busy_ticks = 0  # between looks, from the first to the last of them
        self._idle_ticks = 0  # in the poller
        self._longest = 0  # ticks; the longest stretch between two looks
        # A stretch of more ticks is looked at more closely: it is the longest there was, or one that a watcher wants.
        self._notable = 0
        self._too_long = _NEVER  # ticks from which on a watcher wants to hear of a stretch
        self._overlong = None  # its list
        # The same moment by two clocks, for telling what a tick is worth.
        self._made_ticks, self._made_at = by_two_clocks()
        self._stretches = [0] * 64  # between two looks: how many had so many bits of ticks

    def _go_to_look(self):
        """The loop is about to ask the kernel, or ends."""
        if self._looks & 1:
            self._come_back(0)  # an interrupt came while it asked
        now = ticks.now()
        busy = now - self._look_ticks
        if busy > self._notable:
            self._note_stretch(busy)  # Order: who sees another number of looks finds it noted
        self._look_ticks = now
        self._looks += 1
        self._busy_ticks += busy
        self._stretches[ticks.bits(busy) & 63] += 1

    def _note_stretch(self, busy):
        if busy > self._longest:
            self._longest = busy
            self._notable = min(busy, self._too_long)
        if busy > self._too_long and self._overlong is not None:
            self._overlong.append((id(self), self._looks, self._look_ticks, busy))

    def _want_stretches(self, overlong, ticks):
        """Put each stretch of more ticks into a list: id of the pulse, its looks and ticks at the begin, and how long.

        Without a list nothing is noted any more.
        """
        self._overlong = overlong
        self._too_long = _NEVER if overlong is None else ticks
        self._notable = min(self._longest, self._too_long)

    def _come_back(self, events):
        """The kernel has answered, and has so much to tell. Nothing happens if that was said already."""
        if self._looks & 1:
            self._events = events
            now = ticks.now()
            self._idle_ticks += now - self._look_ticks
            self._look_ticks = now
            self._looks += 1

    def _begin(self):
        """The loop begins to run: what was before is neither busy nor idle time."""
        self._look_ticks = ticks.now()
        if self._looks & 1:
            self._looks += 1

    def _moment(self):
        """Return what time it is in ticks, and in nanoseconds of the monotonic clock."""
        return by_two_clocks()

    def _lags(self):
        """Return how often it took how long from one look to the next, a list of 64 numbers.

        The n-th is how many stretches had n bits: 2 ** (n - 1) ticks to 2 ** n - 1.
        """
        return [self._stretches[bits] for bits in range(64)]
