"""Servers: `create_server` and `create_unix_server`, which bind the sockets of a Server (`server.py`)."""

from __future__ import annotations

import collections.abc
import errno
import itertools
import logging
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterable
from typing import Any

from ..engine import own_calls
from ..io.socket_waits import refuse_tls_socket
from .awaiting import SideBySide
from .connect import check_tls_arguments
from .resolve import AddrInfo, resolve
from .server import Server

logger = logging.getLogger("asyncio")


async def _finished(loop: Any, server: Server, start_serving: bool) -> Server:
    if start_serving:
        await server.start_serving()
    if loop.get_debug():
        logger.info("%r is serving", server)
    return server


# --- Listening sockets of the internet -----------------------------------------------------------


def set_reuse_port(sock: socket.socket) -> None:
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ValueError("reuse_port not supported by socket module")
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        raise ValueError(
            "reuse_port not supported by socket module, SO_REUSEPORT defined but not implemented."
        ) from None


def _hosts(host: Any) -> list[Any]:
    if host == "":
        return [None]
    if isinstance(host, str) or not isinstance(host, collections.abc.Iterable):
        return [host]
    return list(host)


async def _addresses(loop: Any, hosts: list[Any], port: Any, family: int, flags: int) -> Iterable[AddrInfo]:
    """Return each address of the hosts once."""

    lookups = [resolve(loop, (host, port), family=family, flags=flags, shown=repr(host)) for host in hosts]
    if len(lookups) == 1:
        return dict.fromkeys(await lookups[0])
    found = await SideBySide(loop, lookups).wait()
    for outcome in found:
        if isinstance(outcome, BaseException):
            raise outcome
    return dict.fromkeys(itertools.chain.from_iterable(found))


def _new_socket(loop: Any, info: AddrInfo) -> socket.socket | None:
    """Open a socket, or return None where the machine does not know the family."""
    try:
        return socket.socket(*info[:3])
    except OSError:
        if loop.get_debug():
            logger.warning("create_server() failed to create socket.socket(%r, %r, %r)", *info[:3], exc_info=True)
        return None


def _bind(loop: Any, sock: socket.socket, address: Any) -> bool:
    """Bind a socket; return False if the address's family is not enabled."""
    try:
        sock.bind(address)
    except OSError as exc:
        text = f"error while attempting to bind on address {address!r}: {str(exc).lower()}"
        if exc.errno != errno.EADDRNOTAVAIL:
            raise OSError(exc.errno, text) from None
        if loop.get_debug():
            logger.warning(text)
        return False
    return True


def _set_options(sock: socket.socket, reuse_address: Any, reuse_port: Any, keep_alive: Any) -> None:
    if reuse_address:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Linux 6.12.9 and later refuse SO_REUSEPORT on other families.
    if reuse_port and sock.family in (socket.AF_INET, socket.AF_INET6):
        set_reuse_port(sock)
    if keep_alive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sock.family == socket.AF_INET6 and hasattr(socket, "IPPROTO_IPV6"):
        # One socket a family: a host with both gets two.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def _bound_sockets(
    loop: Any, infos: Iterable[AddrInfo], reuse_address: Any, reuse_port: Any, keep_alive: Any
) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for info in infos:
            sock = _new_socket(loop, info)
            if sock is None:
                continue
            sockets.append(sock)
            _set_options(sock, reuse_address, reuse_port, keep_alive)
            if not _bind(loop, sock, info[4]):
                sockets.pop().close()
        if not sockets:
            raise OSError(f"could not bind on any address out of {[info[4] for info in infos]!r}")
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


