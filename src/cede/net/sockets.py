"""`sock_recv` and its sisters: plain non-blocking sockets, awaited.

The one idea: the call is tried at once; if the kernel is not ready, the task sleeps until it is and
then tries *again itself*. Nothing is read from the socket on the task's behalf while it sleeps, so a
task that is cancelled loses no bytes, no datagram and no connection: they stay in the kernel for whoever
asks next (cpython gh-153761 is the loss that this rules out).
"""

from __future__ import annotations

import asyncio
import errno
import io
import os
import socket
import sys
from typing import Any

from ..engine import own_calls
from ..engine.futures import note_wait, release
from ..engine.waited import CONNECT
from ..io.socket_waits import waits_of
from .resolve import is_literal, resolve

_INET = (socket.AF_INET, socket.AF_INET6)

# How long to wait before asking again whether a unix socket's queue has room: first, and at most (seconds).
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.1

# Bytes read from the file at once when sendfile(2) cannot be used.
_FILE_CHUNK = 256 * 1024


# --- Waiting -------------------------------------------------------------------------------------


async def _pause(loop: Any, delay: float) -> None:
    over = loop.create_future()
    timer = loop.call_later(delay, release, over)
    try:
        await over
    finally:
        timer.cancel()


# --- Receiving -----------------------------------------------------------------------------------


async def sock_recv(loop: Any, sock: socket.socket, n: int) -> bytes:
    """Receive up to `n` bytes; b"" at the end of the stream."""
    waits: Any = waits_of(loop, sock)
    while (data := waits.receive(sock, n)) is None:
        await waits.readable()
    return data


async def sock_recv_into(loop: Any, sock: socket.socket, buf: Any) -> int:
    """Receive into the writable buffer `buf`; return the number of bytes."""
    waits: Any = waits_of(loop, sock)
    while True:
        try:
            return sock.recv_into(buf)
        except (BlockingIOError, InterruptedError):
            pass
        await waits.readable()


async def sock_recvfrom(loop: Any, sock: socket.socket, bufsize: int) -> tuple[bytes, Any]:
    """Receive a datagram of up to `bufsize` bytes; return it and the sender's address."""
    waits: Any = waits_of(loop, sock)
    while True:
        try:
            return sock.recvfrom(bufsize)
        except (BlockingIOError, InterruptedError):
            pass
        await waits.readable()


async def sock_recvfrom_into(loop: Any, sock: socket.socket, buf: Any, nbytes: int = 0) -> tuple[int, Any]:
    """Receive a datagram of up to `nbytes` bytes (0: what fits) into `buf`; return its size and the sender."""
    waits: Any = waits_of(loop, sock)
    size = nbytes or len(buf)
    while True:
        try:
            return sock.recvfrom_into(buf, size)
        except (BlockingIOError, InterruptedError):
            pass
        await waits.readable()


async def sock_accept(loop: Any, sock: socket.socket) -> tuple[socket.socket, Any]:
    """Accept a connection; return its socket, non-blocking, and the peer's address."""
    waits: Any = waits_of(loop, sock)
    while True:
        try:
            conn, address = sock.accept()
        except (BlockingIOError, InterruptedError):
            pass
        else:
            conn.setblocking(False)
            return conn, address
        await waits.readable()


# --- Sending -------------------------------------------------------------------------------------


async def sock_sendall(loop: Any, sock: socket.socket, data: Any) -> None:
    """Send all of `data`. After an error or a cancellation nobody knows how much of it was sent."""
    waits: Any = waits_of(loop, sock)
    sent = waits.send(sock, data)
    if sent and sent == len(data):
        return
    with memoryview(data).cast("B") as rest:
        while True:
            try:
                sent += sock.send(rest[sent:])
            except (BlockingIOError, InterruptedError):
                pass
            if sent == len(rest):
                return
            await waits.writable()


async def sock_sendto(loop: Any, sock: socket.socket, data: Any, address: Any) -> int:
    """Send a datagram to `address`; return the number of bytes."""
    waits: Any = waits_of(loop, sock)
    while True:
        try:
            return sock.sendto(data, address)
        except (BlockingIOError, InterruptedError):
            pass
        await waits.writable()


# --- Connecting ----------------------------------------------------------------------------------


