"""Whole programs of other people's libraries, as anybody would write them: nothing here knows that it runs in a world.

`python mains.py NAME SEED [FOLDER]` runs one in a world and prints what it saw and a hash of its log.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROUNDS = 3


async def aiohttp_pair(folder: Path) -> list[Any]:
    """A server and a client of aiohttp, with bodies that need many reads.

    No websocket: what masks its frames is a generator of chance that aiohttp makes when it is imported.
    """
    import aiohttp
    from aiohttp import web

    async def measure(request: Any) -> Any:
        return web.json_response({"path": request.path, "size": len(await request.read())})

    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", measure)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 80).start()
    seen: list[Any] = []
    async with aiohttp.ClientSession() as session:
        for number in range(ROUNDS):
            async with session.post(f"http://main/{number}", data=b"a" * 100_000) as response:
                seen.append(await response.json())
    await runner.cleanup()
    return seen


async def uvicorn_httpx(folder: Path) -> list[Any]:
    """uvicorn serves an application of ASGI, httpx asks it."""
    import httpx
    import uvicorn

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    config = uvicorn.Config(application, host="0.0.0.0", port=80, lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext
    serving = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    async with httpx.AsyncClient() as client:
        seen = [(await client.get(f"http://main/{number}")).text for number in range(ROUNDS)]
    server.should_exit = True
    await serving
    return seen


async def websockets_pair(folder: Path) -> list[Any]:
    """A server and a client of websockets."""
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import serve

    async def echo(talk: Any) -> None:
        async for message in talk:
            await talk.send(message)

    seen = []
    async with serve(echo, "0.0.0.0", 80), connect("ws://main:80") as talk:
        for number in range(ROUNDS):
            await talk.send(f"message {number}")
            seen.append(await talk.recv())
    return seen


async def redis_client(folder: Path) -> list[Any]:
    """redis-py against a stub of a server."""
    from redis.asyncio import Redis

    kept: dict[bytes, bytes] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            command = words[0].upper()
            if command == b"SET":
                kept[words[1]] = words[2]
            value = kept.get(words[1]) if command == b"GET" else None
            if command == b"HELLO":
                writer.write(b"%1\r\n+proto\r\n:3\r\n")
            else:
                writer.write(b"+OK\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value))
        writer.close()

    async with await asyncio.start_server(serve, "0.0.0.0", 6379):
        client = Redis(host="main")
        seen = [await client.set("name", "value"), await client.get("name")]
        await client.aclose()
    return seen


async def tls_streams(folder: Path) -> list[Any]:
    """Streams over TLS."""
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(folder / "server.pem", folder / "server.key")
    trusting = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    if hasattr(ssl, "VERIFY_X509_STRICT"):
        trusting.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the test's authority is a simple one

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()

    seen = []
    async with await asyncio.start_server(shout, "0.0.0.0", 443, ssl=served):
        reader, writer = await asyncio.open_connection("main", 443, ssl=trusting, server_hostname="localhost")
        for number in range(ROUNDS):
            writer.write(b"line %d\n" % number)
            seen.append(await reader.readline())
        writer.close()
        await writer.wait_closed()
    return seen


MAINS: dict[str, Callable[[Path], Any]] = {
    "aiohttp": aiohttp_pair,
    "uvicorn": uvicorn_httpx,
    "websockets": websockets_pair,
    "redis": redis_client,
    "tls": tls_streams,
}


def played(name: str, seed: int, folder: Path) -> tuple[list[Any], list[str]]:
    """Run a program in a world; return what it saw and the lines of the log."""
    from cede.simulation.running import begin, opened

    async def main() -> list[Any]:
        seen: list[Any] = await MAINS[name](folder)
        return seen

    with opened(seed=seed, log=True) as world:
        seen = begin(main, world)
    assert world.log is not None
    return seen, [event.line() for event in world.log.events]


def digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(digest(played(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))[1]) + "\n")
