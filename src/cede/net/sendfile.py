"""`loop.sendfile`: a file to a transport, by the kernel where it can copy, else read and written.

While it goes on, the transport belongs to it: reading pauses, the protocol's writes are refused (native)
or wait behind (reading and writing), and afterwards everything is as before.
"""

from __future__ import annotations

import asyncio
from asyncio.constants import _SendfileMode
from typing import Any

from ..engine.futures import release
from .sockets import check_sendfile_arguments, sendfile_by_kernel

_CHUNK = 64 * 1024  # bytes read from the file at once where the kernel cannot copy


async def sendfile(
    loop: Any, transport: Any, file: Any, offset: int = 0, count: int | None = None, *, fallback: bool = True
) -> int:
    """Send `count` bytes (None: all) of a binary file from `offset` on; return how many were sent.

    The file's position ends behind the last byte sent. Without `fallback` only the kernel's own copying
    will do: SendfileNotAvailableError or RuntimeError where it cannot.
    """
    if transport.is_closing():
        raise RuntimeError("Transport is closing")
    mode = getattr(transport, "_sendfile_compatible", _SendfileMode.UNSUPPORTED)
    if mode is _SendfileMode.UNSUPPORTED:
        raise RuntimeError(f"sendfile is not supported for transport {transport!r}")
    if mode is _SendfileMode.TRY_NATIVE:
        try:
            return await _native(loop, transport, file, offset, count)
        except asyncio.SendfileNotAvailableError:
            if not fallback:
                raise
    if not fallback:
        raise RuntimeError(f"fallback is disabled and native sendfile is not supported for transport {transport!r}")
    return await _by_reading(loop, transport, file, offset, count)


async def _native(loop: Any, transport: Any, file: Any, offset: int, count: int | None) -> int:
    sock = transport._sock
    check_sendfile_arguments(sock, file, offset, count)
    fd = sock.fileno()
    empty = transport._make_empty_waiter()  # RuntimeError if a sendfile is under way
    stand_in = StandIn(loop, transport)
    loop._disclaim(fd, transport)  # so that the socket may be waited for as a plain one
    try:
        await empty
        return await sendfile_by_kernel(sock, file, offset, count, lambda: stand_in.writable(fd))
    finally:
        empty = None  # its exception would hold this frame, and this frame its exception
        transport._reset_empty_waiter()
        if not transport.is_closing() and not transport._end_if_gone():
            loop._claim(fd, transport)
        stand_in.leave()


async def _by_reading(loop: Any, transport: Any, file: Any, offset: int, count: int | None) -> int:
    if hasattr(file, "seek"):
        file.seek(offset)
    buffer = memoryview(bytearray(min(count, _CHUNK) if count else _CHUNK))
    sent = 0
    stand_in = StandIn(loop, transport)
    try:
        while count is None or sent < count:
            window = buffer if count is None else buffer[: count - sent]
            read = await loop.run_in_executor(None, file.readinto, window)
            if not read:
                break  # the end of the file
            transport.write(window[:read])
            await stand_in.drain()
            sent += read
        return sent
    finally:
        if sent > 0 and hasattr(file, "seek"):
            file.seek(offset + sent)
        stand_in.leave()


class StandIn(asyncio.Protocol):
    """Takes the place of a transport's protocol, so that the sender hears of flow control."""

    def __init__(self, loop: Any, transport: Any) -> None:
        self._loop = loop
        self._transport = transport
        self._protocol = transport.get_protocol()
        self._was_reading = transport.is_reading()
        self._was_paused = transport._protocol_paused  # True iff the protocol was told to pause writing
        self._ready: Any = loop.create_future() if self._was_paused else None  # resolved when writing may go on
        self._room: Any = None  # the future of `writable`, resolved when the kernel has room
        self._is_lost = False  # True iff the connection is
        transport.pause_reading()
        transport.set_protocol(self)

    async def drain(self) -> None:
        """Wait until writing may go on. ConnectionError if it never may."""
        if self._transport.is_closing():
            raise ConnectionError("Connection closed by peer")
        if self._ready is not None:
            await self._ready

    async def writable(self, fd: int) -> None:
        """Wait for room in the kernel. ConnectionError if the connection is lost meanwhile."""
        self._room = self._loop.create_future()
        handle = self._loop._add_writer(fd, release, self._room, owner=self._transport)
        try:
            await self._room
        finally:
            self._room = None
            if not handle.cancelled():
                self._loop._remove_writer(fd)

    def leave(self) -> None:
        """Give the transport its protocol back."""
        if self._is_lost:
            return
        self._transport.set_protocol(self._protocol)
        if self._was_reading:
            self._transport.resume_reading()
        is_paused = self._ready is not None
        if is_paused:
            self._ready.cancel()  # nobody waits for it any more
        # Tell the protocol what it missed.
        if is_paused and not self._was_paused:
            self._protocol.pause_writing()
        elif self._was_paused and not is_paused:
            self._protocol.resume_writing()

    def pause_writing(self) -> None:
        if self._ready is None:
            self._ready = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._ready is not None:
            release(self._ready)
            self._ready = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if self._room is not None:
            # Order: while the number of the descriptor is still ours.
            self._loop._remove_writer(self._transport._sock.fileno())
        for waiter in (self._ready, self._room):
            if waiter is not None and not waiter.done():
                waiter.set_exception(exc or ConnectionError("Connection is closed by peer"))
                waiter.exception()  # retrieved: the sender may be waiting for something else just now
        self._protocol.connection_lost(exc)

    def connection_made(self, transport: Any) -> None:
        raise RuntimeError("Invalid state: connection should have been established already.")

    def data_received(self, data: bytes) -> None:
        raise RuntimeError("Invalid state: reading should be paused")

    def eof_received(self) -> None:
        raise RuntimeError("Invalid state: reading should be paused")
