"""EpollPoller: readiness from Linux's epoll, level-triggered.

Some facts about epoll that shape this file. Interest belongs to the open file, not to the
descriptor: closing the last descriptor of a file removes it silently, but a duplicate (a child's,
after fork) keeps it alive. So the owner of a descriptor removes it *before* closing it, and
`remove` forgives a descriptor that somebody closed behind our back. If a duplicate keeps that file
alive, the kernel goes on telling of a number that nobody watches, and has no way to stop it: then
all are watched by a new epoll. A forked child shares its parent's epoll, and lets go of it at once;
it gets one of its own when it first waits. A descriptor's number is used again at once: an event
that was fetched for the old one may be delivered to the new one's watcher, which then reads, finds
nothing and goes on; `add` forgives a number the kernel still or no longer knows. And epoll_wait
counts in milliseconds: the twin of `syscalls` waits more precisely.

Importing this is an ImportError where there is no epoll.
"""

import errno
from select import epoll

from .. import syscalls
from .base import EDGE, HANGUP, READABLE, WRITABLE, Poller

if not syscalls.has_epoll():
    raise ImportError("cede was compiled for a system without epoll")

_IN = 1  # EPOLLIN
_OUT = 4  # EPOLLOUT
_READABLE = READABLE
_WRITABLE = WRITABLE
_HANGUP = HANGUP
_EDGE = EDGE
_ET = 0x80000000  # EPOLLET
_RDHUP = 0x2000  # EPOLLRDHUP: the peer sends no more; asked for with EPOLLIN only, as it stays


class EpollPoller(Poller):
    """The poller of a loop on Linux."""

    def __init__(self):
        self._epoll = epoll()
        self._fd = self._epoll.fileno()
        self._watchers = []  # the watcher of each descriptor, by its number; None where none is
        self._buffer = syscalls.event_buffer()
        self._removals = 0  # so often was something taken out
        self._closed = False

    @property
    def tells_changes(self):
        return True

    def add(self, fd, watcher, interest):
        self._add(fd, watcher, interest)

    def _add(self, fd, watcher, interest):
        asked = _asked(interest)
        if self._fd < 0 and not self._closed:
            self._remember(fd, watcher, interest)  # asked for when the child waits
            return
        try:
            syscalls.epoll_add(self._epoll, self._fd, fd, asked)
        except FileExistsError:
            syscalls.epoll_modify(self._epoll, self._fd, fd, asked)
        self._remember(fd, watcher, interest)

    def modify(self, fd, watcher, interest):
        self._modify(fd, watcher, interest)

    def _modify(self, fd, watcher, interest):
        asked = _asked(interest)
        if self._fd < 0 and not self._closed:
            self._remember(fd, watcher, interest)
            return
        try:
            syscalls.epoll_modify(self._epoll, self._fd, fd, asked)
        except FileNotFoundError:
            # The descriptor was closed behind our back, and its number is in use again.
            syscalls.epoll_add(self._epoll, self._fd, fd, asked)
        self._remember(fd, watcher, interest)

    def _remember(self, fd, watcher, interest):
        watchers = self._watchers
        if fd >= len(watchers):
            watchers.extend([None] * (fd + 16 - len(watchers)))
        before = watchers[fd]
        if before is not None and before is not watcher:
            before._displaced()
        watchers[fd] = watcher
        watcher._interest = interest

    def remove(self, fd):
        self._remove(fd)

    def _remove(self, fd):
        self._removals += 1
        if 0 <= fd < len(self._watchers):
            self._watchers[fd] = None
        if self._fd < 0 or fd < 0:
            return
        try:
            syscalls.epoll_remove(self._epoll, self._fd, fd)
        except OSError as exc:
            if exc.errno not in (errno.ENOENT, errno.EBADF, errno.EPERM):
                raise

    def wait(self, timeout):
        self._wait(timeout)

    def _wait(self, timeout):
        if self._fd < 0:
            self._begin_anew()
        removals = self._removals
        count = syscalls.epoll_wait(self._epoll, self._fd, self._buffer, timeout)
        pulse = self._pulse
        if pulse is not None:
            pulse._come_back(count)
        for index in range(count):
            fd, bits = syscalls.event(self._buffer, index)
            watcher = self._watchers[fd]
            if watcher is None:
                if removals == self._removals:
                    self._begin_anew()
                    return
                continue  # removed by an earlier watcher of this wait
            if bits == _IN:  # nearly always
                events = _READABLE
            else:
                events = _meaning(bits)
            if events & watcher._interest:
                if pulse is not None:
                    pulse._told_of = fd
                watcher._on_ready(events & (watcher._interest | _HANGUP))

    def _begin_anew(self):
        """Have a new epoll watch what is watched."""
        if self._closed:
            return
        anew = epoll()
        self._epoll.close()
        self._epoll = anew
        self._fd = anew.fileno()
        for fd in range(len(self._watchers)):
            watcher = self._watchers[fd]
            if watcher is not None and watcher._interest:
                try:
                    syscalls.epoll_add(anew, self._fd, fd, _asked(watcher._interest))
                except OSError:
                    pass  # closed behind our back

    def forked(self):
        # The parent's file is not ours to change: what is taken out of it is out of the parent's.
        if not self._closed:
            self._epoll.close()
            self._fd = -1

    # What `face` asks, for programs that look at a loop's selector.

    def collect(self, timeout):
        """Wait as `wait` does, but tell nobody: return pairs of a descriptor and what came for its watcher."""
        found = []
        for fd, bits in self._epoll.poll(timeout):
            watcher = self.watcher(fd)
            if watcher is not None and _meaning(bits) & watcher._interest:
                found.append((fd, _meaning(bits) & watcher._interest))
        return found

    def watcher(self, fd):
        """Return who watches a descriptor, or None."""
        return self._watchers[fd] if 0 <= fd < len(self._watchers) else None

    def watched(self):
        """Return the descriptors that are watched."""
        return [fd for fd in range(len(self._watchers)) if self._watchers[fd] is not None]

    def close(self):
        self._closed = True
        self._epoll.close()
        self._fd = -1
        self._watchers.clear()


def _meaning(bits):
    """What the kernel's bits say: errors are for whoever reads or writes."""
    events = _READABLE if bits & ~_OUT else 0
    if bits & ~(_IN | _RDHUP):
        events |= _WRITABLE
    if bits & ~(_IN | _OUT):
        events |= _HANGUP
    return events


def _asked(interest):
    """The kernel's bits for an interest."""
    asked = interest & (_IN | _OUT)  # READABLE and WRITABLE are the same bits
    if interest & _IN:
        asked |= _RDHUP
    if interest & _EDGE:
        asked |= _ET
    return asked
