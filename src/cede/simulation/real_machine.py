"""What a world lets through to the real machine: `allow_outside=("db.example:5432",)`.

In the world such an address is a host without a program, whose kernel takes connections; each is joined to a real one.
Where the world's time would go on although something was asked, the world stands still, for real, until the answer is
there, and charges a drawn time for it (stream `outside/db.example:5432`). A run that does so is not reproducible, is
not had twice, and its report says so.

What goes wrong out there reaches the program as what it was: who is refused for real is refused in the world.
"""

from __future__ import annotations

import errno
import selectors
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from .tcp import Segment, TcpSocket

PATIENCE = 5.0  # real seconds for which an answer is waited for
LATENCY = (0.0005, 0.020)  # seconds of the world; the least and the most that is charged for an answer
_MOST = 1 << 16  # bytes read at once
_LOCAL = ("localhost", "127.0.0.1")


class OutsideHost:
    """The host that stands for an address of the real machine."""

    def __init__(self, world: Any, name: str) -> None:
        self.name = name
        self.world = world
        self.dead = False
        self.now = 0.0  # its kernel's time is the world's
        self.kernel = world.network.attach(self)


class RealMachine:
    """All addresses that are let through, and the connections to them."""

    def __init__(self, world: Any, addresses: Iterable[str]) -> None:
        self.world = world
        self.selector = selectors.DefaultSelector()
        self.joined: list[Joined] = []
        self.failures: list[str] = []  # what went wrong out there, in words
        self._doors: list[Door] = []
        self.instead: dict[tuple[str, int], tuple[str, int]] = {}  # {what is connected to: its host in the world}
        for address in addresses:
            host, _, port = address.rpartition(":")
            if not host or not port.isdecimal():
                raise ValueError(f'{address!r} is no address of the real machine: they look like "db.example:5432"')
            self._let_through(address, host.strip("[]"), int(port))

    def _let_through(self, address: str, name: str, port: int) -> None:
        host = OutsideHost(self.world, address)
        ip = host.kernel.addresses[0]
        self._doors.append(Door(self, host, name, port))
        if name in _LOCAL:
            self.instead["127.0.0.1", port] = (ip, port)
        else:
            self.instead[name, port] = (ip, port)
            self.world.names.add(name, ip)

    def stand_still(self, idle: bool) -> bool:
        """Wait for answers from the real machine, if any is due; return whether one came.

        `idle`: nothing else will ever happen in the world.
        """
        if not self.selector.get_map():
            return False
        asked = [joined for joined in self.joined if joined.asked and not joined.world_goes_on()]
        if any(host.has_work() and not host.running for host in self.world.hosts.values()):
            asked = []  # it is late, and may have more to ask
        found = self.selector.select(PATIENCE if asked or idle else 0)
        for key, events in found:
            key.data.is_ready(events)
        if not found:
            for joined in asked:
                joined.asked = False  # it was no question
        return bool(found)

    def failed(self, connection: Any, exc: OSError) -> None:
        """Note what went wrong with the real connection that is to be one of the world's."""
        asker, address = connection.hosts
        words = f"the real machine, {address}: {exc}"
        self.failures.append(words)
        if self.world.log is not None:
            self.world.log.add(asker, "fault", words)

    def close(self) -> None:
        for joined in list(self.joined):
            joined.end()
        self.selector.close()


class Door(TcpSocket):
    """Takes the connections of a world to one address, each once the real machine has taken it."""

    def __init__(self, machine: RealMachine, host: OutsideHost, name: str, port: int) -> None:
        super().__init__(host.kernel, socket.AF_INET)
        self._machine = machine
        self._where = (name, port)
        self._latency = machine.world.stream(f"outside/{host.name}")
        host.kernel.bind(self, (host.kernel.addresses[0], port))
        self.listen(1)

    def welcome(self, segment: Segment) -> bool:
        try:
            real = socket.create_connection(self._where, timeout=PATIENCE, all_errors=True)
        except (OSError, ExceptionGroup) as exc:
            self._refuse(segment.connection, what_counts(exc.exceptions if isinstance(exc, ExceptionGroup) else [exc]))
            return True
        super().welcome(segment)
        sock = self.accept()
        sock.descriptors = 1
        Joined(self._machine, segment.connection, sock, real, self._latency)
        return True

    def _refuse(self, connection: Any, exc: OSError) -> None:
        world = self._machine.world
        self._machine.failed(connection, exc)
        world.at(world.now + LATENCY[0], world.network.fails, connection, 0, number_of(exc))


def what_counts(errors: Sequence[Any]) -> OSError:
    """Of the errors of a name's several addresses the one that says most: somebody's no, silence, no way there."""
    return min(errors, key=lambda exc: {errno.ECONNREFUSED: 0, errno.ETIMEDOUT: 1}.get(number_of(exc), 2))


