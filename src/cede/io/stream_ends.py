"""The two ends of a stream that a transport and a user touch: FlowControl, Feeder, WriteEnd.

    FlowControl   a protocol that knows whether its transport can take more
    Feeder        … and hands what comes to a reader
    WriteEnd      what is behind a StreamWriter

What an echo does again and again stands here, so that it can be compiled: handing on data, writing,
asking whether `drain` has to wait. Everything that happens once a connection, or waits, stands in
`streams`, in the interpreted classes on top of these.

Law: a reader, transport or protocol may be anybody's. The short roads are for cede's own types;
every other object is asked by asyncio's methods.
"""

import logging
import warnings

from ..engine import native
from ..engine.futures import note_wait
from ..engine.running import get_event_loop
from ..engine.waited import DRAIN
from .stream_buffer import StreamBuffer
from .stream_transport import StreamTransport

logger = logging.getLogger("asyncio")

_OPEN = 0  # StreamTransport's


class FlowControl:
    """A protocol whose transport says when to pause writing.

    `loop` is by default the running event loop, else the thread's current one.
    """

    _drains_plainly = (
        False  # True iff a subclass has a `_drain_helper` that waits for `_new_drain_waiter`, and no other
    )

    def __init__(self, loop=None):
        """Begin without a transport."""
        self._init(loop)

    def _init(self, loop):
        self._loop = get_event_loop() if loop is None else loop
        self._paused = False  # True iff the transport asked for a pause and has not ended it
        self._connection_lost = False
        self._drain_waiters = None  # futures of those who wait in drain, in order: a dict's keys; None if nobody did

    def pause_writing(self):
        """Called by the transport when its buffer goes over the high-water mark."""
        assert not self._paused
        self._paused = True
        if self._loop.get_debug():
            logger.debug("%r pauses writing", self)

    def resume_writing(self):
        """Called by the transport when its buffer has drained below the low-water mark."""
        assert self._paused
        self._paused = False
        if self._loop.get_debug():
            logger.debug("%r resumes writing", self)
        self._wake_drainers(None)

    def connection_lost(self, exc):
        """Called by the transport at the end."""
        self._lost(exc)

    def _lost(self, exc):
        self._connection_lost = True
        if self._paused:
            self._wake_drainers(exc)

    def _wake_drainers(self, exc):
        for waiter in self._drain_waiters or ():
            if not waiter.done():
                if exc is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(exc)

    def _new_drain_waiter(self):
        """A future that is done when writing may go on; None if it may now. ConnectionResetError if it never will."""
        if self._connection_lost:
            raise ConnectionResetError("Connection lost")
        if not self._paused:
            return None
        if self._drain_waiters is None:
            self._drain_waiters = {}
        waiter = self._loop.create_future()
        note_wait(waiter, DRAIN)
        self._drain_waiters[waiter] = None
        return waiter


