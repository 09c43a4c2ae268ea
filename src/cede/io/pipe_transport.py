"""ReadPipeTransport, WritePipeTransport: bytes between a protocol and one end of a pipe.

"Pipe" is whatever has a direction and readiness: pipes and FIFOs, sockets, terminals and other character
devices. Not regular files: the kernel calls them ready at any time, and then blocks.

One descriptor may carry both directions (a terminal, a socket): so these transports ask for readiness
through the loop's callbacks, of which a descriptor has one for each direction, and not as its only watcher.
"""

import asyncio
import errno
import logging
import stat
import sys

from ..engine import own_calls, syscalls
from .blocking import give_back, take
from .channel import CLOSING, LOST, OPEN, READ_SIZE, Channel
from .endpoint import Endpoint
from .write_buffer import WriteBuffer, as_bytes

logger = logging.getLogger("asyncio")

_READ_SIZE = READ_SIZE  # bytes; what a pipe holds unless somebody widened it
_WRITES_BEFORE_WARNING = 5  # asyncio: writes to a lost pipe are logged from the fifth on

_OPEN = OPEN
_CLOSING = CLOSING
_LOST = LOST

# Where the write end of a named FIFO is readable whenever it holds data, and nothing tells of the other end's closing.
_FIFOS_LIE = sys.platform in ("darwin", "ios", "tvos", "watchos", "sunos5")


class ReadPipeTransport(Endpoint):
    """The transport of a pipe to read from, which it owns and closes. ValueError for a regular file."""

    def __init__(self, loop, pipe, protocol, waiter=None, extra=None, context=None):
        self._init(loop, pipe, protocol, extra, context)
        info = own_calls.fstat(self._fd)
        mode = info.st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)):
            raise ValueError("Pipe transport is for pipes/sockets only.")
        self._facts["pipe"] = pipe
        self._watched = False  # True iff the loop calls _read_ready
        self._reads_on = False  # True iff _read_on is scheduled
        self._shared = take(self._fd, info)
        self._begin(waiter)

    # asyncio: isinstance(transport, asyncio.ReadTransport) is asked by libraries.
    @property
    def __class__(self):
        return asyncio.ReadTransport

    @property
    def _pipe(self):
        return self._file if self._connected else None

    @_pipe.setter
    def _pipe(self, value):
        self._set_file(value)  # None: the pipe is the program's again, to close and to keep open

    def _update_interest(self):
        wanted = self._is_reading()
        if wanted and not self._watched and not self._reads_on:
            if self._end_if_gone():
                return
            try:
                self._loop._add_reader(self._fd, self._read_ready, context=self._context, owner=self)
            except PermissionError:
                # epoll refuses what is always ready: /dev/null, /dev/zero and the like.
                self._schedule_reading()
                return
        elif self._watched and not wanted:
            self._loop._remove_reader(self._fd, self if self._is_gone() else None)
        self._watched = wanted and not self._reads_on

    def _schedule_reading(self):
        self._reads_on = True
        self._loop.call_soon(self._read_on, context=self._context)

    def _read_on(self):
        """Read from what is always ready: once a turn, as long as the protocol wants more."""
        self._reads_on = False
        if self._is_reading():
            try:
                self._read_ready()
            finally:
                if self._is_reading() and not self._reads_on:
                    self._schedule_reading()

    def _read_ready(self):
        if not self._is_reading() or self._end_if_gone():
            return
        try:
            data = syscalls.read(self._fd, self._loop._read_memory, _READ_SIZE)
        except (OSError, MemoryError) as exc:
            if getattr(exc, "errno", 0) == errno.EIO:  # a terminal whose other side has hung up
                self._debug_error(exc, "Fatal read error on pipe transport")
            else:
                self._report(exc, "Fatal read error on pipe transport")
            self._force_close(exc)
            return
        if data is None:
            return
        if data:
            if self._loop._ring is not None:
                self._loop._ring._bytes(0, self._fd, len(data))
            self._protocol.data_received(data)
            return
        if self._loop.get_debug():
            logger.info("%r was closed by peer", self)
        # Order: the protocol hears of the end before it is told that the connection is lost.
        self._loop.call_soon(self._protocol.eof_received, context=self._context)
        self._force_close(None)

    def is_reading(self):
        """Return True if the transport hands data to the protocol."""
        return self._is_reading()

    def pause_reading(self):
        """Stop handing data to the protocol; it waits in the pipe."""
        self._pause_reading()

    def resume_reading(self):
        """Go on handing data to the protocol."""
        self._resume_reading()

    def close(self):
        """Close the pipe; `connection_lost(None)` follows."""
        self._force_close(None)

    def _release(self):
        give_back(-1 if self._is_gone() else self._fd, self._shared)
        Endpoint._release(self)

    def __del__(self):
        if self._connected:
            give_back(-1 if self._is_gone() else self._fd, self._shared)
        self._abandoned()


