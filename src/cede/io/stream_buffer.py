"""StreamBuffer: the bytes that a stream has received and nobody has read yet; the core of StreamReader.

Everything here returns at once. What would have to wait says so (None, or how much was searched in
vain), and `StreamReader`, the interpreted class on top, waits and asks again.

The bytes are kept in one of two forms, and copied as little as each allows:

    chunks   `_chunk`, whose first `_start` bytes were read already, and those that came after it in
             `_tail`. What comes as one chunk and is read as one is the same object.
    piece    all in `_piece`, a bytearray; the chunk and the tail are empty. It begins when a separator
             is not in the first chunk, or when small chunks pile up, and ends when all is read.

Bytes go from chunks to a piece, never back, and a search that has to wait goes on where it stopped:
reading n bytes is O(n), however small the chunks and whatever is searched for.

Flow control is asyncio's: above twice the limit the transport is paused, at the limit it may go on.
"""

import asyncio
import sys
from collections import deque

from ..engine import native, reports
from ..engine.futures import Future, new_future, note_wait
from ..engine.loop import Loop
from ..engine.running import get_event_loop
from ..engine.waited import READ

DEFAULT_LIMIT = 64 * 1024  # bytes; asyncio's

_MOST = sys.maxsize // 4  # bytes; a limit above it is none
_SMALL = 4096  # bytes; a chunk smaller than this is not worth an object of its own
_PENDING = 0  # Future's

_NEWLINE = b"\n"
_SEPARATORS_OF_LINES = (_NEWLINE,)


