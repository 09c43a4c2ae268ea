"""Connections that we open: `create_connection`, `create_unix_connection`, `connect_accepted_socket`.

A name often stands for several addresses, some of them dead. They are tried in order, or staggered
("Happy Eyeballs", RFC 8305): with `happy_eyeballs_delay` the next address starts while the last one still
tries, families taking turns, and the first to answer wins.

Law: each socket made here ends in a transport or is closed, whatever happens: an error of the protocol's
factory, a cancellation, a race that was won by another.
"""

from __future__ import annotations

import contextvars
import itertools
import logging
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

from ..io.socket_waits import refuse_tls_socket
from ..io.stream_transport import StreamTransport
from .closings import tell_of_closing
from .resolve import AddrInfo, resolve
from .staggered import staggered_race
from .start_tls import make_tls_transport

logger = logging.getLogger("asyncio")

_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)  # where the system has it, it saves a call


# --- Arguments -----------------------------------------------------------------------------------


def check_tls_arguments(tls: Any, ssl_handshake_timeout: Any, ssl_shutdown_timeout: Any) -> None:
    """ValueError for a TLS timeout without TLS."""
    if ssl_handshake_timeout is not None and not tls:
        raise ValueError("ssl_handshake_timeout is only meaningful with ssl")
    if ssl_shutdown_timeout is not None and not tls:
        raise ValueError("ssl_shutdown_timeout is only meaningful with ssl")


def _hostname_to_check(tls: Any, host: Any, server_hostname: Any) -> Any:
    if server_hostname is not None and not tls:
        raise ValueError("server_hostname is only meaningful with ssl")
    if server_hostname is None and tls:
        # An empty name would not be checked: who wants that says so with server_hostname="".
        if not host:
            raise ValueError("You must set server_hostname when using ssl without a host")
        return host
    return server_hostname


def _check_given_socket(sock: Any) -> None:
    if sock is None:
        raise ValueError("host and port was not specified and no sock specified")
    if sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A Stream Socket was expected, got {sock!r}")


# --- From a connected socket to a transport ------------------------------------------------------


async def make_transport(
    loop: Any,
    sock: socket.socket,
    protocol_factory: Callable[[], Any],
    tls: Any,
    server_hostname: str | None = None,
    *,
    server_side: bool = False,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
) -> tuple[Any, Any]:
    """Build protocol and transport for a connected socket; return them once `connection_made` was called."""
    try:
        if sock.gettimeout() != 0:
            sock.setblocking(False)
        context = contextvars.copy_context()
        protocol = protocol_factory()
        waiter = loop.create_future()
        loop._unclaimed(sock)
        if tls:
            transport = make_tls_transport(
                loop,
                sock,
                protocol,
                None if isinstance(tls, bool) else tls,
                waiter,
                server_side=server_side,
                server_hostname=server_hostname,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
                context=context,
            )
        else:
            transport = StreamTransport(loop, sock, protocol, waiter, context=context)
        tell_of_closing(loop, sock)
    except BaseException:
        sock.close()
        raise
    try:
        await waiter
    except BaseException:
        transport.close()
        raise
    finally:
        waiter = None  # its exception would hold this frame, and this frame its exception
    return transport, protocol


# --- From addresses to a connected socket --------------------------------------------------------


def interleave_families(infos: list[AddrInfo], first_family_count: int = 1) -> list[AddrInfo]:
    """Let the address families take turns; the first one begins with `first_family_count` addresses."""
    families: dict[Any, list[AddrInfo]] = {}
    for info in infos:
        families.setdefault(info[0], []).append(info)
    first, *others = families.values()
    head, tail = first[: first_family_count - 1], first[first_family_count - 1 :]
    turns = itertools.chain.from_iterable(itertools.zip_longest(tail, *others))
    return head + [info for info in turns if info is not None]


