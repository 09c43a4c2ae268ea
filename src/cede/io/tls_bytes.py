"""TlsBytesTransport: TLS over another transport, its bytes passed through memory.

It serves where TLS cannot be bound to a socket: TLS in TLS, `start_tls` on a transport of another kind or with bytes
of the peer read already, and contexts that wrap in ways of their own. Its states and all that is seen from outside
are `TlsTransport`'s; here stands only where the sealed bytes come from and go to:

    the peer  <->  lower transport  <->  Carrier (its protocol)  <->  two MemoryBIO  <->  the protocol

Every step of OpenSSL may leave bytes to carry away, so `_push` follows each. It never waits for writing; instead
`_lower_full` holds the protocol's bytes back, unsealed, while the lower transport asks for a pause.

Law: the protocol is called in the context in which the lower transport calls the Carrier. The connection is lost when
the lower transport says so, or when it is aborted from here.
"""

import asyncio
import ssl

from ..engine import native
from ..engine.pollers.base import HANGUP, READABLE, WRITABLE
from .stream_transport import StreamTransport
from .tls_transport import _LEARNED_LATE, TlsTransport

_OPEN = 0  # as in tls_transport
_SHUTTING_DOWN = 1
_LOST = 2
_HANDSHAKING = 3

_READABLE = READABLE
_WRITABLE = WRITABLE
_HANGUP = HANGUP


class NoSocket:
    """Stands where a transport has its socket: the descriptor is the lower transport's."""

    def fileno(self):
        return -1

    def close(self):
        pass


class Carrier(asyncio.Protocol):
    """The lower transport's protocol: hands on what it is told."""

    def __init__(self, upper):
        self._upper = upper  # the TlsBytesTransport; None once the lower transport is lost

    def connection_made(self, transport):
        self._upper._lower_made(transport)

    def data_received(self, data):
        if self._upper is not None:
            self._upper._bytes_came(data)

    def eof_received(self):
        return self._upper is not None and self._upper._lower_ended()

    def pause_writing(self):
        if self._upper is not None:
            self._upper._hold_back(True)

    def resume_writing(self):
        if self._upper is not None:
            self._upper._hold_back(False)

    def connection_lost(self, exc):
        upper, self._upper = self._upper, None
        if upper is not None:
            upper._lower_lost(exc)


