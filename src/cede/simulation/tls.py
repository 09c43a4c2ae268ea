"""Blocking TLS in a world: what `ssl.SSLSocket` has below it, where OpenSSL would read a real descriptor.

The socket stays a `ssl.SSLSocket`, with all that Python does in it; only the object of C that it asks is another: it
moves ciphertext between the simulated socket and OpenSSL through memory. So threads that speak TLS (http.client,
requests, smtplib, drivers of databases) run as they are.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import cache
from typing import Any

from .sockets import SimulatedSocket

_RECORD = 1 << 16  # bytes that are asked of the socket at once


class OverMemory:
    """What `SSLContext._wrap_socket` gives: OpenSSL's side of a connection. It waits as its socket does."""

    def __init__(self, context: Any, sock: Any, server_side: bool, hostname: Any, owner: Any, session: Any) -> None:
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unsent = b""
        self._inner = context._wrap_bio(
            self._incoming, self._outgoing, server_side, hostname, owner=owner, session=session
        )

    # What is asked of OpenSSL and needs no byte of the peer: version, cipher, getpeercert, pending, …
    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def context(self) -> Any:
        return self._inner.context

    @context.setter
    def context(self, context: Any) -> None:
        self._inner.context = context

    @property
    def session(self) -> Any:
        return self._inner.session

    @session.setter
    def session(self, session: Any) -> None:
        self._inner.session = session

    def do_handshake(self) -> None:
        self._perform(self._inner.do_handshake)

    def read(self, *args: Any) -> Any:
        return self._perform(self._inner.read, *args)

    def write(self, data: Any) -> int:
        self._flush()
        return int(self._perform(self._inner.write, data))

    def shutdown(self) -> Any:
        self._perform(self._inner.shutdown)
        return self._sock

    def _perform(self, operation: Callable[..., Any], *args: Any) -> Any:
        while True:
            try:
                result = operation(*args)
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            except ssl.SSLError:
                self._flush()  # an alert tells the peer why
                raise
            else:
                self._flush()
                return result

    def _feed(self) -> None:
        try:
            data = SimulatedSocket.recv(self._sock, _RECORD)
        except BlockingIOError:
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)") from None
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        self._unsent += self._outgoing.read()
        while self._unsent:
            try:
                sent = SimulatedSocket.send(self._sock, self._unsent)
            except BlockingIOError:
                raise ssl.SSLWantWriteError(
                    ssl.SSL_ERROR_WANT_WRITE, "The operation did not complete (write)"
                ) from None
            self._unsent = self._unsent[sent:]


@cache
def captured() -> list[tuple[Any, str, Any]]:
    """Return what is to be put in place of the real machine's: (owner, attribute, replacement)."""
    real: Any = getattr(ssl.SSLContext, "_wrap_socket")  # noqa: B009  the stubs do not know it

    def _wrap_socket(
        self: Any, sock: Any, server_side: bool, server_hostname: Any = None, *, owner: Any = None, session: Any = None
    ) -> Any:
        if isinstance(sock, SimulatedSocket):
            return OverMemory(self, sock, server_side, server_hostname, owner, session)
        return real(self, sock, server_side, server_hostname, owner=owner, session=session)

    return [(ssl.SSLContext, "_wrap_socket", _wrap_socket)]
