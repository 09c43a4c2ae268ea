"""What stays inside of a host and is there at once: unix stream sockets, and pipes. No network, so no faults."""

from __future__ import annotations

import errno
import socket
from collections import deque
from typing import Any

from .files import BOTH, ERR, HUP, IN, OUT, RDHUP, RECEIVE, SEND, File, Socket, error

_BUFFER = 212992  # bytes; net.core.wmem_default
_OVERHEAD = 768  # bytes that Linux counts at least for what one call sends
_PAGE = 4096  # bytes; a pipe holds _PAGES of them
_PAGES = 16
_MOST_BACKLOG = 4096


class UnixSocket(Socket):
    """A unix stream socket."""

    family = socket.AF_UNIX
    type = socket.SOCK_STREAM

    def __init__(self, kernel: Any) -> None:
        super().__init__(kernel)
        self.send_buffer = self.receive_buffer = _BUFFER
        self.listens = False
        self._mate: UnixSocket | None = None  # the other end
        self._closed = False
        self._incoming: deque[tuple[bytes, list[File], int]] = deque()  # bytes, files beside them, what they cost
        self._held = 0  # what the mate's sends cost that wait here
        self._queue: deque[UnixSocket] = deque()
        self._backlog = 0

    # --- Connecting -------------------------------------------------------------------------------

    def pair_with(self, other: UnixSocket) -> None:
        self._mate, other._mate = other, self

    def listen(self, backlog: int) -> None:
        if self.local is None or self._mate is not None:
            raise error(errno.EINVAL)
        self.listens = True
        self._backlog = min(backlog & 0xFFFFFFFF, _MOST_BACKLOG)
        self.changed()

    def accept(self) -> UnixSocket:
        if not self.listens:
            raise error(errno.EINVAL)
        if not self._queue:
            raise error(errno.EAGAIN)
        return self._queue.popleft()

    def connect(self, address: Any) -> None:
        listener = self.kernel.unix_socket(address)
        if not isinstance(listener, UnixSocket):
            raise error(errno.EPROTOTYPE)
        if not listener.listens or listener.shut & RECEIVE:
            raise error(errno.ECONNREFUSED)
        if len(listener._queue) > listener._backlog:
            raise error(errno.EAGAIN)
        if self._mate is not None:
            raise error(errno.EISCONN)
        if self.listens:
            raise error(errno.EINVAL)
        child = UnixSocket(self.kernel)
        child.local = listener.local
        self.pair_with(child)
        listener._queue.append(child)
        listener.changed()
        self.changed()

    # --- Bytes ------------------------------------------------------------------------------------

    def send(self, data: Any, address: Any = None, files: list[File] | None = None) -> int:
        mate = self._mate
        if address is not None:
            raise error(errno.EOPNOTSUPP if mate is None else errno.EISCONN)
        if mate is None:
            raise error(errno.ENOTCONN)
        if self.shut & SEND:
            raise error(errno.EPIPE)
        if not len(data):
            return 0
        self.raise_error()
        room = self.send_buffer - mate._held
        if room <= 0:
            raise error(errno.EAGAIN)
        if mate._closed or mate.shut & RECEIVE:
            raise error(errno.EPIPE)
        piece = bytes(data[: max(room - _OVERHEAD, 1)])
        cost = len(piece) + _OVERHEAD
        for file in files or ():
            file.descriptors += 1
        mate._incoming.append((piece, files or [], cost))
        mate._held += cost
        mate.changed()
        return len(piece)

    def receive(self, size: int, peek: bool = False) -> bytes:
        data, _, files = self.receive_with_files(size, peek)
        self.kernel.let_go(files)
        return data

    def receive_from(self, size: int, peek: bool = False) -> tuple[bytes, Any]:
        sent = bool(self._incoming)  # who sent it is told even if none of it is asked for
        data = self.receive(size, peek)
        return data, self._mate.local if sent and self._mate is not None else None

    def receive_with_files(self, size: int, peek: bool = False) -> tuple[bytes, Any, list[File]]:
        """Read what has come; with it the files that were sent beside the first byte, at which reading stops."""
        if self._mate is None:
            raise error(errno.EINVAL)
        if not self._incoming:
            self.raise_error()
            if self.shut & RECEIVE:
                return b"", None, []
            raise error(errno.EAGAIN)
        if peek:
            return self._peeked(size), None, []
        parts: list[bytes] = []
        files: list[File] = []
        while size and self._incoming:
            piece, beside, cost = self._incoming[0]
            if beside and parts:
                break
            files += beside
            if len(piece) > size:
                parts.append(piece[:size])
                self._incoming[0] = (piece[size:], [], cost)
                break
            self._incoming.popleft()
            self._held -= cost
            parts.append(piece)
            size -= len(piece)
            if beside:
                break
        self._mate.changed()
        return b"".join(parts), None, files

    def _peeked(self, size: int) -> bytes:
        return b"".join(piece for piece, _, _ in self._incoming)[:size]

    read = receive
    write = send

    # --- Readiness and the end --------------------------------------------------------------------

    def poll(self) -> int:
        bits = 0
        if self.shut == BOTH or (self._mate is None and not self.listens):
            bits |= HUP
        if self.shut & RECEIVE:
            bits |= IN | RDHUP
        if self._incoming or self._queue:
            bits |= IN
        if not self.listens and (self._mate is None or self._mate._held * 4 <= self.send_buffer):
            bits |= OUT
        return bits | ERR if self.error else bits

    def shutdown(self, how: int) -> None:
        self.shut |= how
        mate = self._mate
        if mate is not None:
            mate.shut |= (RECEIVE if how & SEND else 0) | (SEND if how & RECEIVE else 0)
            mate.changed()
        self.changed()

    def release(self) -> None:
        self._closed = True
        mate = self._mate
        if mate is not None and not mate._closed:
            mate.shut = BOTH
            if self._incoming:
                mate.error = errno.ECONNRESET
            mate.changed()
        for _, files, _ in self._incoming:
            self.kernel.let_go(files)
        self._incoming.clear()
        self._held = 0
        self._mate = None  # and no cycle is left; the mate still knows that this is closed
        while self._queue:
            child = self._queue.popleft()
            assert child._mate is not None
            child._mate.error = errno.ECONNRESET
            child.release()
        self.kernel.unbind(self)

    def name(self) -> Any:
        return self.local if self.local is not None else ""

    def peer(self) -> Any:
        if self._mate is None:
            raise error(errno.ENOTCONN)
        return self._mate.name()


