"""DatagramTransport: carries datagrams between a protocol and a socket.

A datagram is sent at once, or, if the kernel has no room, waits for its turn behind those before it.
An error of one datagram (nobody listens there) is told through `error_received` and ends nothing.
"""

import asyncio
import collections
import errno
import logging
import socket
from asyncio.trsock import TransportSocket

from ..engine import native, syscalls
from ..engine.pollers.base import READABLE, WRITABLE
from .channel import CLOSING, LOST, OPEN, READ_SIZE, asked
from .endpoint import Endpoint
from .write_buffer import as_bytes

logger = logging.getLogger("asyncio")

_LARGEST = READ_SIZE  # bytes; no IP datagram is larger
_LARGEST_UNIX = 256 * 1024  # bytes; asyncio's
_OVERHEAD = 8  # bytes that flow control counts for each datagram, as even an empty one takes memory
_MOST_PER_EVENT = 32  # datagrams taken before others have their turn
_CALM_EVENTS = 16  # events of one datagram each, after trying for a second one in vain
_WRITES_BEFORE_WARNING = 5  # asyncio: writes to a lost connection are logged from the fifth on

_INTERNET = (socket.AF_INET, socket.AF_INET6)

_READABLE = READABLE
_WRITABLE = WRITABLE
_OPEN = OPEN
_CLOSING = CLOSING
_LOST = LOST


# asyncio: its datagram transports are both.
_Face = type("DatagramTransport", (asyncio.DatagramTransport, asyncio.Transport), {})


