"""TlsSocketTransport: TLS bound to the socket itself, and the behaviour of TLS transports of every kind.

    state          entered by                                what then holds
    HANDSHAKING    creation                                  nothing is read or written; the handshake's timer runs
    OPEN           the handshake's end                       `connection_made` was called; data goes both ways
    SHUTTING_DOWN  close; the peer's close_notify or EOF     no more reading, writes are dropped; what is buffered
                                                             goes, then close_notify; the shutdown's timer runs
    LOST           both sides said close_notify; the peer    nothing moves; `connection_lost` is called in the next
                   is gone; abort; an error; a timeout       turn, once, if `connection_made` was; the waiter is told

    HANDSHAKING -> OPEN -> SHUTTING_DOWN -> LOST;  from each straight to LOST

OpenSSL reads and writes the descriptor itself, driven by readiness, with no bytes passed through memory in between.
It is reached through what `ssl.SSLSocket` is made of, `SSLContext._wrap_socket`: `wrap_socket` would take the
descriptor from the program's socket object, and would not give the SSLObject that programs know from asyncio.

Facts about OpenSSL that shape this file:
- A read hands out one record at most, 16 KiB, and takes no more than that from the kernel. So after a record that is
  not full the poller is asked, not OpenSSL: an attempt in vain costs an exception.
- What a small read leaves of a record waits inside OpenSSL, and no poller tells of it (`_unread`).
- A read may have to wait until it can write and a write until it can read (`_read_needs`, `_write_needs`).
- A write that could not be finished is repeated with the same bytes and no fewer. `_next_piece` sees to it.
- After an EOF without close_notify it takes no more writes, and sends an alert. So where the poller says that the peer
  hung up, `_hung_up` looks whether there is anything but the EOF, before OpenSSL does.
"""

import asyncio
import errno
import logging
import os
import socket
import ssl
import weakref
from asyncio.constants import _SendfileMode
from asyncio.sslproto import _SSLProtocolTransport
from ssl import SSLEOFError, SSLWantReadError, SSLWantWriteError, SSLZeroReturnError

from ..engine import native
from ..engine.pollers.base import HANGUP, READABLE, WRITABLE
from .stream_transport import StreamTransport

logger = logging.getLogger("asyncio")

_OPEN = 0  # these three as in stream_transport
_SHUTTING_DOWN = 1
_LOST = 2
_HANDSHAKING = 3

_READABLE = READABLE
_WRITABLE = WRITABLE
_HANGUP = HANGUP

_RECORD = 16 * 1024  # bytes; no TLS record carries more
_MOST_AT_ONCE = 4 * _RECORD  # bytes given to OpenSSL at once; it counts them as sent when all are
_BUFFER_SIZE = 256 * 1024  # bytes; the most a protocol is handed at once
_HIGH_WATER = 512 * 1024  # bytes; asyncio's default for writing, low water is a quarter
_READ_HIGH_WATER = 256 * 1024  # asyncio's default for reading
_WRITES_BEFORE_WARNING = 5

_TCP = socket.IPPROTO_TCP
_TCP_CORK = getattr(socket, "TCP_CORK", 0)  # 0 where there is none
_AF_UNIX = getattr(socket, "AF_UNIX", None)
_OPENSSL_3 = ssl.OPENSSL_VERSION_INFO >= (3,)
_LEARNED_LATE = {"peercert": "getpeercert", "cipher": "cipher", "compression": "compression"}

_buffers = weakref.WeakKeyDictionary()  # {loop: memory for reading}


def bind(sslcontext, sock, server_side, server_hostname):
    """Return an SSLObject that speaks TLS on the socket's descriptor. ValueError as `wrap_socket`."""
    ssl_object = ssl.SSLObject.__new__(ssl.SSLObject)
    ssl_object._sslobj = sslcontext._wrap_socket(sock, server_side, server_hostname, owner=ssl_object, session=None)
    return ssl_object


