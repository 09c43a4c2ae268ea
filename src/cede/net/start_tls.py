"""TLS on a socket, or on a transport that is already there: which road it takes, and what is refused.

The fast road binds TLS to the socket (`io.tls_socket`). The memory road passes its bytes through another
transport (`io.tls_bytes`); it is taken where there is no socket to bind to (TLS in TLS, a transport of
another kind), where bytes of the peer were read already, and for contexts that wrap in ways of their own.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio.constants import SSL_HANDSHAKE_TIMEOUT, SSL_SHUTDOWN_TIMEOUT
from typing import Any

from ..io.stream_transport import StreamTransport

try:
    import ssl

    from ..io.tls_bytes import TlsBytesTransport, context_of
    from ..io.tls_socket import TlsSocketTransport, bind, can_bind, is_idle, take_socket
except ImportError:  # a Python without OpenSSL
    ssl = None  # type: ignore[assignment]


# --- What is refused -----------------------------------------------------------------------------


def _checked_timeouts(handshake: float | None, shutdown: float | None) -> tuple[float, float]:
    if handshake is None:
        handshake = SSL_HANDSHAKE_TIMEOUT
    elif handshake <= 0:
        raise ValueError(f"ssl_handshake_timeout should be a positive number, got {handshake}")
    if shutdown is None:
        shutdown = SSL_SHUTDOWN_TIMEOUT
    elif shutdown <= 0:
        raise ValueError(f"ssl_shutdown_timeout should be a positive number, got {shutdown}")
    return handshake, shutdown


def _default_context(server_side: bool, server_hostname: Any) -> ssl.SSLContext:
    if server_side:
        raise ValueError("Server side SSL needs a valid SSLContext")
    sslcontext = ssl.create_default_context()
    if not server_hostname:
        sslcontext.check_hostname = False
    return sslcontext


def _checked_hostname(sslcontext: Any, server_side: bool, server_hostname: Any) -> str | None:
    """The name to check, None for a server. ValueError if the context wants one and there is none.

    Without this check a memory BIO would, before Python 3.15, silently accept any certificate.
    """
    if server_side or not server_hostname:
        if sslcontext.check_hostname:
            raise ValueError("check_hostname requires server_hostname")
        return None
    if isinstance(server_hostname, (bytes, bytearray)):
        return server_hostname.decode("ascii")
    return server_hostname


# --- From a socket -------------------------------------------------------------------------------


def make_tls_transport(
    loop: Any,
    sock: socket.socket,
    protocol: Any,
    sslcontext: ssl.SSLContext | None,
    waiter: Any = None,
    *,
    server_side: bool = False,
    server_hostname: str | None = None,
    extra: dict[str, Any] | None = None,
    server: Any = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    context: Any = None,
) -> Any:
    """Build the transport that speaks TLS on `sock`, which it owns from then on.

    `sslcontext` None asks for the default client context. `waiter` is resolved with None when the
    handshake is over and `connection_made` was called, or with the handshake's error. The timeouts
    are in seconds.
    """
    if ssl is None:
        raise RuntimeError("stdlib ssl module not available")
    timeouts = _checked_timeouts(ssl_handshake_timeout, ssl_shutdown_timeout)
    if not sslcontext:
        sslcontext = _default_context(server_side, server_hostname)
    hostname = _checked_hostname(sslcontext, server_side, server_hostname)
    if can_bind(sslcontext, sock):
        ssl_object = bind(sslcontext, sock, server_side, hostname)
        return TlsSocketTransport(
            loop, sock, protocol, ssl_object, sslcontext, waiter, *timeouts, False, extra, server, context
        )
    transport = TlsBytesTransport(
        loop, protocol, sslcontext, server_side, hostname, waiter, *timeouts, False, b"", server, context
    )
    StreamTransport(loop, sock, transport.carrier, None, extra, None, context)
    return transport


# --- From a transport ----------------------------------------------------------------------------


def _take_unread(protocol: Any) -> bytes:
    """Take from a protocol the bytes that it was handed and nobody read; they may begin the handshake.

    A protocol gives them through a method `_take_buffered`; asyncio's StreamReaderProtocol has them in its reader.
    """
    take = getattr(protocol, "_take_buffered", None)
    if take is not None:
        return bytes(take())
    buffer = getattr(getattr(protocol, "_stream_reader", None), "_buffer", None)
    if not isinstance(buffer, bytearray):
        return b""
    data = bytes(buffer)
    buffer.clear()
    return data


def _upgrade(
    loop: Any,
    transport: Any,
    protocol: Any,
    sslcontext: ssl.SSLContext,
    server_side: bool,
    hostname: str | None,
    waiter: Any,
    timeouts: tuple[float, float],
) -> Any:
    """Put TLS in the place of a plain transport, or on top of a transport."""
    # asyncio: what a client read before is plain text; what a server read may be the client's first words of TLS.
    unread = _take_unread(protocol) if server_side else b""
    plain = type(transport) is StreamTransport
    if plain and not unread and can_bind(sslcontext, transport._sock) and is_idle(transport):
        ssl_object = bind(sslcontext, transport._sock, server_side, hostname)
        sock, extra, server, context = take_socket(transport)
        upgraded = TlsSocketTransport(
            loop, sock, protocol, ssl_object, sslcontext, waiter, *timeouts, True, extra, server, context
        )
        if server is not None:
            server._detach(transport)  # Order: the server counts the new one already
        return upgraded
    context = context_of(transport)
    upper = TlsBytesTransport(
        loop, protocol, sslcontext, server_side, hostname, waiter, *timeouts, True, unread, None, context
    )
    upper.start_over(transport)
    return upper


class _Ending(asyncio.Protocol):
    """Takes the place of the protocol of a transport that is closing, and hears when that is through."""

    def __init__(self, protocol: Any, lost: Any) -> None:
        self._protocol = protocol
        self._lost = lost  # a future

    def connection_lost(self, exc: Exception | None) -> None:
        try:
            self._protocol.connection_lost(exc)
        finally:
            if not self._lost.done():
                if exc is None:
                    self._lost.set_result(None)
                else:
                    self._lost.set_exception(exc)


async def _lost(loop: Any, transport: Any, protocol: Any) -> None:
    """asyncio: TLS on a transport that is closing ends as the connection does; libraries look for the None."""
    if transport.get_protocol() is None:
        raise ConnectionAbortedError("TLS cannot start: the connection is lost")
    lost = loop.create_future()
    transport.set_protocol(_Ending(protocol, lost))
    await lost


async def start_tls(
    loop: Any,
    transport: Any,
    protocol: Any,
    sslcontext: ssl.SSLContext,
    *,
    server_side: bool = False,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
) -> Any:
    """Upgrade `transport` to TLS; return the transport that `protocol` uses from now on.

    The old transport is closed for its owner. TypeError for a transport that cannot be upgraded, the
    handshake's error if it fails; the connection is then closed and `connection_lost` called. None if the transport
    was closing already, once that is through; ConnectionAbortedError if it was through before.
    """
    if ssl is None:
        raise RuntimeError("Python ssl module is not available")
    if not isinstance(sslcontext, ssl.SSLContext):
        raise TypeError(f"sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}")
    if not getattr(transport, "_start_tls_compatible", False):
        raise TypeError(f"transport {transport!r} is not supported by start_tls()")
    timeouts = _checked_timeouts(ssl_handshake_timeout, ssl_shutdown_timeout)
    hostname = _checked_hostname(sslcontext, server_side, server_hostname)
    if transport.is_closing():
        return await _lost(loop, transport, protocol)
    waiter = loop.create_future()
    upgraded = _upgrade(loop, transport, protocol, sslcontext, server_side, hostname, waiter, timeouts)
    if hasattr(protocol, "_over_ssl"):
        protocol._over_ssl = True  # of a stream, cede's or asyncio's: it then wants no half-open connection
    try:
        await waiter
    except BaseException:
        upgraded.close()
        raise
    finally:
        waiter = None  # its exception would hold this frame, and this frame its exception
    return upgraded
