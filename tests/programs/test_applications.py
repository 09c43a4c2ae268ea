"""Well-known applications under `cede run`, as they come from the package index; the table is in docs/programs.md.

`make applications` runs these: they want many libraries, in an environment of their own. Each application is started as its users start
it, with `cede run` in the place of `python`, and does its work with clients that know nothing of cede.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import re
import signal
import smtplib
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.applications, pytest.mark.timeout(90)]

# Every interpreter that is started with this on its path imports it. It notes for each process which kinds of loops it ran,
# and hides uvloop, which sanic brings along, and which some of the others take where they find it.
WITNESS = """
import asyncio, os, sys

sys.modules["uvloop"] = None

def note(kind, run_forever):
    def run(self):
        with open(os.environ["CEDE_TEST_LOOPS"], "a") as file:
            file.write(f"{os.getpid()} {kind}\\n")
        return run_forever(self)
    return run

import cede
for kind, loop in ("cede", cede.EventLoop), ("asyncio", asyncio.BaseEventLoop):
    loop.run_forever = note(kind, loop.run_forever)
    if "run_until_complete" in vars(loop):
        until_complete = loop.run_until_complete
        def run_until_complete(self, future, kind=kind, until_complete=until_complete):
            note(kind, lambda self: None)(self)
            return until_complete(self, future)
        loop.run_until_complete = run_until_complete
"""


class Application:
    """Starts an application with `cede run`, and tells on which loops it ran."""

    def __init__(self, start: Callable[..., Any], folder: Path) -> None:
        self.folder = folder
        self._start = start
        self._loops = folder / "loops"
        (folder / "witness").mkdir()
        (folder / "witness" / "sitecustomize.py").write_text(WITNESS)

    def __call__(self, *command: str, **changes: str) -> Any:
        return self._start(sys.executable, "-u", "-m", "cede", "run", *command, **self.environment(), **changes)

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, [str(self.folder / "witness"), os.environ.get("PYTHONPATH", "")]))
        return {"CEDE_TEST_LOOPS": str(self._loops), "PYTHONPATH": path, "PYTHONWARNINGS": "", "HOME": str(self.folder)}

    def loops(self, process: Any = None) -> set[str]:
        """Return the kinds of loops that process ran, or all of them."""
        who = f"{process.process.pid} " if process else ""
        return {line.split()[1] for line in self._loops.read_text().splitlines() if line.startswith(who)}


@pytest.fixture
def application(start: Callable[..., Any], tmp_path: Path) -> Application:
    return Application(start, tmp_path)


def listening(port: int, running: Any) -> None:
    """Wait until somebody listens there."""
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert running.process.poll() is None, running.output
        assert time.monotonic() < deadline, running.output
        time.sleep(0.05)


def ask(port: int, path: str, method: str = "GET", body: str | None = None, **headers: str) -> tuple[int, str]:
    """Return status and body of what an HTTP server answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def ended(running: Any, *statuses: int, by: signal.Signals = signal.SIGTERM) -> None:
    """Ask the application to end; it must do so in peace."""
    status = running.end(by)
    assert status in (0, -by, *statuses), (status, running.output)
    assert "Traceback" not in running.output or "KeyboardInterrupt" in running.output, running.output


def test_black(application: Application) -> None:
    """black formats sixty files at once, in processes of its own; a second run finds nothing to do."""
    for number in range(60):
        (application.folder / f"file_{number}.py").write_text(f"x = {{ 'a':{number},\n'b' : 2 }}\n")
    (application.folder / "broken.py").write_text("def (:\n")
    first = application("-m", "black", "--workers", "2", ".", "--exclude", "witness")
    assert first.wait(60) == 123, first.output
    assert "60 files reformatted, 1 file failed to reformat." in first.output
    assert (application.folder / "file_7.py").read_text() == 'x = {"a": 7, "b": 2}\n'
    (application.folder / "broken.py").unlink()
    second = application("-m", "black", "--workers", "2", "--check", ".", "--exclude", "witness")
    assert second.wait(60) == 0, second.output
    assert application.loops() == {"cede"}


def test_datasette(application: Application, free_port: Callable[[], int]) -> None:
    """datasette serves a SQLite database as pages and as JSON. Its own command names uvicorn's loop, so uvicorn is told ours."""
    with contextlib.closing(sqlite3.connect(application.folder / "data.db")) as database:
        database.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)")
        database.executemany("INSERT INTO things VALUES (?, ?)", [(n, f"thing {n}") for n in range(500)])
        database.commit()
    (application.folder / "data.py").write_text(
        "from datasette.app import Datasette\n\napp = Datasette(['data.db']).app()\n"
    )
    port = free_port()
    running = application("-m", "uvicorn", "--loop", "cede:new_event_loop", "--port", str(port), "data:app")
    listening(port, running)
    for number in range(20):
        status, body = ask(port, f"/data.json?sql=select+name+from+things+where+id={number}&_shape=arrays")
        assert (status, json.loads(body)["rows"]) == (200, [[f"thing {number}"]])
    status, body = ask(port, "/data/things")
    assert status == 200
    assert "500 rows" in body
    ended(running)
    assert application.loops(running) == {"cede"}


