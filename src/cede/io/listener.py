"""Listener: accepts connections and hands each socket on.

Readiness of a listening socket says only that somebody may be waiting. So a turn accepts until the
kernel has no more, but at most `_MOST_PER_TURN` connections, so that a storm of them does not starve
those that are open; level-triggered readiness brings the rest in the next turn.

When the process runs out of descriptors or memory, accepting fails and the socket stays readable:
the listener then stops listening for a second, and says so once each time. It does the same at errors it
does not know, and gives up a socket that listens no more.
"""

import errno
import socket
from asyncio.trsock import TransportSocket

from ..engine import syscalls
from ..engine.handles import Watcher
from ..engine.pollers.base import READABLE

_INTERNET = (int(socket.AF_INET), int(socket.AF_INET6))
_MOST_PER_TURN = 64
_RETRY_DELAY = 1.0  # seconds; asyncio's

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# Errors of the one connection that was to be accepted, a firewall's among them: it is gone, others wait (accept(2)).
_PASSING = {
    errno.ECONNABORTED,
    errno.ECONNRESET,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EINTR,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ENOPROTOOPT,
    errno.EPERM,
    errno.EPROTO,
    errno.ETIMEDOUT,
    getattr(errno, "ENONET", errno.ENETDOWN),
}
# The socket was closed, or shut down, behind our back: it will never accept again.
_FINAL = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)


class Listener(Watcher):
    """Watches a listening socket; calls `on_accept(connection, address, own_address)` for each connection.

    The connections are non-blocking; their own address is None if it must be asked for. `backlog` bounds how many are
    accepted in one turn. The socket stays its owner's: `close` stops watching and closes nothing.
    """

    def __init__(self, loop, sock, backlog, on_accept):
        self._interest = 0
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._most = max(1, min(backlog + 1, _MOST_PER_TURN))
        self._kind = _kind_of(sock)  # what its connections are made of, None if it makes them itself
        self._own_address = _address_of_connections(sock)
        self._on_accept = on_accept
        self._retry = None  # the timer that ends a pause, or None
        self._closed = False
        self._loop._watch(self._fd, self, READABLE)

    def _on_ready(self, events):
        for _ in range(self._most):
            if self._closed:
                return
            try:
                accepted = self._accept()
            except BlockingIOError:
                return
            except OSError as exc:
                if exc.errno in _PASSING:
                    continue
                self._accept_failed(exc, exc.errno)
                return
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                self._accept_failed(exc, errno.ENOMEM if isinstance(exc, MemoryError) else None)
                return
            if accepted is None:
                return
            if self._loop._ring is not None:
                self._loop._ring._bytes(2, accepted[0].fileno(), 0)
            self._hand_on(accepted[0], accepted[1])

    def _accept(self):
        """Return the next connection, non-blocking, and its address; None or BlockingIOError if there is none."""
        if self._kind is None:
            connection, address = self._sock.accept()
        else:
            # What `socket.accept` does, less its look-ups of names for the family and the kind, which are not cheap.
            accepted = syscalls.accept(self._sock, self._fd) if self._kind[0] in _INTERNET else self._sock._accept()
            if accepted is None:
                return None
            fd, address = accepted
            connection = socket.socket(*self._kind, fd)
        connection.setblocking(False)
        return connection, address

    def _hand_on(self, connection, address):
        try:
            self._on_accept(connection, address, self._own_address)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            connection.close()
            self._loop.call_exception_handler(
                {"message": "Error on transport creation for incoming connection", "exception": exc}
            )

    def _accept_failed(self, exc, number):
        failed = "out of system resource" if number in _EXHAUSTED else "failed"
        self._loop.call_exception_handler(
            {"message": f"socket.accept() {failed}", "exception": exc, "socket": _described(self._sock)}
        )
        if self._closed:
            return  # by the exception handler
        self._loop._watch(self._fd, self, 0)
        if number not in _FINAL:
            # The connections wait in the kernel meanwhile.
            self._retry = self._loop.call_later(_RETRY_DELAY, self._resume)

    def _resume(self):
        self._retry = None
        if not self._closed and syscalls.number_of(self._sock) == self._fd:  # else the number may be somebody else's
            self._loop._watch(self._fd, self, READABLE)

    def close(self):
        """Stop accepting. Before the socket is closed; calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
        if not self._loop.is_closed():
            self._loop._watch(self._fd, self, 0)


def _kind_of(sock):
    """The family, kind and protocol of a plain socket, as numbers; None of any other."""
    if type(sock) is not socket.socket or not hasattr(sock, "_accept"):
        return None
    return (int(sock.family), int(sock.type), sock.proto)


def _address_of_connections(sock):
    """The own address of every connection that comes here, if the socket is bound to no more than one; else None."""
    if sock.family not in _INTERNET:
        return None
    address = sock.getsockname()
    return None if address[0] in ("0.0.0.0", "::") else address


def _described(sock):
    """What asyncio shows of a socket in an error's context."""
    return TransportSocket(sock) if isinstance(sock, socket.socket) else sock
