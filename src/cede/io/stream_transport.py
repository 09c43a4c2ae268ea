"""StreamTransport: carries bytes between a protocol and a connected socket.

A write is sent at once, unless something waits: then it waits behind that until the kernel has room.
`writelines` sends its chunks in one system call, so that a header and its body are one packet.

Reads go into memory that all transports of a loop share, and become a `bytes` of the exact size; a stream
that keeps filling it is read straight into large `bytes` of its own.

Its states are a channel's (`channel.py`). It is CLOSING also after the peer's EOF, unless kept half-open.
"""

import asyncio
import logging
import socket
import sys
import warnings
from asyncio.constants import _SendfileMode
from asyncio.trsock import TransportSocket

from ..engine import native, syscalls
from ..engine.futures import new_future
from ..engine.pollers.base import HANGUP, READABLE, WRITABLE
from .channel import CLOSING, LOST, OPEN, READ_SIZE, Channel, asked
from .write_buffer import WriteBuffer, as_bytes

logger = logging.getLogger("asyncio")

_OPEN = OPEN
_CLOSING = CLOSING
_LOST = LOST

_READ_SIZE = READ_SIZE  # bytes; the memory that all transports of a loop read into
_LARGE_READ_SIZE = 256 * 1024  # bytes; asyncio's `max_size`, for streams that fill that memory
_SMALL_READ = 32 * 1024  # bytes; less than that, and that memory will do again
_READS_PER_EVENT = 4  # how often a stream that fills its buffer is read before others have their turn
_WRITES_BEFORE_WARNING = 5  # asyncio: writes to a lost connection are logged from the fifth on

_READABLE = READABLE
_WRITABLE = WRITABLE
_HANGUP = HANGUP

# asyncio: its words, which tests of programs match.
_WRITABLE_DATA = "a bytes, bytearray, or memoryview object" if sys.version_info >= (3, 14) else "a bytes-like object"

# Until a process has once freed a large block, glibc's malloc maps and unmaps each one anew: an echo of 100 KiB takes
# twice as long. So one is freed here, which is never touched; the allocator then keeps as much at hand.
bytes(4 * _LARGE_READ_SIZE)


