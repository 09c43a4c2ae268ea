"""Streams, servers, pipes and unix sockets in a world: what programs write, over the simulated kernel."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cede import simulation
from cede.simulation.files import SIMULATED
from cede.simulation.running import begin, opened


def logged(main: Callable[..., Awaitable[Any]], seed: int = 0) -> list[str]:
    """Run `main` in a world of its own; return the lines of its log."""
    with opened(seed=seed, log=True) as world:
        begin(main, world)
        assert world.log is not None
        return [event.line() for event in world.log.events]


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()


async def talk() -> list[bytes]:
    server = await asyncio.start_server(shout, "main", 80, limit=1 << 20)
    async with server:
        reader, writer = await asyncio.open_connection("main", 80)
        answers = []
        for word in (b"one\n", b"two\n", b"x" * 300_000 + b"\n"):
            writer.write(word)
            answers.append((await reader.readline()) if len(word) < 100 else await reader.readexactly(len(word)))
        writer.close()
        await writer.wait_closed()
    return answers


def test_a_server_and_its_client() -> None:
    assert simulation.run(talk) == [b"ONE\n", b"TWO\n", b"X" * 300_000 + b"\n"]


def test_the_same_seed_is_the_same_log_and_another_is_another() -> None:
    assert logged(talk, 1) == logged(talk, 1)
    assert logged(talk, 1) != logged(talk, 2)


def test_nobody_listens_and_nobody_is_there() -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        found: list[Any] = []
        for host in ("main", "10.99.0.1", "nobody"):
            began = loop.time()
            with pytest.raises(OSError, match=r".") as caught:
                await asyncio.open_connection(host, 81)
            found.append((type(caught.value).__name__, round(loop.time() - began)))
        return found

    assert simulation.run(main) == [("ConnectionRefusedError", 0), ("TimeoutError", 127), ("gaierror", 0)]


def test_unix_sockets_pairs_and_pipes() -> None:
    async def main() -> list[bytes]:
        loop = asyncio.get_running_loop()
        found = []
        server = await asyncio.start_unix_server(shout, "/tmp/a socket of a world")
        async with server:
            reader, writer = await asyncio.open_unix_connection("/tmp/a socket of a world")
            writer.write(b"unix\n")
            found.append(await reader.readline())
            writer.close()
            await writer.wait_closed()
        one, other = socket.socketpair()
        one.setblocking(False)
        with one, other:
            other.sendall(b"pair")
            found.append(await loop.sock_recv(one, 100))
        read_end, write_end = os.pipe()
        assert min(read_end, write_end) >= SIMULATED
        pipe_reader = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(pipe_reader), os.fdopen(read_end, "rb", 0)
        )
        sender, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(write_end, "wb", 0))
        sender.write(b"p" * 200_000)
        sender.write_eof()
        found.append(await pipe_reader.read(-1))
        transport.close()
        await asyncio.sleep(0)
        return found

    assert simulation.run(main) == [b"UNIX\n", b"pair", b"p" * 200_000]


def test_datagrams() -> None:
    class Collector(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.got: asyncio.Queue[Any] = asyncio.Queue()

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.got.put_nowait((data, addr))

        def error_received(self, exc: Exception) -> None:
            self.got.put_nowait(exc)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server, collector = await loop.create_datagram_endpoint(Collector, ("0.0.0.0", 53))
        client, answers = await loop.create_datagram_endpoint(Collector, remote_addr=("main", 53))
        client.sendto(b"question")
        data, address = await collector.got.get()
        assert data == b"question"
        server.sendto(b"answer", address)
        assert (await answers.got.get())[0] == b"answer"
        server.close()
        await asyncio.sleep(0.1)
        client.sendto(b"anybody?")
        assert isinstance(await answers.got.get(), ConnectionRefusedError)
        client.close()
        await asyncio.sleep(0)

    simulation.run(main)


def test_a_real_descriptor_is_refused_in_words() -> None:
    real, other = socket.socketpair()

    async def main() -> None:
        with pytest.raises(RuntimeError, match="of the real machine"):
            asyncio.get_running_loop().add_reader(real, print)

    with real, other:
        simulation.run(main)


def test_a_socket_is_inert_after_its_world() -> None:
    kept: list[socket.socket] = []

    async def main() -> None:
        kept.append(socket.create_server(("", 80)))
        assert type(kept[0]) is not socket.socket

    simulation.run(main)
    assert isinstance(kept[0], socket.socket)
    with pytest.raises(OSError, match="Bad file descriptor"):
        kept[0].accept()
    kept[0].close()
    plain = socket.socket()
    assert type(plain) is socket.socket
    plain.close()
