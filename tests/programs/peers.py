"""The other side of the tests: clients that ask servers, a server that answers clients, and who counts the loop's turns."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

# -- clients of HTTP servers -------------------------------------------------------------------------------------------


class Connection:
    """One connection of a client that reads exactly what was sent and nothing else."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._received = b""

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def response(self, head_only: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the next response."""
        head = self._until(b"\r\n\r\n").decode()
        status_line, *lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            while size := int(self._until(b"\r\n"), 16):
                body += self._exactly(size + 2)[:-2]
            self._exactly(2)
        elif not head_only:
            body = self._exactly(int(headers["content-length"]))
        return int(status_line.split()[1]), headers, body

    def at_end(self) -> bool:
        """Wait for the server to close; tell whether it did, without another byte."""
        return not self._received and self._sock.recv(1) == b""

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            self._more()
        before, _, self._received = self._received.partition(mark)
        return before

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        data, self._received = self._received[:size], self._received[size:]
        return data

    def _more(self) -> None:
        data = self._sock.recv(65536)
        assert data, f"closed after {self._received!r}"
        self._received += data


def get(path: object) -> bytes:
    """Return a request for that path."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def pipelined(connect: Callable[[], socket.socket], requests: list[bytes], size: int | None = None) -> list[bytes]:
    """Send all requests over one connection before anything is read, in packets of `size` bytes or at once; return the
    bodies of the responses.
    """
    data = b"".join(requests)
    with connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(sock)
        for begin in range(0, len(data), size or len(data)):
            connection.send(data[begin : begin + (size or len(data))])
        return [connection.response()[2] for _ in requests]


def load(wrk: str, url: str, connections: int) -> int:
    """Put a second of wrk's load on a server; return the number of requests. Every response was right, none broke off."""
    command = [wrk, "-t1", f"-c{connections}", "-d1s", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "Socket errors" not in done.stdout, done.stdout
    assert "Non-2xx" not in done.stdout, done.stdout
    return int(re.search(r"(\d+) requests in", done.stdout)[1])  # type: ignore[index]


# -- a server for HTTP clients -----------------------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked, from a thread; the other side knows nothing of asyncio."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(0.5)
        self._answer(f"GET {self.path}".encode() if self.path != "/large" else b"x" * 5_000_000)

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@contextlib.contextmanager
def serving_http() -> Iterator[int]:
    """An HTTP server of the standard library's, with `Handler`; gives its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# -- databases ---------------------------------------------------------------------------------------------------------


def unique(name: str) -> str:
    """Return a name that nobody else uses, should several suites share a server."""
    return f"cede_{name}_{os.getpid()}"


@contextlib.asynccontextmanager
async def redis_client(redis: Any, url: str, **settings: Any) -> AsyncIterator[Any]:
    """A client of redis-py's, closed at the end."""
    client = redis.Redis.from_url(url, **settings)
    try:
        yield client
    finally:
        await client.aclose()


# -- the loop ----------------------------------------------------------------------------------------------------------


class Turns:
    """How often the loop has come round."""

    count = 0


@contextlib.asynccontextmanager
async def counting_turns(pause: float = 0) -> AsyncIterator[Turns]:
    """Count, with a pause between one and the next, the turns that the loop makes meanwhile."""
    turns = Turns()

    async def count() -> None:
        while True:
            await asyncio.sleep(pause)
            turns.count += 1

    counting = asyncio.create_task(count())
    try:
        yield turns
    finally:
        counting.cancel()
