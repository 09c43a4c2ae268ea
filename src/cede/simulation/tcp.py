"""TCP as a program sees it: states, buffers, errors; no chance and no time, which are the network's.

    state        entered by                              what then holds
    CLOSED       creation; a reset; both have closed     nothing moves
    LISTENING    listen                                  connections come into a queue
    CONNECTING   connect                                 the network carries a SYN
    OPEN         SYN and its answer have arrived         bytes go both ways
    HEARD_END    the peer's FIN (CLOSE_WAIT)             we may still send
    SENT_END     our own FIN (FIN_WAIT)                  we may still receive

    CLOSED -> LISTENING;  CLOSED -> CONNECTING -> OPEN;  OPEN -> HEARD_END -> CLOSED;  OPEN -> SENT_END -> CLOSED

The network keeps the order of a direction's segments, so they have no numbers. There is one window instead of two: what
the sender's buffer and the receiver's hold together. The receiver says what it has read (ACK) in large steps, so that
an exchange of small messages makes no segments but its own.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from typing import Any

from .files import BOTH, ERR, HUP, IN, OUT, RDHUP, RECEIVE, SEND, Socket, error

CLOSED = "closed"
LISTENING = "listening"
CONNECTING = "connecting"
OPEN = "open"
HEARD_END = "heard end"
SENT_END = "sent end"

# Kinds of segments.
SYN = "SYN"
SYN_ACK = "SYN-ACK"
DATA = "DATA"
ACK = "ACK"
FIN = "FIN"
RST = "RST"

SEND_BUFFER = 128 * 1024  # bytes; about what Linux has after some round trips
RECEIVE_BUFFER = 128 * 1024
_MOST_BACKLOG = 4096  # net.core.somaxconn
_FORGOTTEN_AFTER = 60.0  # seconds after which Linux waits for the end of a peer no longer, once all is closed here

# What connect(2) goes by, beside the state (Linux: sock->state).
_UNCONNECTED, _IN_PROGRESS, _CONNECTED, _SPENT = range(4)


class Segment:
    """What one kernel tells another of a connection. `direction` is 0 from who connected, 1 from who accepted."""

    __slots__ = ("connection", "data", "direction", "kind")

    def __init__(self, kind: str, connection: Any, direction: int, data: Any = b"") -> None:
        self.kind = kind
        self.connection = connection
        self.direction = direction
        self.data = data  # bytes; of an ACK how many were read, of SYN and its answer the size of the receive buffer

    @property
    def source(self) -> tuple[str, int]:
        ends: tuple[tuple[str, int], tuple[str, int]] = self.connection.ends
        return ends[self.direction]

    @property
    def target(self) -> tuple[str, int]:
        ends: tuple[tuple[str, int], tuple[str, int]] = self.connection.ends
        return ends[1 - self.direction]


class Connection:
    """What both ends share: who they are, (address, port) of who connected and of who accepts."""

    def __init__(self, source: tuple[str, int], target: tuple[str, int]) -> None:
        self.ends = (source, target)

    def cut(self, direction: int, size: int) -> int:
        """How many of `size` bytes one call of the program moves; the network may say less."""
        return size


class TcpSocket(Socket):
    """A TCP socket of a host, of family AF_INET or AF_INET6."""

    type = socket.SOCK_STREAM

    def __init__(self, kernel: Any, family: int) -> None:
        super().__init__(kernel)
        self.family = family
        self.state = CLOSED
        self.keeps_port = False  # True iff the program said which: then it stays bound when its connection ends
        self.keeps_address = False  # the same of its address
        self.remote: Any = None  # where it is connected, or was
        self.send_buffer = SEND_BUFFER
        self.receive_buffer = RECEIVE_BUFFER
        self._progress = _UNCONNECTED
        self._at_end = False  # True iff the peer's FIN has come: its end is told before any error (Linux: SOCK_DONE)
        self._orphan = False  # True iff the program has closed it
        self._connection: Any = None
        self._direction = 0
        self._incoming: deque[bytes] = deque()
        self._unread = 0  # bytes of these
        self._consumed = 0  # bytes read and not yet told of
        self._outstanding = 0  # bytes sent that the peer has not told to have read
        self._peer_buffer = RECEIVE_BUFFER
        self._queue: deque[TcpSocket] = deque()  # LISTENING: connections that nobody has accepted yet
        self._backlog = 0

    # --- Being connected to -----------------------------------------------------------------------

    def listen(self, backlog: int) -> None:
        if self.state not in (CLOSED, LISTENING) or self._progress != _UNCONNECTED:
            raise error(errno.EINVAL)
        if self.state == CLOSED:
            if not self.bound:
                self.kernel.bind(self, self.kernel.wildcard(self.family))
            self.kernel.check_listening(self)
            self.state = LISTENING
        self._backlog = min(backlog & 0xFFFFFFFF, _MOST_BACKLOG)

    def accept(self) -> TcpSocket:
        if self.state != LISTENING:
            raise error(errno.EINVAL)
        if not self._queue:
            raise error(errno.EAGAIN)
        return self._queue.popleft()

    def welcome(self, segment: Segment) -> bool:
        """A SYN for this listener; False if it has no room for one more."""
        if len(self._queue) > self._backlog:
            return False
        child = TcpSocket(self.kernel, self.family)
        child.options.update(self.options)
        child.send_buffer, child.receive_buffer = self.send_buffer, self.receive_buffer
        child.local, child.remote = segment.target, segment.source
        child.keeps_port = self.keeps_port
        child._connection, child._direction = segment.connection, 1
        child._peer_buffer = segment.data
        child._progress = _CONNECTED
        child.shut = self.shut
        self.kernel.note_connection(child)
        child._tell(SYN_ACK, child.receive_buffer)
        child._established()
        self._queue.append(child)
        self.changed()
        return True

    # --- Connecting -------------------------------------------------------------------------------

    def connect(self, address: tuple[str, int]) -> None:
        """Begin to connect: BlockingIOError (EINPROGRESS). Called again it tells how far that is."""
        if self._progress in (_CONNECTED, _SPENT):
            raise error(errno.EISCONN if self._progress == _CONNECTED else errno.EINVAL)
        if self._progress == _IN_PROGRESS:
            self._continue_connecting()
            return
        if self.state != CLOSED:
            raise error(errno.EISCONN)
        address = self.kernel.destination(address, self.family)
        self.kernel.bind_to_connect(self, address)
        self.remote = address
        self.error = 0
        self._direction = 0
        self._connection = self.kernel.network.connect(self.kernel, self.local, address)
        self.state = CONNECTING
        self._progress = _IN_PROGRESS
        self.kernel.note_connection(self)
        self.ask()
        raise error(errno.EINPROGRESS)

    def ask(self) -> None:
        """Send a SYN."""
        self._tell(SYN, self.receive_buffer)

    def _continue_connecting(self) -> None:
        if self.state == CONNECTING:
            raise error(errno.EALREADY)
        if self.state == CLOSED:
            number = self.take_error() or errno.ECONNABORTED
            self._disconnect()
            raise error(number)
        self._progress = _CONNECTED

    def _disconnect(self) -> None:
        self.kernel.forget_connection(self)
        if not self.keeps_port:
            self.kernel.unbind(self)
        if not self.keeps_address and self.local is not None:
            self.local = (self.kernel.wildcard(self.family)[0], self.local[1])
        self.state = CLOSED
        self._progress = _UNCONNECTED
        self.shut = 0
        self._at_end = False
        self.remote = None
        self._connection = None

    # --- Bytes ------------------------------------------------------------------------------------

    def receive(self, size: int, peek: bool = False) -> bytes:
        """Read what has come, at most `size` bytes; b"" at the end."""
        if self.state == LISTENING:
            raise error(errno.ENOTCONN)
        if self._unread:
            return self._take(size, peek)
        if self._at_end:
            return b""
        self.raise_error()
        if self.shut & RECEIVE:
            return b""
        raise error(errno.ENOTCONN if self.state == CLOSED else errno.EAGAIN)

    def receive_from(self, size: int, peek: bool = False) -> tuple[bytes, Any]:
        """`receive`, as recvfrom(2) tells it: without an address."""
        return self.receive(size, peek), None

    def _take(self, size: int, peek: bool) -> bytes:
        incoming = self._incoming
        size = min(size, self._unread)
        if size > 1 and not peek and self._connection is not None:
            size = self._connection.cut(1 - self._direction, size)
        if peek:
            return b"".join(incoming)[:size]
        if len(incoming[0]) == size:
            data = incoming.popleft()
        elif len(incoming[0]) > size:
            data, incoming[0] = incoming[0][:size], incoming[0][size:]
        else:
            joined = b"".join(incoming)
            data = joined[:size]
            incoming.clear()
            if size < self._unread:
                incoming.append(joined[size:])
        self._unread -= size
        self._consumed += size
        if self._consumed * 4 >= self.receive_buffer and self.state in (OPEN, SENT_END):
            self._tell(ACK, self._consumed)
            self._consumed = 0
        return data

    def send(self, data: Any, address: Any = None) -> int:
        """Send what there is room for; how many bytes that was."""
        if self.state not in (OPEN, HEARD_END):
            if self.state == CONNECTING and not self.error:
                raise error(errno.EAGAIN)
            raise error(self.take_error() or errno.EPIPE)
        self.raise_error()
        size = len(data)
        if not size:
            return 0
        room = self.send_buffer + self._peer_buffer - self._outstanding
        if room <= 0:
            raise error(errno.EAGAIN)
        size = min(size, room)
        if size > 1:
            size = self._connection.cut(self._direction, size)
        self._outstanding += size
        self._tell(DATA, data if type(data) is bytes and size == len(data) else bytes(data[:size]))
        return size

    read = receive
    write = send

    # --- What comes -------------------------------------------------------------------------------

    def segment_came(self, segment: Segment) -> None:
        """Act on what the other end told."""
        kind = segment.kind
        if kind == DATA:
            self._data_came(segment.data)
        elif kind == ACK:
            self._outstanding = max(0, self._outstanding - segment.data)
        elif kind == FIN:
            self._end_came()
        elif kind == RST:
            self._reset_came()
        elif self.state == CONNECTING:  # SYN-ACK; or our own SYN: it connects to itself
            self._peer_buffer = segment.data
            self._established()
        self.changed()

    def _established(self) -> None:
        self.state = OPEN
        if self.shut & SEND:  # shut down before there was anything to shut down
            self._send_end()

    def _data_came(self, data: bytes) -> None:
        if self.state == OPEN or (self.state == SENT_END and not self.shut & RECEIVE):
            self._incoming.append(data)
            self._unread += len(data)
        elif self.state == SENT_END:
            # Nobody will ever read it: Linux says so to the peer, and ends.
            self._tell(RST)
            self._reset_came()

    def _end_came(self) -> None:
        self.shut |= RECEIVE
        self._at_end = True
        if self.state == OPEN:
            self.state = HEARD_END
        elif self.state == SENT_END:
            self.kernel.linger_in_time_wait(self)
            self._done()

    def _reset_came(self) -> None:
        if self.state == CLOSED:
            return
        self.error = {CONNECTING: errno.ECONNREFUSED, HEARD_END: errno.EPIPE}.get(self.state, errno.ECONNRESET)
        self._done()

    def fail(self, number: int) -> None:
        """The connection ends with an error."""
        if self.state not in (CLOSED, LISTENING):
            self.error = number
            self._done()
            self.changed()

    def _done(self) -> None:
        """Both directions are over."""
        self.kernel.forget_connection(self)
        self.state = CLOSED
        self.shut = BOTH
        self._outstanding = 0
        if self._orphan or not self.keeps_port:
            self.kernel.unbind(self)

    def _tell(self, kind: str, data: Any = b"") -> None:
        self.kernel.network.send(self.kernel, Segment(kind, self._connection, self._direction, data))

    # --- Readiness --------------------------------------------------------------------------------

    def poll(self) -> int:
        if self.state == LISTENING:
            return IN if self._queue else 0
        bits = HUP if self.shut == BOTH or self.state == CLOSED else 0
        if self.shut & RECEIVE:
            bits |= IN | RDHUP
        if self.state != CONNECTING:
            if self._unread:
                bits |= IN
            free = self.send_buffer + self._peer_buffer - self._outstanding
            if self.shut & SEND or free * 2 >= self._outstanding:
                bits |= OUT
        return bits | ERR if self.error else bits

    # --- The end ----------------------------------------------------------------------------------

    def shutdown(self, how: int) -> None:
        """Shut down RECEIVE, SEND or BOTH."""
        if self.state in (CONNECTING, LISTENING):
            begun = self.state == CONNECTING
            if begun or how & RECEIVE:
                self._drop_queue()
                self._disconnect()
            if begun:
                self.error = errno.ECONNRESET
            self.changed()
            return
        was_closed = self.state == CLOSED
        if self._progress == _IN_PROGRESS:
            self._progress = _SPENT if was_closed else _CONNECTED
        self.shut |= how
        if how & SEND:
            self._send_end()
        self.changed()
        if was_closed:
            raise error(errno.ENOTCONN)

    def _send_end(self) -> None:
        if self.state == OPEN:
            self.state = SENT_END
            self._tell(FIN)
        elif self.state == HEARD_END:
            self._tell(FIN)
            self._done()

    def release(self) -> None:
        self._orphan = True
        self.shut = BOTH
        if self.state == LISTENING:
            self._drop_queue()
            self.state = CLOSED
        elif self.state == CONNECTING:
            self._done()
        elif self.state in (OPEN, HEARD_END, SENT_END):
            if self._unread or self._resets_at_close():
                self._tell(RST)
                self._done()
            else:
                self._send_end()
                if self.state == SENT_END:
                    self.kernel.network.after(_FORGOTTEN_AFTER, self._forgotten)
        self._incoming.clear()
        self._unread = 0
        if self.state == CLOSED:
            self.kernel.unbind(self)

    def _forgotten(self) -> None:
        if self.state == SENT_END:
            self._done()

    def _resets_at_close(self) -> bool:
        on, seconds = self.options.get((socket.SOL_SOCKET, socket.SO_LINGER), (0, 0))
        return bool(on) and not seconds

    def _drop_queue(self) -> None:
        """Reset the connections that nobody accepted."""
        while self._queue:
            child = self._queue.popleft()
            if child.state != CLOSED:
                child._tell(RST)
            child._orphan = True
            child._done()

    # --- Addresses --------------------------------------------------------------------------------

    def name(self) -> Any:
        return self.local or self.kernel.wildcard(self.family)

    def peer(self) -> Any:
        if self.remote is None or self.state in (CLOSED, CONNECTING):
            raise error(errno.ENOTCONN)
        return self.remote

    @property
    def is_connected(self) -> bool:
        return self.state in (OPEN, HEARD_END, SENT_END)

    @property
    def listens(self) -> bool:
        return self.state == LISTENING
