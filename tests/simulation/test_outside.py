"""Addresses that a world lets through to the real machine."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from cede import simulation
from cede.simulation import World, explore, real_machine
from cede.simulation.running import begin, opened


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets how long a world waits for the real machine, in real seconds. Here it does so for as long as it takes."""

    def set_patience(seconds: float) -> None:
        monkeypatch.setattr(real_machine, "PATIENCE", seconds)

    set_patience(600)
    return set_patience


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A real server at a port of this machine: each connection has a thread, in which `answer` is called."""
    listener = socket.create_server(("127.0.0.1", 0))
    ending = threading.Event()

    def handle(sock: socket.socket) -> None:
        with sock, suppress(ConnectionError):
            answer(sock)

    def serve() -> None:
        while True:
            sock = listener.accept()[0]
            if ending.is_set():
                sock.close()
                return
            threads.append(threading.Thread(target=handle, args=(sock,)))
            threads[-1].start()

    threads = [threading.Thread(target=serve)]
    threads[0].start()
    try:
        yield listener.getsockname()[1]
    finally:
        ending.set()
        with socket.create_connection(listener.getsockname()):
            threads[0].join()
        for thread in threads:
            thread.join()
        listener.close()


@pytest.fixture
def real_server() -> Iterator[int]:
    """The port of a real server that answers lines in upper case, each after a moment."""

    def answer(sock: socket.socket) -> None:
        with sock.makefile("rwb") as file:
            for line in file:
                time.sleep(0.02)
                file.write(line.upper())
                file.flush()

    with serving(answer) as port:
        yield port


async def ask(host: str, port: int, *lines: bytes) -> list[bytes]:
    reader, writer = await asyncio.open_connection(host, port)
    answers = []
    for line in lines:
        writer.write(line + b"\n")
        async with asyncio.timeout(1):  # of the world, which stands still meanwhile
            answers.append((await reader.readline()).strip())
    writer.close()
    await writer.wait_closed()
    return answers


def test_an_address_that_is_allowed_is_the_real_one(real_server: int) -> None:
    async def main(world: World) -> tuple[Any, ...]:
        other = world.host("other")
        found = await asyncio.gather(
            ask("localhost", real_server, b"a", b"b"), other.run(ask, "127.0.0.1", real_server, b"c")
        )
        return *found, asyncio.get_running_loop().time() - 1000

    *found, took = simulation.run(main, allow_outside=[f"localhost:{real_server}"])
    assert found == [[b"A", b"B"], [b"C"]]
    assert 0.001 < took < 0.5


def test_what_is_not_allowed_stays_inside(real_server: int) -> None:
    async def main() -> None:
        with pytest.raises(OSError, match="Connect call failed"):
            await ask("localhost", real_server, b"a")

    simulation.run(main)
    simulation.run(main, allow_outside=[f"localhost:{real_server + 1}"])


async def read_one(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"a\n")
        await reader.readexactly(1)
    finally:
        writer.close()


def outcome(port: int) -> tuple[BaseException, str]:
    """What a program sees that wants a byte from a port of the real machine, and the log's word on it."""
    with opened(allow_outside=[f"127.0.0.1:{port}"], log=True) as world:
        with pytest.raises(OSError, match=r".") as caught:
            begin(lambda: read_one(port), world)
        return caught.value, next(event.detail for event in world.log.events if event.kind == "fault")


def test_who_is_refused_for_real_is_refused(free_port: Any) -> None:
    port = free_port()
    error, told = outcome(port)
    assert type(error) is ConnectionRefusedError
    assert told == f"the real machine, 127.0.0.1:{port}: [Errno {errno.ECONNREFUSED}] Connection refused"


@pytest.mark.linux("a listener without room lets those who connect wait")
def test_who_gets_no_answer_runs_out_of_time(patience: Callable[[float], None]) -> None:
    patience(0.05)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        error, told = outcome(listener.getsockname()[1])
    assert type(error) is TimeoutError
    assert told.endswith(": timed out")


def test_a_reset_of_the_real_connection_is_one() -> None:
    def answer(sock: socket.socket) -> None:
        sock.recv(10)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()

    with serving(answer) as port:
        error, told = outcome(port)
    assert type(error) is ConnectionResetError
    assert told.endswith("Connection reset by peer")


def test_any_other_failure_is_that_one(monkeypatch: pytest.MonkeyPatch, real_server: int) -> None:
    def receive(self: real_machine.Joined) -> None:
        self._arrives(OSError(errno.EHOSTUNREACH, "No route to host"))

    monkeypatch.setattr(real_machine.Joined, "_receive", receive)
    error, told = outcome(real_server)
    assert isinstance(error, OSError)
    assert error.errno == errno.EHOSTUNREACH
    assert told.endswith("No route to host")


@pytest.mark.parametrize(
    ("errors", "number"),
    [  # no errors themselves: they would live as long as the test session
        ([(OSError, errno.EADDRNOTAVAIL, "no"), (OSError, errno.ECONNREFUSED, "no")], errno.ECONNREFUSED),
        ([(TimeoutError, "timed out"), (OSError, errno.ENETUNREACH, "no")], errno.ETIMEDOUT),
        ([(OSError, errno.ENETUNREACH, "one"), (OSError, errno.EHOSTUNREACH, "other")], errno.ENETUNREACH),
        ([(socket.gaierror, socket.EAI_NONAME, "no name")], errno.EHOSTUNREACH),
        ([(OSError, "a message alone")], errno.ECONNRESET),
    ],
)
def test_of_several_addresses_the_one_that_says_most(errors: list[tuple[Any, ...]], number: int) -> None:
    made = [kind(*words) for kind, *words in errors]
    assert real_machine.number_of(real_machine.what_counts(made)) == number


def test_much_goes_both_ways_in_its_order() -> None:
    much = bytes(index % 251 for index in range(1 << 20)) * 8  # more than sockets hold

    def answer(sock: socket.socket) -> None:
        with sock.makefile("rb") as file:
            sock.sendall(much)
            sock.sendall(b"y" if file.read(len(much)) == much else b"n")

    async def main() -> tuple[bytes, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(much)
        found = await reader.readexactly(len(much)), await reader.read()
        writer.close()
        return found

    with serving(answer) as port:
        found, said = simulation.run(main, allow_outside=[f"127.0.0.1:{port}"])
    assert found == much
    assert said == b"y"


def test_the_report_says_what_failed_on_the_real_machine(free_port: Any) -> None:
    port = free_port()
    found = explore(lambda: read_one(port), seeds=range(1), allow_outside=[f"127.0.0.1:{port}"])
    talks = f"not reproducible, as it talks to 127.0.0.1:{port} of the real machine"
    assert f"{talks} (the real machine, 127.0.0.1:{port}: [Errno {errno.ECONNREFUSED}] Connection refused);" in str(
        found
    )


def test_a_failure_says_that_it_is_not_reproducible(real_server: int) -> None:
    async def main() -> None:
        assert await ask("localhost", real_server, b"a") == [b"B"]

    found = explore(main, seeds=range(2), allow_outside=[f"localhost:{real_server}"], first=True)
    assert f"not reproducible, as it talks to localhost:{real_server} of the real machine" in str(found)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="db.example:5432"):
        simulation.run(lambda: asyncio.sleep(1), allow_outside=["localhost"])
