"""The websockets library, unmodified: echo between its server and its client, both on cede."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


@pytest.fixture
def websockets(library: Any) -> Any:
    """The library, with its asyncio server and client imported."""
    library("websockets.asyncio.server")
    library("websockets.asyncio.client")
    library("websockets.exceptions")
    return library("websockets")


async def echo(connection: Any) -> None:
    async for message in connection:
        await connection.send(message)


def address(server: Any) -> str:
    return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def test_echo(websockets: Any) -> None:
    """Text and binary messages of all sizes come back as they were, compressed or not."""
    messages: list[str | bytes] = ["", "hello", "å" * 1000, b"", bytes(range(256)), b"x" * 3_000_000, "y" * 200_000]
    for compression in ("deflate", None):
        async with websockets.asyncio.server.serve(
            echo, "127.0.0.1", 0, max_size=None, compression=compression
        ) as server:
            uri = address(server)
            async with websockets.asyncio.client.connect(uri, max_size=None, compression=compression) as client:
                for message in messages:
                    await client.send(message)
                    assert await client.recv() == message


async def test_fragments_and_pings(websockets: Any) -> None:
    """A message sent in fragments arrives whole, and pings are answered while messages flow."""
    async with websockets.asyncio.server.serve(echo, "127.0.0.1", 0) as server:
        async with websockets.asyncio.client.connect(address(server)) as client:

            async def fragments() -> Any:
                for number in range(20):
                    await asyncio.sleep(0.001)
                    yield f"{number} "

            sending = asyncio.create_task(client.send(fragments()))
            latency = await (await client.ping())
            await sending
            assert await client.recv() == "".join(f"{number} " for number in range(20))
            assert latency >= 0


async def test_many_clients(websockets: Any) -> None:
    """A hundred clients talk at once; each hears its own messages, in order."""

    async def talk(uri: str, name: int) -> list[str]:
        async with websockets.asyncio.client.connect(uri) as client:
            for number in range(20):
                await client.send(f"{name} {number}")
            return [await client.recv() for _ in range(20)]

    async with websockets.asyncio.server.serve(echo, "127.0.0.1", 0) as server:
        heard = await asyncio.gather(*(talk(address(server), name) for name in range(100)))
    assert heard == [[f"{name} {number}" for number in range(20)] for name in range(100)]


async def test_slow_reader(websockets: Any) -> None:
    """A server that sends faster than the client reads is held back, and nothing is lost."""
    most = 0

    async def flood(connection: Any) -> None:
        nonlocal most
        for number in range(300):
            await connection.send(number.to_bytes(4, "big") * 10_000)
            most = max(most, connection.transport.get_write_buffer_size())

    serving = websockets.asyncio.server.serve(flood, "127.0.0.1", 0, compression=None)
    async with serving as server:
        async with websockets.asyncio.client.connect(address(server), compression=None) as client:
            await asyncio.sleep(0.1)
            for number in range(300):
                assert await client.recv() == number.to_bytes(4, "big") * 10_000
    assert most < 1_000_000


async def test_closing(websockets: Any) -> None:
    """Close codes and reasons arrive on both sides; a server that goes away tells its clients so."""

    async def dismiss(connection: Any) -> None:
        if await connection.recv() == "go":
            await connection.close(4001, "as you wish")
        else:
            await connection.wait_closed()

    async with websockets.asyncio.server.serve(dismiss, "127.0.0.1", 0) as server:
        async with websockets.asyncio.client.connect(address(server)) as client:
            await client.send("go")
            with pytest.raises(websockets.exceptions.ConnectionClosedError) as caught:
                await client.recv()
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "as you wish")
        async with websockets.asyncio.client.connect(address(server)) as client:
            await client.send("stay")
            server.close()
            with pytest.raises(websockets.exceptions.ConnectionClosedOK) as ended:
                await client.recv()
            assert ended.value.rcvd.code == 1001


async def test_cancelled_receive(websockets: Any) -> None:
    """A receive that times out loses no message."""
    async with websockets.asyncio.server.serve(echo, "127.0.0.1", 0) as server:
        async with websockets.asyncio.client.connect(address(server)) as client:
            for number in range(10):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(client.recv(), 0.005)
                await client.send(str(number))
                assert await client.recv() == str(number)
