"""WorldPoller: readiness of simulated files, and of no others.

Nothing is polled that nothing happened to: a file tells its watchers when it changed, and only those are asked. A world
of many idle connections costs what its busy ones cost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..engine.handles import deliver, displace
from ..engine.pollers.base import HANGUP, READABLE, WRITABLE, Poller
from .files import ERR, HUP, IN, OUT, RDHUP, SIMULATED

_ANY = READABLE | WRITABLE
_READABLE, _WRITABLE, _HANGUP = READABLE, WRITABLE, HANGUP
_OUT, _IN_OR_END, _BROKEN = OUT, IN | RDHUP, ERR | HUP | RDHUP


class _Watched:
    """A descriptor that is watched."""

    def __init__(self, poller: WorldPoller, fd: int, file: Any, watcher: Any, interest: int) -> None:
        self.poller = poller
        self.fd = fd
        self.file = file
        self.watcher = watcher
        self.interest = interest & _ANY

    def wake(self) -> None:
        """The file changed."""
        poller = self.poller
        poller._changed[self.fd] = self
        poller._wake()

    def ready(self) -> int:
        """What came of what was asked for, as watchers are told it."""
        if not self.file.descriptors:
            return 0  # closed behind our back: epoll has forgotten it, too
        return meaning(self.file.poll()) & (self.interest | _HANGUP)


def meaning(bits: int) -> int:
    """What the kernel's bits say: errors are for whoever reads or writes."""
    events = _READABLE if bits & ~_OUT else 0
    if bits & ~_IN_OR_END:
        events |= _WRITABLE
    if bits & _BROKEN:
        events |= _HANGUP
    return events


class WorldPoller(Poller):
    """The poller of a loop on a simulated host.

    `wake()` is called when something that is watched may have become ready.
    """

    def __init__(self, host: Any, wake: Callable[[], None]) -> None:
        self._host = host
        self._wake = wake
        self._watched: dict[int, _Watched] = {}
        self._changed: dict[int, _Watched] = {}  # what may be ready, in the order in which it became so

    def add(self, fd: int, watcher: Any, interest: int) -> None:
        self._add(fd, watcher, interest)

    def modify(self, fd: int, watcher: Any, interest: int) -> None:
        self._add(fd, watcher, interest)

    def remove(self, fd: int) -> None:
        self._remove(fd)

    def _add(self, fd: int, watcher: Any, interest: int) -> None:
        if fd < SIMULATED:
            raise RuntimeError(
                f"descriptor {fd} is of the real machine, and this loop runs on a simulated one, where nothing of the "
                "real one wakes anybody; make the socket or pipe inside of the world, or leave it out of the simulation"
            )
        file = self._host.kernel.descriptors.file(fd)
        before = self._watched.get(fd)
        if before is not None:
            self._forget(before)
            if before.watcher is not watcher:
                displace(before.watcher)
        watched = self._watched[fd] = _Watched(self, fd, file, watcher, interest)
        watcher._interest = interest
        file.watch(watched)
        if watched.ready() & _ANY:
            self._changed[fd] = watched
            self._wake()

    def _modify(self, fd: int, watcher: Any, interest: int) -> None:
        self._add(fd, watcher, interest)

    def _remove(self, fd: int) -> None:
        watched = self._watched.get(fd)
        if watched is not None:
            self._forget(watched)

    def _forget(self, watched: _Watched) -> None:
        watched.file.unwatch(watched)
        self._watched.pop(watched.fd, None)
        if self._changed.get(watched.fd) is watched:
            del self._changed[watched.fd]

    def has_ready(self) -> bool:
        """Whether there is something to tell a watcher now."""
        changed = self._changed
        while changed:
            watched = next(iter(changed.values()))
            if watched.ready() & _ANY:
                return True
            del changed[watched.fd]
        return False

    def wait(self, timeout: float) -> None:
        if self._changed:
            self._deliver()

    def _deliver(self) -> None:
        """Tell each watcher what came for it. What is not taken stays, and is told again."""
        changed = self._changed
        found = list(changed.values())
        if len(found) > 1 and self._host.order is not None:
            found = self._host.order.permuted(found, ["poll"] * len(found))
        for watched in found:
            if changed.get(watched.fd) is not watched:
                continue  # removed by a watcher before it
            events = watched.ready()
            if events & _ANY:
                deliver(watched.watcher, events)
            if changed.get(watched.fd) is watched and not watched.ready() & _ANY:
                del changed[watched.fd]

    def close(self) -> None:
        for watched in list(self._watched.values()):
            self._forget(watched)


class DrivenPoller(WorldPoller):
    """The poller of a loop that the world turns, and that never waits."""

    def _wait(self, timeout: float) -> None:
        if self._changed:
            self._deliver()