class WritePipeTransport(Endpoint):
    """The transport of a pipe to write to, which it owns and closes. ValueError for a regular file."""

    def __init__(self, loop, pipe, protocol, waiter=None, extra=None, context=None):
        self._init(loop, pipe, protocol, extra, context)
        info = own_calls.fstat(self._fd)
        mode = info.st_mode
        is_fifo = stat.S_ISFIFO(mode)
        if not (is_fifo or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)):
            raise ValueError("Pipe transport is only for pipes, sockets and character devices")
        self._facts["pipe"] = pipe
        self._out = WriteBuffer()
        self._watched = False  # True iff the loop calls _write_ready
        # True iff readability means that the other end was closed.
        self._end_is_told = stat.S_ISSOCK(mode) or (
            is_fifo and not sys.platform.startswith("aix") and not (_FIFOS_LIE and info.st_nlink > 0)
        )
        self._shared = take(self._fd, info)
        self._begin(waiter)

    # asyncio: its pipes to write to are both, isinstance(transport, asyncio.Transport), and refuse to read.
    @property
    def __class__(self):
        return asyncio.Transport

    def is_reading(self):
        """Raise NotImplementedError: it is a pipe to write to."""
        raise NotImplementedError

    def pause_reading(self):
        """Raise NotImplementedError: it is a pipe to write to."""
        raise NotImplementedError

    def resume_reading(self):
        """Raise NotImplementedError: it is a pipe to write to."""
        raise NotImplementedError

    @property
    def _pipe(self):
        return self._file if self._connected else None

    @_pipe.setter
    def _pipe(self, value):
        self._set_file(value)  # None: the pipe is the program's again, to close and to keep open

    def _started(self, waiter):
        if self._end_is_told and self._state == _OPEN:
            if not self._end_if_gone():
                self._loop._add_reader(self._fd, self._other_end_closed, context=self._context, owner=self)
        Channel._started(self, waiter)

    def _update_interest(self):
        wanted = self._out.size > 0 and self._state != _LOST
        if wanted and not self._watched:
            if self._end_if_gone():
                return
            self._loop._add_writer(self._fd, self._write_ready, context=self._context, owner=self)
        elif self._watched and not wanted:
            self._loop._remove_writer(self._fd, self if self._is_gone() else None)
        self._watched = wanted
        if self._state == _LOST and self._end_is_told:
            self._loop._remove_reader(self._fd, self if self._is_gone() else None)

    def _other_end_closed(self):
        if self._end_if_gone():
            return
        if self._loop.get_debug():
            logger.info("%r was closed by peer", self)
        self._force_close(BrokenPipeError() if self._out.size else None)

    # --- Writing ----------------------------------------------------------------------------------

    def write(self, data):
        """Send `data` (bytes, bytearray or memoryview); never blocks. A bytearray may be used again at once."""
        if type(data) is not bytes:
            if not isinstance(data, (bytes, bytearray, memoryview)):
                raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
            data = as_bytes(data)
        if not len(data):
            return
        if self._state != _OPEN:
            self._writes_lost += 1
            if self._writes_lost > _WRITES_BEFORE_WARNING:
                logger.warning("pipe closed by peer or os.write(pipe, data) raised exception.")
            return
        if self._end_if_gone():
            return
        waiting = self._out.size
        try:
            done = self._out._write(self._fd, None, data)
        except OSError as exc:
            self._write_failed(exc)
            return
        if self._loop._ring is not None:
            self._note_sent(waiting + len(data))
        if done:
            return
        self._waiting = self._out.size
        self._update_interest()
        self._maybe_pause_protocol()

    def writelines(self, list_of_data):
        """Send each of the chunks."""
        self.write(b"".join(list_of_data))

    def _note_sent(self, waiting):
        """Let the recording know how much of `waiting` bytes is sent."""
        if waiting > self._out.size:
            self._loop._ring._bytes(1, self._fd, waiting - self._out.size)

    def _write_failed(self, exc):
        self._debug_error(exc, "Fatal write error on pipe transport")
        self._force_close(exc)

    def _write_ready(self):
        if self._state == _LOST or self._end_if_gone():
            return
        waiting = self._out.size
        try:
            self._out._send(self._fd, None)
        except OSError as exc:
            self._write_failed(exc)
        if self._loop._ring is not None and self._state != _LOST:
            self._note_sent(waiting)
        self._waiting = self._out.size
        if self._state == _LOST:
            return
        self._update_interest()
        self._maybe_resume_protocol()  # which may write more
        if self._state == _CLOSING and not self._out.size:
            self._lose(None)

    def _drop_waiting(self):
        self._out.clear()
        self._waiting = 0

    # asyncio: names from inside of it; that it is closed does not count as a write in vain, and what waits is a copy.
    @property
    def _conn_lost(self):
        return self._writes_lost

    @property
    def _buffer(self):
        waiting = self._out.waiting()
        return waiting if isinstance(waiting, bytearray) else bytearray(b"".join(waiting))

    def get_write_buffer_size(self):
        """Return how many bytes the kernel has not taken yet."""
        return self._out.size

    def get_write_buffer_limits(self):
        """Return the low-water and the high-water mark, in bytes."""
        return self._marks

    def set_write_buffer_limits(self, high=None, low=None):
        """Set the marks of flow control, in bytes. ValueError unless high >= low >= 0."""
        self._set_limits(high, low)

    # --- The end ----------------------------------------------------------------------------------

    def can_write_eof(self):
        """Return True: the end of a pipe is told by closing it."""
        return True

    def write_eof(self):
        """Close the pipe after what is buffered is sent."""
        if self._state == _OPEN:
            self._state = _CLOSING
            if not self._out.size:
                self._lose(None)

    def close(self):
        """Close the pipe after what is buffered is sent; `connection_lost(None)` follows."""
        self.write_eof()

    def abort(self):
        """Close the pipe at once; what is buffered is dropped."""
        self._force_close(None)

    def _release(self):
        give_back(-1 if self._is_gone() else self._fd, self._shared)
        Endpoint._release(self)

    def __del__(self):
        if self._connected:
            give_back(-1 if self._is_gone() else self._fd, self._shared)
        self._abandoned()
