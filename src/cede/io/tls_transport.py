"""TlsTransport: what TLS does between a protocol and its peer, whichever road the bytes take.

    state          entered by                                what then holds
    HANDSHAKING    creation                                  nothing is read or written; the handshake's timer runs
    OPEN           the handshake's end                       `connection_made` was called; data goes both ways
    SHUTTING_DOWN  close; the peer's close_notify or EOF     what comes is dropped, and so are writes; what is buffered
                                                             goes, then close_notify; the shutdown's timer runs
    LOST           both sides said close_notify; the peer    nothing moves; `connection_lost` is called in the next
                   is gone; abort; an error; a timeout       turn, once, if `connection_made` was; the waiter is told

    HANDSHAKING -> OPEN -> SHUTTING_DOWN -> LOST;  from each straight to LOST

OpenSSL does the work and says by exceptions what it waits for. Facts about it that shape this file:
- It uses the descriptor's number. So before each of its steps the socket is asked whether that is still its own.
- A read hands out one record at most, 16 KiB. After a record that is not full the road is asked whether more waits,
  not OpenSSL: an attempt in vain costs an exception.
- What a small read leaves of a record waits inside OpenSSL, and no poller tells of it (`_unread`).
- A read may have to wait until it can write and a write until it can read (`_read_needs`, `_write_needs`).
- A write that could not be finished is repeated with the same bytes and no fewer. `_next_piece` sees to it.
- After it met an EOF without close_notify it takes no more writes, and it sends the peer an alert, unless it was told
  (`tls_socket.bind`) that this is no error. Then the EOF looks like close_notify. So where the end may have come,
  `_hung_up` looks whether anything stands before it.

Two roads derive from it: `tls_socket` and `tls_bytes`. What they bring stands in the section "The road".
"""

import errno
import logging
import os
import ssl
from asyncio.constants import _SendfileMode
from asyncio.sslproto import _SSLProtocolTransport
from ssl import SSLEOFError, SSLWantReadError, SSLWantWriteError, SSLZeroReturnError

