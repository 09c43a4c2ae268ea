"""Random socket programs, and two machines that play them: the real one, over its loopback, and a simulated kernel.

A program is a list of steps; a step is the name of a method of `Machine` and its arguments. Sockets are known by the number
of the step's order in which they were made, ports and paths by small numbers of their own, so a step means the same on both.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import select
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from cede.simulation.sockets import SimulatedSocket

from .wire import Wire

Step = tuple[Any, ...]

POLLED = select.POLLIN | select.POLLOUT | select.POLLRDHUP | select.POLLHUP | select.POLLERR
PATIENCE = 0.2  # seconds that the real kernel gets to become as ready as the other one is
PORTS = 3
PATHS = 2
SIZES = (0, 1, 10, 1000, 5000)


class Machine:
    """Plays steps; each returns what the program sees, an error as its name."""

    def __init__(self) -> None:
        self.slots: list[Any] = []
        self.ports: list[int] = []
        self.folder = ""

    # What the two do in their own ways.

    def make(self, family: int, kind: int) -> Any:
        raise NotImplementedError

    def make_pair(self, kind: int) -> tuple[Any, Any]:
        raise NotImplementedError

    def readiness(self, sock: Any) -> int:
        raise NotImplementedError

    # Steps.

    def _add(self, sock: Any) -> None:
        sock.setblocking(False)
        self.slots.append(sock)

    def open(self, family: int, kind: int) -> None:
        self._add(self.make(family, kind))

    def pair(self, kind: int) -> None:
        for sock in self.make_pair(kind):
            self._add(sock)

    def reuse(self, slot: int) -> None:
        self.slots[slot].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def linger(self, slot: int) -> None:
        self.slots[slot].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def where(self, slot: int, place: int) -> Any:
        sock = self.slots[slot]
        if sock.family == socket.AF_UNIX:
            return os.path.join(self.folder, str(place % PATHS))
        return ("127.0.0.1" if sock.family == socket.AF_INET else "::1", self.ports[place])

    def bind(self, slot: int, place: int) -> None:
        self.slots[slot].bind(self.where(slot, place))

    def listen(self, slot: int, backlog: int) -> None:
        self.slots[slot].listen(backlog)

    def connect(self, slot: int, place: int) -> None:
        self.slots[slot].connect(self.where(slot, place))

    def accept(self, slot: int) -> Any:
        connection, address = self.slots[slot].accept()
        self._add(connection)
        return self.shown(address)

    def send(self, slot: int, size: int) -> int:
        return int(self.slots[slot].send(bytes(index % 251 for index in range(size))))

    def send_to(self, slot: int, size: int, place: int) -> int:
        return int(self.slots[slot].sendto(b"d" * size, self.where(slot, place)))

    def receive(self, slot: int, size: int, flags: int) -> bytes:
        return bytes(self.slots[slot].recv(size, flags))

    def receive_from(self, slot: int, size: int) -> Any:
        data, address = self.slots[slot].recvfrom(size)
        return data, self.shown(address)

    def shutdown(self, slot: int, how: int) -> None:
        self.slots[slot].shutdown(how)

    def close(self, slot: int) -> None:
        self.slots[slot].close()

    def duplicate(self, slot: int) -> None:
        self._add(self.slots[slot].dup())

    def failure(self, slot: int) -> str:
        return errno.errorcode.get(self.slots[slot].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "none")

    def listens(self, slot: int) -> int:
        return int(self.slots[slot].getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))

    def name(self, slot: int) -> Any:
        return self.shown(self.slots[slot].getsockname())

    def peer(self, slot: int) -> Any:
        return self.shown(self.slots[slot].getpeername())

    def shown(self, address: Any) -> Any:
        """An address without what differs from run to run."""
        if isinstance(address, str):
            return os.path.basename(address)
        if isinstance(address, tuple) and address[1]:
            port = self.ports.index(address[1]) if address[1] in self.ports else "any"
            return (address[0], port, *address[2:])
        return address

    # Playing.

    def play(self, step: Step) -> Any:
        name, *arguments = step
        try:
            return getattr(self, name)(*arguments)
        except OSError as exc:
            return errno.errorcode.get(exc.errno or 0, repr(exc))

    def ready(self) -> list[Any]:
        return [self.readiness(sock) if sock.fileno() >= 0 else None for sock in self.slots]

    def end(self) -> None:
        for sock in self.slots:
            sock.close()


class RealMachine(Machine):
    """The machine that this runs on."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder
        self.ports = list(_free_ports())

    def make(self, family: int, kind: int) -> Any:
        sock = socket.socket(family, kind)
        if kind == socket.SOCK_STREAM and family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else what is sent may wait for an ACK
        return sock

    def make_pair(self, kind: int) -> tuple[Any, Any]:
        return socket.socketpair(socket.AF_UNIX, kind)

    def readiness(self, sock: Any) -> int:
        poll = select.poll()
        poll.register(sock, POLLED)
        events = poll.poll(0)
        return events[0][1] & POLLED if events else 0

    def ready_as(self, wanted: list[Any]) -> list[Any]:
        """What is ready, once it is what is wanted, or has had its time to become so."""
        limit = time.monotonic() + PATIENCE
        while (found := self.ready()) != wanted and time.monotonic() < limit:
            time.sleep(0.001)
        return found


