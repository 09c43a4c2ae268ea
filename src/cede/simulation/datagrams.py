"""Datagram sockets: UDP, whose datagrams the network carries, and unix ones, which are there at once."""

from __future__ import annotations

import errno
import socket
from collections import deque
from typing import Any

from .files import BOTH, ERR, HUP, IN, OUT, RDHUP, RECEIVE, SEND, File, Socket, error

_RECEIVE_BUFFER = 212992  # bytes; net.core.rmem_default
_OVERHEAD = 256  # bytes that Linux counts for a small datagram beside its own
_LARGEST = {socket.AF_INET: 65507, socket.AF_INET6: 65527}
_UNIX_QUEUE = 512  # datagrams; net.unix.max_dgram_qlen
_UNIX_OVERHEAD = 768  # bytes that Linux counts for one that waits, beside its own


class Datagram:
    """One on its way."""

    __slots__ = ("data", "source", "target")

    def __init__(self, source: tuple[str, int], target: tuple[str, int], data: bytes) -> None:
        self.source = source
        self.target = target
        self.data = data


class DatagramSocket(Socket):
    """What sockets for datagrams have."""

    type = socket.SOCK_DGRAM
    listens = False

    def __init__(self, kernel: Any) -> None:
        super().__init__(kernel)
        self.send_buffer = self.receive_buffer = _RECEIVE_BUFFER
        self._incoming: deque[Any] = deque()  # the datagrams that came: bytes, where from, and what else a kind keeps

    def is_writable(self) -> bool:
        """Whether a datagram would be taken."""
        return True

    def poll(self) -> int:
        bits = OUT if self.is_writable() else 0
        if self._incoming:
            bits |= IN
        if self.shut & RECEIVE:
            bits |= IN | RDHUP
        if self.shut == BOTH:
            bits |= HUP
        return bits | ERR if self.error else bits

    def listen(self, backlog: int) -> None:
        raise error(errno.EOPNOTSUPP)

    def accept(self) -> Any:
        raise error(errno.EOPNOTSUPP)


class UdpSocket(DatagramSocket):
    """A UDP socket of a host."""

    def __init__(self, kernel: Any, family: int) -> None:
        super().__init__(kernel)
        self.family = family
        self.remote: Any = None
        self._held = 0  # bytes that came, as the kernel counts them

    def connect(self, address: tuple[str, int]) -> None:
        address = self.kernel.destination(address, self.family)
        if not self.bound:
            self.kernel.bind(self, (self.kernel.source_address(address), 0))
        elif self.local[0] == self.kernel.wildcard(self.family)[0]:
            self.local = (self.kernel.source_address(address), self.local[1])
        self.remote = address

    def send(self, data: Any, address: tuple[str, int] | None = None) -> int:
        if not self.bound:
            self.kernel.bind(self, self.kernel.wildcard(self.family))
        if len(data) > _LARGEST[socket.AddressFamily(self.family)]:
            raise error(errno.EMSGSIZE)
        if address is None:
            if self.remote is None:
                raise error(errno.EDESTADDRREQ)
            address = self.remote
        elif not address[1]:
            raise error(errno.EINVAL)
        else:
            address = self.kernel.destination(address, self.family)
        if self.kernel.is_broadcast(address[0]) and not self.options.get((socket.SOL_SOCKET, socket.SO_BROADCAST)):
            raise error(errno.EACCES)
        self.raise_error()
        if self.shut & SEND:
            raise error(errno.EPIPE)
        source = self.local
        if source[0] == self.kernel.wildcard(self.family)[0]:
            source = (self.kernel.source_address(address), source[1])
        self.kernel.network.send_datagram(self.kernel, Datagram(source, address, bytes(data)))
        return len(data)

    def receive(self, size: int, peek: bool = False) -> bytes:
        return self.receive_from(size, peek)[0]

    def receive_from(self, size: int, peek: bool = False) -> tuple[bytes, Any]:
        # Order: Linux tells an error before the datagrams that wait.
        self.raise_error()
        if not self._incoming:
            raise error(errno.EAGAIN)  # also shut down: only who waits is told that nothing more will come
        data, source = self._incoming[0] if peek else self._incoming.popleft()
        if not peek:
            self._held -= len(data) + _OVERHEAD
        return data[:size], source

    read = receive
    write = send

    def datagram_came(self, datagram: Datagram) -> bool:
        """Take a datagram; False if there is no room, and it is lost."""
        if self.remote is not None and self.remote != datagram.source:
            return True  # not for a socket that is connected elsewhere
        if self._held > self.receive_buffer:
            return False
        self._incoming.append((datagram.data, datagram.source))
        self._held += len(datagram.data) + _OVERHEAD
        self.changed()
        return True

    def refused(self) -> None:
        """Nobody listens where a datagram went: told to connected sockets only."""
        if self.remote is not None:
            self.error = errno.ECONNREFUSED
            self.changed()

    def shutdown(self, how: int) -> None:
        self.shut |= how
        self.changed()
        if self.remote is None:
            raise error(errno.ENOTCONN)

    def release(self) -> None:
        self._incoming.clear()
        self.kernel.unbind(self)

    def name(self) -> Any:
        return self.local or self.kernel.wildcard(self.family)

    def peer(self) -> Any:
        if self.remote is None:
            raise error(errno.ENOTCONN)
        return self.remote


