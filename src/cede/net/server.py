"""Server: listening sockets, and the connections that came through them.

A Server listens on one or more sockets and keeps count of its connections. It ends in two steps that
may come in either order, `wait_closed` waits for both: it was closed, and its last connection is gone.

Context: the server keeps the context in which it was created; each connection runs in a copy of its
own, from the protocol's factory to `connection_lost`.

How the sockets are bound stands in `serve`; how a connection is accepted, in `io/listener`.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import os
import socket
import weakref
from asyncio.trsock import TransportSocket
from collections.abc import Callable
from typing import Any

from ..engine import own_calls
from ..engine.futures import release
from .awaiting import next_turn

TYPE_CHECKING = False  # not typing's: importing that takes as long as importing the engine
if TYPE_CHECKING:
    from ..io.listener import Listener

logger = logging.getLogger("asyncio")


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
        # Imported by the first server: every program that imports cede has the class.
        from ..io.listener import Listener
        from ..io.stream_transport import StreamTransport

        self._new_listener, self._new_transport = Listener, StreamTransport
        self._loop = loop
        self._sockets: list[socket.socket] | None = sockets  # None once closed
        self._protocol_factory = protocol_factory
        self._backlog = backlog
        self._ssl_context = ssl_context
        self._ssl_handshake_timeout = ssl_handshake_timeout
        self._ssl_shutdown_timeout = ssl_shutdown_timeout
        self._context = contextvars.copy_context()
        # One a socket; none iff not serving. Weak: the poller keeps each, and each keeps the server.
        self._listeners: list[weakref.ref[Listener]] = []
        # Weak, so that a transport nobody holds any more can still be found out and complain.
        self._clients: dict[int, weakref.ref[Any]] = {}  # by the id of the transport
        self._waiters: list[Any] | None = []  # futures of wait_closed; None once closed and without clients
        self._serving_forever: Any = None  # the future of serve_forever, while that runs
        self._process = os.getpid()
        self._socket_files: dict[socket.socket, int] = {}  # unix sockets whose file is ours: its inode

    def __repr__(self) -> str:
        return f"<{type(self).__name__} sockets={self.sockets!r}>"

    def get_loop(self) -> Any:
        """Return the loop the server belongs to."""
        return self._loop

    def is_serving(self) -> bool:
        """Return True while new connections are accepted."""
        return bool(self._listeners)

    # asyncio: some programs look whether anybody waits in `serve_forever`, and some end that by this future.
    @property
    def _serving_forever_fut(self) -> Any:
        return self._serving_forever

    @property
    def _serving(self) -> bool:
        return self.is_serving()

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
            self._listeners.append(weakref.ref(self._new_listener(self._loop, sock, self._backlog, self._accepted)))

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
        for reference in self._listeners:
            if (listener := reference()) is not None:
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
        if inode is None or self._process != os.getpid():  # a forked child's copy: the file is the parent's
            sock.close()
            return
        path = sock.getsockname()
        sock.close()
        try:
            if own_calls.stat(path).st_ino == inode:
                own_calls.remove(path)
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
            self._wakeup()

    def _wakeup(self) -> None:
        """Let all go on who wait in `wait_closed`."""
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            release(waiter)

    def _accepted(self, conn: socket.socket, address: Any, own_address: Any) -> None:
        if self._sockets is None:
            conn.close()  # closed by a connection that was accepted in the same turn
            return
        if self._loop.get_debug():
            logger.debug("%r got a new connection from %r: %r", self, address, conn)
        context = self._context.copy()
        context.run(self._begin, conn, (address, own_address), context)

    def _begin(self, conn: socket.socket, names: tuple[Any, Any], context: contextvars.Context) -> None:
        """Give an accepted socket its protocol and its transport, inside `context`."""
        protocol = None
        try:
            protocol = self._protocol_factory()
            if self._ssl_context is None:
                self._new_transport(self._loop, conn, protocol, None, None, self, context, names)
            else:
                extra = {name: value for name, value in zip(("peername", "sockname"), names) if value is not None}
                self._begin_tls(conn, protocol, extra, context)
        except BaseException as exc:
            conn.close()
            if isinstance(exc, (SystemExit, KeyboardInterrupt)):
                raise
            self._report(exc, protocol)

    def _begin_tls(self, conn: socket.socket, protocol: Any, extra: dict[str, Any], context: Any) -> None:
        from .start_tls import make_tls_transport  # here, for many a server never needs it

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
