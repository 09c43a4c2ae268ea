"""Kernel: the sockets of one host: its addresses, who is bound to which port, and whose a segment is.

The network (`network.py`; in tests a wire without time) carries what goes out, and calls `receive` and
`receive_datagram` with what comes in. It has:

    network.connect(kernel, source, target)   a Connection, for a TCP socket that begins to connect
    network.send(kernel, segment)             carry a segment of TCP, in order within its direction
    network.send_datagram(kernel, datagram)   carry a datagram, or lose it
    network.lost_power(kernel)                the host's power is gone
    network.instead_of(address)               where a connection to an address goes
    network.wants_probes(sock)                a connected socket is to keep its connection alive
    network.after(seconds, callback)          a timer; it happens when the kernel calls `network.tick()`
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from .datagrams import Datagram, UdpSocket, UnixDatagramSocket
from .files import ERR, HUP, Descriptors, File, drop, error
from .local import UnixSocket, new_pipe
from .tcp import ACK, CLOSED, CONNECTING, RST, SYN, Segment, TcpSocket

_FIRST_EPHEMERAL = 32768  # net.ipv4.ip_local_port_range
_LAST_EPHEMERAL = 60999
_TIME_WAIT = 60.0  # seconds
_MOST_DESCRIPTORS = 65536
_REUSE_ADDRESS = (socket.SOL_SOCKET, socket.SO_REUSEADDR)
_REUSE_PORT = (socket.SOL_SOCKET, getattr(socket, "SO_REUSEPORT", -1))
_V6_ONLY = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)

Address = tuple[str, int]


class TimeWait:
    """What is left of a connection that we ended first: its port is not free for a while."""

    type = socket.SOCK_STREAM
    listens = False

    def __init__(self, sock: TcpSocket) -> None:
        self.local = sock.local
        self.family = sock.family
        self.bound = True
        self.options = dict(sock.options)  # as they were: what the socket sets later changes nothing here
        self.ends = (sock.local, sock.remote)


class Kernel:
    """The kernel of a host that has the addresses `addresses`, beside its loopback ones."""

    def __init__(self, network: Any, addresses: tuple[str, ...] = (), host: Any = None) -> None:
        self.network = network
        self.addresses = addresses
        self.host = host  # whose kernel it is; None in a test of the kernel alone, where nobody waits
        self.powered = True  # False: the machine is off, and what is sent to it meets silence
        self.closed = False  # True iff its world has ended: nothing of it does anything any more
        self.files_made = 0
        self.disk: Any = None  # the host's files (`disk.py`)
        self.descriptors = Descriptors(_MOST_DESCRIPTORS)
        self._ports: dict[tuple[int, int], list[Any]] = {}  # (type, port): the sockets bound to it
        self._connections: dict[tuple[Address, Address], TcpSocket] = {}  # (our end, the other end)
        self._waiting: dict[tuple[Address, Address], TimeWait] = {}
        self._next_port = _FIRST_EPHEMERAL
        self.gone = False  # True iff its program was ended in the middle of a turn that still runs
        self.paths: dict[Any, Any] = {}  # of unix sockets: who is bound there; None once that one is closed
        self._next_name = 0  # of abstract names that were asked for without saying which

    # --- Making -----------------------------------------------------------------------------------

    def socket(self, family: int, kind: int, proto: int) -> Any:
        """A new socket. OSError for a family or kind that the simulated kernel has not."""
        if family in (socket.AF_INET, socket.AF_INET6):
            if kind == socket.SOCK_STREAM and proto in (0, socket.IPPROTO_TCP):
                return TcpSocket(self, family)
            if kind == socket.SOCK_DGRAM and proto in (0, socket.IPPROTO_UDP):
                return UdpSocket(self, family)
            raise error(errno.EPROTONOSUPPORT)
        if family == socket.AF_UNIX:
            if kind == socket.SOCK_STREAM:
                return UnixSocket(self)
            if kind == socket.SOCK_DGRAM:
                return UnixDatagramSocket(self)
            raise error(errno.EPROTONOSUPPORT)
        raise error(errno.EAFNOSUPPORT)

    def socket_pair(self, kind: int) -> tuple[Any, Any]:
        """Two unix sockets that are each other's peer."""
        one, other = self.socket(socket.AF_UNIX, kind, 0), self.socket(socket.AF_UNIX, kind, 0)
        one.pair_with(other)
        return one, other

    def pipe(self) -> tuple[int, int]:
        """The descriptors of a new pipe: to read from, to write to."""
        reader, writer = new_pipe(self)
        return self.descriptors.open(reader), self.descriptors.open(writer)

    def let_go(self, files: list[File]) -> None:
        """Close files that were on their way and that nobody took."""
        for file in files:
            drop(file)

    def touch_disk(self) -> None:
        """Something is about to be done to the host's disk. OSError (EIO) if its program is ended before."""
        self.network.faults.touched(self.host)
        if self.gone:
            raise error(errno.EIO)

    # --- Waiting, for calls that block ------------------------------------------------------------

    def wait(self, file: File, bits: int, deadline: float | None) -> bool:
        """Let the world go on until the file is ready for `bits`; False if it is not by `deadline` (None: for ever)."""
        wanted = bits | ERR | HUP
        waiter = self.host.world.waiter()
        file.watch(waiter)
        try:
            while not file.poll() & wanted:
                left = None if deadline is None else deadline - self.host.now
                if left is not None and (left <= 0 or not waiter.wait(left)):
                    return bool(file.poll() & wanted)
                if left is None:
                    waiter.wait(None)
            return True
        finally:
            file.unwatch(waiter)

    def pause(self, seconds: float, deadline: float | None) -> bool:
        """Let the world go on for a while; False if the deadline has come."""
        left = seconds if deadline is None else min(seconds, deadline - self.host.now)
        if left <= 0:
            return False
        self.host.world.waiter().wait(left)
        return True

    # --- What a loop asks for ---------------------------------------------------------------------

    def watch_child(self, loop: Any, process: Any, ended: Any) -> Any:
        """What tells a loop that a child has ended."""
        return self.host.watch_child(loop, process.pid, ended)

    def getaddrinfo(self, loop: Any, *asked: Any) -> Any:
        """A future of what getaddrinfo answers to (host, port, family, type, proto, flags)."""
        return self.network.names.getaddrinfo_on(loop, self, *asked)

    # --- Addresses --------------------------------------------------------------------------------

    def wildcard(self, family: int) -> Address:
        return ("::" if family == socket.AF_INET6 else "0.0.0.0", 0)

    def is_local(self, ip: str) -> bool:
        """Whether the address is the host's own."""
        return ip.startswith("127.") or ip == "::1" or ip in self.addresses

    def is_broadcast(self, ip: str) -> bool:
        return ip in ("255.255.255.255", "127.255.255.255")

    def destination(self, address: Address, family: int) -> Address:
        """Where to connect or send to: nowhere in particular means the host itself."""
        address = self.network.instead_of(address)
        if address[0] in ("0.0.0.0", "::"):
            return ("::1" if family == socket.AF_INET6 else "127.0.0.1", address[1])
        return address

    def source_address(self, target: Address) -> str:
        """The address from which the target is reached. OSError if there is none of its family."""
        ip = target[0]
        if is_loopback(ip):
            return "::1" if ":" in ip else "127.0.0.1"
        if ip in self.addresses:
            return ip
        for own in self.addresses:
            if (":" in own) == (":" in ip):
                return own
        raise error(errno.ENETUNREACH)

    # --- Ports ------------------------------------------------------------------------------------

    def bind(self, sock: Any, address: Any) -> None:
        """Bind a socket that is not bound yet. OSError as bind(2)."""
        if sock.family == socket.AF_UNIX:
            self._bind_path(sock, address)
            return
        self.network.tick()
        if sock.bound or (sock.type == socket.SOCK_STREAM and sock.state != CLOSED):
            raise error(errno.EINVAL)
        ip, port = address
        if ip not in ("0.0.0.0", "::") and not self.is_local(ip):
            raise error(errno.EADDRNOTAVAIL)
        given = port
        if not port:
            port = self._free_port(sock, ip)
        elif any(self._conflict(sock, ip, other) for other in self._ports.get((sock.type, port), ())):
            if sock.local is not None:
                sock.local = (self.wildcard(sock.family)[0], sock.local[1])  # Linux forgets half of where it was
            raise error(errno.EADDRINUSE)
        sock.local = (ip, port)
        sock.bound = True
        if sock.type == socket.SOCK_STREAM:
            sock.keeps_port = bool(given)
            sock.keeps_address = ip not in ("0.0.0.0", "::")
        self._ports.setdefault((sock.type, port), []).append(sock)

    def bind_to_connect(self, sock: TcpSocket, target: Address) -> None:
        """Give a socket that connects its local end."""
        source = self.source_address(target)
        if not sock.bound:
            self.bind(sock, (source, 0))
            sock.keeps_address = False
        elif sock.local[0] in ("0.0.0.0", "::"):
            sock.local = (source, sock.local[1])
        self.network.tick()
        ends = (sock.local, target)
        if sock.local == target and ends in self._waiting:
            self._end_time_wait(self._waiting[ends])  # of a connection to itself: it makes way for the next one
        if ends in self._connections or ends in self._waiting:
            raise error(errno.EADDRNOTAVAIL)

    def check_listening(self, sock: TcpSocket) -> None:
        """OSError (EADDRINUSE) if somebody else is bound there by now."""
        ip, port = sock.local
        if any(self._conflict(sock, ip, other) for other in self._ports[sock.type, port] if other is not sock):
            raise error(errno.EADDRINUSE)

    def _free_port(self, sock: Any, ip: str) -> int:
        for _ in range(_LAST_EPHEMERAL - _FIRST_EPHEMERAL + 1):
            port = self._next_port
            self._next_port = port + 1 if port < _LAST_EPHEMERAL else _FIRST_EPHEMERAL
            if not self._ports.get((sock.type, port)):
                return port
        raise error(errno.EADDRINUSE)

    def _conflict(self, sock: Any, ip: str, other: Any) -> bool:
        if not _overlap(sock, ip, other):
            return False
        both_ports = sock.options.get(_REUSE_PORT) and other.options.get(_REUSE_PORT)
        both_addresses = sock.options.get(_REUSE_ADDRESS) and other.options.get(_REUSE_ADDRESS)
        return not both_ports and not (both_addresses and not other.listens)

    def unbind(self, sock: Any) -> None:
        """The socket is closed: its port is free, and its path leads to nobody."""
        if not sock.bound:
            return
        sock.bound = False
        if sock.family == socket.AF_UNIX:
            name = sock.local
            if self.paths.get(name) is sock and type(name) is bytes:
                del self.paths[name]  # an abstract name ends with its socket, a file stays
            elif self.paths.get(name) is sock:
                self.paths[name] = None
            return
        bound = self._ports.get((sock.type, sock.local[1]))
        if bound is not None and sock in bound:
            bound.remove(sock)
            if not bound:
                del self._ports[sock.type, sock.local[1]]

    # --- Connections ------------------------------------------------------------------------------

    def note_connection(self, sock: TcpSocket) -> None:
        self._connections[sock.local, sock.remote] = sock
        bound = self._ports.setdefault((sock.type, sock.local[1]), [])
        if sock not in bound:
            bound.append(sock)
            sock.bound = True

    def forget_connection(self, sock: TcpSocket) -> None:
        ends = (sock.local, sock.remote)
        if self._connections.get(ends) is sock:
            del self._connections[ends]

    def connections(self) -> list[Any]:
        """The connections that its sockets have."""
        return [sock._connection for sock in self._connections.values()]

    def sockets_connected(self) -> list[TcpSocket]:
        """Its sockets that have a connection."""
        return list(self._connections.values())

    def end_of(self, connection: Any, direction: int) -> TcpSocket | None:
        """The socket here that sends in that direction of a connection, None if it is gone."""
        sock = self._connections.get((connection.ends[direction], connection.ends[1 - direction]))
        return sock if sock is not None and sock._connection is connection else None

    def ask_again(self, host: str) -> None:
        """A host has lost its power: who is connecting to it asks again, as no answer came."""
        for sock in list(self._connections.values()):
            if sock.state == CONNECTING and sock._connection.hosts[1] == host:
                sock.ask()

    def linger_in_time_wait(self, sock: TcpSocket) -> None:
        """We ended the connection first: its ends are taken for a while."""
        rest = TimeWait(sock)
        self._waiting[sock.local, sock.remote] = rest
        self._ports.setdefault((sock.type, sock.local[1]), []).append(rest)
        self.network.after(_TIME_WAIT, self._end_time_wait, rest)

    def _end_time_wait(self, rest: TimeWait) -> None:
        if self._waiting.get(rest.ends) is rest:
            del self._waiting[rest.ends]
        self.unbind(rest)

    def receive(self, segment: Segment) -> bool:
        """Act on a segment that came; False if it is as lost: a listener has no room for it."""
        ends = (segment.target, segment.source)
        sock = self._connections.get(ends)
        if sock is not None and sock._connection is segment.connection:
            sock.segment_came(segment)
            return True
        if segment.kind == SYN:
            if sock is not None:
                sock.fail(errno.ECONNRESET)  # the other end has forgotten that connection
            listener = self._bound_to(socket.SOCK_STREAM, segment.target, lambda sock: sock.listens)
            if listener is not None:
                return bool(listener.welcome(segment))
        if segment.kind not in (RST, ACK):
            self.network.send(self, Segment(RST, segment.connection, 1 - segment.direction))
        return True

    def receive_datagram(self, datagram: Datagram) -> bool:
        """Take a datagram that came; False if nobody is bound there (the network tells the sender)."""
        sock = self._bound_to(
            socket.SOCK_DGRAM, datagram.target, lambda sock: sock.remote in (None, datagram.source), datagram.source
        )
        if sock is None:
            return False
        if not sock.datagram_came(datagram):
            self.network.dropped(self, datagram)
        return True

    def refused_datagram(self, datagram: Datagram) -> None:
        """The answer to a datagram of ours for which nobody was there."""
        for sock in self._ports.get((socket.SOCK_DGRAM, datagram.source[1]), ()):
            if sock.remote == datagram.target:
                sock.refused()

    def _bound_to(self, kind: int, target: Address, wanted: Any, source: Any = None) -> Any:
        """Whom something for `target` is for: the socket bound most exactly."""
        best: Any = None
        best_rank = -1
        ip, port = target
        for sock in self._ports.get((kind, port), ()):
            if isinstance(sock, TimeWait) or not wanted(sock):
                continue
            bound = sock.local[0]
            if bound != ip and not _covers(sock, ip):
                continue
            rank = (2 if bound == ip else 0) + (4 if source is not None and sock.remote == source else 0)
            if rank > best_rank:
                best, best_rank = sock, rank
        return best

    # --- Paths of unix sockets --------------------------------------------------------------------

    def _bind_path(self, sock: Any, path: Any) -> None:
        name = path_name(path)
        if not name:
            if sock.bound:
                return
            name = b"\0%05x" % self._next_name
            self._next_name += 1
        # Order: Linux makes the file first, and then looks whether the socket has one.
        if name in self.paths or (self.disk is not None and type(name) is str and self.disk.exists(name)):
            raise error(errno.EADDRINUSE)
        if self.disk is not None and type(name) is str and not self.disk.is_folder(os.path.dirname(name)):
            raise error(errno.ENOENT)
        if sock.bound or sock.local:  # who was accepted has the listener's name
            raise error(errno.EINVAL)
        self.paths[name] = sock
        sock.local = name
        sock.bound = True

    def unix_socket(self, path: Any) -> Any:
        """Who is bound to the path. OSError: ENOENT if there is no such file, ECONNREFUSED if nobody listens."""
        name = path_name(path)
        sock = self.paths.get(name)
        if sock is None:
            raise error(errno.ENOENT if name not in self.paths and type(name) is str else errno.ECONNREFUSED)
        return sock

    # --- The end ----------------------------------------------------------------------------------

    def kill(self) -> None:
        """The program is gone: the kernel closes what it had."""
        self.gone = True
        self.descriptors.close_all()
        self.descriptors = Descriptors(_MOST_DESCRIPTORS)

    def close(self) -> None:
        """The world ends."""
        self.closed = True
        self.power_off()
        self.descriptors.dead = True

    def power_off(self) -> None:
        """Everything is gone, and nobody is told. Paths stay: they are on the disk."""
        self.powered = False
        self.gone = True
        if self.disk is not None and not self.closed:
            self.disk.lose_power()
        self.network.lost_power(self)
        self.descriptors.forget_all()
        self.descriptors = Descriptors(_MOST_DESCRIPTORS)
        self._ports.clear()
        self._connections.clear()
        self._waiting.clear()
        self.paths = {path: None for path in self.paths if type(path) is str}


def is_loopback(ip: str) -> bool:
    return ip.startswith("127.") or ip == "::1"


def _covers(sock: Any, ip: str) -> bool:
    """Whether a socket is bound to all addresses, `ip` among them."""
    if sock.local[0] == "0.0.0.0":
        return ":" not in ip
    return bool(sock.local[0] == "::" and (":" in ip or not sock.options.get(_V6_ONLY)))


def _overlap(sock: Any, ip: str, other: Any) -> bool:
    if other.local[0] == ip or _covers(other, ip):
        return True
    if ip == "0.0.0.0":
        return bool(":" not in other.local[0])
    return ip == "::" and (":" in other.local[0] or not sock.options.get(_V6_ONLY))


def path_name(path: Any) -> Any:
    """What a path of a unix socket is kept by: str for a file, bytes for an abstract name."""
    if isinstance(path, str) and not path.startswith("\0"):
        return os.path.abspath(path) if path else b""
    raw = path.encode() if isinstance(path, str) else bytes(path)
    return raw if raw[:1] in (b"\0", b"") else os.path.abspath(os.fsdecode(raw))