class SimulatedMachine(Machine):
    """A kernel of ours."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder
        self.kernel = Wire().kernel()
        self.ports = [20000 + index for index in range(PORTS)]

    def make(self, family: int, kind: int) -> Any:
        return SimulatedSocket.of(self.kernel, self.kernel.socket(family, kind, 0))

    def make_pair(self, kind: int) -> tuple[Any, Any]:
        one, other = self.kernel.socket_pair(kind)
        return SimulatedSocket.of(self.kernel, one), SimulatedSocket.of(self.kernel, other)

    def readiness(self, sock: Any) -> int:
        return int(sock._file.poll())


def _free_ports() -> Iterator[int]:
    with contextlib.ExitStack() as stack:
        for _ in range(PORTS):
            sock = stack.enter_context(socket.socket(socket.AF_INET6))
            sock.bind(("::", 0))
            yield sock.getsockname()[1]


# --- Programs -----------------------------------------------------------------------------------------------------


class Writer:
    """Writes random programs: `kinds` are the (family, kind) of the sockets in it."""

    def __init__(self, chance: random.Random, kinds: list[tuple[int, int]]) -> None:
        self._chance = chance
        self._kinds = kinds
        self._weights = {
            "open": 6, "pair": 2, "reuse": 2, "linger": 1, "bind": 6, "listen": 5, "connect": 9, "accept": 8, "send": 12,
            "send_to": 3, "receive": 14, "receive_from": 3, "shutdown": 3, "close": 4, "duplicate": 1, "failure": 3,
            "listens": 1, "name": 2, "peer": 2,
        }  # fmt: skip

    def step(self, sockets: list[Any]) -> Step:
        """Write a step for a machine that has these sockets."""
        chance = self._chance
        slots = [slot for slot, sock in enumerate(sockets) if sock.fileno() >= 0 or chance.random() < 0.1]
        names = list(self._weights) if slots else ["open", "pair"]
        name = chance.choices(names, [self._weights[each] for each in names])[0]
        if name == "open":
            return (name, *chance.choice(self._kinds))
        if name == "pair":
            return (name, chance.choice([socket.SOCK_STREAM, socket.SOCK_DGRAM]))
        slot = slots[max(0, len(slots) - 1 - int(chance.expovariate(0.4)))]
        arguments: tuple[Any, ...] = ()
        if name in ("bind", "connect"):
            arguments = (chance.randrange(PORTS),)
        elif name == "listen":
            arguments = (chance.choice([0, 1, 2, 50]),)
        elif name == "send":
            arguments = (chance.choice(SIZES),)
        elif name == "send_to":
            arguments = (chance.choice(SIZES), chance.randrange(PORTS))
        elif name == "receive":
            arguments = (chance.choice(SIZES), chance.choice([0, 0, 0, socket.MSG_PEEK, socket.MSG_WAITALL]))
        elif name == "receive_from":
            arguments = (chance.choice(SIZES),)
        elif name == "shutdown":
            arguments = (chance.choice([socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR]),)
        return (name, slot, *arguments)


def differences(seed: int, kinds: list[tuple[int, int]], steps: int = 60) -> str:
    """Play a random program on both machines; return where they differ, in words, or ""."""
    writer = Writer(random.Random(seed), kinds)
    return differs(lambda sockets: writer.step(sockets) for _ in range(steps))


def differs(program: Iterable[Callable[[list[Any]], Step]]) -> str:
    """Play a program on both machines, whose steps are told the sockets there are; return where they differ, or ""."""
    played: list[str] = []
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder, "s").mkdir()
        real, ours = RealMachine(folder), SimulatedMachine(f"{folder}/s")
        try:
            for next_step in program:
                step = next_step(ours.slots)
                wanted, found = real.play(step), ours.play(step)
                ready = ours.ready()
                played.append(f"{step}: {found!r:.60} {ready}")
                if wanted != found:
                    return "\n".join([*played, f"Linux answers {wanted!r:.100}"])
                if (real_ready := real.ready_as(ready)) != ready:
                    return "\n".join([*played, f"on Linux is ready     {real_ready}"])
        finally:
            real.end()
            ours.end()
    return ""