class TlsBytesTransport(TlsTransport):
    """The TLS transport over `lower`, or over the transport that calls `carrier.connection_made`.

    `unread` is what the peer sent already. ValueError as `SSLContext.wrap_bio`; the rest as TlsTransport.
    """

    def __init__(
        self,
        loop,
        protocol,
        sslcontext,
        server_side,
        server_hostname,
        waiter,
        handshake_timeout,
        shutdown_timeout,
        connected=False,
        unread=b"",
        server=None,
        context=None,
    ):
        self._tls = None  # in case that there will be none
        self._incoming = ssl.MemoryBIO()  # sealed bytes that came
        self._outgoing = ssl.MemoryBIO()  # sealed bytes to carry away
        ssl_object = sslcontext.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        self._init(loop, NoSocket(), protocol, None, server, context)
        self._init_tls(ssl_object, ssl_object, sslcontext, waiter, handshake_timeout, shutdown_timeout, connected)
        self._lower = None  # the lower transport; None before it is there and once it is lost
        self._lower_reads = True  # False iff the lower transport was asked to pause reading
        self._lower_full = False  # True iff the lower transport asked for a pause
        self._lower_closing = False  # True iff the shutdown is over and the lower transport was asked to close
        self._settling = False  # True iff the handshake ended in this turn
        self._lower_eof = False  # True iff the lower transport's peer sends no more
        self._carrier = Carrier(self)
        if unread:
            self._incoming.write(unread)
        if server is not None:
            server._attach(self)

    def _remember_name(self):
        """The lower transport knows the addresses."""

    @property
    def carrier(self):
        """The protocol to give the lower transport."""
        return self._carrier

    def get_extra_info(self, name, default=None):
        """Return what is known under `name`, here or in the lower transport; else `default`."""
        if name in self._facts or name in _LEARNED_LATE:
            return TlsTransport.get_extra_info(self, name, default)
        return default if self._lower is None else self._lower.get_extra_info(name, default)

    def __repr__(self):
        state = " closed" if self._state == _LOST else " closing" if self._state == _SHUTTING_DOWN else ""
        return f"<{type(self).__name__}{state} over {self._lower!r}>"

    def is_closing(self):
        """Return True if this transport or the lower one is closing or closed."""
        return (
            self._state == _SHUTTING_DOWN
            or self._state == _LOST
            or (self._lower is not None and self._lower.is_closing())
        )

    def _call(self, callback, args):
        return callback(*args)

    def _tell(self, name, arg):
        return getattr(self._protocol, name)(arg)

    # --- What the carrier is told -----------------------------------------------------------------

    def _lower_made(self, lower):
        if self._state == _LOST:
            lower.abort()
            return
        self._lower = lower
        self._start()

    def start_over(self, lower):
        """Begin the handshake, in the next turn, over a transport that is connected already."""
        self._lower = lower
        lower.set_protocol(self._carrier)
        self._loop.call_soon(self._start, context=self._context)
        self._loop.call_soon(lower.resume_reading, context=self._context)

    def _bytes_came(self, data):
        self._incoming.write(data)
        # Before its start the handshake only gathers what comes.
        if self._timer is not None or self._state != _HANDSHAKING:
            self._act_on(_READABLE)

    def _lower_ended(self):
        """The lower transport's EOF; return True if it is to stay open until we close it."""
        self._lower_eof = True
        self._no_answer = True
        self._act_on(_READABLE | _HANGUP)
        # TLS below closes itself in any case, and would log a warning.
        return self._lower is not None and self._lower.get_extra_info("sslcontext") is None

    def _hold_back(self, full):
        self._lower_full = full
        if not full:
            if self._state == _OPEN:
                self._send()
            elif self._state == _SHUTTING_DOWN:
                self._act_on(0)

    def _lower_lost(self, exc):
        self._lower = None
        if self._state != _LOST:
            self._out.clear()
            self._lose(exc)

    # --- Readiness --------------------------------------------------------------------------------

    def _act_on(self, events):
        if not self._lower_closing:
            TlsTransport._act_on(self, events)

    def _update_interest(self):
        """Let the lower transport read while anything here waits for bytes."""
        wanted = self._wants_data() if self._state == _OPEN else self._state != _LOST
        if wanted != self._lower_reads and self._lower is not None:
            self._lower_reads = wanted
            if wanted:
                self._lower.resume_reading()
            else:
                self._lower.pause_reading()

    def _push(self):
        if self._outgoing.pending and self._lower is not None:
            self._lower.write(self._outgoing.read())

    def _hung_up(self):
        return self._lower_eof and not self._holds_data()

    def _shake_hands(self):
        TlsTransport._shake_hands(self)
        if self._state == _HANDSHAKING and self._hung_up():
            self._handshake_failed(ConnectionResetError())

    def _handshake_done(self):
        # Order: who waits for the handshake (in start_tls) gets the transport before the protocol gets data.
        self._settling = True
        TlsTransport._handshake_done(self)
        self._loop.call_soon(self._settled, context=self._context)
        if self._state == _OPEN and self._out.size:
            self._send()

    def _settled(self):
        self._settling = False
        if self._state == _OPEN:
            self._update_interest()
            if self._lower_eof or self._holds_data():
                self._read_on()

    def _wants_data(self):
        return self._state == _OPEN and not self._paused and not self._at_eof and not self._settling

    # --- Reading and writing ----------------------------------------------------------------------

    def _decrypt(self, buffer):
        count = TlsTransport._decrypt(self, buffer)
        if self._lower_eof and not self._holds_data() and count < len(buffer):
            self._at_eof = True
        return count

    def _holds_data(self):
        return self._incoming.pending > 0 or self._tls.pending() > 0

    def resume_reading(self):
        """Go on handing data to the protocol."""
        if self._state == _OPEN and self._paused:
            self._unread = True
            TlsTransport.resume_reading(self)

    def _read_soon(self):
        self._loop.call_soon(self._read_on, context=self._context)

    def get_read_buffer_size(self):
        """Return how many sealed bytes came that were not opened yet."""
        return self._incoming.pending

    def get_write_buffer_size(self):
        """Return how many bytes the lower transport was not given yet."""
        return 0 if self._state == _LOST else self._out.size + self._outgoing.pending

    def _encrypt(self):
        self._write_needs = _WRITABLE
        try:
            while self._out.size and not self._lower_full:
                self._out._drop(self._ssl_object.write(self._next_piece()))
                self._push()
        except ssl.SSLWantReadError:
            self._write_needs = _READABLE

    # --- The end ----------------------------------------------------------------------------------

    def _shutdown_done(self):
        """Both sides said close_notify: the lower transport closes once it has sent ours."""
        if self._state == _SHUTTING_DOWN and not self._lower_closing:
            self._lower_closing = True
            if self._lower is None:
                self._lose(None)
            else:
                self._lower.close()

    def _lose(self, exc):
        self._push()  # an alert tells the peer why
        lower = self._lower
        self._lower = None
        self._state = _LOST
        if lower is not None:
            self._carrier._upper = None
            lower.abort()
        if not self._loop.is_closed():
            self._loop.call_soon(self._call_connection_lost, exc, context=self._context)

    def __del__(self):
        self._abandoned()


def context_of(transport):
    """The context in which a transport calls its protocol, as far as it is known; else a copy of the current one."""
    if isinstance(transport, StreamTransport):
        known = transport
        return known._context
    return native.copy_context()


native.sign(globals())
