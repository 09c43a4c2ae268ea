"""Face: what a loop on epoll shows as its `_selector`.

asyncio's loops wait by `selector.select(timeout)`, and tools that play with time (virtual clocks, tests that skip
waiting) put a `select` of their own in its place. Here a poller tells watchers directly, so there is no such call;
whoever replaces it gets one: as long as `select` is replaced, the loop waits by it, and tells what it returns.
"""

import selectors
import weakref
from collections.abc import Mapping

from ..handles import deliver
from .base import HANGUP, Poller, descriptor
from .select import SelectorPoller, from_selector, to_selector


class Face(selectors.BaseSelector):
    """The `_selector` of a loop whose poller is `poller`."""

    def __init__(self, loop, poller):
        self._loop = weakref.ref(loop)
        self._poller = poller

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name == "select":
            self._wait_by(ReplacedSelect(self, self._poller))

    def __delattr__(self, name):
        super().__delattr__(name)
        if name == "select":
            self._wait_by(self._poller)

    def _wait_by(self, poller):
        loop = self._loop()
        if loop is not None:
            loop._poller = poller

    def register(self, fileobj, events, data=None):
        raise NotImplementedError("descriptors are watched by loop.add_reader and loop.add_writer")

    unregister = modify = register

    def select(self, timeout=None):
        """Wait as a selector does; return pairs of a SelectorKey, whose `data` is the watcher, and what came."""
        return [
            (key, to_selector(events))
            for fd, events in self._poller.collect(-1.0 if timeout is None else max(timeout, 0.0))
            if (key := self._key(fd)) is not None
        ]

    def _key(self, fd):
        watcher = self._poller.watcher(fd)
        return None if watcher is None else selectors.SelectorKey(fd, fd, to_selector(watcher._interest), watcher)

    def get_map(self):
        """Return the SelectorKey of each descriptor that is watched, by its number."""
        return Watched(self)

    def close(self):
        self._poller.close()


class Watched(Mapping):
    """{descriptor, or what has it: SelectorKey}, as it is at each moment."""

    def __init__(self, face):
        self._face = face

    def __getitem__(self, fd):
        key = self._face._key(descriptor(fd))
        if key is None:
            raise KeyError(f"{fd!r} is not registered")
        return key

    def __iter__(self):
        return iter(self._face._poller.watched())

    def __len__(self):
        return len(self._face._poller.watched())


class ReplacedSelect(Poller):
    """The poller of a loop as long as the `select` of its Face is another one."""

    def __init__(self, face, poller):
        self._face = face
        self._inner = poller
        self.add = poller.add
        self.modify = poller.modify
        self.remove = poller.remove
        self.close = poller.close

    @property
    def tells_changes(self):
        return self._inner.tells_changes

    def wait(self, timeout):
        tell(self._face, self._face.select(None if timeout < 0 else timeout))


def poller_of(selector):
    """Return the poller that waits by `selector`, any selector or the Face of a loop."""
    return selector._poller if isinstance(selector, Face) else SelectorPoller(selector)


def move(poller, other):
    """Have the poller `other` watch all that `poller` watches, which watches nothing any more."""
    if other is poller:
        return
    if isinstance(poller, SelectorPoller):
        registered = poller.selector.get_map()
        keys = list(registered.values()) if isinstance(registered, Mapping) else []
        found = [(key.fd, key.data, from_selector(key.events) & ~HANGUP) for key in keys]
    else:
        found = [(fd, poller.watcher(fd), poller.watcher(fd)._interest) for fd in poller.watched()]
    for fd, watcher, interest in found:
        poller.remove(fd)
        other.add(fd, watcher, interest)


def tell(selector, events):
    """Tell the watchers of a loop what `selector.select` returned."""
    registered = selector.get_map()
    for key, mask in events or ():
        current = registered.get(key.fd)
        if current is not None and current.data is key.data:
            deliver(key.data, from_selector(mask & current.events))
