"""`tell_of_closing`: a transport hears that the program closed or detached the socket it gave away.

The kernel tells nobody. But `socket.close` and `socket.detach` set the socket's `_closed` to True, over what stands
there: here an object in place of False, which goes then, and whose finalizer has the loop look at the transport. A
socket whose class does it otherwise is noticed when the transport is touched next.
"""

from __future__ import annotations

import contextlib
import os
import socket
import weakref
from typing import Any

# Seconds until the loop looks again: `close` sets `_closed` first, and in another thread it may take its time.
_DELAYS = (0.001, 0.01, 0.1)


class NotClosed:
    """What is False in a socket's `_closed`, as long as it stands there."""

    __slots__ = ("_fd", "_loop", "_process")

    def __init__(self, loop: Any, fd: int) -> None:
        self._loop = weakref.ref(loop)
        self._fd = fd
        self._process = os.getpid()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "False"

    def __del__(self) -> None:
        loop: Any = self._loop()
        # A transport that closes its socket gave up the number before. In a forked child the loop is the parent's.
        reference = None if loop is None else loop._transports.get(self._fd)
        if reference is None or self._process != os.getpid():
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(_look, loop, reference, _DELAYS)


def tell_of_closing(loop: Any, sock: Any) -> None:
    """Have the transport that owns the number of `sock` end when the program closes the socket."""
    given: Any = sock
    if isinstance(sock, socket.socket) and given._closed is False:
        given._closed = NotClosed(loop, given.fileno())


def _look(loop: Any, reference: Any, delays: tuple[float, ...]) -> None:
    transport = reference()
    if transport is None or transport.is_closing() or transport._end_if_gone():
        return
    if delays:
        loop.call_later(delays[0], _look, loop, reference, delays[1:])
