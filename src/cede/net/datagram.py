"""`create_datagram_endpoint`: UDP and unix datagrams.

An endpoint has a local address, a remote one (then it is connected, and sends without naming it), both,
or, for datagrams of one's own family, neither.
"""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable
from typing import Any

from ..io.datagram_transport import DatagramTransport
from .closings import tell_of_closing
from .resolve import resolve
from .serve import remove_stale_socket, set_reuse_port

logger = logging.getLogger("asyncio")

# asyncio: the words changed in Python 3.12.3; people match them.
_WANTED = "A datagram socket" if sys.version_info >= (3, 12, 3) else "A UDP Socket"

# What to make a socket of: family, protocol, local address or None, remote address or None.
_Plan = tuple[int, int, Any, Any]


def _check_given_socket(sock: socket.socket, options: dict[str, Any]) -> None:
    if sock.type == socket.SOCK_STREAM:
        raise ValueError(f"{_WANTED} was expected, got {sock!r}")
    problems = ", ".join(f"{name}={value}" for name, value in options.items() if value)
    if problems:
        raise ValueError(f"socket modifier keyword arguments can not be used when sock is specified. ({problems})")


async def _plans(loop: Any, local_addr: Any, remote_addr: Any, family: int, proto: int, flags: int) -> list[_Plan]:
    """Return what to try, best first."""
    if not (local_addr or remote_addr):
        if family == 0:
            raise ValueError("unexpected address family")
        return [(family, proto, None, None)]
    if hasattr(socket, "AF_UNIX") and family == socket.AF_UNIX:
        for path in (local_addr, remote_addr):
            if path is not None and not isinstance(path, str):
                raise TypeError("string is expected")
        if local_addr:
            remove_stale_socket(local_addr)
        return [(family, proto, local_addr, remote_addr)]
    found: dict[tuple[int, int], list[Any]] = {}  # (family, protocol): [local, remote]
    for place, address in enumerate((local_addr, remote_addr)):
        if address is None:
            continue
        if not (isinstance(address, tuple) and len(address) == 2):
            raise TypeError("2-tuple is expected")
        infos = await resolve(loop, address, family=family, type=socket.SOCK_DGRAM, proto=proto, flags=flags)
        for its_family, _, its_proto, _, resolved in infos:
            found.setdefault((its_family, its_proto), [None, None])[place] = resolved
    plans = [
        (*key, local, remote)
        for key, (local, remote) in found.items()
        if not (local_addr and local is None) and not (remote_addr and remote is None)
    ]
    if not plans:
        raise ValueError("can not get address information")
    return plans


async def _open(loop: Any, plan: _Plan, reuse_port: bool | None, allow_broadcast: bool | None) -> socket.socket:
    family, proto, local, remote = plan
    sock = socket.socket(family=family, type=socket.SOCK_DGRAM, proto=proto)
    try:
        if reuse_port:
            set_reuse_port(sock)
        if allow_broadcast:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setblocking(False)
        if local:
            sock.bind(local)
        # A connected socket would not hear the answers to a broadcast.
        if remote and not allow_broadcast:
            await loop.sock_connect(sock, remote)
    except BaseException:
        sock.close()
        raise
    return sock


async def _first_that_opens(
    loop: Any, plans: list[_Plan], reuse_port: bool | None, allow_broadcast: bool | None
) -> tuple[socket.socket, Any]:
    """Return the socket and the address it sends to; raise the error of the first plan if none can be opened."""
    first_error: OSError | None = None
    try:
        for plan in plans:
            try:
                return await _open(loop, plan, reuse_port, allow_broadcast), plan[3]
            except OSError as exc:
                first_error = first_error or exc
        assert first_error is not None
        raise first_error
    finally:
        first_error = None  # its traceback holds this frame


async def create_datagram_endpoint(
    loop: Any,
    protocol_factory: Callable[[], Any],
    local_addr: Any = None,
    remote_addr: Any = None,
    *,
    family: int = 0,
    proto: int = 0,
    flags: int = 0,
    reuse_port: bool | None = None,
    allow_broadcast: bool | None = None,
    sock: socket.socket | None = None,
) -> tuple[Any, Any]:
    """Open a datagram socket, or take `sock`; return transport and protocol.

    Addresses are `(host, port)`, or paths when `family` is AF_UNIX.
    """
    if sock is not None:
        options = {
            "local_addr": local_addr,
            "remote_addr": remote_addr,
            "family": family,
            "proto": proto,
            "flags": flags,
            "reuse_port": reuse_port,
            "allow_broadcast": allow_broadcast,
        }
        _check_given_socket(sock, options)
        sock.setblocking(False)
        address = None
    else:
        plans = await _plans(loop, local_addr, remote_addr, family, proto, flags)
        sock, address = await _first_that_opens(loop, plans, reuse_port, allow_broadcast)
    try:
        protocol = protocol_factory()
        waiter = loop.create_future()
        loop._unclaimed(sock)
        transport = DatagramTransport(loop, sock, protocol, address or None, waiter)
        tell_of_closing(loop, sock)
    except BaseException:
        sock.close()
        raise
    _log(loop, local_addr, remote_addr, transport, protocol)
    try:
        await waiter
    except BaseException:
        transport.close()
        raise
    return transport, protocol


def _log(loop: Any, local_addr: Any, remote_addr: Any, transport: Any, protocol: Any) -> None:
    if not loop.get_debug():
        return
    if local_addr:
        text = "Datagram endpoint local_addr=%r remote_addr=%r created: (%r, %r)"
        logger.info(text, local_addr, remote_addr, transport, protocol)
    else:
        logger.debug("Datagram endpoint remote_addr=%r created: (%r, %r)", remote_addr, transport, protocol)