def can_bind(sslcontext, sock):
    """Return True if TLS may be bound to the socket; a context with a `wrap_bio` of its own wants to be asked."""
    return (
        isinstance(sock, socket.socket)
        and getattr(sslcontext.wrap_bio, "__func__", None) is ssl.SSLContext.wrap_bio
        and getattr(sslcontext.wrap_socket, "__func__", None) is ssl.SSLContext.wrap_socket
        and sslcontext.sslobject_class is ssl.SSLObject
        and hasattr(sslcontext, "_wrap_socket")
    )


def is_idle(transport):
    """Send what a plain transport has left; return True if it may give its socket away."""
    if transport._state != _OPEN or transport._eof_asked or transport._empty_waiter is not None:
        return False
    try:
        return transport._out._send(transport._fd)
    except OSError:
        return False


def take_socket(transport):
    """Take from an idle plain transport its socket, extra info, server and context; it is closed for its owner."""
    transport._loop._watch(transport._fd, transport, 0)
    transport._state = _LOST
    transport._connected = False
    transport._protocol = None
    taken = (transport._sock, transport._extra, transport._server, transport._context)
    transport._server = None
    return taken


def _buffer_of(loop):
    # One a loop: OpenSSL releases the GIL while it reads, so loops of other threads must not share it.
    buffer = _buffers.get(loop)
    if buffer is None:
        buffer = _buffers[loop] = memoryview(bytearray(_BUFFER_SIZE))
        # glibc learns from the first large block that is freed not to give such blocks back to the system each time.
        bytes(4 * _BUFFER_SIZE)
    return buffer