async def sock_connect(loop: Any, sock: socket.socket, address: Any) -> None:
    """Connect to `address`, a name or a literal."""
    waits: Any = waits_of(loop, sock)
    family = sock.family  # asked once: it makes an enum member each time
    if family in _INET and not is_literal(family, address):
        infos = await resolve(loop, address, family=family, type=sock.type, proto=sock.proto)
        address = infos[0][4]
    pause = _FIRST_PAUSE
    while True:
        try:
            sock.connect(address)
            return
        except InterruptedError:
            break  # the connection goes on in the background
        except BlockingIOError as exc:
            if exc.errno != errno.EAGAIN or family != socket.AF_UNIX:
                break
        # A unix listener whose queue is full: nothing was begun, and no event will tell of room in it.
        await _pause(loop, pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    connected = waits.writable()
    note_wait(connected, CONNECT, sock.fileno())
    await connected
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code != 0:
        raise OSError(code, f"Connect call failed {address}")


# --- Files ---------------------------------------------------------------------------------------


async def sock_sendfile(
    loop: Any, sock: socket.socket, file: Any, offset: int = 0, count: int | None = None, *, fallback: bool = True
) -> int:
    """Send `count` bytes (None: all) of a binary file from `offset` on; return how many were sent.

    The file's position ends behind the last byte sent, also after an error. The kernel copies the
    bytes where it can; where not, SendfileNotAvailableError unless `fallback`, which reads and sends.
    """
    waits: Any = waits_of(loop, sock)
    check_sendfile_arguments(sock, file, offset, count)
    try:
        return await sendfile_by_kernel(sock, file, offset, count, waits.writable)
    except asyncio.SendfileNotAvailableError:
        if not fallback:
            raise
    return await _sendfile_by_reading(loop, sock, file, offset, count)


def check_sendfile_arguments(sock: Any, file: Any, offset: Any, count: Any) -> None:
    """ValueError or TypeError for what cannot be sent."""
    if "b" not in getattr(file, "mode", "b"):
        raise ValueError("file should be opened in binary mode")
    if sock.type != socket.SOCK_STREAM:
        raise ValueError("only SOCK_STREAM type sockets are supported")
    if count is not None:
        if not isinstance(count, int):
            raise TypeError(f"count must be a positive integer (got {count!r})")
        if count <= 0:
            raise ValueError(f"count must be a positive integer (got {count!r})")
    if not isinstance(offset, int):
        raise TypeError(f"offset must be a non-negative integer (got {offset!r})")
    if offset < 0:
        raise ValueError(f"offset must be a non-negative integer (got {offset!r})")


def _size_of(file: Any) -> int:
    if own_calls.sendfile is None:
        raise asyncio.SendfileNotAvailableError("os.sendfile() is not available")
    try:
        return int(own_calls.fstat(file.fileno()).st_size)
    except (AttributeError, io.UnsupportedOperation, OSError):
        raise asyncio.SendfileNotAvailableError("not a regular file") from None


async def sendfile_by_kernel(sock: socket.socket, file: Any, offset: int, count: int | None, writable: Any) -> int:
    """`sock_sendfile` without its fallback; awaiting `writable()` waits for room in the kernel."""
    size = _size_of(file)
    limit = count or size
    sent = 0
    if limit == 0:
        return 0  # an empty file
    # Without a count the file is sent to its end, wherever that is by then.
    try:
        while count is None or sent < count:
            # 2**30 bytes at most: 32-bit platforms overflow on more.
            block = min(limit if count is None else count - sent, sys.maxsize // 2 + 1, 1 << 30)
            try:
                # Asked each time: closed meanwhile, the file's number may be that of another, whose data are no concern
                # of the peer.
                done = own_calls.sendfile(sock.fileno(), file.fileno(), offset + sent, block)
            except (BlockingIOError, InterruptedError):
                done = -1
            except OSError as exc:
                raise _sendfile_error(exc, sent)
            if done == 0:
                break
            sent += max(done, 0)
            if done < 0 or (offset + sent < size and (count is None or sent < count)):
                await writable()
        return sent
    finally:
        if not getattr(file, "closed", False):
            os.lseek(file.fileno(), offset + sent, os.SEEK_SET)


def _sendfile_error(exc: OSError, sent: int) -> Exception:
    if sent == 0:
        # Most likely a file that sendfile(2) cannot map.
        error: Exception = asyncio.SendfileNotAvailableError("os.sendfile call failed")
    elif exc.errno == errno.ENOTCONN and type(exc) is not ConnectionError:
        # The peer left in the middle: the same error on all platforms.
        error = ConnectionError("socket is not connected", errno.ENOTCONN)
    else:
        return exc
    error.__cause__ = exc
    return error


async def _sendfile_by_reading(loop: Any, sock: socket.socket, file: Any, offset: int, count: int | None) -> int:
    if hasattr(file, "seek"):
        file.seek(offset)
    buffer = memoryview(bytearray(min(count, _FILE_CHUNK) if count else _FILE_CHUNK))
    sent = 0
    try:
        while count is None or sent < count:
            window = buffer if count is None else buffer[: count - sent]
            read = await loop.run_in_executor(None, file.readinto, window)
            if not read:
                break  # the end of the file
            await sock_sendall(loop, sock, window[:read])
            sent += read
        return sent
    finally:
        if sent > 0 and hasattr(file, "seek"):
            file.seek(offset + sent)