class _Nobody:
    """The other end of a pipe, for an end that is closed."""

    def changed(self) -> None:
        """Nobody to tell."""


_NOBODY = _Nobody()


class Pipe:
    """What the two ends of a pipe share: pages of bytes."""

    def __init__(self) -> None:
        self.pages: deque[bytearray] = deque()
        self.read = 0  # bytes of the first page that were read: their room is not used again
        self.readers = self.writers = 1


class PipeEnd(File):
    """An end of a pipe."""

    def __init__(self, kernel: Any, pipe: Pipe, writes: bool) -> None:
        super().__init__(kernel)
        self.pipe = pipe
        self.writes = writes
        self.other: Any = None  # set by `new_pipe`

    def read(self, size: int) -> bytes:
        if self.writes:
            raise error(errno.EBADF)
        pages = self.pipe.pages
        if not size:
            return b""
        if not pages:
            if not self.pipe.writers:
                return b""
            raise error(errno.EAGAIN)
        parts = []
        while size and pages:
            page, begin = pages[0], self.pipe.read
            part = bytes(page[begin : begin + size])
            parts.append(part)
            size -= len(part)
            self.pipe.read += len(part)
            if self.pipe.read == len(page):
                pages.popleft()
                self.pipe.read = 0
        self.other.changed()
        return b"".join(parts)

    def write(self, data: Any) -> int:
        if not self.writes:
            raise error(errno.EBADF)
        if not self.pipe.readers:
            raise error(errno.EPIPE)
        size = len(data)
        if not size:
            return 0
        pages = self.pipe.pages
        done = 0
        rest = size % _PAGE
        if rest and pages and len(pages[-1]) + rest <= _PAGE:
            pages[-1] += data[:rest]
            done = rest
        while done < size and len(pages) < _PAGES:
            page = bytearray(data[done : done + _PAGE])
            pages.append(page)
            done += len(page)
        if not done:
            raise error(errno.EAGAIN)
        self.other.changed()
        return done

    def poll(self) -> int:
        if self.writes:
            bits = OUT if len(self.pipe.pages) < _PAGES else 0
            return bits | ERR if not self.pipe.readers else bits
        bits = IN if self.pipe.pages else 0
        return bits | HUP if not self.pipe.writers else bits

    def release(self) -> None:
        if self.writes:
            self.pipe.writers = 0
        else:
            self.pipe.readers = 0
        self.other.changed()
        self.other = _NOBODY  # no cycle of the two is left


def new_pipe(kernel: Any) -> tuple[PipeEnd, PipeEnd]:
    """The two ends of a new pipe: to read from, to write to."""
    pipe = Pipe()
    reader, writer = PipeEnd(kernel, pipe, False), PipeEnd(kernel, pipe, True)
    reader.other, writer.other = writer, reader
    return reader, writer