def test_aiosmtpd(application: Application, free_port: Callable[[], int]) -> None:
    """aiosmtpd takes in mail over SMTP and shows it."""
    port = free_port()
    running = application("-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{port}")
    listening(port, running)
    for number in range(10):
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            client.sendmail("me@example.org", ["you@example.org"], f"Subject: number {number}\n\n" + "text\n" * 1000)
            assert client.docmd("NONSENSE")[0] == 500
    running.expect("Subject: number 9")
    assert running.output.count("MESSAGE FOLLOWS") == 10
    ended(running, by=signal.SIGINT)
    assert application.loops(running) == {"cede"}


def test_arq(application: Application, redis_address: str) -> None:
    """arq's worker takes a hundred jobs from Redis, tries those again that ask for it, and ends when all are done."""
    (application.folder / "jobs.py").write_text(
        """
import asyncio, sys
from arq import Retry, create_pool
from arq.connections import RedisSettings

settings = RedisSettings.from_dsn(sys.argv[-1] if __name__ == "__main__" else __import__("os").environ["JOBS_REDIS"])

async def double(context, number):
    await asyncio.sleep(0.01)
    if number % 10 == 0 and context["job_try"] == 1:
        raise Retry(defer=0.01)
    return 2 * number

class Worker:
    functions, redis_settings, queue_name, max_jobs = [double], settings, f"cede_{__import__('os').getppid()}", 20

async def main():
    redis = await create_pool(settings, default_queue_name=Worker.queue_name)
    jobs = [await redis.enqueue_job("double", number) for number in range(100)]
    print([await job.result(timeout=30) for job in jobs] == list(range(0, 200, 2)))
    await redis.aclose()

if __name__ == "__main__":
    asyncio.run(main())
"""
    )
    client = application("jobs.py", redis_address)
    worker = application("-m", "arq", "jobs.Worker", JOBS_REDIS=redis_address)
    assert client.wait(60) == 0, client.output + worker.output
    assert client.output.endswith("True\n"), client.output
    ended(worker)
    assert "100 jobs complete" in worker.output.replace("j_complete=100", "100 jobs complete"), worker.output
    assert application.loops(worker) == application.loops(client) == {"cede"}