class DatagramTransport(Endpoint):
    """The transport of a datagram socket, which it owns and closes.

    `address` is where everything is sent (None: `sendto` says where). `waiter`, a future, is
    resolved once `connection_made` was called; the protocol is called in `context` (default: a
    copy of the current one).
    """

    def __init__(self, loop, sock, protocol, address=None, waiter=None, extra=None, context=None):
        self._init(loop, sock, protocol, extra, context)
        self._address = address
        self._queue = collections.deque()  # (datagram, address) that wait
        self._most = 1  # how many datagrams the next event may bring
        self._calm = 0  # how many events to go until more than one are tried again, as that was in vain
        self._largest = _LARGEST_UNIX if sock.family == _AF_UNIX else _LARGEST
        self._is_internet = sock.family in _INTERNET and type(sock) is socket.socket
        self._last = syscalls.address_buffer()  # where the last datagram came from, and what that is to people
        self._known = None
        self._facts["socket"] = TransportSocket(sock)
        self._facts["sockname"] = asked(sock.getsockname)
        if "peername" not in self._facts:
            self._facts["peername"] = asked(sock.getpeername)
        self._is_connected = bool(self._facts["peername"])  # True iff all goes to a peer that the kernel knows
        loop._claim(self._fd, self)
        self._begin(waiter)

    # asyncio: isinstance(transport, asyncio.DatagramTransport) is asked by libraries.
    @property
    def __class__(self):
        return _Face

    # asyncio: names from inside of its transports, which programs use, and set.

    @property
    def _sock(self):
        return self._file

    @property
    def _buffer(self):
        """(datagram, address) of what waits; a copy."""
        return self._queue.copy()

    @property
    def max_size(self):
        """How many bytes of a datagram are received; the rest is lost."""
        return self._largest

    @max_size.setter
    def max_size(self, value):
        if value < 0:
            raise ValueError(f"max_size ({value!r}) must be >= 0")
        self._largest = value

    def _update_interest(self):
        interest = _READABLE if self._is_reading() else 0
        if self._queue and self._state != _LOST:
            interest |= _WRITABLE
        if interest != self._interest and not (interest and self._end_if_gone()):
            self._loop._watch(self._fd, self, interest)

    def _displaced(self):
        Endpoint._displaced(self)
        self._end_if_gone()

    def _on_ready(self, events):
        if events & _READABLE:
            if self._loop._upcoming or self._loop._incoming:
                # Order: what was ready before the kernel was asked runs before the datagram is handed over.
                self._loop.call_soon(self._receive_later)
            else:
                self._receive()
        if events & _WRITABLE and self._state != _LOST:
            native.call(self._context, self._send_waiting, ())

    # --- Receiving --------------------------------------------------------------------------------

    def _receive_later(self):
        if self._interest & _READABLE:
            self._receive()

    def _receive(self):
        """Hand the protocol the datagrams that have come: more at a time while they come in bursts."""
        most = self._most
        for _ in range(most):
            try:
                pair = self._take()
            except OSError as exc:
                # A duplicate may keep the socket open that the program closed, and the poller telling of it.
                if not self._end_if_gone():
                    native.call_one(self._context, self._tell_error, exc)
                return
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:  # no memory for it
                self._report(exc, "Fatal read error on datagram transport")
                self._force_close(exc)
                return
            if pair is None:
                self._most = 1
                self._calm = _CALM_EVENTS
                return
            try:
                native.call(self._context, self._protocol.datagram_received, pair)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                self._report(exc, "protocol.datagram_received() failed")
            if not self._interest & _READABLE:
                return  # the protocol paused or closed
        if self._calm:
            self._calm -= 1
        else:
            self._most = min(2 * most, _MOST_PER_EVENT)

    def _take(self):
        """Receive one datagram: it and its sender's address, or None if there is none."""
        if self._is_internet:
            memory = self._loop._read_memory
            pair = syscalls.receive_from(self._file, self._fd, memory, self._largest, self._last, self._known)
            if pair is not None:
                self._known = pair[1]
                if self._loop._ring is not None:
                    self._loop._ring._bytes(0, self._fd, len(pair[0]))
            return pair
        try:
            return self._file.recvfrom(self._largest)
        except (BlockingIOError, InterruptedError):
            return None

    def is_reading(self):
        """Return True if the transport hands datagrams to the protocol."""
        return self._is_reading()

    def pause_reading(self):
        """Stop handing datagrams to the protocol; they wait in the kernel, which drops what is too much."""
        self._pause_reading()

    def resume_reading(self):
        """Go on handing datagrams to the protocol."""
        self._resume_reading()

    # --- Sending ----------------------------------------------------------------------------------

    def sendto(self, data, addr=None):
        """Send a datagram (bytes, bytearray or memoryview; may be empty); never blocks.

        TypeError for other data; ValueError for an address beside the endpoint's own.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._address is not None:
            if addr is not None and addr != self._address:
                raise ValueError(f"Invalid address: must be None or {self._address}")
            addr = self._address
        if self._state == _LOST:
            self._send_in_vain(data, addr)
            return
        if not self._queue and self._send(data, addr):
            return
        # The copy: the caller may use a bytearray again.
        data = as_bytes(data)
        self._queue.append((data, addr))
        self._waiting += len(data) + _OVERHEAD
        self._update_interest()
        self._maybe_pause_protocol()

    def _send_in_vain(self, data, address):
        """After the end nothing waits any more. asyncio: said in the log from the fifth time on."""
        if self._connected and self._address is None:
            self._send(data, address)  # asyncio: until connection_lost each datagram has its try
            return
        self._writes_lost += 1
        if self._writes_lost > _WRITES_BEFORE_WARNING:
            logger.warning("socket.send() raised exception.")

    def _send(self, data, address):
        """Send one datagram; return False if the kernel has no room for it."""
        if self._loop._ring is not None:
            self._loop._ring._bytes(1, self._fd, len(data))
        try:
            if self._is_connected or (address is None and self._has_peer()):
                self._file.send(data)
            elif address is self._known and address is not None and self._is_internet and type(data) is bytes:
                return syscalls.send_to(self._file, self._fd, data, self._last, address) != -1
            else:
                self._file.sendto(data, address)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as exc:
            self._tell_error(exc)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report(exc, "Fatal write error on datagram transport")
            self._force_close(exc)
        return True

    def _has_peer(self):
        """Whether the kernel knows where to send: to a peer without a name, or to one since the program connected."""
        try:
            return self._file.getpeername() is not None
        except OSError as exc:
            if exc.errno == errno.ENOTCONN:
                return False
            raise

    def _send_waiting(self):
        while self._queue:
            data, address = self._queue[0]
            if not self._send(data, address):
                break
            if not self._queue:
                return  # an error closed the transport
            self._queue.popleft()
            self._waiting -= len(data) + _OVERHEAD
        self._maybe_resume_protocol()  # which may send more
        if not self._queue and self._state != _OPEN:
            if self._state != _LOST:
                self._lose(None)
            return
        self._update_interest()

    def _drop_waiting(self):
        self._queue.clear()
        self._waiting = 0

    def _tell_error(self, exc):
        try:
            self._protocol.error_received(exc)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._report(error, "protocol.error_received() failed")

    def get_write_buffer_size(self):
        """Return the bytes that wait, with 8 more for each datagram."""
        return self._waiting

    def get_write_buffer_limits(self):
        """Return the low-water and the high-water mark, in bytes."""
        return self._marks

    def set_write_buffer_limits(self, high=None, low=None):
        """Set the marks of flow control, in bytes. ValueError unless high >= low >= 0."""
        self._set_limits(high, low)

    # asyncio: its datagram transports have a stream's methods too, which refuse.

    def write(self, data):
        """Raise NotImplementedError: `sendto` sends."""
        raise NotImplementedError

    def writelines(self, list_of_data):
        """Raise NotImplementedError: `sendto` sends."""
        raise NotImplementedError

    def write_eof(self):
        """Raise NotImplementedError: datagrams have no end."""
        raise NotImplementedError

    def can_write_eof(self):
        """Raise NotImplementedError: datagrams have no end."""
        raise NotImplementedError

    # --- The end ----------------------------------------------------------------------------------

    def close(self):
        """Close after what waits is sent; `connection_lost(None)` follows."""
        if self._state == _OPEN:
            self._state = _CLOSING
            if self._queue:
                self._update_interest()
            else:
                self._lose(None)

    def abort(self):
        """Close at once; what waits is dropped."""
        self._force_close(None)

    def _release(self):
        self._loop._disclaim(self._fd, self)
        Endpoint._release(self)

    def __del__(self):
        self._abandoned()


_AF_UNIX = getattr(socket, "AF_UNIX", None)
