"""FastAPI and Starlette, unmodified, behind uvicorn and hypercorn on cede: what a service meets in its life.

test_uvicorn.py has what one server does with one connection, byte by byte; here are frameworks, threads, web sockets,
large bodies, slow clients, and an end while requests are under way.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.programs.peers import Connection, get, pipelined

pytestmark = pytest.mark.programs

SERVERS = {
    "uvicorn": ["-m", "uvicorn", "--loop", "cede:new_event_loop", "--port", "0", "--no-access-log"],
    # It serves from a process that it starts through multiprocessing, which `cede run` reaches.
    "hypercorn": ["-m", "cede", "run", "-m", "hypercorn", "--bind", "127.0.0.1:0"],
}
PIECES = 480


class Server:
    """A server that runs, and how to talk to it."""

    def __init__(self, name: str, running: Any) -> None:
        self.name = name
        self.running = running
        self.port = int(running.expect(r"[Rr]unning on http://127\.0\.0\.1:(\d+)")[1])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 20)

    def get(self, path: str) -> Any:
        """Return what is there, as JSON, over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            assert response.status == 200
            return json.loads(response.read())
        finally:
            connection.close()


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, start: Callable[..., Any], library: Any) -> Iterator[Server]:
    """The application behind one of the servers; at the end it is asked to stop and must do so in peace."""
    library("fastapi")
    library("websockets")
    library(request.param)
    folder = str(Path(__file__).parent)
    where = {"uvicorn": ["--app-dir", folder, "asgi_application:app"], "hypercorn": [f"{folder}/asgi_application:app"]}
    running = start(sys.executable, *SERVERS[request.param], *where[request.param])
    server = Server(request.param, running)
    yield server
    status = running.end(signal.SIGTERM) if running.process.poll() is None else running.wait()
    assert status in (0, -signal.SIGTERM), running.output
    assert "Traceback" not in running.output


@pytest.mark.programs(pure=True)
def test_routes(server: Server) -> None:
    """FastAPI on cede's loop: parameters, models, refused input, background tasks, functions in threads."""
    assert server.get("/loop").startswith("cede.")
    with server.connect() as sock:  # all over one connection that is kept alive
        connection = Connection(sock)
        for number in range(20):
            connection.send(get(f"/number/{number}"))
            assert connection.response()[2] == str(number).encode()
        for text, status in (('{"name": "tea", "count": 3}', 200), ('{"name": "tea", "count": "three"}', 422)):
            head = f"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(text)}"
            connection.send(f"{head}\r\n\r\n{text}".encode())
            assert connection.response()[0] == status
        connection.send(get("/state"))
        assert json.loads(connection.response()[2])["noted"] == 3
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(server.get, ["/thread"] * 24))


def test_pipelining(server: Server) -> None:
    """Requests sent at once, or cut at odd places, are answered in order."""
    requests = [get(f"/number/{number}") for number in range(30)]
    for size in (None, 11):
        assert pipelined(server.connect, requests, size) == [str(number).encode() for number in range(30)]


def test_load(server: Server, load: Callable[[str, int], int]) -> None:
    """Under wrk, over 64 connections, every response is complete and right, and the server is well afterwards."""
    assert load(f"http://127.0.0.1:{server.port}/number/7", 64) > 50
    assert server.get("/number/8") == 8


def test_slow_clients(server: Server) -> None:
    """Clients that dribble their requests are served in the end, and keep nobody else from being served at once."""
    sockets = [server.connect() for _ in range(30)]
    try:
        request = get("/number/5")
        for begin in range(0, len(request), 9):
            for sock in sockets:
                sock.sendall(request[begin : begin + 9])
            begun = time.monotonic()
            assert server.get("/number/6") == 6
            assert time.monotonic() - begun < 5
        assert [Connection(sock).response()[2] for sock in sockets] == [b"5"] * 30
    finally:
        for sock in sockets:
            sock.close()


def test_large_bodies(server: Server) -> None:
    """Thirty megabytes in and thirty out, in chunks, arrive whole."""
    piece = bytes(range(256)) * 256
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=25)
    connection.request("POST", "/digest", body=iter([piece] * PIECES), encode_chunked=True)
    received = json.loads(connection.getresponse().read())
    assert received == hashlib.sha256(piece * PIECES).hexdigest()
    connection.request("GET", "/large")
    assert connection.getresponse().read() == b"0123456789abcdef" * 4096 * PIECES
    connection.close()


def test_slow_reader(server: Server) -> None:
    """A client that does not read stops the application from making more; it goes on where it was once there is room."""
    with server.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection = Connection(sock)
        connection.send(get("/large"))
        deadline, before = time.monotonic() + 10, -1
        while (sent := server.get("/state")["sent"]) != before or sent == 0:
            assert time.monotonic() < deadline
            before = sent
            time.sleep(0.2)
        assert 0 < sent < PIECES / 2, "what the kernel takes, and no more"
        assert connection.response()[2] == b"0123456789abcdef" * 4096 * PIECES
    assert server.get("/state")["sent"] == PIECES


@pytest.mark.programs(pure=True)
async def test_web_sockets(server: Server, library: Any) -> None:
    """Forty web sockets talk at once with Starlette's; the client's end reaches the application."""
    client = library("websockets.asyncio.client")

    async def talk(name: int) -> list[str]:
        async with client.connect(f"ws://127.0.0.1:{server.port}/echo") as connection:
            for number in range(10):
                await connection.send(f"{name} {number} " + "x" * 1000 * number)
            return [(await connection.recv()).rstrip("x") for _ in range(10)]

    heard = await asyncio.gather(*(talk(name) for name in range(40)))
    assert heard == [[f"{name} {number} " for number in range(10)] for name in range(40)]
    async with asyncio.timeout(10):
        while (await asyncio.to_thread(server.get, "/state"))["noted"] != 40_000:
            await asyncio.sleep(0.02)


async def test_end_with_requests_under_way(server: Server, library: Any) -> None:
    """SIGTERM: what was begun is answered, idle connections are closed, nobody new gets in, and the server ends."""
    client, exceptions = library("websockets.asyncio.client"), library("websockets.exceptions")
    sockets = [server.connect() for _ in range(25)]
    idle = server.connect()
    try:
        async with client.connect(f"ws://127.0.0.1:{server.port}/echo") as web_socket:
            await web_socket.send("there")
            assert await web_socket.recv() == "there"
            for sock in sockets:
                sock.sendall(get("/slow"))
            await asyncio.sleep(0.15)
            server.running.process.send_signal(signal.SIGTERM)
            answers = [await asyncio.to_thread(Connection(sock).response) for sock in sockets]
            if server.name == "uvicorn":  # hypercorn waits for its web sockets, on stock asyncio too
                with pytest.raises(exceptions.ConnectionClosed):
                    await asyncio.wait_for(web_socket.recv(), 20)
        assert [(status, body) for status, _, body in answers] == [(200, b'"done"')] * 25
        assert idle.recv(1) == b""
        await asyncio.to_thread(server.running.wait)
        with pytest.raises(ConnectionRefusedError):
            server.connect()
    finally:
        for sock in [*sockets, idle]:
            sock.close()