def _bind_to_one_of(sock: socket.socket, family: int, local_infos: list[AddrInfo], errors: list[Exception]) -> None:
    for local_family, _, _, _, address in local_infos:
        if local_family != family:
            continue
        try:
            sock.bind(address)
            return
        except OSError as exc:
            text = f"error while attempting to bind on address {address!r}: {str(exc).lower()}"
            errors.append(OSError(exc.errno, text))
    if errors:
        raise errors.pop()
    raise OSError(f"no matching local address with {family=} found")


async def _connected_socket(
    loop: Any, errors: list[Exception], info: AddrInfo, local_infos: list[AddrInfo] | None
) -> socket.socket:
    """Open a socket to one address. What goes wrong is raised and also appended to `errors`."""
    family, type_, proto, _, address = info
    sock = None
    try:
        sock = socket.socket(family, type_ | _NONBLOCK, proto)
        if not _NONBLOCK:
            sock.setblocking(False)
        if local_infos is not None:
            _bind_to_one_of(sock, family, local_infos, errors)
        await loop.sock_connect(sock, address)
        return sock
    except BaseException as exc:
        if isinstance(exc, Exception):
            errors.append(exc)
        if sock is not None:
            _close_quietly(sock)
        raise


def _close_quietly(sock: socket.socket) -> None:
    try:
        sock.close()
    except OSError:
        pass  # the error that made us close it matters more


async def _first_in_order(
    loop: Any, infos: list[AddrInfo], local_infos: list[AddrInfo] | None, errors: list[list[Exception]]
) -> socket.socket | None:
    for info in infos:
        errors.append([])
        try:
            return await _connected_socket(loop, errors[-1], info, local_infos)
        except OSError:
            continue
    return None


async def _first_to_answer(
    loop: Any, infos: list[AddrInfo], local_infos: list[AddrInfo] | None, errors: list[list[Exception]], delay: float
) -> socket.socket | None:
    answered: list[socket.socket] = []

    def attempts() -> Iterator[Callable[[], Any]]:
        for info in infos:
            errors.append([])
            yield lambda info=info, mine=errors[-1]: attempt(info, mine)

    async def attempt(info: AddrInfo, mine: list[Exception]) -> None:
        answered.append(await _connected_socket(loop, mine, info, local_infos))

    try:
        await staggered_race(attempts(), delay, loop=loop)
    except BaseException:
        # Cancelled in the very turn in which an address answered: nobody will have that socket.
        for sock in answered:
            sock.close()
        raise
    return answered[0] if answered else None


def _failure(errors: list[list[Exception]], all_errors: bool) -> Exception:
    """The one exception that tells why no address could be connected to."""
    found = [exc for of_one_address in errors for exc in of_one_address]
    if all_errors:
        return ExceptionGroup("create_connection failed", found)
    if not found:
        return TimeoutError("create_connection failed")
    texts = [str(exc) for exc in found]
    if all(text == texts[0] for text in texts):
        return found[0]
    return OSError(f"Multiple exceptions: {', '.join(texts)}")


async def _connect(
    loop: Any,
    host: Any,
    port: Any,
    family: int,
    proto: int,
    flags: int,
    local_addr: Any,
    happy_eyeballs_delay: float | None,
    interleave: int | None,
    all_errors: bool,
) -> socket.socket:
    wanted: Any = {"family": family, "type": socket.SOCK_STREAM, "proto": proto, "flags": flags}
    infos = await resolve(loop, (host, port), **wanted)
    local_infos = None if local_addr is None else await resolve(loop, local_addr, **wanted)
    if interleave is None and happy_eyeballs_delay is not None:
        interleave = 1
    if interleave:
        infos = interleave_families(infos, interleave)
    errors: list[list[Exception]] = []  # one list an address tried
    try:
        if happy_eyeballs_delay is None:
            sock = await _first_in_order(loop, infos, local_infos, errors)
        else:
            sock = await _first_to_answer(loop, infos, local_infos, errors, happy_eyeballs_delay)
        if sock is None:
            raise _failure(errors, all_errors)
        return sock
    finally:
        # The tracebacks of these errors hold frames that hold these lists: break the cycle.
        for of_one_address in errors:
            of_one_address.clear()