class UnixDatagramSocket(DatagramSocket):
    """A unix datagram socket."""

    family = socket.AF_UNIX

    def __init__(self, kernel: Any) -> None:
        super().__init__(kernel)
        self.remote: UnixDatagramSocket | None = None
        self._closed = False
        self._outstanding = 0  # what those cost that were sent and not received yet

    def connect(self, address: Any) -> None:
        before, self.remote = self.remote, self._found(address)
        if before is not None and before is not self.remote:
            self._parted_from(before)

    def _parted_from(self, peer: UnixDatagramSocket) -> None:
        """What the former peer sent is gone; one that still sends here hears of it."""
        if self._incoming and not peer._closed and peer.remote is self:
            peer.error = errno.ECONNRESET
            peer.changed()
        self._drop_incoming()
        self.changed()

    def pair_with(self, other: UnixDatagramSocket) -> None:
        self.remote, other.remote = other, self

    def _found(self, address: Any) -> UnixDatagramSocket:
        found = self.kernel.unix_socket(address)
        if not isinstance(found, UnixDatagramSocket):
            raise error(errno.EPROTOTYPE)
        if found.remote is not None and found.remote is not self:
            raise error(errno.EPERM)
        return found

    def send(self, data: Any, address: Any = None, files: list[File] | None = None) -> int:
        if len(data) > self.send_buffer - 32:
            raise error(errno.EMSGSIZE)
        self.raise_error()
        if self.shut & SEND:
            raise error(errno.EPIPE)
        target = self.remote if address is None else self._found(address)
        if target is None:
            raise error(errno.ENOTCONN)
        if target.remote is not None and target.remote is not self:
            raise error(errno.EPERM)
        if target._closed:
            if address is None:
                self.remote = None
                self._parted_from(target)
            raise error(errno.ECONNREFUSED)
        if target.shut & RECEIVE:
            raise error(errno.EPIPE)
        if len(target._incoming) > _UNIX_QUEUE or self._outstanding >= self.send_buffer:
            raise error(errno.EAGAIN)
        self._outstanding += len(data) + _UNIX_OVERHEAD
        target._incoming.append((bytes(data), self, files or []))
        for file in files or ():
            file.descriptors += 1
        target.changed()
        return len(data)

    def receive(self, size: int, peek: bool = False) -> bytes:
        return self.receive_from(size, peek)[0]

    def receive_from(self, size: int, peek: bool = False) -> tuple[bytes, Any]:
        data, source, files = self.receive_with_files(size, peek)
        self.kernel.let_go(files)
        return data, source

    def receive_with_files(self, size: int, peek: bool = False) -> tuple[bytes, Any, list[File]]:
        """Receive a datagram, its sender's path and the files that came with it."""
        self.raise_error()
        if not self._incoming:
            raise error(errno.EAGAIN)
        if peek:
            data, source, _ = self._incoming[0]
            return data[:size], source.local, []
        data, source, files = self._incoming.popleft()
        source._received(data)
        if self.remote is not None:
            self.remote.changed()
        return data[:size], source.local, files

    def _received(self, data: bytes) -> None:
        self._outstanding -= len(data) + _UNIX_OVERHEAD
        self.changed()

    read = receive
    write = send

    def is_writable(self) -> bool:
        is_full = self.remote is not None and len(self.remote._incoming) > _UNIX_QUEUE
        return not is_full and self._outstanding * 4 <= self.send_buffer

    def shutdown(self, how: int) -> None:
        self.shut |= how
        self.changed()

    def release(self) -> None:
        self._closed = True
        self._drop_incoming()
        if self.remote is not None:
            self.remote.changed()
            self.remote = None  # no cycle of a pair is left
        self.kernel.unbind(self)

    def _drop_incoming(self) -> None:
        while self._incoming:
            data, source, files = self._incoming.popleft()
            self.kernel.let_go(files)
            source._received(data)

    def name(self) -> Any:
        return self.local if self.local is not None else ""

    def peer(self) -> Any:
        if self.remote is None:
            raise error(errno.ENOTCONN)
        return self.remote.name()
