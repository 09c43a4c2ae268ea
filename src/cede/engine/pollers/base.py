"""Poller: what every poller can do, and the words it shares with what it reports to.

`interest` is what is asked about a descriptor, `ready` is what came; both are made of READABLE and
WRITABLE. An error or a hang-up makes a descriptor ready for whatever was asked: the next read or
write then says what happened.

Law: a poller calls `watcher._on_ready(events)` directly, in the order in which the kernel
answered, and never for a descriptor that was removed since the wait began.

HANGUP may come with them, unasked: the peer's end, or an error, may stand behind what can be read. A poller
that never tells of it makes nothing wrong; one that cannot know says it with every READABLE.

An interest may have EDGE in it: then it is enough to tell of changes. A poller that does so says `tells_changes`; to
the others the bit means nothing.
"""

from .. import native

READABLE = 1
WRITABLE = 4
HANGUP = 8
EDGE = 16


class Poller:
    """Ask the kernel. A poller of your own derives from this class and overrides all five methods.

    `wait` hands each watcher what came through `handles.deliver(watcher, events)`.
    """

    # _pulse: the loop's that asks, or None

    @property
    def tells_changes(self):
        """Whether EDGE means something to this poller."""
        return False

    def add(self, fd, watcher, interest):
        """Watch the descriptor `fd` for `interest`; `watcher` is told. OSError as the system says.

        A watcher that was never removed is displaced: its descriptor was closed, and the number is in use again.
        """
        raise NotImplementedError

    def modify(self, fd, watcher, interest):
        """Change what is asked about `fd`, and who is told. Asking for the same again is not in vain, see `add`."""
        raise NotImplementedError

    def remove(self, fd):
        """Stop watching `fd`. A descriptor that is closed already is no error."""
        raise NotImplementedError

    def wait(self, timeout):
        """Wait at most `timeout` seconds (negative: for ever; 0: only look) and tell the watchers."""
        raise NotImplementedError

    def answered(self, events=0):
        """To be called by `wait` when the kernel has told of so many descriptors, and no watcher of it yet."""
        if self._pulse is not None:
            self._pulse._come_back(events)

    def tells_of(self, fd):
        """To be called by `wait` before it tells the watcher of a descriptor: whose turn it is, for who records."""
        if self._pulse is not None:
            self._pulse._told_of = fd

    def forked(self):
        """Called in a forked child: from now on leave alone what the kernel shares with the parent."""

    def close(self):
        """Give everything back. A closed poller is not used again."""
        raise NotImplementedError

    # What the engine calls: a compiled poller answers without a method of Python between.

    def _add(self, fd, watcher, interest):
        self.add(fd, watcher, interest)

    def _modify(self, fd, watcher, interest):
        self.modify(fd, watcher, interest)

    def _remove(self, fd):
        self.remove(fd)

    def _wait(self, timeout):
        self.wait(timeout)


def descriptor(fileobj):
    """The descriptor of an int or of an object with `fileno()`. ValueError for anything else."""
    fd = fileobj
    if not isinstance(fd, int):
        try:
            fd = int(fileobj.fileno())
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f"Invalid file object: {fileobj!r}") from None
    if fd < 0:
        raise ValueError(f"Invalid file descriptor: {fd}")
    return fd


native.declare(Poller, {"_pulse": None})
