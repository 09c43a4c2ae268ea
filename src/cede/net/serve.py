"""Servers: `create_server`, `create_unix_server`, and the Server they return.

A Server listens on one or more sockets and keeps count of its connections. It ends in two steps that
may come in either order, `wait_closed` waits for both: it was closed, and its last connection is gone.

Context: the server keeps the context in which it was created; each connection runs in a copy of its
own, from the protocol's factory to `connection_lost`.
"""

from __future__ import annotations

import asyncio
import collections.abc
import contextvars
import errno
import functools
import itertools
import logging
import os
import socket
import stat
import sys
import weakref
from asyncio.trsock import TransportSocket
from collections.abc import Callable, Iterable
from typing import Any

from ..engine.futures import release
from ..io.listener import Listener
from ..io.socket_waits import refuse_tls_socket
from ..io.stream_transport import StreamTransport
from .awaiting import SideBySide, next_turn
from .connect import check_tls_arguments
from .resolve import AddrInfo, resolve
from .start_tls import make_tls_transport

logger = logging.getLogger("asyncio")


# --- Server --------------------------------------------------------------------------------------


class Server(asyncio.AbstractServer):
    """What `create_server` returns: listening sockets and the connections that came through them."""

    def __init__(
        self,
        loop: Any,
        sockets: list[socket.socket],
        protocol_factory: Callable[[], Any],
        ssl_context: Any,
        backlog: int,
        ssl_handshake_timeout: float | None,
        ssl_shutdown_timeout: float | None = None,
    ) -> None:
        self._loop = loop
        self._sockets: list[socket.socket] | None = sockets  # None once closed
        self._protocol_factory = protocol_factory
        self._backlog = backlog
        self._ssl_context = ssl_context
        self._ssl_handshake_timeout = ssl_handshake_timeout
        self._ssl_shutdown_timeout = ssl_shutdown_timeout
        self._context = contextvars.copy_context()
        self._listeners: list[Listener] = []  # one a socket; empty iff not serving
        # Weak, so that a transport nobody holds any more can still be found out and complain.
        self._clients: dict[int, weakref.ref[Any]] = {}  # by the id of the transport
        self._waiters: list[Any] | None = []  # futures of wait_closed; None once closed and without clients
        self._serving_forever: Any = None  # the future of serve_forever, while that runs
        self._socket_files: dict[socket.socket, int] = {}  # unix sockets whose file is ours: its inode

    def __repr__(self) -> str:
        return f"<{type(self).__name__} sockets={self.sockets!r}>"

    def get_loop(self) -> Any:
        """Return the loop the server belongs to."""
        return self._loop

    def is_serving(self) -> bool:
        """Return True while new connections are accepted."""
        return bool(self._listeners)

    @property
    def sockets(self) -> tuple[TransportSocket, ...]:
        """The listening sockets; none once the server is closed."""
        return tuple(TransportSocket(sock) for sock in self._sockets or ())

    async def start_serving(self) -> None:
        """Begin to accept connections; does nothing if the server does so already."""
        self._start_serving()
        await next_turn  # asyncio: the listening sockets are watched when this returns

    def _start_serving(self) -> None:
        if self._listeners:
            return
        if self._sockets is None:
            raise RuntimeError(f"server {self!r} is closed")
        for sock in self._sockets:
            sock.listen(self._backlog)
            self._listeners.append(Listener(self._loop, sock, self._backlog, self._accepted))

    async def serve_forever(self) -> None:
        """Accept connections until cancelled; then close the server and its connections."""
        if self._serving_forever is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        if self._sockets is None:
            raise RuntimeError(f"server {self!r} is closed")
        self._start_serving()
        self._serving_forever = self._loop.create_future()
        try:
            await self._serving_forever
        except asyncio.CancelledError:
            try:
                self.close()
                self.close_clients()
                await self.wait_closed()
            finally:
                raise
        finally:
            self._serving_forever = None

    def close(self) -> None:
        """Stop listening and close the listening sockets. Connections that are open stay open."""
        sockets, self._sockets = self._sockets, None
        if sockets is None:
            return
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for sock in sockets:
            self._close_socket(sock)
        if self._serving_forever is not None:
            self._serving_forever.cancel()
            self._serving_forever = None
        self._look_for_end()

    def _close_socket(self, sock: socket.socket) -> None:
        inode = self._socket_files.pop(sock, None)
        if inode is None:
            sock.close()
            return
        path = sock.getsockname()
        sock.close()
        try:
            if os.stat(path).st_ino == inode:
                os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as exc:
            logger.error("Unable to clean up listening UNIX socket %r: %r", path, exc)

    def close_clients(self) -> None:
        """Close every connection, after what it has buffered was sent."""
        for transport in self._living():
            transport.close()

    def abort_clients(self) -> None:
        """Close every connection at once and drop what it has buffered."""
        for transport in self._living():
            transport.abort()

    def _living(self) -> list[Any]:
        return [transport for reference in self._clients.values() if (transport := reference()) is not None]

    async def wait_closed(self) -> None:
        """Wait until the server is closed and its last connection is gone, in whichever order."""
        if self._waiters is None:
            return
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    # --- What transports and listeners say

    def _attach(self, transport: Any) -> None:
        self._clients[id(transport)] = weakref.ref(transport)

    def _detach(self, transport: Any) -> None:
        self._clients.pop(id(transport), None)
        self._look_for_end()

    def _look_for_end(self) -> None:
        if self._sockets is None and self._waiters is not None and not self._living():
            waiters, self._waiters = self._waiters, None
            for waiter in waiters:
                release(waiter)

    def _accepted(self, conn: socket.socket, address: Any, own_address: Any) -> None:
        if self._sockets is None:
            conn.close()  # closed by a connection that was accepted in the same turn
            return
        if self._loop.get_debug():
            logger.debug("%r got a new connection from %r: %r", self, address, conn)
        context = self._context.copy()
        extra = {"peername": address}
        if own_address is not None:
            extra["sockname"] = own_address
        context.run(self._begin, conn, extra, context)

    def _begin(self, conn: socket.socket, extra: dict[str, Any], context: contextvars.Context) -> None:
        """Give an accepted socket its protocol and its transport, inside `context`."""
        protocol = None
        try:
            protocol = self._protocol_factory()
            if self._ssl_context is None:
                StreamTransport(self._loop, conn, protocol, None, extra, self, context)
            else:
                self._begin_tls(conn, protocol, extra, context)
        except BaseException as exc:
            conn.close()
            if isinstance(exc, (SystemExit, KeyboardInterrupt)):
                raise
            self._report(exc, protocol)

    def _begin_tls(self, conn: socket.socket, protocol: Any, extra: dict[str, Any], context: Any) -> None:
        waiter = self._loop.create_future()
        transport = make_tls_transport(
            self._loop,
            conn,
            protocol,
            self._ssl_context,
            waiter,
            server_side=True,
            extra=extra,
            server=self,
            ssl_handshake_timeout=self._ssl_handshake_timeout,
            ssl_shutdown_timeout=self._ssl_shutdown_timeout,
            context=context,
        )
        waiter.add_done_callback(functools.partial(self._handshake_ended, protocol, transport))

    def _handshake_ended(self, protocol: Any, transport: Any, waiter: Any) -> None:
        exc = None if waiter.cancelled() else waiter.exception()
        if exc is not None:
            transport.close()
            # asyncio: in debug mode only; a failed handshake is the peer's business most of the time.
            if self._loop.get_debug():
                self._report(exc, protocol, transport)

    def _report(self, exc: BaseException, protocol: Any, transport: Any = None) -> None:
        context = {"message": "Error on transport creation for incoming connection", "exception": exc}
        if protocol is not None:
            context["protocol"] = protocol
        if transport is not None:
            context["transport"] = transport
        self._loop.call_exception_handler(context)


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
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.remove(path)
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
                server._socket_files[sock] = os.stat(file).st_ino
            except FileNotFoundError:
                pass
    return await _finished(loop, server, start_serving)