class TlsSocketTransport(StreamTransport):
    """The TLS transport of a connected stream socket, which it owns and closes.

    `ssl_object` comes from `bind`. `waiter` is resolved with None after the handshake, or with its error. The
    timeouts are in seconds. `connected` says that the protocol's `connection_made` was called before TLS began.
    """

    _sendfile_compatible = _SendfileMode.FALLBACK
    _start_tls_compatible = True

    def __init__(
        self,
        loop,
        sock,
        protocol,
        ssl_object,
        sslcontext,
        waiter,
        handshake_timeout,
        shutdown_timeout,
        connected=False,
        extra=None,
        server=None,
        context=None,
    ):
        self._init(loop, sock, protocol, extra, server, context)
        self._init_tls(
            ssl_object, ssl_object._sslobj, sslcontext, waiter, handshake_timeout, shutdown_timeout, connected
        )
        self._corks = bool(_TCP_CORK) and sock.family != _AF_UNIX
        if sock.family != _AF_UNIX:
            native.set_nodelay(sock, self._fd)
        loop._claim(self._fd, self)
        if server is not None:
            server._attach(self)
        loop.call_soon(self._start)

    def _init_tls(self, ssl_object, tls, sslcontext, waiter, handshake_timeout, shutdown_timeout, connected):
        self._state = _HANDSHAKING
        self._ssl_object = ssl_object
        self._tls = tls  # what reads and writes: the C object inside ssl_object, or ssl_object
        self._sslcontext = sslcontext
        self._waiter = waiter  # who waits for the handshake, or None
        self._handshake_timeout = handshake_timeout
        self._shutdown_timeout = shutdown_timeout
        self._timer = None  # of the handshake, or of the shutdown
        self._needs = _READABLE  # what the handshake or the shutdown waits for
        self._read_needs = _READABLE  # what reading waits for; WRITABLE while OpenSSL must write first
        self._write_needs = _WRITABLE
        self._buffer = _buffer_of(self._loop)
        self._corks = False
        self._unread = False  # True iff decrypted bytes wait inside OpenSSL
        self._read_error = None  # what reading met behind data that was not handed on yet
        self._no_answer = False  # True iff the peer's end came without close_notify: it sends none now
        self._eof_told = False  # True iff the protocol's eof_received was called
        self._shut_down = False  # True iff the shutdown went through
        self._connected = connected
        self._extra = {"sslcontext": sslcontext} if self._extra is None else {**self._extra, "sslcontext": sslcontext}
        self._read_limits = (_READ_HIGH_WATER // 4, _READ_HIGH_WATER)
        self._out.set_limits(_HIGH_WATER, _HIGH_WATER // 4)

    # --- What it is -------------------------------------------------------------------------------

    def get_extra_info(self, name, default=None):
        """Return what is known under `name`: also "sslcontext", "ssl_object", "peercert", "cipher", "compression"."""
        if name in self._extra:
            return self._extra[name]
        if name in _LEARNED_LATE and "ssl_object" in self._extra:
            value = self._extra[name] = getattr(self._ssl_object, _LEARNED_LATE[name])()
            return value
        return self._get_lower_info(name, default)

    def _get_lower_info(self, name, default):
        return StreamTransport.get_extra_info(self, name, default)

    # asyncio: libraries ask isinstance(transport, asyncio.Transport), and tests for "ssl" in the class's name.
    @property
    def __class__(self):
        return _SSLProtocolTransport

    # asyncio: tests of libraries look behind the transport.
    @property
    def _ssl_protocol(self):
        return self

    def is_closing(self):
        """Return True if the transport is closing or closed."""
        return self._state == _SHUTTING_DOWN or self._state == _LOST

    # --- Calling the protocol ---------------------------------------------------------------------

    def _call(self, callback, args):
        return native.call(self._context, callback, args)

    def _tell(self, name, arg):
        return native.call_method(self._context, self._protocol, name, arg)

    # --- Readiness --------------------------------------------------------------------------------

    def _on_ready(self, events):
        if self._state == _OPEN:
            if events & self._read_needs and self._wants_data():
                if events & _HANGUP and self._hung_up():
                    self._no_answer = self._at_eof = True
                    self._eof_came()
                elif self._buffered:
                    self._read_into_protocol()
                else:
                    self._read()
            if events & self._write_needs and self._state == _OPEN and self._out.size:
                self._send()
        elif self._state == _HANDSHAKING:
            self._shake_hands()
        elif self._state == _SHUTTING_DOWN:
            self._advance_shutdown()

    def _update_interest(self):
        if self._state == _OPEN:
            interest = self._read_needs if self._wants_data() else 0
            if self._out.size:
                interest |= self._write_needs
        else:
            interest = 0 if self._state == _LOST else self._needs
        if interest != self._interest:
            self._loop._watch(self._fd, self, interest)

    def _push(self):
        """Carry away what OpenSSL wants to send; it has sent it, on this road."""

    def _hung_up(self):
        """Whether the kernel holds nothing but the peer's end."""
        try:
            return not self._sock.recv(1, socket.MSG_PEEK)
        except OSError:
            return False

    # --- The handshake ----------------------------------------------------------------------------

    def _start(self):
        if self._state != _HANDSHAKING:
            return
        if self._loop.get_debug():
            logger.debug("%r starts SSL handshake", self)
        self._timer = self._loop.call_later(self._handshake_timeout, self._handshake_timed_out)
        self._shake_hands()

    def _shake_hands(self):
        try:
            self._call(self._ssl_object.do_handshake, ())
        except SSLWantReadError:
            self._needs = _READABLE
        except SSLWantWriteError:
            self._needs = _WRITABLE
        except (SystemExit, KeyboardInterrupt):
            raise
        except (SSLEOFError, SSLZeroReturnError):
            self._handshake_failed(ConnectionResetError())
            return
        except BaseException as exc:
            self._push()  # an alert tells the peer why
            self._handshake_failed(exc)
            return
        else:
            self._push()
            self._handshake_done()
            return
        self._push()
        self._update_interest()

    def _handshake_failed(self, exc):
        waiter = self._waiter
        self._waiter = None
        message = "SSL handshake failed"
        if isinstance(exc, ssl.CertificateError):
            message = "SSL handshake failed on verifying the certificate"
        self._fatal_error(exc, message)
        if waiter is not None and not waiter.done():
            waiter.set_exception(exc)

    def _handshake_timed_out(self):
        if self._state == _HANDSHAKING:
            text = f"SSL handshake is taking longer than {self._handshake_timeout} seconds: aborting the connection"
            self._fatal_error(ConnectionAbortedError(text))

    def _handshake_done(self):
        self._stop_timer()
        if self._loop.get_debug():
            logger.debug("%r: SSL handshake is done: %s", self, self._ssl_object.version())
        self._extra["ssl_object"] = self._ssl_object
        self._state = _OPEN
        if not self._connected:
            self._connected = True
            try:
                self._call(self._protocol.connection_made, (self,))
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                self._fatal_error(exc, "Fatal error: protocol.connection_made() call failed.")
                return
        waiter = self._waiter
        self._waiter = None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        self._update_interest()

    def _stop_timer(self):
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- Reading ----------------------------------------------------------------------------------

    def _decrypt(self, buffer):
        """Fill `buffer` with what has come: one record, or several if they are full; return how many bytes.

        Sets `_at_eof` behind the last byte. An error is raised, or kept for later if there are bytes.
        """
        total = 0
        room = len(buffer)
        needs = _READABLE
        target = buffer
        try:
            while True:
                count = self._tls.read(room - total, target)
                total += count
                if not count:
                    self._at_eof = True
                    break
                if total == room or not (count == _RECORD or self._holds_data()):
                    break
                target = memoryview(buffer)[total:]
        except SSLWantReadError:
            pass
        except SSLWantWriteError:
            needs = _WRITABLE
        except SSLZeroReturnError:
            self._at_eof = True
        except Exception as exc:
            self._reading_failed(exc, total)
        if needs != self._read_needs:
            self._read_needs = needs
            self._update_interest()
        return total

    def _reading_failed(self, exc, total):
        if isinstance(exc, SSLEOFError) and _is_eof(exc):
            self._at_eof = True
            self._no_answer = True
            return
        exc = _unmasked(exc)
        if not total:
            raise exc
        self._read_error = exc

    def _holds_data(self):
        """Whether bytes wait where no poller sees them, so that reading goes on."""
        return False

    def _read(self):
        """Hand the protocol what has come."""
        try:
            count = self._decrypt(self._buffer)
            if count:
                self._tell("data_received", self._buffer[:count].tobytes())
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal error on SSL protocol")
            return
        self._go_on_reading(count == _BUFFER_SIZE)

    def _read_into_protocol(self):
        """Decrypt straight into the buffer of a BufferedProtocol."""
        try:
            buffer = self._tell("get_buffer", -1)
            room = len(buffer)
            if not room:
                raise RuntimeError("get_buffer() returned an empty buffer")
            count = self._decrypt(buffer)
            if count:
                self._tell("buffer_updated", count)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal error on SSL protocol")
            return
        self._go_on_reading(count == room)

    def _go_on_reading(self, full):
        """Act on what stood behind the data; `full` says that the buffer took no more."""
        self._push()
        if self._read_error is not None:
            exc = self._read_error
            self._read_error = None
            if self._state != _LOST:
                self._fatal_error(exc, "Fatal error on SSL protocol")
        elif self._at_eof:
            if self._state == _OPEN:
                self._eof_came()
        else:
            self._unread = full and (self._tls.pending() > 0 or self._holds_data())
            if self._unread and self._wants_data():
                self._read_soon()

    def _read_soon(self):
        # In a copy of the context: the protocol's own may be entered only once at a time.
        self._loop.call_soon(self._read_on)

    def _read_on(self):
        """Read what no poller tells of, if it is still wanted."""
        if self._state == _OPEN and self._wants_data():
            self._on_ready(self._read_needs)

    def _eof_came(self):
        """The peer sends no more, so neither do we, after what is buffered."""
        if self._loop.get_debug():
            logger.debug("%r received EOF", self)
        self._eof_told = True
        try:
            keep_open = self._call(self._protocol.eof_received, ())
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Error calling eof_received()")
            return
        if keep_open:
            logger.warning("returning true from eof_received() has no effect when using ssl")
        if self._state == _OPEN:
            self._begin_shutdown()

    def resume_reading(self):
        """Go on handing data to the protocol."""
        if self._state == _OPEN and self._paused:
            self._paused = False
            self._update_interest()
            if self._unread:
                self._read_soon()
            if self._loop.get_debug():
                logger.debug("%r resumes reading", self)

    # asyncio: the kernel holds what is not read; the limits are kept for who asks.

    def set_read_buffer_limits(self, high=None, low=None):
        """Set the marks of flow control for reading, in bytes. ValueError unless high >= low >= 0."""
        high, low = _limits(high, low, _READ_HIGH_WATER)
        self._read_limits = (low, high)

    def get_read_buffer_limits(self):
        """Return the low-water and the high-water mark for reading, in bytes."""
        return self._read_limits

    def get_read_buffer_size(self):
        """Return how many bytes came that the protocol was not handed yet, as far as is known here."""
        return 0 if self._state == _LOST else self._tls.pending()

    # --- Writing ----------------------------------------------------------------------------------

    def write(self, data):
        """Send `data` (bytes, bytearray or memoryview); never blocks. TypeError for anything else."""
        if type(data) is not bytes:
            if not isinstance(data, (bytes, bytearray, memoryview)):
                raise TypeError(f"data: expecting a bytes-like instance, got {type(data).__name__}")
            data = bytes(data)
        if len(data) and not self._is_lost():
            self._out._append(data)
            self._sent_soon()

    def _is_lost(self):
        if self._state == _OPEN or self._state == _HANDSHAKING:
            return False
        if self._writes_lost >= _WRITES_BEFORE_WARNING:
            logger.warning("SSL connection is closed")
        self._writes_lost += 1
        return True

    def _send(self):
        """Give OpenSSL what the kernel takes of it; act on what then holds."""
        if self._state == _OPEN:
            try:
                self._encrypt()
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                self._fatal_error(_unmasked(exc), "Fatal error on SSL protocol")
                return
            self._update_interest()
        if self._out.size:
            self._maybe_pause_protocol()
        self._maybe_resume_protocol()

    def _maybe_resume_protocol(self):
        if self._protocol_paused and self._out.size <= self._out.low:
            self._resume_protocol()

    def _encrypt(self):
        """Send until the buffer is empty or the kernel is full."""
        self._write_needs = _WRITABLE
        corked = self._corks and self._out.size > _RECORD
        if corked:
            self._sock.setsockopt(_TCP, _TCP_CORK, 1)
        try:
            while self._out.size:
                self._out._drop(self._tls.write(self._next_piece()))
        except SSLWantWriteError:
            pass
        except SSLWantReadError:
            self._write_needs = _READABLE
        if corked:
            self._sock.setsockopt(_TCP, _TCP_CORK, 0)

    def _next_piece(self):
        """What OpenSSL gets next: small chunks joined to a record, or a part of a large one.

        Asked again after more was buffered, it returns the same bytes, and perhaps more.
        """
        chunks = self._out._chunks
        taken = self._out._taken
        first = chunks[0]
        size = len(first) - taken
        if size >= _RECORD or len(chunks) == 1:
            if taken or size > _MOST_AT_ONCE:
                return memoryview(first)[taken : taken + _MOST_AT_ONCE]
            return first
        pieces = [first[taken:]]
        for chunk in chunks[1:]:
            pieces.append(chunk[: _RECORD - size])
            size += len(chunk)
            if size >= _RECORD:
                break
        return b"".join(pieces)

    def write_eof(self):
        """Raise NotImplementedError: TLS has no half-closed connections."""
        raise NotImplementedError

    def can_write_eof(self):
        """Return False: TLS has no half-closed connections."""
        return False

    def set_write_buffer_limits(self, high=None, low=None):
        """Set the marks of flow control, in bytes. ValueError unless high >= low >= 0."""
        high, low = _limits(high, low, _HIGH_WATER)
        self._out.set_limits(high, low)
        self._maybe_pause_protocol()
        self._maybe_resume_protocol()

    # --- The end ----------------------------------------------------------------------------------

    def close(self):
        """Close after what is buffered and close_notify are sent; `connection_lost(None)` follows."""
        if self._state == _OPEN:
            self._begin_shutdown()
        elif self._state == _HANDSHAKING:
            self._force_close(None)

    def abort(self):
        """Close at once: what the kernel does not take now is dropped."""
        if self._state == _OPEN and self._flush_asked and self._out.size:
            # Written in this turn: asyncio would have sent it by now.
            try:
                self._encrypt()
            except OSError:
                pass
        self._force_close(None)

    def _begin_shutdown(self):
        self._state = _SHUTTING_DOWN
        self._advance_shutdown()
        if self._state == _SHUTTING_DOWN:
            self._timer = self._loop.call_later(self._shutdown_timeout, self._shutdown_timed_out)

    def _advance_shutdown(self):
        """Send what is left, then close_notify, then wait for the peer's."""
        try:
            if self._out.size:
                self._encrypt()
                self._needs = self._write_needs
            if not self._out.size:
                if not self._no_answer:
                    self._ssl_object.unwrap()
                self._shut_down = True
        except SSLWantReadError:
            self._needs = _READABLE
        except SSLWantWriteError:
            self._needs = _WRITABLE
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            if not isinstance(exc, (SSLEOFError, SSLZeroReturnError)) or not _is_eof(exc) or self._out.size:
                self._fatal_error(_unmasked(exc))
                return
            self._shut_down = True
        self._push()
        self._maybe_resume_protocol()
        if self._shut_down:
            self._shutdown_done()
        elif self._state == _SHUTTING_DOWN:
            self._update_interest()

    def _shutdown_done(self):
        if self._state == _SHUTTING_DOWN:
            self._lose(None)

    def _shutdown_timed_out(self):
        if self._state == _SHUTTING_DOWN:
            self._force_close(TimeoutError("SSL shutdown timed out"))

    def _call_connection_lost(self, exc):
        if self._tls is None:
            return
        self._stop_timer()
        self._tls = None
        waiter = self._waiter
        self._waiter = None
        try:
            if self._connected:
                self._connected = False
                if self._shut_down and not self._eof_told:
                    self._tell_of_end()
                self._protocol.connection_lost(exc)
        finally:
            self._release(exc)
            if waiter is not None and not waiter.done():
                waiter.set_exception(ConnectionAbortedError("SSL handshake was aborted") if exc is None else exc)

    def _tell_of_end(self):
        """asyncio: the peer's answer to our close_notify is an EOF, told just before the connection is lost."""
        self._eof_told = True
        try:
            self._protocol.eof_received()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._loop.call_exception_handler(
                {
                    "message": "Error calling eof_received()",
                    "exception": exc,
                    "transport": self,
                    "protocol": self._protocol,
                }
            )


def _is_eof(exc):
    """Whether the exception means the end of the stream."""
    return isinstance(exc, SSLZeroReturnError) or not _OPENSSL_3 or exc.reason == "UNEXPECTED_EOF_WHILE_READING"


def _unmasked(exc):
    """The exception, or the ConnectionResetError that the ssl module of Python 3.11 and 3.12 calls an EOF."""
    if type(exc) is SSLEOFError and not exc.library:
        return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    return exc


def _limits(high, low, default):
    """The marks of flow control: what is None follows from the other. ValueError unless high >= low >= 0."""
    if high is None:
        high = default if low is None else 4 * low
    if low is None:
        low = high // 4
    if not high >= low >= 0:
        raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
    return high, low
