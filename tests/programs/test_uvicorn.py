"""uvicorn, unmodified, with `--loop cede:new_event_loop`, loaded by wrk and questioned byte by byte.

Both of its HTTP parsers are used: h11 in Python, httptools in C. They drive the transport in different ways.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.programs.peers import Connection, get, pipelined

pytestmark = pytest.mark.slow

APPLICATION = """
import asyncio

async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    path = scope["path"]
    status, chunks = 200, [f"{scope['method']} {path} {len(body)}".encode()]
    if path == "/loop":
        chunks = [type(asyncio.get_running_loop()).__module__.encode()]
    elif path == "/slow":
        await asyncio.sleep(0.2)
    elif path == "/echo":
        chunks = [body]
    elif path == "/chunks":
        chunks = [b"x" * 1000] * 300
    elif path == "/error":
        raise ValueError("on purpose")
    headers = [(b"content-type", b"text/plain")]
    if path != "/chunks":
        headers.append((b"content-length", str(len(chunks[0])).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
"""


class Server:
    """A running uvicorn, and how to talk to it."""

    def __init__(self, running: Any) -> None:
        self.running = running
        self.port = int(running.expect(r"running on http://127\.0\.0\.1:(\d+)")[1])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 10)


@pytest.fixture(params=["h11", "httptools"])
def server(request: pytest.FixtureRequest, start: Callable[..., Any], library: Any, tmp_path: Path) -> Iterator[Server]:
    """A uvicorn on cede; at the end it is asked to stop and must do so in peace."""
    library("uvicorn")
    library(request.param)
    (tmp_path / "application.py").write_text(APPLICATION)
    command = [sys.executable, "-m", "uvicorn", "--loop", "cede:new_event_loop", "--http", request.param]
    server = Server(start(*command, "--port", "0", "--no-access-log", "--lifespan", "off", "application:app"))
    yield server
    server.running.end(signal.SIGTERM)
    assert "Finished server process" in server.running.output
    assert "Traceback" not in server.running.output or "ValueError: on purpose" in server.running.output


def test_runs_on_cede(server: Server) -> None:
    """The application finds itself on cede's loop."""
    with server.connect() as sock:
        connection = Connection(sock)
        connection.send(get("/loop"))
        assert connection.response()[2].startswith(b"cede.")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("connections", [1, 64])
def test_load(server: Server, load: Callable[[str, int], int], connections: int) -> None:
    """Under wrk's load every response is complete and right; no connection breaks."""
    assert load(f"http://127.0.0.1:{server.port}/", connections) > 50
    assert "Traceback" not in server.running.output
    with server.connect() as sock:  # and it still serves
        connection = Connection(sock)
        connection.send(get("/after"))
        assert connection.response()[2] == b"GET /after 0"


@pytest.mark.timeout(60)
def test_load_of_chunked_responses(server: Server, load: Callable[[str, int], int]) -> None:
    """Responses of many writes and 300 KB arrive whole while the client reads from many connections."""
    assert load(f"http://127.0.0.1:{server.port}/chunks", 16) > 5
    with server.connect() as sock:
        connection = Connection(sock)
        connection.send(get("/chunks"))
        assert connection.response()[2] == b"x" * 300_000


def test_keep_alive(server: Server) -> None:
    """One connection carries many requests, each answered with what was asked, also after bodies of all sizes."""
    with server.connect() as sock:
        connection = Connection(sock)
        for number in range(50):
            connection.send(get(f"/{number}"))
            assert connection.response()[2] == f"GET /{number} 0".encode()
        for size in (0, 1, 1000, 65_536, 1_000_000):
            body = bytes(range(256)) * (size // 256 + 1)
            connection.send(f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode() + body[:size])
            assert connection.response()[2] == body[:size]
        connection.send(b"HEAD /head HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.response(head_only=True)[0] == 200
        assert connection.response()[2] == b"GET /next 0"


def test_pipelining(server: Server) -> None:
    """Requests sent without waiting are answered in order, however they are cut into packets."""
    requests = [get(f"/{number}") for number in range(40)]
    for size in (None, 7):
        assert pipelined(server.connect, requests, size) == [f"GET /{n} 0".encode() for n in range(40)]


def test_chunked_request(server: Server) -> None:
    """A body that arrives in chunks, with pauses, is put together, and the connection goes on."""
    with server.connect() as sock:
        connection = Connection(sock)
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in (b"a", b"bc" * 5000, b"d"):
            connection.send(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        connection.send(b"0\r\n\r\nGET /then HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.response()[2] == b"a" + b"bc" * 5000 + b"d"
        assert connection.response()[2] == b"GET /then 0"


def test_closing(server: Server) -> None:
    """The server closes where it was asked to or must, and only there."""
    with server.connect() as sock:
        connection = Connection(sock)
        connection.send(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert connection.response()[2] == b"GET /a 0"
        assert connection.at_end()
    with server.connect() as sock:
        connection = Connection(sock)
        connection.send(b"GET /b HTTP/1.0\r\n\r\n")
        assert connection.response()[2] == b"GET /b 0"
        assert connection.at_end()
    with server.connect() as sock:
        sock.sendall(b"what is this\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_error_in_the_application(server: Server) -> None:
    """An exception of the application is a 500 for who asked, a traceback in the log, and nothing to the others."""
    with server.connect() as sock, server.connect() as other:
        connection, bystander = Connection(sock), Connection(other)
        connection.send(get("/error"))
        assert connection.response()[0] == 500
        bystander.send(get("/fine"))
        assert bystander.response()[2] == b"GET /fine 0"
    server.running.expect("ValueError: on purpose")


def test_client_that_leaves(server: Server) -> None:
    """Clients that reset or leave in the middle of a response disturb nobody."""
    for path in ("/slow", "/chunks") * 5:
        with server.connect() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # close() resets
            sock.sendall(get(path))
    with server.connect() as sock:
        connection = Connection(sock)
        connection.send(get("/still"))
        assert connection.response()[2] == b"GET /still 0"


def test_graceful_end(server: Server) -> None:
    """Asked to stop, uvicorn answers what it has begun to answer, closes idle connections and ends."""
    with server.connect() as busy, server.connect() as idle:
        waiting, done = Connection(busy), Connection(idle)
        done.send(get("/first"))
        assert done.response()[2] == b"GET /first 0"
        waiting.send(get("/slow"))
        time.sleep(0.05)
        server.running.process.send_signal(signal.SIGTERM)
        assert waiting.response()[2] == b"GET /slow 0"
        assert done.at_end()
