"""Servers and programs that choose a loop for themselves: under `cede run` they run on cede, as they are.

uvicorn, fastapi and gunicorn take uvloop where it is installed; uvicorn takes the standard library's loop by its class
where it is not. Each is tried in both worlds. What names another loop keeps it, and a line at the end says so.
"""

from __future__ import annotations

import signal
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from tests.programs.conftest import START_SECONDS, environment

pytestmark = pytest.mark.slow

APPLICATION = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": f"{event}.complete"})
            if event.endswith("shutdown"):
                return
    body = type(asyncio.get_running_loop()).__module__.encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""

FASTAPI = """
import asyncio
from fastapi import FastAPI

app = FastAPI()

@app.get("/")
async def loop():
    return type(asyncio.get_running_loop()).__module__
"""

PROGRAM = """
import cede
import uvicorn

if __name__ == "__main__":
    cede.install()
    uvicorn.run("application:app", port={port})
"""

# A machine without uvloop.
HIDE = """
import sys

class Hide:
    def find_spec(self, name, path, target=None):
        if name == "uvloop":
            raise ModuleNotFoundError("No module named 'uvloop'", name=name)

sys.meta_path.insert(0, Hide())
"""

UVICORN = ["-m", "uvicorn", "--port", "{port}"]
COMMANDS = {
    "uvicorn": [*UVICORN, "application:app"],
    "uvicorn --reload": [*UVICORN, "--reload", "application:app"],
    "uvicorn --workers": [*UVICORN, "--workers", "2", "application:app"],
    "uvicorn.run": ["program.py"],
}
MORE = {
    "fastapi run": ["-m", "fastapi", "run", "--port", "{port}", "fast.py"],
    "fastapi dev": ["-m", "fastapi", "dev", "--port", "{port}", "fast.py"],
    "gunicorn -k asgi": ["-m", "gunicorn", "-k", "asgi", "-b", "127.0.0.1:{port}", "application:app"],
    "gunicorn with uvicorn": [
        "-m", "gunicorn", "-w", "2", "-k", "uvicorn_worker.UvicornWorker", "-b", "127.0.0.1:{port}", "application:app"
    ],
}  # fmt: skip
STRANGE = "cede run: not all of this ran on cede: "


def ask(running: Any, url: str) -> str:
    """Return what the server answers once it listens."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=START_SECONDS) as response:
                return str(response.read().decode().strip('"'))
        except URLError:
            assert running.process.poll() is None, running.output
            assert time.monotonic() < deadline, running.output
            time.sleep(0.05)


@pytest.fixture
def served(start: Any, free_port: Callable[[], int], tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Return `served(options, command, hidden=False)`: the module of the loop that answers, and all that was printed."""

    def served(
        options: list[str], command: list[str], hidden: bool = False, end: int = signal.SIGINT, **changes: str
    ) -> tuple[str, str]:
        port = free_port()
        (tmp_path / "application.py").write_text(APPLICATION)
        (tmp_path / "fast.py").write_text(FASTAPI)
        (tmp_path / "program.py").write_text(PROGRAM.format(port=port))
        (tmp_path / "hide").mkdir()
        if hidden:
            (tmp_path / "hide" / "sitecustomize.py").write_text(HIDE)
            changes["PYTHONPATH"] = f"{tmp_path / 'hide'}:{environment()['PYTHONPATH']}"
        words = [word.format(port=port) for word in command]
        running = start(sys.executable, "-m", "cede", "run", *options, *words, HOME=str(tmp_path), **changes)
        module = ask(running, f"http://127.0.0.1:{port}/")
        number = signal.SIGTERM if "gunicorn" in command else end  # it answers to SIGINT by leaving its workers no time
        assert running.end(number) in (0, -number), running.output
        assert "Traceback" not in running.output
        return module, running.output

    return served


@pytest.mark.timeout(60)
@pytest.mark.parametrize("hidden", [False, True], ids=["with uvloop", "without"])
@pytest.mark.parametrize("command", COMMANDS)
def test_uvicorn(served: Any, library: Any, command: str, hidden: bool) -> None:
    """uvicorn on cede without an option: alone, with its reloader, with workers, and called by a program."""
    library("uvicorn")
    if not hidden:
        library("uvloop")
    module, output = served([], COMMANDS[command], hidden)
    assert module == "cede.event_loop"
    assert STRANGE not in output


