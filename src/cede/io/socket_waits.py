"""SocketWaits: who waits for a plain socket in the loop's `sock_*` methods.

The poller is told of a socket when somebody first waits for it, and goes on telling: a program that receives
in a loop would else cost two system calls each time to ask and to take back. It tells of *changes* only
(EDGE), so what nobody waits for costs one event and not one a turn. That is enough, because all who wait
for bytes have tried first and found none. A poller that cannot do so is asked for what somebody waits for, and no more.

What is known of a socket ends with the socket object: another one may get the same descriptor.

Law: nothing is read from a socket or written to it on behalf of somebody who waits. A cancelled task leaves
a cancelled future behind, which the next event throws away.
"""

import socket
import weakref

from ..engine import native, syscalls
from ..engine.futures import new_future, note_wait, release
from ..engine.handles import Watcher
from ..engine.pollers.base import EDGE, READABLE, WRITABLE
from ..engine.waited import SOCKET

try:
    from ssl import SSLSocket
except ImportError:  # a Python without OpenSSL

    class SSLSocket:
        """What no socket is an instance of."""


_MOST = 1 << 30  # bytes received at once by the short road
_MEMORY_SIZE = 256 * 1024  # bytes; more at once are received into memory of their own


def refuse_tls_socket(sock):
    """TypeError for an `ssl.SSLSocket`: its readiness is not its descriptor's."""
    if isinstance(sock, SSLSocket):
        raise TypeError("Socket cannot be of type SSLSocket")


def waits_of(loop, sock):
    """Return the SocketWaits of `sock`, made if there is none.

    TypeError for a TLS socket; in debug mode ValueError for a blocking one.
    """
    if loop._debug:
        refuse_tls_socket(sock)
        if sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")
    fd = sock.fileno()
    waits = loop._waits.get(fd)
    if waits is None or waits._sock() is not sock:
        refuse_tls_socket(sock)
        waits = SocketWaits.__new__(SocketWaits)
        waits._init(loop, sock, fd)
        if fd >= 0:
            loop._waits[fd] = waits
    return waits


