"""Streams: read from and write to a connection as from a file, without protocols.

    StreamReader          what came and was not read yet; `await reader.readline()`
    StreamWriter          writes; `await writer.drain()` waits while the other side is slow
    StreamReaderProtocol  stands between them and the transport

What happens a million times a second (handing on data, cutting lines, asking whether there is
anything to wait for) stands below, in `io/stream_buffer` and `io/stream_ends`, whose classes these
derive from. Here stands what waits, and what happens once a connection.

Law: a method that need not wait does not suspend. Each that may wait asks, waits, and asks again.
"""

from __future__ import annotations

import socket
import sys
from asyncio import AbstractEventLoop, Protocol
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from .coroutines import iscoroutine
from .engine.running import get_running_loop
from .io.stream_buffer import DEFAULT_LIMIT, StreamBuffer
from .io.stream_ends import Feeder, FlowControl, WriteEnd
from .tasks import sleep

if TYPE_CHECKING:
    from asyncio import BaseTransport, WriteTransport
    from collections.abc import Iterable
    from ssl import SSLContext

    from .net.server import Server

    Bytes = bytes | bytearray | memoryview
    ClientConnected = Callable[["StreamReader", "StreamWriter"], Awaitable[None] | None]

__all__ = ["StreamReader", "StreamWriter", "StreamReaderProtocol", "open_connection", "start_server"]

_DEFAULT_LIMIT = DEFAULT_LIMIT
_NEWLINE = b"\n"
_EVERYTHING = sys.maxsize  # bytes


# --- Opening and serving ------------------------------------------------------------------------------


async def open_connection(
    host: str | None = None, port: int | str | None = None, *, limit: int = _DEFAULT_LIMIT, **kwds: Any
) -> tuple[StreamReader, StreamWriter]:
    """Connect to `host` and `port`; return a reader and a writer.

    `limit` is the reader's, in bytes; the other keywords are those of `loop.create_connection`.
    """
    loop: Any = get_running_loop()
    reader = StreamReader(limit=limit, loop=loop)
    protocol = StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: protocol, host, port, **kwds)
    return reader, StreamWriter(transport, protocol, reader, loop)


async def start_server(
    client_connected_cb: ClientConnected,
    host: Any = None,
    port: int | str | None = None,
    *,
    limit: int = _DEFAULT_LIMIT,
    **kwds: Any,
) -> Server:
    """Serve: call `client_connected_cb(reader, writer)` for each connection; return the server.

    If that is a coroutine function, each connection has a task, held until the connection is gone;
    an exception that leaves it is reported, and closes the connection. `limit` is the readers', in
    bytes; the other arguments are those of `loop.create_server`.
    """
    loop: Any = get_running_loop()
    return await loop.create_server(_serving(client_connected_cb, limit, loop), host, port, **kwds)


def _serving(client_connected_cb: ClientConnected, limit: int, loop: Any) -> Callable[[], StreamReaderProtocol]:
    """What makes the protocol of each connection of a server."""

    def factory() -> StreamReaderProtocol:
        return StreamReaderProtocol(StreamReader(limit, loop), client_connected_cb, loop)

    return factory


if hasattr(socket, "AF_UNIX"):
    __all__ += ["open_unix_connection", "start_unix_server"]

    async def open_unix_connection(
        path: Any = None, *, limit: int = _DEFAULT_LIMIT, **kwds: Any
    ) -> tuple[StreamReader, StreamWriter]:
        """Connect to the Unix socket `path`; return a reader and a writer, as `open_connection` does."""
        loop = get_running_loop()
        reader = StreamReader(limit=limit, loop=loop)
        protocol = StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.create_unix_connection(lambda: protocol, path, **kwds)
        return reader, StreamWriter(transport, protocol, reader, loop)

    async def start_unix_server(
        client_connected_cb: ClientConnected, path: Any = None, *, limit: int = _DEFAULT_LIMIT, **kwds: Any
    ) -> Server:
        """Serve on the Unix socket `path`, as `start_server` does."""
        loop: Any = get_running_loop()
        return await loop.create_unix_server(_serving(client_connected_cb, limit, loop), path, **kwds)


# --- Protocols ----------------------------------------------------------------------------------------


