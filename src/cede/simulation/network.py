"""Network: the hosts' addresses and names, and what comes between them.

It carries the segments and datagrams of kernels over links, and knows which of these are cut. Faults are calls
(`partition`, `hold`, `reset`, `power` of a host) or probabilities of links; what is drawn has a name (`links.py`).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import Any
from zlib import crc32

from .datagrams import Datagram
from .disk import Disk
from .faults import Faults
from .keepalive import look_after
from .kernel import Kernel, is_loopback
from .links import BETWEEN_HOSTS, INSIDE_A_HOST, Link, NetworkConnection
from .names import Names
from .tcp import DATA, FIN, RST, SYN, Segment, TcpSocket

_WORDS = {SYN: "connect", FIN: "close", RST: "reset", DATA: "send"}  # of what the log tells
_TLS_HANDSHAKE = b"\x16\x03"  # how its first record begins
_REORDERED = 0.05  # seconds; by how much a datagram is overtaken at most
_USER_TIMEOUT = (socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", -1))


class Network:
    """What joins the hosts of a world."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.names = Names(self)
        self.chunks = 0.0  # probability that a read or write is cut short
        self.resets = 0.0  # probability that a segment meets a reset of its connection
        self.loss = 0.0  # probability that a segment or datagram is lost on a link that says nothing of it
        self.faults = Faults(world)
        self._kernels: dict[str, Kernel] = {}  # by their hosts' names
        self._owners: dict[str, Kernel] = {}  # by address
        self._links: dict[tuple[str, str], Link] = {}
        self._inside: dict[str, Link] = {}
        self._counts: dict[tuple[str, str], int] = {}  # connections so far, from host to host
        self._datagrams: dict[tuple[str, str], int] = {}
        self._timers: list[tuple[float, int, Callable[..., Any], tuple[Any, ...]]] = []  # see `after`
        self._timers_made = 0
        self.closed = False
        self.outside: Any = None  # what is let through to the real machine (`real_machine.py`)

    def instead_of(self, address: tuple[str, int]) -> tuple[str, int]:
        """Where a connection to an address goes: there, unless it is let through to the real machine."""
        if self.outside is None:
            return address
        found: tuple[str, int] = self.outside.instead.get(address, address)
        return found

    def attach(self, host: Any, addresses: tuple[str, ...] = ()) -> Kernel:
        """Give a host its kernel and its addresses. ValueError if another one has one of them."""
        number = len(self._kernels) + 1
        for address in addresses:
            if address in self._owners or is_loopback(address):
                raise ValueError(f"host {host.name} cannot have the address {address}: it is taken")
        addresses = addresses or (f"10.0.{number >> 8}.{number & 255}", f"fd00::{number:x}")
        kernel = self._kernels[host.name] = Kernel(self, addresses, host)
        kernel.disk = Disk(host)
        for address in addresses:
            self._owners[address] = kernel
        return kernel

    def close(self) -> None:
        """The world ends: every socket is inert from now on."""
        self.closed = True
        for kernel in self._kernels.values():
            kernel.close()
        self._timers.clear()

    # --- What kernels ask -------------------------------------------------------------------------

    def connect(self, kernel: Kernel, source: tuple[str, int], target: tuple[str, int]) -> NetworkConnection:
        """A connection that a host begins."""
        hosts = (kernel.host.name, self._host_of(kernel, target[0]))
        number = self._counts[hosts] = self._counts.get(hosts, 0) + 1
        return NetworkConnection(self, source, target, hosts, number)

    def send(self, kernel: Kernel, segment: Segment) -> None:
        if self.closed:
            return
        if self.world.log is not None and segment.kind in _WORDS:
            self._log(kernel.host.name, segment)
        segment.connection.flows[segment.direction].send(segment, self._now(kernel))
        if segment.kind == DATA:
            self.faults.touched(kernel.host)

    def _now(self, kernel: Kernel) -> float:
        """When something leaves the host: its own time may be ahead of the world's."""
        return float(max(kernel.host.now, self.world.now))

    def _log(self, host: str, segment: Segment) -> None:
        hosts = segment.connection.hosts
        where = (hosts[1 - segment.direction], hosts[0], segment.connection.number)
        if segment.kind == DATA:
            data = segment.data
            # Tickets of TLS sessions have a second of the real time in them: of ciphertext only the length is told.
            if data[:2] == _TLS_HANDSHAKE:
                segment.connection.ciphered = True
            if segment.connection.ciphered:
                self.world.log.add(host, "send", ("{3} bytes to {0}, connection {1}/{2} (TLS)", *where, len(data)))
            else:
                words = ("{3} bytes to {0}, connection {1}/{2} ({4:08x})", *where, len(data), crc32(data))
                self.world.log.add(host, "send", words)
        else:
            self.world.log.add(host, _WORDS[segment.kind], ("to {}, connection {}/{}", *where))

    def after(self, seconds: float, callback: Callable[..., Any], *args: Any) -> None:
        """Call back when somebody looks after that time (`tick`): a kernel's own timers keep no world alive."""
        self._timers_made += 1
        heappush(self._timers, (self.world.now + seconds, self._timers_made, callback, args))

    def tick(self) -> None:
        """Let the timers of `after` that are due happen."""
        while self._timers and self._timers[0][0] <= self.world.now:
            _, _, callback, args = heappop(self._timers)
            callback(*args)

    def look_up(self, kernel: Kernel, name: str, family: int) -> list[str]:
        """The addresses of a name, for a call that blocks."""
        return self.names.wait_for(kernel, name, family)

    # --- Delivering -------------------------------------------------------------------------------

    def deliver(self, segment: Segment) -> bool:
        """Hand a segment to the kernel it is for; False if that takes it as lost."""
        if self.closed:
            return True
        kernel = self._kernels[segment.connection.hosts[1 - segment.direction]]
        segment.connection.heard[segment.direction] = self.world.now
        if self.world.log is not None and segment.kind in _WORDS:
            sender = segment.connection.hosts[segment.direction]
            where = (segment.connection.hosts[0], segment.connection.number)
            words: tuple[Any, ...] = ("{} from {}, connection {}/{}", _WORDS[segment.kind], sender, *where)
            if segment.kind == DATA:
                words = ("{} bytes from {}, connection {}/{}", len(segment.data), sender, *where)
            self.world.log.add(kernel.host.name, "arrive", words)
        if segment.kind == DATA:
            self.faults.touched(kernel.host)
        return kernel.receive(segment)

    def lost_power(self, kernel: Kernel) -> None:
        """A host's power is gone, and with it every answer that it has not given."""
        if not self.closed:
            for other in self._kernels.values():
                if other is not kernel:
                    other.ask_again(kernel.host.name)
            self._look_after_connections()

    def _look_after_connections(self) -> None:
        """Somebody cannot be reached any more: sockets that keep their connections alive begin to probe."""
        for kernel in self._kernels.values():
            for sock in kernel.sockets_connected():
                look_after(self, sock)

    def wants_probes(self, sock: TcpSocket) -> None:
        """A connected socket is to keep its connection alive from now on."""
        look_after(self, sock)

    def knows(self, connection: NetworkConnection, direction: int) -> bool:
        """Whether the kernel at the end that sends in this direction knows the connection."""
        return self._end(connection, direction) is not None

    def timed_out(self, connection: NetworkConnection, direction: int) -> None:
        """Who sends in this direction gives up: nothing was heard for too long."""
        self.fails(connection, direction, errno.ETIMEDOUT)

    def fails(self, connection: NetworkConnection, direction: int, number: int) -> None:
        """The connection ends with an error for who sends in this direction."""
        sock = self._end(connection, direction)
        if sock is not None:
            sock.fail(number)

    def patience(self, connection: NetworkConnection, direction: int, usual: float) -> float:
        """Seconds after which who sends in this direction gives up."""
        sock = self._end(connection, direction)
        told = sock.options.get(_USER_TIMEOUT, 0) if sock is not None else 0
        return told / 1000 if told else usual

    def _end(self, connection: NetworkConnection, direction: int) -> TcpSocket | None:
        """The socket that sends in this direction, if there is one still."""
        kernel = self._kernels.get(connection.hosts[direction])
        return None if kernel is None else kernel.end_of(connection, direction)

    # --- Links ------------------------------------------------------------------------------------

    def link(self, connection: NetworkConnection, direction: int) -> Link:
        """The link that a direction of a connection goes over."""
        one, other = connection.hosts
        return self.link_between(other, one) if direction else self.link_between(one, other)

    def link_between(self, one: str, other: str) -> Link:
        """The link from a host to a host (its own, if they are the same)."""
        if one == other:
            link = self._inside.get(one)
            if link is None:
                link = self._inside[one] = Link(INSIDE_A_HOST)
            return link
        link = self._links.get((one, other))
        if link is None:
            link = self._links[one, other] = Link(BETWEEN_HOSTS)
        return link

    def is_blocked(self, connection: NetworkConnection, direction: int) -> bool:
        """Whether what is sent in this direction cannot arrive."""
        return self._is_cut(connection.hosts[direction], connection.hosts[1 - direction])

    def _is_cut(self, one: str, other: str) -> bool:
        kernel = self._kernels.get(other)
        if kernel is None or not kernel.powered:
            return True
        return one != other and (self.link_between(one, other).cut or self.faults.parted(one, other))

    def _host_of(self, kernel: Kernel, ip: str) -> str:
        """The name of the host that has an address, as `kernel` sees it; the address itself if none has it."""
        if kernel.is_local(ip):
            return str(kernel.host.name)
        owner = self._owners.get(ip)
        return ip if owner is None else str(owner.host.name)

    # --- Datagrams --------------------------------------------------------------------------------

    def send_datagram(self, kernel: Kernel, datagram: Datagram) -> None:
        if self.closed:
            return
        here = str(kernel.host.name)
        if datagram.target[0] == "255.255.255.255":
            for name in self._kernels:
                self._carry_datagram(kernel, here, name, datagram)
        else:
            self._carry_datagram(kernel, here, self._host_of(kernel, datagram.target[0]), datagram)

    def _carry_datagram(self, kernel: Kernel, one: str, other: str, datagram: Datagram) -> None:
        number = self._datagrams[one, other] = self._datagrams.get((one, other), 0) + 1
        link = self.link_between(one, other)
        name = f"{one}>{other}/datagrams"
        draw = self.world.draw
        if self.world.log is not None:
            self.world.log.add(one, "datagram", f"{len(datagram.data)} bytes to {other}:{datagram.target[1]}")
        loss = link.loss or self.loss
        if self._is_cut(one, other) or (loss and draw(f"{name}/loss", number, loss)):
            self.dropped(kernel, datagram)
            return
        arrival = link.arrival(self._now(kernel), len(datagram.data), draw(f"{name}/send", number))
        if link.reorder:
            arrival += draw(f"{name}/reorder", number, link.reorder) * _REORDERED
        self._schedule(arrival, link, kernel, other, datagram)
        if link.duplicate:
            severity = draw(f"{name}/duplicate", number, link.duplicate)
            if severity:
                self._schedule(arrival + severity * _REORDERED, link, kernel, other, datagram)

    def _schedule(self, arrival: float, link: Link, kernel: Kernel, other: str, datagram: Datagram) -> None:
        item = (arrival - self.world.now, kernel, other, datagram)
        if link.held:
            link.held_back.append((self, item))
        else:
            self.world.at(arrival, self._datagram_arrives, kernel, other, datagram)

    def carry(self, item: tuple[float, Kernel, str, Datagram], now: float) -> None:
        """Let a datagram that was held go on."""
        took, kernel, other, datagram = item
        self.world.at(now + took, self._datagram_arrives, kernel, other, datagram)

    def _datagram_arrives(self, sender: Kernel, other: str, datagram: Datagram) -> None:
        if self.closed or self._is_cut(sender.host.name, other):
            return
        if not self._kernels[other].receive_datagram(datagram) and not sender.is_broadcast(datagram.target[0]):
            latency = self.link_between(other, sender.host.name).latency[0]
            self.world.at(self.world.now + latency, sender.refused_datagram, datagram)

    def dropped(self, kernel: Kernel, datagram: Datagram) -> None:
        """A datagram is lost: by the network, or because a receiver has no room."""
        if self.world.log is not None:
            self.world.log.add(kernel.host.name, "drop", f"a datagram of {len(datagram.data)} bytes")

    # --- Faults -----------------------------------------------------------------------------------

    def set_link(self, one: str, other: str, oneway: bool = False, **what: Any) -> None:
        """Set latency, loss, duplicate, reorder or bandwidth of the links between two hosts (oneway: of the one)."""
        for link in self._both(one, other, oneway):
            for field, value in what.items():
                if value is not None:
                    setattr(link, field, value)

    def partition(self, side: Iterable[str], others: Iterable[str] | None = None, oneway: bool = False) -> None:
        """Cut the hosts of a side off from the others (None: from all); `oneway`: what the side sends is lost."""
        for link in self._between(side, others, oneway):
            link.cut = True
        self._look_after_connections()

    def hold(self, side: Iterable[str], others: Iterable[str] | None = None, oneway: bool = False) -> None:
        """Let nothing arrive between them until `release`; nothing is lost."""
        for link in self._between(side, others, oneway):
            link.held = True

    def release(self, side: Iterable[str] | None = None, others: Iterable[str] | None = None) -> None:
        """Let what was held go on, between them or everywhere."""
        self._release(self._links.values() if side is None else self._between(side, others, False))

    def _release(self, links: Iterable[Link]) -> None:
        for link in list(links):
            link.held = False
            waiting, link.held_back = link.held_back, []
            for owner, item in waiting:
                owner.carry(item, self.world.now)

    def heal(self) -> None:
        """End all that was asked for, and everything that is drawn but latencies."""
        self.chunks = self.resets = self.loss = self.names.failure = 0.0
        self.faults.end()
        for link in [*self._links.values(), *self._inside.values()]:
            link.cut = False
            link.loss = link.duplicate = link.reorder = 0.0
        self._release([*self._links.values(), *self._inside.values()])

    def reset(self, one: str, other: str) -> int:
        """Reset all connections between two hosts; how many there were."""
        found = [
            connection
            for kernel in (self._kernels[one], self._kernels[other])
            for connection in kernel.connections()
            if set(connection.hosts) == {one, other}
        ]
        for connection in dict.fromkeys(found):
            self.reset_connection(connection)
        return len(dict.fromkeys(found))

    def reset_connection(self, connection: NetworkConnection) -> None:
        """Something on the way (a router, a proxy that restarts) resets a connection, for both ends."""
        if self.world.log is not None:
            self.world.log.add("", "fault", f"connection {connection.hosts[0]}/{connection.number} is reset")
        for direction in (0, 1):
            sock = self._end(connection, direction)
            if sock is not None:
                sock.segment_came(Segment(RST, connection, 1 - direction))

    def _both(self, one: str, other: str, oneway: bool) -> list[Link]:
        found = [self.link_between(one, other)]
        return found if oneway or one == other else [*found, self.link_between(other, one)]

    def _between(self, side: Iterable[str], others: Iterable[str] | None, oneway: bool) -> list[Link]:
        side = list(side)
        far = [name for name in self._kernels if name not in side] if others is None else list(others)
        return [link for one in side for other in far if one != other for link in self._both(one, other, oneway)]