@pytest.mark.programs
@pytest.mark.timeout(60)
@pytest.mark.parametrize("hidden", [False, True], ids=["with uvloop", "without"])
@pytest.mark.parametrize("command", MORE)
def test_fastapi_and_gunicorn(served: Any, library: Any, command: str, hidden: bool) -> None:
    """So are fastapi's own command and both kinds of gunicorn's workers."""
    for name in ("fastapi_cli", "gunicorn", "uvicorn_worker", "uvloop"):
        library(name)
    module, output = served([], MORE[command], hidden)
    assert module == "cede.event_loop"
    assert STRANGE not in output


@pytest.mark.parametrize(
    ("options", "words", "variables", "module", "told"),
    [
        (["--keep-uvloop"], [], {}, "uvloop", ""),
        ([], ["--loop", "uvloop"], {}, "uvloop", "uvloop.Loop did, which the command line names"),
        ([], [], {"UVICORN_LOOP": "uvloop"}, "uvloop", "uvloop.Loop did, which the command line names"),
        ([], ["--loop", "asyncio"], {}, "asyncio.unix_events", "the program chose asyncio."),
        ([], ["--loop", "cede:new_event_loop"], {}, "cede.event_loop", ""),
    ],
    ids=["--keep-uvloop", "--loop uvloop", "UVICORN_LOOP", "--loop asyncio", "--loop cede"],
)
def test_what_names_a_loop_keeps_it(
    served: Any,
    library: Any,
    options: list[str],
    words: list[str],
    variables: dict[str, str],
    module: str,
    told: str,
) -> None:
    """A loop that is asked for by name runs; if it is not cede's, the last line names it and the way to change it."""
    library("uvicorn")
    library("uvloop")
    found, output = served(options, [*UVICORN, *words, "application:app"], **variables)
    assert found == module
    *_, last = output.splitlines()
    assert output.count(STRANGE) == bool(told)
    assert last.startswith(STRANGE + told if told else "INFO: ")


def test_a_server_that_ends_itself_by_the_signal_has_last_words(served: Any, library: Any) -> None:
    """As uvicorn does, which is sent SIGTERM wherever a service is stopped."""
    for name in ("uvicorn", "uvloop"):
        library(name)
    module, output = served([], [*COMMANDS["uvicorn"], "--loop", "uvloop"], end=signal.SIGTERM)
    assert module == "uvloop"
    assert output.count(STRANGE) == 1


@pytest.mark.programs
@pytest.mark.timeout(60)
def test_many_workers_say_one_line(served: Any, library: Any) -> None:
    """Each of gunicorn's workers ran on uvloop, for the command line asks for it: that is said once."""
    for name in ("gunicorn", "uvloop"):
        library(name)
    command = [*MORE["gunicorn -k asgi"][:-1], "-w", "3", "--asgi-loop", "uvloop", "application:app"]
    module, output = served([], command)
    assert module == "uvloop"
    assert output.count(STRANGE) == 1


PREFERS = """
import asyncio, uvloop
from uvloop.loop import Loop

async def kind():
    loop = asyncio.get_running_loop()
    return type(loop).__module__.partition(".")[0], isinstance(loop, uvloop.Loop), issubclass(uvloop.Loop, Loop)

print(uvloop.run(kind()), uvloop.run(asyncio.wait_for(kind(), 1)), uvloop.__version__)
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    print(runner.run(kind()))
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
print(asyncio.run(kind()), isinstance(asyncio.get_event_loop_policy(), uvloop.EventLoopPolicy))
uvloop.install()
print(asyncio.run(kind()))
"""


@pytest.mark.parametrize("kept", [False, True], ids=["cede", "--keep-uvloop"])
def test_programs_that_call_uvloop(start: Any, library: Any, kept: bool) -> None:
    """What uvloop documents does the same on cede: its loop, `run`, `install`, its policy, its version."""
    version = library("uvloop").__version__
    options = ["--keep-uvloop"] if kept else []
    running = start(sys.executable, "-W", "ignore", "-m", "cede", "run", *options, "-c", PREFERS)
    assert running.wait() == 0, running.output
    name = ("uvloop" if kept else "cede", True, True)
    assert running.output.splitlines() == [f"{name} {name} {version}", f"{name}", f"{name} True", f"{name}"]


def test_without_uvloop_there_is_none(start: Any, tmp_path: Path) -> None:
    """Whether uvloop is installed has the answer that it has with python."""
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    path = f"{tmp_path}:{environment()['PYTHONPATH']}"
    running = start(sys.executable, "-m", "cede", "run", "-c", "import uvloop", PYTHONPATH=path)
    assert running.wait() == 1
    assert running.output.endswith("ModuleNotFoundError: No module named 'uvloop'\n")
