"""aiohttp's server and client, unmodified, both on cede."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest


@pytest.fixture
def aiohttp(library: Any) -> Any:
    library("aiohttp.web")
    return library("aiohttp")


@asynccontextmanager
async def serving(aiohttp: Any, **handlers: Any) -> AsyncIterator[str]:
    """Serve each handler at /name, for any method; the value is the address to which the name is to be added."""
    app = aiohttp.web.Application(client_max_size=0)
    for name, handler in handlers.items():
        app.router.add_route("*", f"/{name}", handler)
    runner = aiohttp.web.AppRunner(app, handle_signals=False, handler_cancellation=True)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def test_requests_share_connections(aiohttp: Any) -> None:
    """A thousand requests, fifty at a time, are answered each with its own, over fifty connections at most."""
    peers = set()

    async def answer(request: Any) -> Any:
        peers.add(request.transport.get_extra_info("peername"))
        return aiohttp.web.json_response({"got": request.query["n"]})

    async with serving(aiohttp, answer=answer) as address:
        async with aiohttp.ClientSession(address, connector=aiohttp.TCPConnector(limit=50)) as session:

            async def ask(number: int) -> int:
                async with session.get("answer", params={"n": number}) as response:
                    return int((await response.json())["got"])

            assert await asyncio.gather(*(ask(number) for number in range(1000))) == list(range(1000))
    assert len(peers) <= 50


async def test_streams_both_ways(aiohttp: Any) -> None:
    """Twenty megabytes are uploaded in chunks and sent back in chunks, while each side waits for the other."""
    chunk = bytes(range(256)) * 256

    async def reflect(request: Any) -> Any:
        response = aiohttp.web.StreamResponse()
        await response.prepare(request)
        async for data in request.content.iter_any():
            await response.write(data)
        return response

    async def upload() -> AsyncIterator[bytes]:
        for _ in range(320):
            yield chunk

    async with serving(aiohttp, reflect=reflect) as address, aiohttp.ClientSession() as session:
        received, size = hashlib.sha256(), 0
        async with session.post(address + "reflect", data=upload()) as response:
            async for data in response.content.iter_chunked(100_000):
                received.update(data)
                size += len(data)
    assert size == 320 * len(chunk)
    assert received.digest() == hashlib.sha256(chunk * 320).digest()


async def test_web_socket(aiohttp: Any) -> None:
    """A web socket inside the same server echoes, and closes from the server's side."""

    async def echo(request: Any) -> Any:
        socket = aiohttp.web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.data == "close":
                await socket.close(code=4000)
            else:
                await socket.send_str(message.data)
        return socket

    async with serving(aiohttp, echo=echo) as address, aiohttp.ClientSession() as session:
        async with session.ws_connect(address + "echo") as client:
            for text in ("a", "b" * 100_000):
                await client.send_str(text)
                assert await client.receive_str() == text
            await client.send_str("close")
            assert (await client.receive()).type is aiohttp.WSMsgType.CLOSE
            assert client.close_code == 4000


async def test_client_that_leaves(aiohttp: Any) -> None:
    """A client that times out cancels the server's handler; the next request is answered."""
    ends = []

    async def slow(request: Any) -> Any:
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    async def quick(request: Any) -> Any:
        return aiohttp.web.Response(text="here")

    async with serving(aiohttp, slow=slow, quick=quick) as address, aiohttp.ClientSession() as session:
        with pytest.raises(TimeoutError):
            await session.get(address + "slow", timeout=aiohttp.ClientTimeout(total=0.1))
        async with session.get(address + "quick") as response:
            assert await response.text() == "here"
        await asyncio.sleep(0.05)
    assert ends == ["cancelled"]


async def test_expect_continue_and_errors(aiohttp: Any) -> None:
    """A 100-continue, a large header, an error of the handler, and a refused connection."""

    async def length(request: Any) -> Any:
        return aiohttp.web.Response(text=str(len(await request.read())))

    async def broken(request: Any) -> Any:
        raise aiohttp.web.HTTPGone

    async with serving(aiohttp, length=length, broken=broken) as address, aiohttp.ClientSession() as session:
        async with session.post(address + "length", data=b"x" * 1000, expect100=True) as response:
            assert await response.text() == "1000"
        async with session.get(address + "length", headers={"X-Long": "y" * 8000}) as response:
            assert await response.text() == "0"
        async with session.get(address + "broken") as response:
            assert response.status == 410
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(address + "length")


async def test_chosen_by_name(aiohttp: Any) -> None:
    """A host name is resolved and connected to."""

    async def where(request: Any) -> Any:
        return aiohttp.web.Response(text=request.host)

    async with serving(aiohttp, where=where) as address, aiohttp.ClientSession() as session:
        named = address.replace("127.0.0.1", "localhost")
        async with session.get(named + "where") as response:
            assert (await response.text()).startswith("localhost:")