def test_textual(application: Application) -> None:
    """textual's demo draws itself on a terminal, answers to keys, and leaves the terminal as it was."""
    outer, inner = os.openpty()
    command = [sys.executable, "-m", "cede", "run", "-m", "textual"]
    environment = {**os.environ, **application.environment(), "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    environment["PYTHONPATH"] += os.pathsep + os.path.dirname(os.path.dirname(sys.modules["cede"].__file__ or ""))
    process = subprocess.Popen(
        command, stdin=inner, stdout=inner, stderr=inner, env=environment, start_new_session=True
    )
    os.close(inner)
    seen = b""

    def until(pattern: bytes) -> None:
        nonlocal seen
        while re.search(pattern, seen) is None:
            seen += os.read(outer, 65536)

    try:
        until(rb"Textual")
        until(rb"Widgets")
        seen = b""
        os.write(outer, b"w")  # the page of widgets
        until(rb"Buttons")
        os.write(outer, b"\x11")  # Control-Q
        until(rb"\x1b\[\?1049l")  # back to the terminal's own screen
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(outer)
    assert application.loops() == {"cede"}


def test_pproxy(application: Application, http_site: int, free_port: Callable[[], int]) -> None:
    """pproxy carries requests to a server, as an HTTP proxy and as a tunnel."""
    port = free_port()
    running = application("-m", "pproxy", "-l", f"http+socks5://127.0.0.1:{port}")
    listening(port, running)
    for number in range(20):
        status, body = ask(port, f"http://127.0.0.1:{http_site}/{number}")
        assert (status, body) == (200, f"GET /{number}")
    tunnel = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    tunnel.set_tunnel("127.0.0.1", http_site)
    tunnel.request("GET", "/tunnel")
    assert tunnel.getresponse().read() == b"GET /tunnel"
    tunnel.close()
    ended(running, by=signal.SIGINT)
    assert application.loops(running) == {"cede"}


def test_amqtt(application: Application, free_port: Callable[[], int]) -> None:
    """amqtt's broker, publisher and subscriber, all three on cede, pass on what was said under a topic."""
    port = free_port()
    (application.folder / "broker.yaml").write_text(
        f"listeners:\n  default:\n    type: tcp\n    bind: 127.0.0.1:{port}\n"
        "plugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:\n    allow_anonymous: true\n"
    )
    broker = application("-m", "amqtt.scripts.broker_script", "-c", "broker.yaml")
    listening(port, broker)
    url = f"mqtt://127.0.0.1:{port}"
    subscriber = application("-m", "amqtt.scripts.sub_script", "--url", url, "-t", "news/#", "-n", "3", "-d")
    subscriber.expect("SubackPacket")
    # A client of its library's: the command line of its own publisher cannot be parsed with today's typer.
    (application.folder / "publish.py").write_text(
        "import asyncio, sys\n"
        "from amqtt.client import MQTTClient\n"
        "async def main(url, *topics):\n"
        "    client = MQTTClient()\n"
        "    await client.connect(url)\n"
        "    for topic in topics:\n"
        "        await client.publish(topic, f'about {topic}'.encode(), qos=1)\n"
        "    await client.disconnect()\n"
        "asyncio.run(main(*sys.argv[1:]))\n"
    )
    publisher = application("publish.py", url, "news/one", "other", "news/two", "news/three")
    assert publisher.wait(20) == 0, publisher.output
    assert subscriber.wait(20) == 0, subscriber.output
    assert set(re.findall(r"(?m)^about (\S+)$", subscriber.output)) == {"news/one", "news/two", "news/three"}
    ended(broker, by=signal.SIGINT)
    for each in (broker, subscriber, publisher):
        assert application.loops(each) == {"cede"}


def test_jupyter_server(application: Application, free_port: Callable[[], int]) -> None:
    """Jupyter's server: notebooks are written, listed and read, a kernel is started, interrupted and stopped."""
    port = free_port()
    folder = application.folder / "notebooks"
    folder.mkdir()
    options = ["--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token=secret"]
    running = application("-m", "jupyter_server", *options, f"--ServerApp.root_dir={folder}")
    listening(port, running)
    token = {"Authorization": "token secret"}
    cell = {"cell_type": "code", "source": "1 + 1", "metadata": {}, "outputs": [], "execution_count": None}
    content = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    note = json.dumps({"type": "notebook", "format": "json", "content": content})
    assert ask(port, "/api/contents/a.ipynb", "PUT", note, **token)[0] == 201
    status, body = ask(port, "/api/contents/a.ipynb", **token)
    assert (status, json.loads(body)["content"]["cells"][0]["source"]) == (200, "1 + 1")
    assert ask(port, "/api/contents/")[0] == 403
    status, body = ask(port, "/api/kernels", "POST", "{}", **token)
    assert status == 201, body
    kernel = json.loads(body)["id"]
    assert ask(port, f"/api/kernels/{kernel}/interrupt", "POST", **token)[0] == 204
    assert ask(port, f"/api/kernels/{kernel}", "DELETE", **token)[0] == 204
    ended(running)
    assert application.loops(running) == {"cede"}


ROUTES = """
import asyncio
from {package} import {name}, {request}

app = {name}("app")

@app.get("/sum/<a:int>/<b:int>" if "{package}" == "sanic" else "/sum/<int:a>/<int:b>")
async def total({argument}a, b):
    await asyncio.sleep(0.001)
    return {text}(str(a + b)) if "{package}" == "sanic" else str(a + b)
"""


@pytest.mark.parametrize("package", ["sanic", "quart"])
def test_web_frameworks(
    application: Application, package: str, free_port: Callable[[], int], load: Callable[[str, int], int]
) -> None:
    """sanic and quart, each by its own command, with the server it brings, under wrk."""
    fill = {
        "sanic": {"name": "Sanic", "request": "text", "argument": "request, ", "text": "text"},
        "quart": {"name": "Quart", "request": "request", "argument": "", "text": "str"},
    }
    (application.folder / "app.py").write_text(ROUTES.format(package=package, **fill[package]))
    port = free_port()
    commands = {
        # It would take uvloop, which it brings along.
        "sanic": ["-m", "sanic", "app:app", "--host", "127.0.0.1", "--port", str(port)],
        "quart": ["-m", "quart", "--app", "app", "run", "--port", str(port)],
    }
    running = application(*commands[package], SANIC_USE_UVLOOP="false")
    listening(port, running)
    for number in range(20):
        assert ask(port, f"/sum/{number}/2") == (200, str(number + 2))
    assert ask(port, "/none")[0] == 404
    assert load(f"http://127.0.0.1:{port}/sum/1/2", 32) > 50
    ended(running, 3, by=signal.SIGINT)  # quart's server ends with 3, on stock asyncio too
    assert application.loops() == {"cede"}


def test_mitmproxy(application: Application, http_site: int, free_port: Callable[[], int]) -> None:
    """mitmproxy's mitmdump stands between client and server, changes what passes, and tells of it."""
    (application.folder / "addon.py").write_text(
        "def response(flow):\n    flow.response.text = flow.response.text.replace('GET', 'somebody asked for')\n"
    )
    port = free_port()
    mitmdump = str(Path(sys.executable).parent / "mitmdump")
    options = [
        "--listen-host",
        "127.0.0.1",
        "-p",
        str(port),
        "-s",
        "addon.py",
        "--set",
        f"confdir={application.folder}",
    ]
    running = application(mitmdump, *options)
    listening(port, running)
    for number in range(10):
        assert ask(port, f"http://127.0.0.1:{http_site}/{number}") == (200, f"somebody asked for /{number}")
    ended(running)
    assert running.output.count("200 OK") == 10, running.output
    assert application.loops(running) == {"cede"}
