"""SelectorPoller: readiness from any `selectors` selector; the portable one.

It serves where there is no epoll, and it takes the selector that a program gives its loop
(`EventLoop(selector)`), so that asyncio programs with a selector of their own run unchanged.
"""

import selectors

from ..handles import deliver, displace
from .base import HANGUP, READABLE, WRITABLE, Poller


def to_selector(interest):
    return (selectors.EVENT_READ if interest & READABLE else 0) | (selectors.EVENT_WRITE if interest & WRITABLE else 0)


def from_selector(mask):
    return (READABLE | HANGUP if mask & selectors.EVENT_READ else 0) | (WRITABLE if mask & selectors.EVENT_WRITE else 0)


class SelectorPoller(Poller):
    """The poller around a selector; it owns the selector."""

    def __init__(self, selector=None):
        self.selector = selectors.DefaultSelector() if selector is None else selector

    def add(self, fd, watcher, interest):
        try:
            self.selector.register(fd, to_selector(interest), watcher)
        except KeyError:
            self._register_again(fd, watcher, interest)

    def modify(self, fd, watcher, interest):
        key = self.selector.get_map().get(fd)
        if key is None or (key.data is watcher and key.events == to_selector(interest)):
            self._register_again(fd, watcher, interest)
            return
        try:
            self.selector.modify(fd, to_selector(interest), watcher)
        except (KeyError, FileNotFoundError):
            self._register_again(fd, watcher, interest)
        else:
            if key.data is not watcher:
                displace(key.data)

    def _register_again(self, fd, watcher, interest):
        """Begin anew: the descriptor may have been closed behind our back, and its number be in use again."""
        key = self.selector.get_map().get(fd)
        self.remove(fd)
        self.selector.register(fd, to_selector(interest), watcher)
        if key is not None and key.data is not watcher:
            displace(key.data)

    def remove(self, fd):
        try:
            self.selector.unregister(fd)
        except (KeyError, ValueError, RuntimeError):
            pass  # it was not watched, or the selector is closed

    def wait(self, timeout):
        ready = self.selector.select(None if timeout < 0 else timeout)
        self.answered(len(ready))
        registered = self.selector.get_map()
        for key, mask in ready:
            current = registered.get(key.fd)
            if current is not None and current.data is key.data:
                self.tells_of(key.fd)
                deliver(key.data, from_selector(mask & key.events))

    def forked(self):
        # epoll, say, is shared with the parent. A selector of the program's own class is left to the program.
        if type(self.selector).__module__ != "selectors":
            return
        keys = list(self.selector.get_map().values())
        self.selector.close()
        self.selector = type(self.selector)()
        for key in keys:
            try:
                self.selector.register(key.fd, key.events, key.data)
            except (OSError, ValueError):
                pass  # closed behind our back

    def close(self):
        self.selector.close()
