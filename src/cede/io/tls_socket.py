"""TlsSocketTransport: TLS bound to the socket itself.

OpenSSL reads and writes the descriptor, driven by readiness, with no bytes passed through memory in between, so an
idle connection keeps none. It is reached through what `ssl.SSLSocket` is made of, `SSLContext._wrap_socket`:
`wrap_socket` would take the descriptor away from the program's socket object, and would not give the SSLObject that
programs know from asyncio.

A record a system call is what it costs: two reads, one write. So bursts are corked: the kernel sends full segments,
and wakes the peer once.
"""

import _ssl
import socket
import ssl
import threading
from ssl import SSLWantReadError, SSLWantWriteError

from ..engine import native, syscalls
from ..engine.pollers.base import READABLE, WRITABLE
from .channel import bad_descriptor
from .tls_transport import TlsTransport

_OPEN = 0  # as in tls_transport
_SHUTTING_DOWN = 1
_LOST = 2

_READABLE = READABLE
_WRITABLE = WRITABLE

_RECORD = 16 * 1024  # bytes; no TLS record carries more
_DRAINED = 64 * 1024  # bytes read and dropped of a connection that failed

# OpenSSL takes no more writes once it met an EOF without close_notify, unless that was an option when its object was
# made. It cannot always be kept from meeting it: having read a ticket it reads on. The options are the context's.
_EOF_IS_NO_ERROR = getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
_options = _ssl._SSLContext.options
_context_lock = threading.Lock()

_AF_UNIX = getattr(socket, "AF_UNIX", None)
_TCP = socket.IPPROTO_TCP
_TCP_CORK = getattr(socket, "TCP_CORK", 0)  # 0 where there is none


def bind(sslcontext, sock, server_side, server_hostname):
    """Return an SSLObject that speaks TLS on the socket's descriptor. ValueError as `wrap_socket`.

    An end without close_notify is no error for it, as for asyncio, and it may be written to after that.
    """
    ssl_object = ssl.SSLObject.__new__(ssl.SSLObject)
    with _context_lock:
        given = _options.__get__(sslcontext)
        _options.__set__(sslcontext, given | _EOF_IS_NO_ERROR)
        try:
            ssl_object._sslobj = sslcontext._wrap_socket(
                sock, server_side, server_hostname, owner=ssl_object, session=None
            )
        finally:
            _options.__set__(sslcontext, given)
    return ssl_object


def can_bind(sslcontext, sock):
    """Return True if TLS may be bound to the socket.

    A context with a `wrap_bio` of its own wants to be asked, and so does a class of sockets.
    """
    return (
        type(sock) is socket.socket
        and getattr(sslcontext.wrap_bio, "__func__", None) is ssl.SSLContext.wrap_bio
        and getattr(sslcontext.wrap_socket, "__func__", None) is ssl.SSLContext.wrap_socket
        and sslcontext.sslobject_class is ssl.SSLObject
        and hasattr(sslcontext, "_wrap_socket")
    )


def is_idle(transport):
    """Return True if a plain transport may give its socket away: it has nothing left to send."""
    if transport._state != _OPEN or transport._eof_asked or transport._empty_waiter is not None:
        return False
    return not transport._out.size


def take_socket(transport):
    """Take from an idle plain transport its socket, extra info, server and context; it is closed for its owner."""
    transport._loop._watch(transport._fd, transport, 0)
    transport._state = _LOST
    transport._connected = False
    transport._protocol = None
    names = {name: transport.get_extra_info(name) for name in ("peername", "sockname")}
    taken = (transport._sock, {**(transport._facts or {}), **names}, transport._server, transport._context)
    transport._server = None
    return taken


class TlsSocketTransport(TlsTransport):
    """The TLS transport of a connected stream socket, which it owns and closes.

    `ssl_object` comes from `bind`; for the rest see TlsTransport and StreamTransport.
    """

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
        is_tcp = sock.family != _AF_UNIX
        self._corks = is_tcp and _TCP_CORK != 0
        if is_tcp:
            syscalls.set_nodelay(sock, self._fd)
        if "peername" not in self._facts:
            self._peer_name()  # a peer that is gone later has no name any more
        loop._claim(self._fd, self)
        if server is not None:
            server._attach(self)
        loop.call_soon(self._start)

    def _call(self, callback, args):
        return native.call(self._context, callback, args)

    def _tell(self, name, arg):
        return native.call_method(self._context, self._protocol, name, arg)

    def _check_file(self):
        if syscalls.number_of(self._sock) != self._fd:
            raise bad_descriptor()

    def _read_soon(self):
        # In a copy of the context: the protocol's own may be entered only once at a time.
        self._loop.call_soon(self._read_on)

    def _update_interest(self):
        if self._state == _OPEN:
            interest = self._read_needs if self._wants_data() else 0
            if self._out.size:
                interest |= self._write_needs
        else:
            interest = 0 if self._state == _LOST else self._needs
        if interest != self._interest and not (interest and self._end_if_gone()):
            self._loop._watch(self._fd, self, interest)

    def _hung_up(self):
        try:
            return not self._sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False

    def _encrypt(self):
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

    def _shutdown_done(self):
        if self._state == _SHUTTING_DOWN:
            self._state = _LOST
            if not self._loop.is_closed():
                self._update_interest()
                # asyncio: a turn later than after an error, so that who answers the end just told meets no error.
                self._loop.call_soon(self._lose_now, context=self._context)

    def _lose_now(self):
        self._loop.call_soon(self._call_connection_lost, None, context=self._context)

    def _lose(self, exc):
        if isinstance(exc, ssl.SSLError):
            # The kernel would answer what is not read with a RST, which overtakes the alert that tells the peer why.
            try:
                self._sock.recv(_DRAINED)
            except OSError:
                pass
        TlsTransport._lose(self, exc)

    def __del__(self):
        self._abandoned()