class StreamBuffer:
    """Bytes between `feed_data` and whoever reads them.

    `limit` bounds a line, and what is buffered before the transport is paused; in bytes. `loop` is
    the event loop of those who wait: by default the running one, else the thread's current one.
    """

    # The number, for before 3.13 `inspect` knows no names in the signatures of what is built in.
    def __init__(self, limit=65536, loop=None):
        """Begin empty. ValueError if the limit is not above zero."""
        if limit <= 0:
            raise ValueError("Limit cannot be <= 0")
        self._loop = get_event_loop() if loop is None else loop
        self._is_own_loop = isinstance(self._loop, Loop)
        self._limit = int(limit) if limit < _MOST else _MOST
        self._chunk = b""
        self._start = 0
        self._tail = None  # a deque of bytes, or None as long as none was needed
        self._tail_size = 0  # bytes in `_tail`
        self._piece = None  # None: the bytes are kept as chunks
        self._searched = 0  # how many unread bytes the search that is under way need not search again
        self._pinned = False  # True iff somebody may hold `_piece`: it stays then
        self._eof = False
        self._exception = None
        self._data_first = False  # True iff `_exception` came after the data: what is here can be read before it
        self._waiter = None  # the future of whoever waits for more, or None
        self._last_waiter = None  # the one before, to be used again
        self._transport = None
        self._paused = False  # True iff the transport was paused and not resumed since
        self._source_traceback = reports.callers_stack() if self._loop.get_debug() else None

    def __repr__(self):
        info = ["StreamReader"]
        if self._size():
            info.append(f"{self._size()} bytes")
        if self._eof:
            info.append("eof")
        if self._limit != DEFAULT_LIMIT:
            info.append(f"limit={self._limit}")
        if self._waiter is not None:
            info.append(f"waiter={self._waiter!r}")
        if self._exception is not None:
            info.append(f"exception={self._exception!r}")
        if self._transport is not None:
            info.append(f"transport={self._transport!r}")
        if self._paused:
            info.append("paused")
        return f"<{' '.join(info)}>"

    # --- What comes in ----------------------------------------------------------------------------

    def feed_data(self, data):
        """Add bytes to what can be read. AssertionError after `feed_eof`."""
        self._feed(data)

    def _feed(self, data):
        assert not self._eof, "feed_data after feed_eof"
        if type(data) is not bytes:
            data = bytes(_as_bytearray(data))
        if not data:
            return
        if self._piece is None and self._tail_size == 0 and self._start == len(self._chunk):
            self._chunk = data
            self._start = 0
            size = len(data)
        else:
            self._append(data)
            size = self._size()
        if self._waiter is not None:
            self._wake()
        if size > 2 * self._limit and not self._paused:
            self._pause()

    def _append(self, data):
        """Add a chunk behind others."""
        if self._piece is not None or len(data) < _SMALL:
            self._make_piece()
            self._piece += data
        elif self._size() < _SMALL:
            # The rest of a line, say: in one chunk with what follows, it is found and cut fastest.
            self._chunk = self._chunk[self._start :] + data
            self._start = 0
        else:
            if self._tail is None:
                self._tail = deque()
            self._tail.append(data)
            self._tail_size += len(data)

    def _make_piece(self):
        """Put everything into one bytearray, unless it is there already."""
        if self._piece is None:
            piece = bytearray(self._chunk)
            del piece[: self._start]
            for chunk in self._tail or ():
                piece += chunk
            self._piece = piece
            self._drop_chunks()

    def _drop_chunks(self):
        self._chunk = b""
        self._start = 0
        if self._tail is not None:
            self._tail.clear()
        self._tail_size = 0

    def feed_eof(self):
        """Say that no more bytes will come."""
        self._eof = True
        if self._waiter is not None:
            self._wake()

    def _wake(self):
        """Let whoever waits look again."""
        waiter = self._waiter
        self._waiter = None
        if type(waiter) is Future:
            future = waiter
            if future._phase == _PENDING:
                future._resolve(None)
                if native.COMPILED and not future._engine._debug:  # else it knows where it was made
                    self._last_waiter = future
        elif not waiter.cancelled():
            waiter.set_result(None)

    def exception(self):
        """Return the exception that was set, or None."""
        return self._exception

    def _lost(self, exc):
        """`set_exception` for the end of the connection: it came after the data, which can still be read."""
        self._data_first = True
        self.set_exception(exc)

    def set_exception(self, exc):
        """Make everyone who reads raise `exc`, now and later."""
        self._exception = exc
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.cancelled():
                waiter.set_exception(exc)

    # --- The transport ----------------------------------------------------------------------------

    def set_transport(self, transport):
        """Name the transport the bytes come from, which is paused when nobody reads them."""
        assert self._transport is None, "Transport already set"
        self._transport = transport

    def _replace_transport(self, transport):
        assert self._transport is not None, "Transport not set"
        self._transport = transport

    def _pause(self):
        if self._transport is not None:
            try:
                self._transport.pause_reading()
            except NotImplementedError:
                self._transport = None  # it cannot be paused: do not ask again
            else:
                self._paused = True

    def _resume(self):
        self._paused = False
        self._transport.resume_reading()

    # --- What can be read -------------------------------------------------------------------------

    def _size(self):
        """How many bytes wait."""
        if self._piece is not None:
            return len(self._piece)
        return len(self._chunk) - self._start + self._tail_size

    def at_eof(self):
        """Return True if everything was read and `feed_eof` was called."""
        return self._eof and self._size() == 0

    def _take(self, count):
        """Take out at most `count` bytes (not negative); b"" if there is none."""
        self._searched = 0
        if self._piece is not None:
            data = self._take_of_piece(count)
        elif self._tail_size == 0:
            data = self._take_of_chunk(count)
        else:
            data = self._take_of_chunks(count)
        if self._paused and self._size() <= self._limit:
            self._resume()
        return data

    def _take_of_chunk(self, count):
        """`_take` while there is one chunk only, or no more is wanted."""
        start = self._start
        size = len(self._chunk)
        if count < size - start:
            self._start = start + count
            return native.cut(self._chunk, start, start + count)
        data = self._chunk if start == 0 else native.cut(self._chunk, start, size)
        self._chunk = b""
        self._start = 0
        return data

    def _take_of_chunks(self, count):
        parts = []
        while True:
            first = len(self._chunk) - self._start
            parts.append(self._take_of_chunk(count))
            if count < first or self._tail_size == 0:
                break
            count -= first
            self._chunk = self._tail.popleft()
            self._tail_size -= len(self._chunk)
        return b"".join(parts)

    def _take_of_piece(self, count):
        data = native.cut(self._piece, 0, min(count, len(self._piece)))
        del self._piece[: len(data)]
        if not self._piece and not self._pinned:
            self._piece = None
        return data

    # --- What StreamReader asks ---------------------------------------------------------------------
    #
    # Each `_try_…` returns what the method of that name returns, or None if that has to wait. Asked
    # again after waiting it does not raise the exception that was set, and searches on.

    def _try_read(self, n):
        """At most `n` bytes (not negative), at least one before the end of the stream."""
        count = native.size(n)
        if self._exception is not None:
            self._raise_unless_data()
        if self._size() == 0 and not self._eof and count:
            return None
        return self._take(count)

    def _raise_unless_data(self):
        """Raise the exception that was set, unless what came before it is to be read first."""
        if not self._data_first or self._size() == 0:
            raise self._exception

    def _put_back(self, data):
        """Let bytes that were taken be read again."""
        self._make_piece()
        self._piece[:0] = data
        self._searched = 0

    def _take_now(self, n):
        """At most `n` bytes (not negative) of what is here."""
        return self._take(native.size(n))

    def _take_all(self):
        """Everything that is here."""
        return self._take(self._size())

    def _try_exactly(self, n, again=False):
        """`n` bytes (not negative). IncompleteReadError if the stream ends before."""
        count = native.size(n)
        if not again and self._exception is not None:
            self._raise_unless_data()
        if self._size() >= count:
            return self._take(count)
        if self._eof:
            raise asyncio.IncompleteReadError(self._take(self._size()), n)
        return None

    def _try_line(self, again=False):
        """Bytes up to and including a newline, or the end. ValueError for, and loss of, one longer than the limit."""
        if not again:
            self._begin_search()
        if self._piece is None:
            end = native.find(self._chunk, _NEWLINE, self._start + self._searched) - self._start
            if 0 <= end <= self._limit:
                return self._take(end + 1)
            if end < 0 and self._size() == 0 and not self._eof:
                return None
        return self._line_slowly()

    def _line_slowly(self):
        try:
            return self._until(_SEPARATORS_OF_LINES)
        except asyncio.IncompleteReadError as exc:
            return exc.partial
        except asyncio.LimitOverrunError as exc:
            self._drop_line(exc.consumed)
            raise ValueError(exc.args[0]) from None

    def _drop_line(self, end):
        """Drop a line of `end` bytes and its newline; everything if there is no newline after so much."""
        self._make_piece()
        if self._piece.startswith(_NEWLINE, end):
            self._take(end + 1)
        else:
            self._take(self._size())

    def _try_until(self, separators, again=False):
        """Bytes up to and including the separator that ends first.

        `separators` are bytes, none empty, the shortest first. IncompleteReadError if the stream
        ends before; LimitOverrunError if the bytes before the separator, or those that are none, are
        more than the limit: then they stay.
        """
        if not again:
            self._begin_search()
        return self._until(separators)

    def _begin_search(self):
        if self._exception is not None:
            self._raise_unless_data()
        self._searched = 0

    def _until(self, separators):
        if self._size() - self._searched >= len(separators[0]):
            begin, end = self._find(separators)
            if begin > self._limit:
                raise asyncio.LimitOverrunError("Separator is found, but chunk is longer than limit", begin)
            if end > 0:
                return self._take(end)
            self._searched = max(0, self._size() + 1 - len(separators[-1]))
            if self._searched > self._limit:
                raise asyncio.LimitOverrunError("Separator is not found, and chunk exceed the limit", self._searched)
        if self._eof:
            raise asyncio.IncompleteReadError(self._take(self._size()), None)
        return None

    def _find(self, separators):
        """Where the separator that ends first begins and ends among what is unread; (-1, -1) if there is none."""
        if self._tail_size:
            self._make_piece()
        data = self._chunk if self._piece is None else self._piece
        first_begin = first_end = -1
        for separator in separators:
            begin = native.find(data, separator, self._start + self._searched) - self._start
            end = begin + len(separator)
            if begin >= 0 and (first_end < 0 or end < first_end):
                first_begin = begin
                first_end = end
        return first_begin, first_end

    def _new_waiter(self, method):
        """The future to wait for before asking again: it is done when bytes or the end have come.

        RuntimeError if somebody waits already: which of the two would get the bytes?
        """
        if self._waiter is not None and not self._waiter.done():
            raise RuntimeError(f"{method}() called while another coroutine is already waiting for incoming data")
        assert not self._eof, "_wait_for_data after EOF"
        if self._exception is not None:
            raise self._exception
        if self._paused:
            self._resume()  # else nothing would ever come
        self._waiter = self._make_waiter()
        return self._waiter

    def _make_waiter(self):
        if not self._is_own_loop:
            return self._loop.create_future()
        if native.COMPILED:
            last = self._last_waiter
            self._last_waiter = None
            if last is not None and native.is_unshared(last) and not last._engine._debug:
                # As good as new: it was resolved with None, and nobody else knows it.
                last._phase = _PENDING
                last._asyncio_future_blocking = False
                last._awaited_by = None
                return last
        waiter = new_future(self._loop)
        note_wait(waiter, READ)
        return waiter

    # --- asyncio: private, and yet read and even written by programs ----------------------------------

    @property
    def _buffer(self):
        self._make_piece()
        self._searched = 0
        self._pinned = True
        return self._piece

    @_buffer.setter
    def _buffer(self, value):
        self._drop_chunks()
        self._piece = value if type(value) is bytearray else bytearray(value)
        self._searched = 0
        self._pinned = True


def _as_bytearray(data):
    """What asyncio's buffer, a bytearray, makes of something that is no bytes; TypeError if nothing."""
    made = bytearray()
    made.extend(data)
    return made


native.sign(globals())