class FlowControlMixin(FlowControl, Protocol):
    """What `StreamWriter.drain` needs of a protocol. A subclass that overrides a method must call it."""

    _drains_plainly = True

    def __init_subclass__(cls, **kwds: Any) -> None:
        super().__init_subclass__(**kwds)
        cls._drains_plainly = cls._drain_helper is FlowControlMixin._drain_helper

    async def _drain_helper(self) -> None:
        """Wait until the transport takes more. ConnectionResetError if it is gone."""
        waiter = self._new_drain_waiter()
        if waiter is not None:
            try:
                await waiter
            finally:
                waiters: Any = self._drain_waiters
                del waiters[waiter], waiter  # its exception would hold this frame, and this frame its exception

    def _get_close_waiter(self, stream: StreamWriter) -> Awaitable[None]:
        raise NotImplementedError


class StreamReaderProtocol(Feeder, FlowControlMixin):
    """Hands what a transport receives to a StreamReader.

    With `client_connected_cb` it is a server's: that is called with the reader and a writer once
    there is a connection.
    """

    if TYPE_CHECKING:

        def __init__(
            self,
            stream_reader: StreamReader | None,
            client_connected_cb: ClientConnected | None = None,
            loop: AbstractEventLoop | None = None,
        ) -> None: ...
        def connection_made(self, transport: BaseTransport) -> None: ...
        def data_received(self, data: bytes) -> None: ...
        def eof_received(self) -> bool | None: ...
        def connection_lost(self, exc: Exception | None) -> None: ...

    def _get_close_waiter(self, stream: StreamWriter | None) -> Awaitable[None]:
        return self._closed

    def _serve(self, transport: Any, reader: Any) -> None:
        """Let the server's user have the connection."""
        writer = StreamWriter(transport, self, reader, self._loop)
        try:
            answer = self._client_connected_cb(reader, writer)
        except Exception as exc:
            _client_failed(self._loop, transport, exc)
            return
        if iscoroutine(answer):
            self._task = self._loop.create_task(answer)
            self._task.add_done_callback(partial(_client_ended, self._loop, transport))


def _client_failed(loop: Any, transport: Any, exc: BaseException) -> None:
    loop.call_exception_handler(
        {"message": "Unhandled exception in client_connected_cb", "exception": exc, "transport": transport}
    )
    transport.close()


def _client_ended(loop: Any, transport: Any, task: Any) -> None:
    if task.cancelled():
        transport.close()
    elif task.exception() is not None:
        _client_failed(loop, transport, task.exception())


# --- Reader and writer ----------------------------------------------------------------------------------


