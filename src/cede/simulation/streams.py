"""File objects over simulated descriptors: what `open(fd)` and `os.fdopen(fd)` give for the ends of pipes."""

from __future__ import annotations

import errno
import io
from typing import Any

from .files import IN, OUT, File, error


def write_waiting(file: File, view: memoryview) -> int:
    """What write(2) does: one that blocks comes back when all is written. BlockingIOError from one that does not."""
    done = 0
    while True:
        try:
            done += file.write(view[done:])
        except BlockingIOError:
            if file.nonblocking:
                raise
        if file.nonblocking or done == len(view):
            return done
        file.kernel.wait(file, OUT, None)


class SimulatedFile(io.RawIOBase):
    """An unbuffered binary file over a descriptor of a simulated kernel, which it closes unless `closefd` is False."""

    def __init__(self, file: File, fd: int, mode: str, closefd: bool) -> None:
        super().__init__()
        self._file = file
        self._table = file.kernel.descriptors
        self._fd = fd
        self._closefd = closefd
        self._mode = mode
        self.mode = mode[:1] + "b" + mode[1:]
        self.name = fd

    def fileno(self) -> int:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        return self._fd

    def readable(self) -> bool:
        return "r" in self._mode or "+" in self._mode

    def writable(self) -> bool:
        return "r" not in self._mode or "+" in self._mode

    def seekable(self) -> bool:
        return hasattr(self._file, "seek")

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._check()
        if not self.seekable():
            raise io.UnsupportedOperation("seek")
        return int(getattr(self._file, "seek")(offset, whence))  # noqa: B009

    def truncate(self, size: int | None = None) -> int:
        self._check()
        length = self.tell() if size is None else size
        getattr(self._file, "cut")(length)  # noqa: B009
        return length

    def isatty(self) -> bool:
        return False

    def _check(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if self._table.dead or self._table.get(self._fd) is not self._file:
            raise error(errno.EBADF)

    def readinto(self, buffer: Any) -> int | None:
        self._check()
        view = memoryview(buffer).cast("B")
        while True:
            try:
                data = self._file.read(len(view))
            except BlockingIOError:
                if self._file.nonblocking:
                    return None
                self._file.kernel.wait(self._file, IN, None)
                continue
            view[: len(data)] = data
            return len(data)

    def write(self, data: Any) -> int | None:
        self._check()
        try:
            return write_waiting(self._file, memoryview(data).cast("B"))
        except BlockingIOError:
            return None

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        if self._closefd and not self._table.dead and self._table.get(self._fd) is self._file:
            self._table.close(self._fd)


def open_descriptor(
    file: Any,
    fd: int,
    mode: str = "r",
    buffering: int = -1,
    encoding: Any = None,
    errors: Any = None,
    newline: Any = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    """What `open(fd, …)` gives."""
    raw = SimulatedFile(file, fd, mode.replace("b", "").replace("t", ""), closefd)
    if "a" in mode and raw.seekable():
        raw.seek(0, io.SEEK_END)
    if buffering == 0:
        if "b" not in mode:
            raise ValueError("can't have unbuffered text I/O")
        return raw
    size = io.DEFAULT_BUFFER_SIZE if buffering < 2 else buffering
    if raw.readable() and raw.writable():
        buffered: Any = io.BufferedRandom(raw, size) if raw.seekable() else io.BufferedRWPair(raw, raw, size)
    else:
        buffered = io.BufferedReader(raw, size) if raw.readable() else io.BufferedWriter(raw, size)
    if "b" in mode:
        return buffered
    text: Any = io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)
    text.mode = mode
    return text
