"""gunicorn, unmodified, whose workers are on cede: in the ways that docs/deployment.md shows.

gunicorn's master is no asyncio program; it forks its workers, watches over them, and hands SIGTERM on. Each worker has a
loop of its own.
"""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.programs.peers import Connection, get

pytestmark = pytest.mark.programs

ROOT = Path(__file__).resolve().parent.parent.parent
WORKERS = 2

APPLICATION = """
import asyncio
import os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{event}"
            await send({"type": f"lifespan.{event}.complete"})
            print(f"the application's {event} is complete", flush=True)
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(1)
    body = f"{type(asyncio.get_running_loop()).__module__} {os.getpid()} {scope['path']}".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""


def commands() -> dict[str, list[str]]:
    """Return the commands of the page, by the worker that they choose."""
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    shown = [line.split() for line in re.findall(r"^\$ (.*\bgunicorn .*) app:app$", page, re.MULTILINE)]
    return {command[command.index("-k") + 1]: command for command in shown}


COMMANDS = commands()


class Server:
    """A running gunicorn, and how to talk to it."""

    def __init__(self, running: Any, port: int) -> None:
        self.running = running
        self.port = port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 20)

    def get(self, path: str) -> list[str]:
        """Return what the application says, over a connection of its own: its loop, its process, the path."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            assert response.status == 200
            return response.read().decode().split()
        finally:
            connection.close()


@pytest.fixture(params=COMMANDS)
def server(
    request: pytest.FixtureRequest,
    start: Callable[..., Any],
    library: Any,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> Iterator[Server]:
    """gunicorn with two workers, started as the page says; at the end it is asked to stop, and does so in peace."""
    library("gunicorn")
    library("uvicorn_worker")
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"^```python\n(from uvicorn_worker .*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "worker.py").write_text(source)
    (tmp_path / "app.py").write_text(APPLICATION)
    port = free_port()
    first, *rest = COMMANDS[request.param]
    programs = {"gunicorn": ["-m", "gunicorn"], "cede": ["-m", "cede"]}
    running = start(
        sys.executable, *programs[first], *rest, "--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS), "app:app",
        HOME=str(tmp_path),  # where gunicorn puts its control socket
    )  # fmt: skip
    running.expect(f"(?s:(?:startup is complete.*){{{WORKERS}}})")
    yield Server(running, port)
    if running.process.poll() is None:
        assert running.end(signal.SIGTERM) == 0, running.output
    assert running.output.count("shutdown is complete") == WORKERS, running.output
    assert "Traceback" not in running.output, running.output


def test_the_page_shows_all_ways() -> None:
    """The commands are taken from the page: workers of uvicorn's, with `cede run` and without, and gunicorn's own."""
    assert set(COMMANDS) == {"worker.Worker", "uvicorn_worker.UvicornWorker", "asgi"}


@pytest.mark.timeout(60)
def test_load(server: Server, load: Callable[[str, int], int]) -> None:
    """Both workers serve, on cede; under wrk every response is complete and right, and no connection breaks."""
    processes = set()
    deadline = time.monotonic() + 20
    while len(processes) < WORKERS:
        assert time.monotonic() < deadline, "only one worker answers"
        with ThreadPoolExecutor(16) as threads:
            for loop, process, _path in threads.map(server.get, [f"/{number}" for number in range(64)]):
                assert loop.startswith("cede.")
                processes.add(process)
    assert load(f"http://127.0.0.1:{server.port}/", 32) > 50
    assert server.get("/after")[2] == "/after"


@pytest.mark.timeout(60)
def test_end_with_requests_under_way(server: Server) -> None:
    """SIGTERM to the master: what was begun is answered, whichever worker has it, nobody new gets in, and all ends."""
    sockets = [server.connect() for _ in range(12)]
    try:
        for sock in sockets:
            sock.sendall(get("/slow"))
        time.sleep(0.2)
        server.running.process.send_signal(signal.SIGTERM)
        answers = [Connection(sock).response() for sock in sockets]
        assert [(status, body.split()[2]) for status, _, body in answers] == [(200, b"/slow")] * 12
    finally:
        for sock in sockets:
            sock.close()
    assert server.running.wait() == 0, server.running.output
    with pytest.raises(ConnectionRefusedError):
        server.connect()


def test_a_worker_that_dies_is_replaced(server: Server) -> None:
    """The master forks another worker, which has a loop of its own again."""
    loop, process, _ = server.get("/")
    killed = subprocess.run(["kill", "-KILL", process])
    assert killed.returncode == 0
    server.running.expect(f"(?s:(?:startup is complete.*){{{WORKERS + 1}}})")
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(server.get, ["/"] * 64))
    assert all(other.startswith("cede.") and number != process for other, number, _ in answers)