from ..engine.pollers.base import HANGUP, READABLE, WRITABLE
from .stock_streams import keep_rest
from .stream_transport import StreamTransport
from .write_buffer import as_bytes, limits

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
_READ_LIMITS = (_READ_HIGH_WATER // 4, _READ_HIGH_WATER)
_WRITES_BEFORE_WARNING = 5

_OPENSSL_3 = ssl.OPENSSL_VERSION_INFO >= (3,)
_LEARNED_LATE = {"peercert": "getpeercert", "cipher": "cipher", "compression": "compression"}


def _memory_of(loop):
    """What all TLS of a loop reads into. OpenSSL lets other threads run meanwhile: they have loops of their own."""
    if loop._tls_memory is None:
        loop._tls_memory = memoryview(bytearray(_BUFFER_SIZE))
    return loop._tls_memory


class TlsTransport(StreamTransport):
    """A transport that speaks TLS. Only the roads' classes are made.

    `ssl_object` is the program's SSLObject, `tls` what reads and writes: the C object inside it, or itself. `waiter`
    is resolved with None after the handshake, or with its error. The timeouts are in seconds. `connected` says that
    the protocol's `connection_made` was called before TLS began.
    """

    _sendfile_compatible = _SendfileMode.FALLBACK
    _start_tls_compatible = True

    def _init_tls(self, ssl_object, tls, sslcontext, waiter, handshake_timeout, shutdown_timeout, connected):
        self._state = _HANDSHAKING
        self._ssl_object = ssl_object
        self._tls = tls  # None once `connection_lost` was called
        self._sslcontext = sslcontext
        self._waiter = waiter  # who waits for the handshake, or None
        self._handshake_timeout = handshake_timeout
        self._shutdown_timeout = shutdown_timeout
        self._timer = None  # of the handshake, or of the shutdown
        self._needs = _READABLE  # what the handshake or the shutdown waits for
        self._read_needs = _READABLE  # what reading waits for; WRITABLE while OpenSSL must write first
        self._write_needs = _WRITABLE
        self._memory = _memory_of(self._loop)
        self._unread = False  # True iff bytes wait where no poller tells of them
        self._read_error = None  # what reading met behind data that was not handed on yet
        self._no_answer = False  # True iff the peer's end came without close_notify: it sends none now
        self._eof_told = False  # True iff the protocol's eof_received was called
        self._shut_down = False  # True iff the shutdown went through
        self._connected = connected
        self._facts = {"sslcontext": sslcontext} if self._facts is None else {**self._facts, "sslcontext": sslcontext}
        self._read_limits = _READ_LIMITS
        self._out.set_limits(_HIGH_WATER, _HIGH_WATER // 4)

    # --- The road -----------------------------------------------------------------------------------

    def _call(self, callback, args):
        """Call `callback(*args)` of the protocol in the right context."""
        raise NotImplementedError

    def _tell(self, name, arg):
        """Call the protocol's method `name` with `arg` in the right context."""
        raise NotImplementedError

    def _check_file(self):
        """OSError (EBADF) if the descriptor is not this connection's any more. Called before each step of OpenSSL."""

    def _push(self):
        """Carry away what OpenSSL left to send. Called after each of its steps."""

    def _encrypt(self):
        """Give OpenSSL what is buffered, until all is sent or the road is full; set `_write_needs`."""
        raise NotImplementedError

    def _holds_data(self):
        """Whether bytes wait that OpenSSL has not seen, and of which no poller tells."""
        return False

    def _hung_up(self):
        """Whether the peer's end came and nothing stands before it. OSError if an error does."""
        raise NotImplementedError

    def _read_soon(self):
        """Have `_read_on` called in the next turn."""
        raise NotImplementedError

    def _shutdown_done(self):
        """Both sides said all: end the connection."""
        raise NotImplementedError

    # --- What it is ---------------------------------------------------------------------------------

    def get_extra_info(self, name, default=None):
        """Return what is known under `name`: also "sslcontext", "ssl_object", "peercert", "cipher", "compression"."""
        if name in self._facts:
            return self._facts[name]
        if name in _LEARNED_LATE and "ssl_object" in self._facts:
            value = self._facts[name] = getattr(self._ssl_object, _LEARNED_LATE[name])()
            return value
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

    # --- Readiness ----------------------------------------------------------------------------------

    def _act_on(self, events):
        if events & _HANGUP and self._ended():
            return
        if self._state == _OPEN:
            if events & self._read_needs and self._wants_data():
                if self._buffered:
                    self._read_into_protocol()
                else:
                    self._read()
            if events & self._write_needs and self._state == _OPEN and self._out.size:
                self._send()
        elif self._state == _HANDSHAKING:
            self._shake_hands()
        elif self._state == _SHUTTING_DOWN:
            self._advance_shutdown()

    def _ended(self):
        """Act on the peer's end, if it came and nothing stands before it; True if that was all there is to do."""
        try:
            if not self._hung_up():
                return False
        except OSError as exc:
            self._fatal_error(exc, "Fatal read error on socket transport")
            return True
        self._no_answer = True
        if self._state == _HANDSHAKING:
            self._handshake_failed(ConnectionResetError())
        elif self._state == _OPEN and self._wants_data():
            self._at_eof = True
            self._eof_came()
        else:
            return False
        return True

    # --- The handshake ------------------------------------------------------------------------------

    def _start(self):
        if self._state != _HANDSHAKING:
            return
        if self._loop.get_debug():
            logger.debug("%r starts SSL handshake", self)
        self._timer = self._loop.call_later(self._handshake_timeout, self._handshake_timed_out)
        self._shake_hands()

    def _shake_hands(self):
        try:
            self._check_file()
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
        self._facts["ssl_object"] = self._ssl_object
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

    # --- Reading ------------------------------------------------------------------------------------

    def _decrypt(self, buffer):
        """Fill `buffer` with what has come: one record, or several if they are full; return how many bytes.

        Sets `_at_eof` behind the last byte. An error is raised, or kept for later if there are bytes.
        """
        total = 0
        room = len(buffer)
        needs = _READABLE
        target = buffer
        self._check_file()
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

    def _read(self):
        """Hand the protocol what has come."""
        try:
            count = self._decrypt(self._memory)
            if count:
                self._tell("data_received", self._memory[:count].tobytes())
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

    def _read_on(self):
        """Read what no poller tells of, if it is still wanted."""
        if self._state == _OPEN and self._wants_data():
            self._act_on(self._read_needs)

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
        high, low = limits(high, low, _READ_HIGH_WATER)
        self._read_limits = (low, high)

    def get_read_buffer_limits(self):
        """Return the low-water and the high-water mark for reading, in bytes."""
        return self._read_limits

    def get_read_buffer_size(self):
        """Return how many bytes came that the protocol was not handed yet, as far as is known here."""
        return 0 if self._state == _LOST else self._tls.pending()

    # --- Writing ------------------------------------------------------------------------------------

    def write(self, data):
        """Send `data` (bytes, bytearray or memoryview); never blocks. TypeError for anything else."""
        if type(data) is not bytes:
            if not isinstance(data, (bytes, bytearray, memoryview)):
                raise TypeError(f"data: expecting a bytes-like instance, got {type(data).__name__}")
            data = as_bytes(data)
        if len(data) and not self._is_lost():
            self._write(data)

    def _write(self, data):
        is_first = not self._out.size
        self._out._append(data)
        if is_first:
            self._send()
        else:
            self._wait_for_room()

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
                self._check_file()
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
        if self._protocol_paused and self._out.size <= self._out.low and self._state != _LOST:
            self._resume_protocol()

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
        high, low = limits(high, low, _HIGH_WATER)
        self._out.set_limits(high, low)
        self._maybe_pause_protocol()
        self._maybe_resume_protocol()

    # --- The end ------------------------------------------------------------------------------------

    def close(self):
        """Close after what is buffered and close_notify are sent; `connection_lost(None)` follows."""
        if self._state == _OPEN:
            self._begin_shutdown()
        elif self._state == _HANDSHAKING:
            self._force_close(None)

    def _begin_shutdown(self):
        self._state = _SHUTTING_DOWN
        self._advance_shutdown()
        if self._state == _SHUTTING_DOWN:
            self._timer = self._loop.call_later(self._shutdown_timeout, self._shutdown_timed_out)

    def _advance_shutdown(self):
        """Send what is left, then close_notify, then wait for the peer's."""
        try:
            self._check_file()
            if self._out.size:
                self._encrypt()
                self._needs = self._write_needs
                if self._out.size and not self._at_eof and not self._no_answer:
                    self._read_in_vain()
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

    def _read_in_vain(self):
        """Drop what the peer sends while it still has to take something: it may not do so before it was heard."""
        self._decrypt(self._memory)
        if self._read_error is not None:
            exc = self._read_error
            self._read_error = None
            raise exc
        if not self._at_eof:
            self._needs |= self._read_needs

    def _forked(self):
        StreamTransport._forked(self)
        self._no_answer = True  # Order: a close_notify of ours would end the parent's connection

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
                if exc is not None:
                    keep_rest(self._protocol)
                self._protocol.connection_lost(exc)
        finally:
            self._release()
            if waiter is not None and not waiter.done():
                waiter.set_exception(ConnectionAbortedError("SSL handshake was aborted") if exc is None else exc)

    def _abandoned(self):
        if self._tls is not None:
            self._warn_and_close()

    def __del__(self):
        self._abandoned()

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