class Feeder(FlowControl):
    """A protocol that hands what comes to a reader; what is behind a StreamReaderProtocol.

    A subclass has `_serve(transport, reader)`, called once there is a connection if there is a
    `client_connected_cb`.
    """

    def __init__(self, stream_reader, client_connected_cb=None, loop=None):
        """Feed `stream_reader`; `client_connected_cb` is called with it and a writer, once connected."""
        self._init(loop)
        self._over_ssl = False
        self._stream_reader = None
        self._buffer = None  # the reader, if it takes data as StreamBuffer does
        self._set_reader(stream_reader)
        self._client_connected_cb = client_connected_cb
        self._transport = None
        self._task = None  # of `client_connected_cb`, as long as there is a connection
        self._close_waiter = None  # the future of `wait_closed`; None as long as nobody asked
        self._close_error = None  # what ended the connection

    def _set_reader(self, reader):
        self._stream_reader = reader
        self._buffer = None
        if isinstance(reader, StreamBuffer) and type(reader).feed_data is StreamBuffer.feed_data:
            self._buffer = reader

    def connection_made(self, transport):
        """Called by the transport at the beginning."""
        self._transport = transport
        if self._stream_reader is not None:
            self._stream_reader.set_transport(transport)
        self._over_ssl = transport.get_extra_info("sslcontext") is not None
        if self._client_connected_cb is not None:
            self._serve(transport, self._stream_reader)

    def data_received(self, data):
        """Called by the transport with bytes that came."""
        if self._buffer is not None:
            self._buffer._feed(data)
        elif self._stream_reader is not None:
            self._stream_reader.feed_data(data)

    def eof_received(self):
        """Called by the transport when nothing more will come; True keeps the connection half open."""
        if self._stream_reader is not None:
            self._stream_reader.feed_eof()
        # TLS has no half-open connections: there True would only be a warning.
        return not self._over_ssl

    def connection_lost(self, exc):
        """Called by the transport at the end."""
        if self._stream_reader is not None:
            if exc is None:
                self._stream_reader.feed_eof()
            elif self._buffer is not None:
                self._buffer._lost(exc)
            else:
                self._stream_reader.set_exception(exc)
        self._close_error = exc
        if self._close_waiter is not None:
            self._settle()
        self._lost(exc)
        self._set_reader(None)
        self._task = None
        self._transport = None

    @property
    def _closed(self):
        """A future that is done when the connection is gone."""
        if self._close_waiter is None:
            self._close_waiter = self._loop.create_future()
            if self._connection_lost:
                self._settle()
        return self._close_waiter

    def _settle(self):
        """Resolve what `wait_closed` waits for."""
        waiter = self._close_waiter
        if waiter.done():
            return
        if self._close_error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(self._close_error)
            waiter.exception()  # nobody has to wait for the end, so the error counts as seen

    def _replace_transport(self, transport):
        """Go on with `transport`, to which start_tls upgraded."""
        self._transport = transport
        self._over_ssl = transport.get_extra_info("sslcontext") is not None
        if self._stream_reader is not None:
            self._stream_reader._replace_transport(transport)

    def _take_buffered(self):
        """Take out what came and nobody read: start_tls passes it on to TLS."""
        reader = self._stream_reader
        return reader._take_all() if isinstance(reader, StreamBuffer) else b""


class WriteEnd:
    """Writes to `transport`, whose protocol is `protocol`; what is behind a StreamWriter.

    `reader` (or None) tells of errors.
    """

    def __init__(self, transport, protocol, reader, loop):
        """Write to `transport`."""
        self._transport = transport
        self._protocol = protocol
        self._reader = reader
        self._loop = loop
        self._flow = None  # the protocol, if its `_drain_helper` does what FlowControl says and no more
        if isinstance(protocol, FlowControl) and protocol._drains_plainly:
            self._flow = protocol

    @property
    def transport(self):
        """The transport."""
        return self._transport

    def write(self, data):
        """Send `data`, bytes-like; never waits. Follow it by `await drain()`."""
        self._transport.write(data)

    def writelines(self, data):
        """Send each of an iterable of bytes-like objects."""
        self._transport.writelines(data)

    def write_eof(self):
        """Tell the peer, after what was written, that nothing more will come; reading goes on."""
        return self._transport.write_eof()

    def can_write_eof(self):
        """Return True if the transport can close one direction only."""
        return self._transport.can_write_eof()

    def close(self):
        """Close the transport after what was written is sent. Follow it by `await wait_closed()`."""
        return self._transport.close()

    def is_closing(self):
        """Return True if the transport is closing or closed."""
        return self._transport.is_closing()

    def get_extra_info(self, name, default=None):
        """Return what the transport knows under `name`, such as "peername" or "socket"; else `default`."""
        return self._transport.get_extra_info(name, default)

    def _can_go_on(self):
        """Whether `drain` has nothing to wait for. Raises what `drain` raises then."""
        reader = self._reader
        if isinstance(reader, StreamBuffer):
            buffer = reader
            exc = buffer._exception
        else:
            exc = None if reader is None else reader.exception()
        if exc is not None:
            raise exc
        if self._flow is None or self._is_closing():
            return False
        if self._flow._connection_lost:
            raise ConnectionResetError("Connection lost")
        return not self._flow._paused

    def _is_closing(self):
        if type(self._transport) is StreamTransport:
            transport = self._transport
            return transport._state != _OPEN
        return self._transport.is_closing()

    def __del__(self):
        transport = getattr(self, "_transport", None)  # None if its making was refused
        if transport is not None and not transport.is_closing():
            if self._loop.is_closed():
                warnings.warn("loop is closed", ResourceWarning)
            else:
                self.close()
                warnings.warn(f"unclosed {self!r}", ResourceWarning)


native.sign(globals())