class SocketWaits(Watcher):
    """Those who wait until a socket can be read from or written to."""

    def _init(self, loop, sock, fd):
        self._interest = 0
        self._loop = loop
        if loop._wait_memory is None:
            loop._wait_memory = syscalls.read_buffer(_MEMORY_SIZE)
        self._fd = fd
        self._sock = weakref.ref(sock, self._forget)
        self._plain = type(sock) is socket.socket  # whether the system's calls are all its methods do
        self._readers = None  # futures: None, one, or a list of them
        self._writers = None

    def _forget(self, reference):
        """The socket is gone, and the kernel knows its descriptor no more."""
        if self._loop._waits.get(self._fd) is self:
            del self._loop._waits[self._fd]
        if self._interest:
            self._loop._unwatch(self._fd, self)

    # --- Trying -----------------------------------------------------------------------------------

    def receive(self, sock, size):
        """Return up to `size` bytes, b"" at the end of the stream, None if nothing is there yet."""
        if self._plain and type(size) is int and 0 <= size <= _MOST:
            return syscalls.receive(sock, self._fd, self._loop._wait_memory, size)
        try:
            return sock.recv(size)
        except (BlockingIOError, InterruptedError):
            return None

    def send(self, sock, data):
        """Send what goes of `data` at once; return how many bytes went. Of anything but bytes, none."""
        if self._plain and type(data) is bytes:
            return syscalls.send_bytes(sock, self._fd, data)
        return 0

    # --- Waiting ----------------------------------------------------------------------------------

    def readable(self):
        """Return a future that is resolved when there may be something to receive.

        RuntimeError if a transport owns the descriptor.
        """
        return self._wait(READABLE)

    def writable(self):
        """Return a future that is resolved when there may be room to send; errors as `readable`."""
        return self._wait(WRITABLE)

    def _wait(self, direction):
        loop = self._loop
        loop._unclaimed(self._fd)
        ready = new_future(loop)
        note_wait(ready, SOCKET, self._fd)
        if self._fd in loop._callbacks:
            self._share(direction, ready)
            return ready
        if not loop._poller.tells_changes:
            ready.add_done_callback(self._ask_for_less)
            loop._watch(self._fd, self, self._interest | direction)
        elif not self._interest & direction:
            loop._watch(self._fd, self, self._interest | direction | EDGE)
        elif direction == WRITABLE:
            # Asked anew, the kernel tells of room that is there already: some of it may have come, unnoticed, since the
            # call that found too little.
            loop._poller.modify(self._fd, self, self._interest)
        if direction == READABLE:
            self._readers = _added(self._readers, ready)
        else:
            self._writers = _added(self._writers, ready)
        return ready

    def _share(self, direction, ready):
        """Wait as asyncio does, beside what `add_reader` or `add_writer` keep of the descriptor."""
        loop = self._loop
        if direction == READABLE:
            handle = loop._add_reader(self._fd, release, ready)
        else:
            handle = loop._add_writer(self._fd, release, ready)
        ready.add_done_callback(_Removal(loop, self._fd, direction, handle))

    def _ask_for_less(self, ready):
        """Ask a poller that tells again and again for nothing that nobody waits for: the socket may be closed next."""
        wanted = (READABLE if _any_waits(self._readers) else 0) | (WRITABLE if _any_waits(self._writers) else 0)
        if not self._loop._closed:
            self._loop._watch(self._fd, self, self._interest & wanted)

    def _displaced(self):
        """Somebody else watches the descriptor now: those who wait go on beside them."""
        readers = _as_list(self._readers)
        writers = _as_list(self._writers)
        self._interest = 0
        self._readers = None
        self._writers = None
        if readers or writers:
            self._loop.call_soon(self._move, readers, writers)

    def _move(self, readers, writers):
        callbacks = self._loop._callbacks.get(self._fd)
        if callbacks is None or self._sock() is None:
            return
        for ready in readers:
            if not ready.done() and _is_free(callbacks, READABLE):
                self._share(READABLE, ready)
        for ready in writers:
            if not ready.done() and _is_free(callbacks, WRITABLE):
                self._share(WRITABLE, ready)

    def _on_ready(self, events):
        loop = self._loop
        if loop._incoming:
            loop._accept_incoming()  # asyncio: what another thread asked for before goes first
        readers = self._readers
        writers = self._writers
        if events & READABLE:
            self._readers = None
            _resolve_all(readers)
        if events & WRITABLE:
            self._writers = None
            _resolve_all(writers)
        if not self._interest & EDGE:
            self._ask_for_less(None)


def _is_free(callbacks, direction):
    """Whether nobody waits for the direction by `add_reader` or `add_writer`."""
    return callbacks._reader is None if direction == READABLE else callbacks._writer is None


def _added(waiting, ready):
    """Those who wait, and one more."""
    if waiting is None or (type(waiting) is not list and waiting.done()):
        return ready
    if type(waiting) is list:
        waiting.append(ready)
        return waiting
    return [waiting, ready]


def _any_waits(waiting):
    return any(not ready.done() for ready in _as_list(waiting))


def _as_list(waiting):
    if waiting is None:
        return []
    return waiting if type(waiting) is list else [waiting]


def _resolve_all(waiting):
    if waiting is None:
        return
    if type(waiting) is not list:
        release(waiting)
    else:
        for ready in waiting:
            release(ready)


class _Removal:
    """Takes back what `_share` asked for, when its future is done."""

    def __init__(self, loop, fd, direction, handle):
        self._loop = loop
        self._fd = fd
        self._direction = direction
        self._handle = handle

    def __call__(self, ready):
        if self._handle.cancelled():
            return  # somebody else watches the descriptor by now
        if self._direction == READABLE:
            self._loop._remove_reader(self._fd)
        else:
            self._loop._remove_writer(self._fd)


native.sign(globals())
