"""Files: what a simulated kernel keeps behind a descriptor, and the descriptors of a host.

Descriptors begin at `SIMULATED`: no real kernel gives such a number, so whoever is handed one knows whom to ask.

Law: nothing here waits, draws or reads a clock. An operation that would block is BlockingIOError; whoever wants to wait
watches the file, and is woken whenever `poll` may answer something else.
"""

from __future__ import annotations

import errno
import heapq
import os
from typing import Any

SIMULATED = 1 << 30  # the least descriptor of a simulated kernel

# What `poll` answers, the kernel's bits.
IN = 0x001
OUT = 0x004
ERR = 0x008
HUP = 0x010
RDHUP = 0x2000

RECEIVE = 1  # the bits of what was shut down
SEND = 2
BOTH = RECEIVE | SEND


def error(number: int) -> OSError:
    """The exception of an error number, in the system's words."""
    return OSError(number, os.strerror(number))


class File:
    """An open file of the kernel: a socket, an end of a pipe. `kernel` is its host's."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.descriptors = 0  # how many numbers stand for it; at none it is closed
        kernel.files_made += 1
        self.number = kernel.files_made  # what fstat tells as its inode
        self.nonblocking = False  # O_NONBLOCK, which duplicates share
        self._watchers: list[Any] = []  # each has a `wake()`

    def poll(self) -> int:
        """What it is ready for, in the bits above."""
        raise NotImplementedError

    def release(self) -> None:
        """The last descriptor is closed."""

    # Which kind it is, and a file of no kind refuses what the others can do.

    def read(self, size: int) -> bytes:
        """What read(2) does."""
        raise error(errno.EINVAL)

    def write(self, data: Any) -> int:
        """What write(2) does."""
        raise error(errno.EINVAL)

    # --- Watching ---------------------------------------------------------------------------------

    def watch(self, watcher: Any) -> None:
        """Have `watcher.wake()` called when `poll` may answer something else."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Any) -> None:
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    def changed(self) -> None:
        """Tell those who watch."""
        for watcher in self._watchers:
            watcher.wake()


class Socket(File):
    """What sockets of all kinds have."""

    def __init__(self, kernel: Any) -> None:
        super().__init__(kernel)
        self.options: dict[tuple[int, int], Any] = {}
        self.local: Any = (
            None  # where it is bound, or was at last; a unix socket to a path, or bytes of an abstract one
        )
        self.bound = False
        self.error = 0  # what getsockopt(SO_ERROR) tells once, and the next call raises
        self.shut = 0  # bits: RECEIVE, SEND

    def take_error(self) -> int:
        """Return the number of the error that is to be told, which then has been; 0 if there is none."""
        number, self.error = self.error, 0
        return number

    def raise_error(self) -> None:
        """Raise the error that is to be told, if there is one."""
        if self.error:
            raise error(self.take_error())


class Descriptors:
    """The descriptors of a host's program: numbers, and the files behind them.

    The lowest free number is given, as Linux does: a program that uses one it has closed meets its new owner.
    """

    def __init__(self, most: int) -> None:
        self.most = most  # EMFILE beyond that many
        self._files: dict[int, File] = {}
        self._free: list[int] = []  # a heap of numbers given back
        self._next = SIMULATED
        self.dead = False  # True iff the program they belonged to is gone

    def open(self, file: File) -> int:
        """Give the file a descriptor. OSError (EMFILE) if there are too many."""
        if len(self._files) >= self.most:
            raise error(errno.EMFILE)
        if self._free:
            number = heapq.heappop(self._free)
        else:
            number = self._next
            self._next += 1
        self._files[number] = file
        file.descriptors += 1
        return number

    def file(self, number: int) -> File:
        """The file of a descriptor. OSError (EBADF) if there is none."""
        file = self._files.get(number)
        if file is None:
            raise error(errno.EBADF)
        return file

    def get(self, number: int) -> File | None:
        """The file of a descriptor, None if there is none."""
        return self._files.get(number)

    def close(self, number: int) -> None:
        """Give a descriptor back; the last one of a file closes it. OSError (EBADF) if there is none."""
        file = self._files.pop(number, None)
        if file is None:
            raise error(errno.EBADF)
        heapq.heappush(self._free, number)
        drop(file)

    def close_all(self) -> None:
        """What the kernel does when the process ends."""
        for number in sorted(self._files):
            self.close(number)
        self.dead = True

    def forget_all(self) -> None:
        """Let go of everything and tell nobody: the machine lost its power, or its world ended."""
        for file in self._files.values():
            file._watchers.clear()
        self._files.clear()
        self.dead = True

    def __len__(self) -> int:
        return len(self._files)


def drop(file: File) -> None:
    """One descriptor, or one message on its way, stands for the file no longer."""
    file.descriptors -= 1
    if not file.descriptors:
        file.changed()
        file._watchers.clear()
        file.release()