class StreamTransport(Channel):
    """The transport of a connected stream socket, which it owns and closes.

    `waiter` (a future) is resolved once `connection_made` was called and reading has begun; `extra`
    adds to what `get_extra_info` knows; `server` counts the connection; the protocol is called in
    `context` (default: a copy of the current one). `names` are the addresses of the peer and of our end, where they
    are known; None stands for one that is not.
    """

    # asyncio: loop.sendfile and loop.start_tls, and libraries like aiohttp, ask these.
    _sendfile_compatible = _SendfileMode.TRY_NATIVE
    _start_tls_compatible = True

    def __init__(self, loop, sock, protocol, waiter=None, extra=None, server=None, context=None, names=None):
        self._init(loop, sock, protocol, extra, server, context)
        if names is not None:
            self._peername, self._sockname = names
        if sock.family != _AF_UNIX:
            # Small writes go out without waiting for the acknowledgement of the last one.
            syscalls.set_nodelay(sock, self._fd)
        self._begin(waiter)

    def _init(self, loop, sock, protocol, extra, server, context):
        self._set_up(loop, sock.fileno(), extra, context)
        self._events = 0  # what the poller told, while it stands in the ready list to act on it
        self._sock = sock
        self._server = server  # told of this connection's birth and end, or None
        self._at_eof = False  # True iff the peer will send no more
        self._eof_asked = False  # True iff write_eof was called: shut down once the buffer is empty
        self._read_size = _READ_SIZE  # how much the next read asks for
        self._most_read = _LARGE_READ_SIZE  # how much a read asks for at most
        self._out = WriteBuffer()
        self._empty_waiter = None  # the future of sendfile, which waits for an empty buffer
        self._socket_info = None  # what get_extra_info("socket") gave
        # Addresses: None until they were asked for, or if the system does not know; not in `_facts`, which few need.
        self._peername = None
        self._sockname = None
        self._buffered = False  # True iff the protocol is a BufferedProtocol
        self._set_protocol(protocol)

    def _begin(self, waiter):
        """Have the protocol called, then reading begun, then the waiter woken; each in the next turn."""
        loop = self._loop
        loop._claim(self._fd, self)
        self._peer_name()  # a peer that is gone later has no name any more
        if self._server is not None:
            self._server._attach(self)
        Channel._begin(self, waiter)

    # asyncio: isinstance(transport, asyncio.Transport) is asked by libraries.
    @property
    def __class__(self):
        return asyncio.Transport

    def __repr__(self):
        info = [type(self).__name__]
        if self._state == _LOST:
            info.append("closed" if not self._connected else "closing")
        elif self._state == _CLOSING:
            info.append("closing")
        info.append(f"fd={self._fd}")
        if self._connected and not self._loop.is_closed():
            info.append("read=polling" if self._interest & _READABLE else "read=idle")
            state = "polling" if self._interest & _WRITABLE else "idle"
            info.append(f"write=<{state}, bufsize={self._out.size}>")
        return f"<{' '.join(info)}>"

    # --- What it is -------------------------------------------------------------------------------

    def get_extra_info(self, name, default=None):
        """Return what is known under `name`: "socket", "sockname", "peername" and others; else `default`."""
        if self._facts is not None and name in self._facts:
            return self._facts[name]
        if name == "socket":
            if self._socket_info is None:
                self._socket_info = TransportSocket(self._sock)
            return self._socket_info
        if name == "sockname":
            return self._own_name()
        if name == "peername":
            return self._peer_name()
        return default

    def _own_name(self):
        if self._sockname is None:
            self._sockname = asked(self._sock.getsockname)
        return self._sockname

    def _peer_name(self):
        if self._peername is None:
            self._peername = asked(self._sock.getpeername)
        return self._peername

    def _remember_name(self):
        """Ask for our own address before the socket is closed: afterwards the system does not know it."""
        if self._facts is None or "sockname" not in self._facts:
            self._own_name()

    def set_protocol(self, protocol):
        """Have `protocol` called from now on."""
        self._set_protocol(protocol)

    def _set_protocol(self, protocol):
        self._protocol = protocol
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol)

    # asyncio: names from inside of its transports, which programs use, and set.

    @property
    def _extra(self):
        if self._facts is None:
            self._facts = {}
        for name in ("socket", "sockname", "peername"):
            self._facts.setdefault(name, self.get_extra_info(name))
        return self._facts

    @property
    def _buffer(self):
        """What waits to be sent, as asyncio keeps it; a copy."""
        return self._out.waiting()

    @property
    def _eof(self):
        return self._eof_asked

    @_eof.setter
    def _eof(self, value):
        self._eof_asked = bool(value)

    @property
    def max_size(self):
        """How many bytes are read at once at most."""
        return self._most_read

    @max_size.setter
    def max_size(self, value):
        if value < 1:
            raise ValueError(f"max_size ({value!r}) must be > 0")
        self._most_read = value
        self._read_size = min(_READ_SIZE, value)

    # --- Readiness --------------------------------------------------------------------------------

    def _on_ready(self, events):
        loop = self._loop
        if not loop._busy_turns and not loop._incoming:
            self._act_on(events)
        else:
            # Order: what was ready before the kernel was asked runs before anything that the kernel told.
            if not self._events:
                loop._run_after_ready(self)
            self._events |= events

    def _run(self):
        loop = self._loop
        if loop._entered is not None:
            loop._leave_task()
        events = self._events & (self._interest | _HANGUP)  # less what is not wanted any more
        self._events = 0
        if events & ~_HANGUP:
            self._act_on(events)

    def _act_on(self, events):
        """Read or write, as far as the descriptor is ready for it."""
        if events & _READABLE and self._state == _OPEN:
            if self._buffered:
                self._read_into_protocol()
            else:
                self._read()
        if events & _WRITABLE and self._state != _LOST:
            self._send()

    def _wants_data(self):
        return self._state == _OPEN and not self._paused and not self._at_eof

    def _update_interest(self):
        """Ask the poller for what this transport now waits for."""
        interest = _READABLE if self._wants_data() else 0
        if self._out.size and self._state != _LOST:
            interest |= _WRITABLE
        if interest != self._interest:
            if not (interest and self._end_if_gone()):
                self._loop._watch(self._fd, self, interest)

    def _is_gone(self):
        return syscalls.number_of(self._sock) != self._fd

    def _displaced(self):
        Channel._displaced(self)
        self._end_if_gone()

    # --- Reading ----------------------------------------------------------------------------------

    def _read(self):
        """Hand the protocol what has come; more than once only if it fills the buffer."""
        left = _READS_PER_EVENT
        while left:
            left -= 1
            try:
                data = syscalls.receive(self._sock, self._fd, self._loop._read_memory, self._read_size)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                self._fatal_error(exc, "Fatal read error on socket transport")
                return
            if data is None:
                return
            if not data:
                self._eof_came()
                return
            count = len(data)
            if self._loop._ring is not None:
                self._loop._ring._bytes(0, self._fd, count)
            full = count == self._read_size
            if full:
                self._read_size = self._most_read
            elif count < _SMALL_READ and self._read_size > _READ_SIZE:
                self._read_size = _READ_SIZE
            try:
                native.call_method(self._context, self._protocol, "data_received", data)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                self._fatal_error(exc, "Fatal error: protocol.data_received() call failed.")
                return
            if not full or not self._interest & _READABLE or self._buffered:
                return

    def _read_into_protocol(self):
        """Read straight into the buffer of a BufferedProtocol."""
        try:
            buffer = native.call_method(self._context, self._protocol, "get_buffer", -1)
            if not len(buffer):
                raise RuntimeError("get_buffer() returned an empty buffer")
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal error: protocol.get_buffer() call failed.")
            return
        try:
            count = syscalls.receive_into(self._sock, self._fd, buffer)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal read error on socket transport")
            return
        if count < 0:
            return
        if count == 0:
            self._eof_came()
            return
        if self._loop._ring is not None:
            self._loop._ring._bytes(0, self._fd, count)
        try:
            native.call_method(self._context, self._protocol, "buffer_updated", count)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal error: protocol.buffer_updated() call failed.")

    def _eof_came(self):
        """The peer sends no more: the protocol says whether the connection stays half open."""
        if self._loop.get_debug():
            logger.debug("%r received EOF", self)
        try:
            keep_open = native.call(self._context, self._protocol.eof_received, ())
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal error: protocol.eof_received() call failed.")
            return
        if keep_open:
            self._at_eof = True
            self._update_interest()
        else:
            self.close()

    def is_reading(self):
        """Return True if the transport hands data to the protocol."""
        return self._is_reading()

    def pause_reading(self):
        """Stop handing data to the protocol; what the peer sends waits in the kernel."""
        self._pause_reading()

    def resume_reading(self):
        """Go on handing data to the protocol."""
        self._resume_reading()

    # --- Writing ----------------------------------------------------------------------------------

    def write(self, data):
        """Send `data` (bytes, bytearray or memoryview); never blocks.

        A bytearray may be used again at once. TypeError for anything else, RuntimeError after `write_eof`.
        """
        if type(data) is not bytes:
            if not isinstance(data, (bytes, bytearray, memoryview)):
                raise TypeError(f"data argument must be {_WRITABLE_DATA}, not {type(data).__name__!r}")
            data = as_bytes(data)
        if self._eof_asked or self._empty_waiter is not None:
            raise self._refusal("write")
        if len(data) and not (self._state == _LOST and self._is_lost()):
            self._write(data)

    def writelines(self, list_of_data):
        """Send each of the chunks, in one system call where the kernel takes them."""
        if self._eof_asked or self._empty_waiter is not None:
            raise self._refusal("writelines")
        chunks = [data if type(data) is bytes else as_bytes(data) for data in list_of_data]
        chunks = [data for data in chunks if data]
        if chunks and not self._is_lost():
            self._write_all(chunks)

    def _refusal(self, method):
        if self._eof_asked:
            return RuntimeError(f"Cannot call {method}() after write_eof()")
        return RuntimeError(f"unable to {method}; sendfile is in progress")

    def _is_lost(self):
        """Whether writing is in vain. asyncio: said in the log from the fifth time on."""
        if self._state != _LOST:
            return False
        self._writes_lost += 1
        if self._writes_lost >= _WRITES_BEFORE_WARNING:
            logger.warning("socket.send() raised exception.")
        return True

    def _write(self, data):
        """Send `data` (bytes, not empty); what the kernel does not take now waits."""
        waiting = self._out.size
        try:
            done = self._out._write(self._fd, self._sock, data)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal write error on socket transport")
            return
        if self._loop._ring is not None:
            self._note_sent(waiting + len(data))
        if not done:
            self._wait_for_room()

    def _note_sent(self, waiting):
        """Let the recording know how much of `waiting` bytes is sent."""
        if waiting > self._out.size:
            self._loop._ring._bytes(1, self._fd, waiting - self._out.size)

    def _write_all(self, chunks):
        """Send the chunks together, unless something waits already."""
        is_first = not self._out.size
        for data in chunks:
            self._out._append(data)
        if is_first:
            self._send()
        else:
            self._wait_for_room()

    def _wait_for_room(self):
        # Order: an interrupt may come out of the protocol, and what waits is to be sent nevertheless.
        self._update_interest()
        self._maybe_pause_protocol()

    def _send(self):
        """Give the kernel what it takes; act on what then holds."""
        waiting = self._out.size
        try:
            self._out._send(self._fd, self._sock)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal write error on socket transport")
            return
        if self._loop._ring is not None:
            self._note_sent(waiting)
        if self._out.size:
            self._wait_for_room()
        # Order: a protocol that is resumed may write more, and only then is it seen whether all is sent.
        if self._protocol_paused and self._out.size <= self._out.low and self._state != _LOST:
            self._resume_protocol()
        if not self._out.size and self._state != _LOST:
            if self._state == _CLOSING or self._eof_asked or self._empty_waiter is not None:
                self._buffer_is_empty()
            if self._interest & _WRITABLE and self._state != _LOST:
                self._update_interest()

    def _buffer_is_empty(self):
        if self._empty_waiter is not None and not self._empty_waiter.done():
            self._empty_waiter.set_result(None)
        if self._state == _CLOSING:
            self._lose(None)
        elif self._eof_asked:
            self._shut_down_writing()

    def write_eof(self):
        """Tell the peer, after what is buffered, that nothing more will come; reading goes on."""
        if self._state == _OPEN and not self._eof_asked:
            self._eof_asked = True
            if not self._out.size:
                self._shut_down_writing()

    def _shut_down_writing(self):
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as exc:
            self._fatal_error(exc, "Fatal write error on socket transport")

    def can_write_eof(self):
        """Return True: sockets can be closed in one direction."""
        return True

    # --- Flow control -----------------------------------------------------------------------------

    def get_write_buffer_size(self):
        """Return how many bytes the kernel has not taken yet."""
        return self._out.size

    def get_write_buffer_limits(self):
        """Return the low-water and the high-water mark, in bytes."""
        return self._out.marks

    def set_write_buffer_limits(self, high=None, low=None):
        """Set the marks of flow control, in bytes.

        Above `high` the protocol's `pause_writing` is called, at `low` its `resume_writing`.
        ValueError unless high >= low >= 0.
        """
        self._out.set_limits(high, low)
        self._maybe_pause_protocol()

    def _maybe_pause_protocol(self):
        if self._out.size > self._out.high and not self._protocol_paused:
            self._protocol_paused = True
            self._call_flow_control("pause_writing")

    def _resume_protocol(self):
        self._protocol_paused = False
        self._call_flow_control("resume_writing")

    # asyncio: what loop.sendfile uses of a transport.

    def _make_empty_waiter(self):
        """A future that is done when the buffer is empty; until it is reset, writes are refused."""
        if self._empty_waiter is not None:
            raise RuntimeError("Empty waiter is already set")
        self._empty_waiter = new_future(self._loop)
        if not self._out.size:
            self._empty_waiter.set_result(None)
        return self._empty_waiter

    def _reset_empty_waiter(self):
        self._empty_waiter = None

    # --- The end ----------------------------------------------------------------------------------

    def close(self):
        """Close after what is buffered is sent; `connection_lost(None)` follows."""
        if self._state == _OPEN:
            self._state = _CLOSING
            if self._out.size:
                self._update_interest()  # nothing more is read
            else:
                self._lose(None)

    def abort(self):
        """Close at once; what waits is dropped."""
        self._force_close(None)

    def _fatal_error(self, exc, message="Fatal error on transport"):
        """Close because of an error; one that is not the network's fault is reported."""
        if isinstance(exc, OSError):
            self._debug_error(exc, message)
        else:
            self._report(exc, message)
        self._force_close(exc)

    def _forked(self):
        Channel._forked(self)
        upper = getattr(self._protocol, "_upper", None)
        if isinstance(upper, StreamTransport):
            upper._forked()  # TLS over this one

    def _drop_waiting(self):
        self._out.clear()

    def _release(self):
        """Give back the socket and everything that refers here."""
        self._loop._disclaim(self._fd, self)
        self._remember_name()
        self._sock.close()
        self._protocol = None
        server = self._server
        self._server = None
        if self._empty_waiter is not None and not self._empty_waiter.done():
            self._empty_waiter.set_exception(ConnectionError("Connection is closed by peer"))
        if server is not None:
            server._detach(self)

    def _abandoned(self):
        """What each class calls in its `__del__`, which compiled classes do not inherit."""
        if self._connected and self._sock is not None and self._sock.fileno() >= 0:
            self._warn_and_close()

    def _warn_and_close(self):
        warnings.warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
        self._sock.close()
        if self._server is not None:
            self._server._detach(self)

    def __del__(self):
        self._abandoned()


_AF_UNIX = getattr(socket, "AF_UNIX", None)
