"""TLS on a socket, or on a transport that is already there."""

from __future__ import annotations

import socket
import ssl
from typing import Any


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
    raise NotImplementedError("TLS is not there yet")


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
    """Upgrade `transport` to TLS; return the transport that `protocol` uses from now on."""
    raise NotImplementedError("TLS is not there yet")
