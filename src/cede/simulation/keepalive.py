"""Keep-alive: how a socket with SO_KEEPALIVE learns that its peer is gone, without having anything to say.

Where the peer can be reached its kernel answers every probe, and nothing changes: so nothing is simulated of it, and a
world of idle connections still comes to its end. Probes begin where a machine loses its power, or is cut off.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from .options import get_option
from .tcp import HEARD_END, OPEN, RST, SENT_END, Segment, TcpSocket

_ON = (socket.SOL_SOCKET, socket.SO_KEEPALIVE)
_IDLE = (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", -1))
_PAUSE = (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", -1))
_COUNT = (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", -1))
_USER_TIMEOUT = (socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", -1))


def look_after(network: Any, sock: TcpSocket) -> None:
    """Begin to probe, if the socket wants that and its peer cannot be reached."""
    connection = sock._connection
    if not _wants(sock) or connection.probes[sock._direction] is not None or not _is_cut(network, sock):
        return
    connection.probes[sock._direction] = Probes(network, sock)


def _wants(sock: TcpSocket) -> bool:
    return bool(sock.options.get(_ON)) and sock.state in (OPEN, HEARD_END, SENT_END)


def _is_cut(network: Any, sock: TcpSocket) -> bool:
    connection, direction = sock._connection, sock._direction
    return bool(network.is_blocked(connection, direction) or network.is_blocked(connection, 1 - direction))


class Probes:
    """The probes of one end of a connection, from when its peer could not be reached until it answers."""

    def __init__(self, network: Any, sock: TcpSocket) -> None:
        self._network = network
        self._sock = sock
        self._connection = sock._connection
        self._direction = sock._direction
        self._unanswered = 0
        self._heard = self._connection.heard[1 - self._direction]
        self._at(self._heard + self._option(_IDLE))

    def _option(self, key: tuple[int, int]) -> float:
        return float(get_option(self._sock, *key, 0))

    def _at(self, when: float) -> None:
        self._network.world.at(when, self._probe)

    def _probe(self) -> None:
        sock, network, now = self._sock, self._network, self._network.world.now
        if network.closed or sock._connection is not self._connection or not _wants(sock):
            self._end()
        elif self._connection.flows[self._direction].waits:
            self._at(now + self._option(_PAUSE))  # what was sent is sent again, and that ends it
        elif self._connection.heard[1 - self._direction] > self._heard:
            self._end()
            look_after(network, sock)
        elif not _is_cut(network, sock):
            self._end()
            if not network.knows(self._connection, 1 - self._direction):
                sock.segment_came(Segment(RST, self._connection, 1 - self._direction))
        else:
            self._unanswered += 1
            user_timeout = self._option(_USER_TIMEOUT) / 1000
            if user_timeout:
                over = self._unanswered > 1 and now - self._heard >= user_timeout
            else:
                over = self._unanswered > self._option(_COUNT)
            if over:
                self._end()
                sock.fail(errno.ETIMEDOUT)
            else:
                self._at(now + self._option(_PAUSE))

    def _end(self) -> None:
        self._connection.probes[self._direction] = None