# --- The loop's methods --------------------------------------------------------------------------


async def create_connection(
    loop: Any,
    protocol_factory: Callable[[], Any],
    host: str | bytes | None = None,
    port: int | str | None = None,
    *,
    ssl: Any = None,
    family: int = 0,
    proto: int = 0,
    flags: int = 0,
    sock: socket.socket | None = None,
    local_addr: tuple[str, int] | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    happy_eyeballs_delay: float | None = None,
    interleave: int | None = None,
    all_errors: bool = False,
) -> tuple[Any, Any]:
    """Connect to `host` and `port`, or take the connected socket `sock`; return transport and protocol.

    With `happy_eyeballs_delay` (seconds) the addresses of the host are tried staggered. When none can
    be connected to, raise the OSError, or one that tells of all; with `all_errors` an ExceptionGroup.
    """
    server_hostname = _hostname_to_check(ssl, host, server_hostname)
    check_tls_arguments(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
    if sock is not None:
        refuse_tls_socket(sock)
    if host is not None or port is not None:
        if sock is not None:
            raise ValueError("host/port and sock can not be specified at the same time")
        sock = await _connect(
            loop, host, port, family, proto, flags, local_addr, happy_eyeballs_delay, interleave, all_errors
        )
    else:
        _check_given_socket(sock)
    transport, protocol = await make_transport(
        loop,
        sock,
        protocol_factory,
        ssl,
        server_hostname,
        ssl_handshake_timeout=ssl_handshake_timeout,
        ssl_shutdown_timeout=ssl_shutdown_timeout,
    )
    if loop.get_debug():
        sock = transport.get_extra_info("socket")
        logger.debug("%r connected to %s:%r: (%r, %r)", sock, host, port, transport, protocol)
    return transport, protocol


async def connect_accepted_socket(
    loop: Any,
    protocol_factory: Callable[[], Any],
    sock: socket.socket,
    *,
    ssl: Any = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
) -> tuple[Any, Any]:
    """Serve a connection that was accepted elsewhere; return transport and protocol."""
    if sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A Stream Socket was expected, got {sock!r}")
    check_tls_arguments(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
    refuse_tls_socket(sock)
    transport, protocol = await make_transport(
        loop,
        sock,
        protocol_factory,
        ssl,
        "",
        server_side=True,
        ssl_handshake_timeout=ssl_handshake_timeout,
        ssl_shutdown_timeout=ssl_shutdown_timeout,
    )
    if loop.get_debug():
        logger.debug("%r handled: (%r, %r)", transport.get_extra_info("socket"), transport, protocol)
    return transport, protocol


async def create_unix_connection(
    loop: Any,
    protocol_factory: Callable[[], Any],
    path: str | bytes | os.PathLike[Any] | None = None,
    *,
    ssl: Any = None,
    sock: socket.socket | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
) -> tuple[Any, Any]:
    """Connect to the unix socket `path` (one that begins with a zero byte is abstract), or take `sock`."""
    if ssl:
        if server_hostname is None:
            raise ValueError("you have to pass server_hostname when using ssl")
    elif server_hostname is not None:
        raise ValueError("server_hostname is only meaningful with ssl")
    check_tls_arguments(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
    if path is not None:
        if sock is not None:
            raise ValueError("path and sock can not be specified at the same time")
        sock = await _connected_to_path(loop, os.fspath(path))
    elif sock is None:
        raise ValueError("no path and sock were specified")
    elif sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A UNIX Domain Stream Socket was expected, got {sock!r}")
    return await make_transport(
        loop,
        sock,
        protocol_factory,
        ssl,
        server_hostname,
        ssl_handshake_timeout=ssl_handshake_timeout,
        ssl_shutdown_timeout=ssl_shutdown_timeout,
    )


async def _connected_to_path(loop: Any, path: str | bytes) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, path)
    except BaseException:
        sock.close()
        raise
    return sock