async def create_server(
    loop: Any,
    protocol_factory: Callable[[], Any],
    host: Any = None,
    port: int | str | None = None,
    *,
    family: int = socket.AF_UNSPEC,
    flags: int = socket.AI_PASSIVE,
    sock: socket.socket | None = None,
    backlog: int = 100,
    ssl: Any = None,
    reuse_address: bool | None = None,
    reuse_port: bool | None = None,
    keep_alive: bool | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    start_serving: bool = True,
) -> Server:
    """Listen on `port` of `host` (a name, several names, or None: everywhere), or on `sock`.

    Each address is listened on once. The Server accepts at once unless `start_serving` is False.
    """
    if isinstance(ssl, bool):
        raise TypeError("ssl argument must be an SSLContext or None")
    check_tls_arguments(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
    if sock is not None:
        refuse_tls_socket(sock)
    if host is not None or port is not None:
        if sock is not None:
            raise ValueError("host/port and sock can not be specified at the same time")
        if reuse_address is None:
            reuse_address = os.name == "posix" and sys.platform != "cygwin"
        infos = await _addresses(loop, _hosts(host), port, family, flags)
        sockets = _bound_sockets(loop, infos, reuse_address, reuse_port, keep_alive)
    elif sock is None:
        raise ValueError("Neither host/port nor sock were specified")
    elif sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A Stream Socket was expected, got {sock!r}")
    else:
        sockets = [sock]
    for each in sockets:
        each.setblocking(False)
    server = Server(loop, sockets, protocol_factory, ssl, backlog, ssl_handshake_timeout, ssl_shutdown_timeout)
    return await _finished(loop, server, start_serving)


# --- Listening unix sockets ----------------------------------------------------------------------


def _is_abstract(path: str | bytes) -> bool:
    return path[:1] in ("\0", b"\0")


def remove_stale_socket(path: str | bytes) -> None:
    """Remove the socket file that an earlier process left at `path`."""
    if _is_abstract(path):
        return
    try:
        if stat.S_ISSOCK(own_calls.stat(path).st_mode):
            own_calls.remove(path)
    except FileNotFoundError:
        pass
    except OSError as exc:
        # A directory may let us create a socket and nothing else.
        logger.error("Unable to check or remove stale UNIX socket %r: %r", path, exc)


def _bound_unix_socket(path: str | bytes) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        remove_stale_socket(path)
        sock.bind(path)
    except OSError as exc:
        sock.close()
        if exc.errno == errno.EADDRINUSE:
            raise OSError(errno.EADDRINUSE, f"Address {path!r} is already in use") from None
        raise
    except BaseException:
        sock.close()
        raise
    return sock


_CLEANS_UP = sys.version_info >= (3, 13)


async def create_unix_server(
    loop: Any,
    protocol_factory: Callable[[], Any],
    path: str | bytes | os.PathLike[Any] | None = None,
    *,
    sock: socket.socket | None = None,
    backlog: int = 100,
    ssl: Any = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    start_serving: bool = True,
    cleanup_socket: bool = _CLEANS_UP,
) -> Server:
    """Listen on the unix socket `path` (one that begins with a zero byte is abstract), or on `sock`.

    With `cleanup_socket` closing the server removes the socket's file, if it is still the same file. The default is
    the interpreter's: True since Python 3.13. Programs written for an older one remove the file themselves.
    """
    if isinstance(ssl, bool):
        raise TypeError("ssl argument must be an SSLContext or None")
    check_tls_arguments(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
    if path is not None:
        if sock is not None:
            raise ValueError("path and sock can not be specified at the same time")
        sock = _bound_unix_socket(os.fspath(path))
    elif sock is None:
        raise ValueError("path was not specified, and no sock specified")
    elif sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A UNIX Domain Stream Socket was expected, got {sock!r}")
    sock.setblocking(False)
    server = Server(loop, [sock], protocol_factory, ssl, backlog, ssl_handshake_timeout, ssl_shutdown_timeout)
    if cleanup_socket:
        file = sock.getsockname()
        if file and not _is_abstract(file):
            try:
                server._socket_files[sock] = own_calls.stat(file).st_ino
            except FileNotFoundError:
                pass
    return await _finished(loop, server, start_serving)