def number_of(exc: OSError) -> int:
    """The number by which a program in the world is told of an error of a real connection."""
    if isinstance(exc, socket.gaierror):
        return errno.EHOSTUNREACH  # in the world the name has an address
    if isinstance(exc, TimeoutError):
        return errno.ETIMEDOUT
    return exc.errno or errno.ECONNRESET


class Joined:
    """A connection in the world, and the real one that goes on from there."""

    def __init__(
        self, machine: RealMachine, connection: Any, sock: TcpSocket, real: socket.socket, latency: Any
    ) -> None:
        self.asked = False  # True iff something was sent there since it last answered
        self._machine = machine
        self._world = machine.world
        self._connection = connection
        self._sock = sock
        self._real = real
        self._latency = latency
        self._there = b""  # what is to be sent there, and found no room yet
        self._there_ended = False  # True iff no more will be
        self._back: list[bytes | OSError] = []  # what came and is not handed to the world's kernel yet; b"": the end
        self._back_ended = False  # True iff no more will come
        self._last = 0.0  # seconds of the world: when the last of it comes
        real.setblocking(False)
        machine.joined.append(self)
        sock.watch(self)
        self.wake()

    def wake(self) -> None:
        """Something came from the world, or there is room again."""
        try:
            while not self._there and not self._there_ended:
                self._there = self._sock.receive(_MOST)
                self._there_ended = not self._there
                self._send()
        except BlockingIOError:
            pass
        except OSError:
            self.end()
            return
        self._hand_back()
        self._look()

    def is_ready(self, events: int) -> None:
        """The real one has something to read, or room."""
        if events & selectors.EVENT_WRITE:
            self._send()
            self.wake()
        if events & selectors.EVENT_READ and not self._back_ended:
            self._receive()
        self._look()

    def world_goes_on(self) -> bool:
        """Whether the world has to go on before there can be an answer: something of this is on its way in it."""
        return bool(self._back) or any(flow.is_busy for flow in self._connection.flows)

    def _send(self) -> None:
        if not self._there:
            with suppress(OSError):  # who reads will see what is wrong
                self._real.shutdown(socket.SHUT_WR)
            return
        self.asked = True
        try:
            self._there = self._there[self._real.send(self._there) :]
        except BlockingIOError:
            pass
        except OSError as exc:
            self._there, self._there_ended = b"", True
            self._arrives(exc)

    def _receive(self) -> None:
        try:
            self._arrives(self._real.recv(_MOST))
        except BlockingIOError:
            pass
        except OSError as exc:
            self._arrives(exc)

    def _arrives(self, what: bytes | OSError) -> None:
        """Let it come to the world after a drawn time, in its order."""
        if self._back_ended:
            return
        self.asked = False
        self._back_ended = not isinstance(what, bytes) or not what
        least, most = LATENCY
        world = self._world
        self._last = max(self._last, world.now + least + self._latency.draw() * (most - least))
        world.at(self._last, self._came, what)

    def _came(self, what: bytes | OSError) -> None:
        self._back.append(what)
        self._hand_back()

    def _hand_back(self) -> None:
        try:
            while self._back:
                data = self._back[0]
                if not isinstance(data, bytes):
                    self._fail(data)
                    return
                if not data:
                    self.end()
                    return
                sent = self._sock.send(data)
                self._back[:1] = [data[sent:]] if sent < len(data) else []
        except BlockingIOError:
            pass  # `wake` tells when there is room
        except OSError:
            self.end()

    def _fail(self, exc: OSError) -> None:
        """Let the program see what became of the real connection."""
        self._machine.failed(self._connection, exc)
        self._sock.options[socket.SOL_SOCKET, socket.SO_LINGER] = (1, 0)  # a reset, unless it is something else
        if (number := number_of(exc)) not in (errno.ECONNRESET, errno.EPIPE):
            self._world.network.fails(self._connection, 0, number)
        self.end()

    def _look(self) -> None:
        """Have the selector tell what is of use now."""
        if self not in self._machine.joined:
            return
        selector = self._machine.selector
        wanted = 0 if self._back_ended else selectors.EVENT_READ
        if self._there:
            wanted |= selectors.EVENT_WRITE
        known = selector.get_map().get(self._real)
        if known is not None and known.events != wanted:
            selector.unregister(self._real)
            known = None
        if wanted and known is None:
            selector.register(self._real, wanted, self)

    def end(self) -> None:
        if self in self._machine.joined:
            self._machine.joined.remove(self)
            if self._real in self._machine.selector.get_map():
                self._machine.selector.unregister(self._real)
            self._real.close()
            self._sock.unwatch(self)
            if not self._world.network.closed:
                self._sock.release()
