"""What the tests of whole programs need: other people's libraries and servers, and processes of their own.

A library or program that is missing skips the tests that need it, and the reason says how to get it. Under CI (CI=true
in the environment) it fails them instead: there nothing may be missing unnoticed.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

import cede
from tests.io.conftest import Certificates
from tests.programs import peers

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = str(Path(cede.__file__).parent.parent)
START_SECONDS = 20  # a server must be ready by then
END_SECONDS = 20  # and gone by then, once it was asked to


def missing(what: str, remedy: str) -> NoReturn:
    """Skip the test, or fail it under CI."""
    message = f"{what} is missing: {remedy}"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let libraries warn of what will be deprecated one day: that is theirs to mend."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"))


@pytest.fixture
def library(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Return `library(name)`, which imports a module, and skips or fails the test where it is not installed."""

    def library(name: str) -> Any:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            file = "programs-more" if request.node.get_closest_marker("programs") else "programs"
            missing(str(error.name), f"pip install -r requirements/{file}.txt")

    return library


@pytest.fixture
def program() -> Callable[[str, str], str]:
    """Return `program(name, package)`, the path of a program; it skips or fails the test where it is not installed."""

    def program(name: str, package: str) -> str:
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])  # for servers, where not root
        return shutil.which(name, path=path) or missing(name, f"apt-get install {package}")

    return program


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment, with the cede under test importable, and free of what changes programs.

    Nothing is told of loops that are blocked: on a busy machine all are, now and then.
    """
    path = os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")]))
    cleared = dict.fromkeys(("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "NO_COLOR", "FORCE_COLOR"), "")
    return {**os.environ, **cleared, "CEDE_WATCH": "0", "PYTHONPATH": path, **changes}


class Running:
    """A program that was started, and what it has said so far on standard output and error together."""

    def __init__(self, command: list[str], folder: Path, **changes: str) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until the output matches the pattern; return the match."""
        deadline = time.monotonic() + START_SECONDS
        while (match := re.search(pattern, self.output)) is None:
            assert self._listener.is_alive(), f"ended without {pattern!r}:\n{self.output}"
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{self.output}"
            time.sleep(0.01)
        return match

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask the program to end; return its exit status once all of its output has been read."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self, seconds: float = END_SECONDS) -> int:
        """Wait for the program to end by itself; return its exit status."""
        status = self.process.wait(seconds)
        self._listener.join(END_SECONDS)
        return status

    def close(self) -> None:
        """Kill the program, and what it has started and not ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(END_SECONDS)
        self._listener.join(END_SECONDS)
        # What left the process group is not ours to kill, but it keeps the pipe open.
        assert not self._listener.is_alive(), f"something that {self.process.args} started does not end:\n{self.output}"

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            for line in stdout:
                self.output += line


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Return `start(*command, **environment)`, which starts a program in an empty folder; it is ended afterwards."""
    with contextlib.ExitStack() as stack:

        def start(*command: str, **changes: str) -> Running:
            running = Running(list(command), tmp_path, **changes)
            stack.callback(running.close)
            return running

        yield start


@pytest.fixture(scope="session")
def services() -> Iterator[dict[str, str]]:
    """Return the addresses of the database servers that could be started, under CEDE_TEST_POSTGRES and CEDE_TEST_REDIS.

    Those that somebody else started already (.ci/run does) are taken from the environment.
    """
    names = ("CEDE_TEST_POSTGRES", "CEDE_TEST_REDIS")
    given = {name: os.environ[name] for name in names if os.environ.get(name)}
    if given:
        yield given
        return
    script = str(ROOT / "scripts" / "services.sh")
    folder = tempfile.mkdtemp(prefix="cede-services-")
    try:
        # Order: the services keep standard error; a pipe for it would never end.
        done = subprocess.run([script, "start", folder], stdout=subprocess.PIPE, text=True, timeout=60)
        yield dict(re.findall(r"^export (\w+)=(\S+)$", done.stdout, re.M))
    finally:
        subprocess.run([script, "stop", folder], timeout=60)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A certificate authority, and what it signed for localhost and for a client."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def http_site() -> Iterator[int]:
    """The port of an HTTP server that answers with what it was asked; peers.py has its paths."""
    with peers.serving_http() as port:
        yield port


@pytest.fixture
def load(program: Callable[[str, str], str]) -> Callable[[str, int], int]:
    """Return `load(url, connections)`, a second of wrk's requests; it returns how many, each of them answered rightly."""
    return functools.partial(peers.load, program("wrk", "wrk"))


@pytest.fixture
def redis(library: Any) -> Any:
    return library("redis.asyncio")


@pytest.fixture
def asyncpg(library: Any) -> Any:
    return library("asyncpg")


@pytest.fixture
def postgres(services: dict[str, str]) -> str:
    """The address of a PostgreSQL server with an empty database."""
    return services.get("CEDE_TEST_POSTGRES") or missing("PostgreSQL", "apt-get install postgresql")


@pytest.fixture
def redis_address(services: dict[str, str]) -> str:
    """The address of a Redis server."""
    return services.get("CEDE_TEST_REDIS") or missing("Redis", "apt-get install redis-server")