class StreamWriter(WriteEnd):
    """The writing side of a connection.

    `write` never waits; `await drain()` after it, so that what you write is never much more than
    what the other side reads. `close` it and `await wait_closed()` in the end.
    """

    if TYPE_CHECKING:

        def __init__(self, transport: Any, protocol: Any, reader: Any, loop: Any) -> None: ...
        @property
        def transport(self) -> WriteTransport: ...
        def write(self, data: Bytes) -> None: ...
        def writelines(self, data: Iterable[Bytes]) -> None: ...
        def write_eof(self) -> None: ...
        def can_write_eof(self) -> bool: ...
        def close(self) -> None: ...
        def is_closing(self) -> bool: ...
        def get_extra_info(self, name: str, default: Any = None) -> Any: ...

    def __repr__(self) -> str:
        info = [type(self).__name__, f"transport={self._transport!r}"]
        if self._reader is not None:
            info.append(f"reader={self._reader!r}")
        return f"<{' '.join(info)}>"

    async def wait_closed(self) -> None:
        """Wait until the connection is gone; raise what ended it, if that was an error."""
        await self._protocol._get_close_waiter(self)

    async def drain(self) -> None:
        """Wait while more is buffered than the other side is ready to take.

        Raises what the reader got for an error; ConnectionResetError if the connection is gone.
        """
        if not self._can_go_on():
            if self._transport.is_closing():
                # Let `connection_lost` be called: who only writes and drains would never learn of the end.
                await sleep(0)
            await self._protocol._drain_helper()

    async def start_tls(
        self,
        sslcontext: SSLContext,
        *,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> None:
        """Go on with TLS, as the server if a server made this writer. Keywords as in `loop.start_tls`.

        What came already and was not read counts as the beginning of TLS, on a server.
        """
        protocol = self._protocol
        server_side = protocol._client_connected_cb is not None
        await self.drain()
        transport = await self._loop.start_tls(
            self._transport,
            protocol,
            sslcontext,
            server_side=server_side,
            server_hostname=server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        if transport is None:  # it was closing
            raise ConnectionAbortedError("TLS cannot start: the connection is closed")
        self._transport = transport
        protocol._replace_transport(transport)


class StreamReader(StreamBuffer):
    """The reading side of a connection; or fed by hand, with `feed_data` and `feed_eof`.

    `limit`, in bytes, bounds the length of a line; and above twice as much unread the other side
    is made to wait.
    """

    if TYPE_CHECKING:

        def __init__(self, limit: int = ..., loop: AbstractEventLoop | None = None) -> None: ...
        def feed_data(self, data: Bytes) -> None: ...
        def feed_eof(self) -> None: ...
        def at_eof(self) -> bool: ...
        def exception(self) -> Exception | None: ...
        def set_exception(self, exc: Exception) -> None: ...
        def set_transport(self, transport: BaseTransport) -> None: ...

    # Each method below waits by itself, not in a coroutine of its own that all could share: a read
    # that waits is what a connection does most, and that would cost it time and memory.

    async def read(self, n: int = -1) -> bytes:
        """Return what is here, at most `n` bytes; wait only if there is nothing. b"" at the end.

        With `n` negative wait for the end, and return everything.
        """
        if n < 0:
            return await self._read_to_end()
        data = self._try_read(n)
        if data is None:
            waiter = self._new_waiter("read")
            try:
                await waiter
            except BaseException:
                self._forget(waiter)
                raise
            data = self._take_now(n)
        return data

    async def _read_to_end(self) -> bytes:
        parts: list[bytes] = []
        try:
            while part := await self.read(_EVERYTHING):
                parts.append(part)
        except BaseException:
            self._put_back(b"".join(parts))  # cancelled, or the end is an error: who reads next gets it
            raise
        return b"".join(parts)

    async def readexactly(self, n: int) -> bytes:
        """Return `n` bytes. IncompleteReadError, with what there was, if the stream ends before."""
        if n < 0:
            raise ValueError("readexactly size can not be less than zero")
        data = self._try_exactly(n)
        while data is None:
            waiter = self._new_waiter("readexactly")
            try:
                await waiter
            except BaseException:
                self._forget(waiter)
                raise
            data = self._try_exactly(n, True)
        return data

    async def readline(self) -> bytes:
        """Return a line with its newline; without one if the stream ended before; b"" at the end.

        ValueError if it is longer than the limit, newline not counted; it is lost then.
        """
        line = self._try_line()
        while line is None:
            waiter = self._new_waiter("readuntil")
            try:
                await waiter
            except BaseException:
                self._forget(waiter)
                raise
            line = self._try_line(True)
        return line

    async def readuntil(self, separator: Bytes | tuple[Bytes, ...] = _NEWLINE) -> bytes:
        """Return everything up to and including `separator`; of a tuple of them, the one that ends first.

        IncompleteReadError, with what there was, if the stream ends before. LimitOverrunError if there
        are more bytes than the limit and no separator before; then they can still be read.
        """
        separators = _as_separators(separator)
        data = self._try_until(separators)
        while data is None:
            waiter = self._new_waiter("readuntil")
            try:
                await waiter
            except BaseException:
                self._forget(waiter)
                raise
            data = self._try_until(separators, True)
        return data

    def _forget(self, waiter: Any) -> None:
        """Wait no more: cancelled, say. By now somebody else may wait."""
        if self._waiter is waiter:
            self._waiter = None

    def __aiter__(self) -> StreamReader:
        return self

    async def __anext__(self) -> bytes:
        line = await self.readline()
        if line == b"":
            raise StopAsyncIteration
        return line


def _as_separators(separator: Bytes | tuple[Bytes, ...]) -> tuple[bytes, ...]:
    """The separators as `readuntil` of the buffer wants them. ValueError if there is none, or an empty one."""
    separators = separator if isinstance(separator, tuple) else (separator,)
    if not separators:
        raise ValueError("Separator should contain at least one element")
    made = sorted([bytes(memoryview(each)) for each in separators], key=len)
    if not made[0]:
        raise ValueError("Separator should be at least one-byte string")
    return tuple(made)
