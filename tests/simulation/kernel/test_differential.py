"""The simulated kernel against the one below: random programs see the same results, errors and readiness on both."""

from __future__ import annotations

import errno
import os
import random
import select
import socket
from typing import Any

import pytest

from .plays import differences, differs
from .wire import Wire

pytestmark = pytest.mark.linux("Linux's kernel is what is imitated")

PROGRAMS = int(os.environ.get("CEDE_TEST_EXAMPLES", "120"))  # of each kind
TCP = (socket.AF_INET, socket.SOCK_STREAM)
TCP6 = (socket.AF_INET6, socket.SOCK_STREAM)
UDP = (socket.AF_INET, socket.SOCK_DGRAM)
UNIX = (socket.AF_UNIX, socket.SOCK_STREAM)
UNIX_DATAGRAM = (socket.AF_UNIX, socket.SOCK_DGRAM)


@pytest.mark.timeout(120 if PROGRAMS <= 120 else 6000)
@pytest.mark.parametrize(
    "kinds", [[TCP], [TCP, TCP6], [UDP], [UNIX], [UNIX_DATAGRAM, UNIX]], ids=["tcp", "tcp6", "udp", "unix", "datagrams"]
)
def test_random_programs_see_what_linux_shows(kinds: list[tuple[int, int]]) -> None:
    for seed in range(PROGRAMS):
        # Twice: somebody else on this machine may have taken a port meanwhile.
        found = differences(seed, kinds) and differences(seed, kinds)
        assert not found, f"program {seed}:\n{found}"


TO_ITSELF = [("open", *TCP), ("bind", 0, 0)]
ONCE_DIFFERENT = {
    "a connection to itself": [
        *TO_ITSELF, ("connect", 0, 0), ("connect", 0, 0), ("peer", 0), ("send", 0, 1000), ("send", 0, 10),
        ("receive", 0, 5000, 0), ("shutdown", 0, socket.SHUT_RD), ("send", 0, 10), ("receive", 0, 5000, 0),
        ("shutdown", 0, socket.SHUT_WR), ("receive", 0, 10, 0), ("peer", 0), ("connect", 0, 0),
    ],
    "another connection to itself": [
        *TO_ITSELF, ("shutdown", 0, socket.SHUT_WR), ("connect", 0, 0), ("connect", 0, 0), ("connect", 0, 0),
        ("connect", 0, 0), ("send", 0, 10), ("receive", 0, 10, 0), ("close", 0),
    ],
    "a port taken by its own last connection": [
        *TO_ITSELF, ("shutdown", 0, socket.SHUT_RDWR), ("connect", 0, 0), ("connect", 0, 0), ("reuse", 0),
        ("listen", 0, 50),
    ],
    "shut down while it connects": [
        ("open", *TCP), ("bind", 0, 0), ("listen", 0, 0), ("open", *TCP), ("connect", 1, 0), ("open", *TCP),
        ("connect", 2, 0), ("shutdown", 2, socket.SHUT_WR), ("failure", 2), ("connect", 2, 0),
    ],
    "a name for who was accepted": [
        ("open", *UNIX), ("bind", 0, 0), ("listen", 0, 1), ("open", *UNIX), ("connect", 1, 0), ("accept", 0),
        ("name", 2), ("bind", 2, 0), ("bind", 2, 1),
    ],
    "who sent what nobody asks for": [
        ("pair", socket.SOCK_STREAM), ("bind", 0, 0), ("send", 0, 10), ("receive_from", 1, 0),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", ONCE_DIFFERENT)
def test_a_program_that_once_saw_something_else(name: str) -> None:
    found = [differs((lambda _, step=step: step) for step in ONCE_DIFFERENT[name]) for _ in range(2)]
    assert not all(found), found[0]


class RealPipe:
    """A pipe of the system's."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK)
        self.read, self.write, self.close = os.read, os.write, os.close

    def poll(self, fd: int) -> int:
        poll = select.poll()
        poll.register(fd, select.POLLIN | select.POLLOUT)
        return sum(events for _, events in poll.poll(0))


class SimulatedPipe:
    """A pipe of a simulated kernel."""

    def __init__(self) -> None:
        kernel = Wire().kernel()
        self.reader, self.writer = kernel.pipe()
        self._files = kernel.descriptors
        self.close = self._files.close

    def read(self, fd: int, size: int) -> bytes:
        return self._files.file(fd).read(size)

    def write(self, fd: int, data: bytes) -> int:
        return self._files.file(fd).write(data)

    def poll(self, fd: int) -> int:
        return self._files.file(fd).poll()


def played_pipe(pipe: Any, seed: int) -> list[Any]:
    """What a random program sees of a pipe: results and readiness."""
    chance = random.Random(seed)
    seen: list[Any] = []
    open_ends = [pipe.reader, pipe.writer]
    for _ in range(80):
        size = chance.choice([1, 100, 4095, 4096, 4097, 10000, 70000])
        what = chance.choices(["read", "write", "close"], [5, 6, 0.1])[0]
        try:
            if what == "close" and len(open_ends) == 2:
                pipe.close(open_ends.pop(chance.randrange(2)))
            elif what == "read" and pipe.reader in open_ends:
                seen.append(len(pipe.read(pipe.reader, size)))
            elif pipe.writer in open_ends:
                seen.append(pipe.write(pipe.writer, bytes(size)))
        except OSError as exc:
            seen.append(errno.errorcode[exc.errno])
        seen.append([pipe.poll(end) for end in open_ends])
    for end in open_ends:
        pipe.close(end)
    return seen


def test_pipes_hold_and_tell_what_linux_does() -> None:
    for seed in range(100):
        assert played_pipe(SimulatedPipe(), seed) == played_pipe(RealPipe(), seed), seed
