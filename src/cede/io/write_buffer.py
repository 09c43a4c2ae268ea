"""WriteBuffer: the bytes a protocol wrote and the kernel has not taken yet.

Chunks wait in a list, each a `bytes` that nobody can change: what is mutable is copied on its way
in, so the writer may use its buffer again. They leave in one vectored system call, up to
`_MOST_CHUNKS` at a time.

Invariant: `size` is the number of bytes in `_chunks`, less the `_taken` first ones of the first
chunk, which the kernel has already.
"""

import collections
import sys

from ..engine import native, syscalls

_MOST_CHUNKS = 64  # how many chunks one system call takes; the kernel would take 1024
HIGH_WATER = 64 * 1024  # bytes; asyncio's default

_MARKS = (HIGH_WATER // 4, HIGH_WATER)


def limits(high, low, default):
    """Return the marks of flow control: what is None follows from the other, both from `default`.

    ValueError unless high >= low >= 0.
    """
    if high is None:
        high = default if low is None else 4 * low
    if low is None:
        low = high // 4
    if not high >= low >= 0:
        raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
    return high, low


def whole(mark):
    """The whole number that as many bytes are above, or not above, as are of `mark`: a float, say, or one too great."""
    return int(mark) if mark < sys.maxsize else sys.maxsize


def as_bytes(data):
    """Bytes that nobody can change, of bytes of a derived class, or of anything else with the buffer protocol."""
    return memoryview(data).tobytes()  # bytes() would ask the class


class WriteBuffer:
    """Chunks of bytes on their way to a descriptor, and the marks of flow control."""

    def __init__(self):
        self._chunks = None  # a list, made when there is something to wait
        self._taken = 0  # bytes of the first chunk that are sent already
        self.size = 0  # bytes that wait
        self.high = HIGH_WATER  # above this many bytes the protocol is asked to pause
        self.low = HIGH_WATER // 4  # at this many or fewer it may go on
        self.marks = _MARKS  # the same two as they were given, the lower first

    def append(self, data):
        """Add a chunk: bytes, or anything with the buffer protocol, of which a copy is kept."""
        self._append(data if type(data) is bytes else as_bytes(data))

    def _append(self, data):
        if self._chunks is None:
            self._chunks = [data]
        else:
            self._chunks.append(data)
        self.size += len(data)

    def _write(self, fd, sock, data):
        """Send a chunk (bytes, not empty) at once if nothing waits; what does not go now waits, behind the rest.

        Returns True if nothing waits; `fd`, `sock` and errors as for `send`.
        """
        sent = 0
        if not self.size:
            sent = syscalls.write_bytes(fd, data) if sock is None else syscalls.send_bytes(sock, fd, data)
            if sent >= len(data):
                return not self.size
            if self.size:  # a socket's own `send` wrote something itself
                data, sent = data[max(sent, 0) :], 0
        self._append(data)
        if sent > 0:
            self._taken = sent
            self.size -= sent
        return False

    def send(self, fd, sock=None):
        """Give the kernel what it takes now; return True if nothing is left.

        `sock` is the socket whose descriptor `fd` is, None if it is of something else. OSError as the system says,
        except that a full kernel is no error.
        """
        return self._send(fd, sock)

    def _send(self, fd, sock):
        while self.size:
            if sock is None:
                sent = syscalls.write(fd, self._chunks, self._taken, _MOST_CHUNKS)
            else:  # what the system does for sockets only takes it less
                sent = syscalls.send(sock, fd, self._chunks, self._taken, _MOST_CHUNKS)
            if sent >= self.size:  # nearly always
                native.clear(self._chunks)
                self._taken = 0
                self.size = 0
                return True
            if sent < 0:
                return False  # the kernel's buffer is full
            self._drop(sent)
            if self._taken:
                return False  # it took a part
        return True

    def _drop(self, count):
        """Forget the first `count` bytes: they are sent."""
        self.size -= count
        if self.size == 0:
            native.clear(self._chunks)
            self._taken = 0
            return
        count += self._taken
        done = 0
        for chunk in self._chunks:
            if len(chunk) > count:
                break
            count -= len(chunk)
            done += 1
        del self._chunks[:done]
        self._taken = count

    def waiting(self):
        """What waits, as asyncio's transports of streams keep it: views in a deque, before 3.12 one bytearray."""
        first, *others = self._chunks or [b""]
        chunks = [memoryview(first)[self._taken :], *map(memoryview, others)] if first else []
        return collections.deque(chunks) if sys.version_info >= (3, 12) else bytearray(b"".join(chunks))

    def clear(self):
        """Forget everything."""
        self._chunks = None
        self._taken = 0
        self.size = 0

    def set_limits(self, high, low):
        """Set the marks, in bytes. What is None follows from the other: low = high / 4.

        ValueError unless high >= low >= 0.
        """
        high, low = limits(high, low, HIGH_WATER)
        self.marks = (low, high)
        self.high = whole(high)
        self.low = whole(low)
