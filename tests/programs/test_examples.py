"""The examples do what their texts say: on cede, on stock asyncio, and with `import cede as asyncio`.

They print times and addresses; everything else is compared to the letter with what stands here.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
Start = Callable[..., Any]

FIRST_PROGRAM = """
Called, but neither awaited nor run. A call only makes a coroutine; nothing of its body runs:
0 this is all there is: <coroutine object make at ADDRESS>
0 thrown away, it makes Python warn (on standard error):

Awaited one after the other: 4 s and 2 s take 6 s
0 coffee has the turn and waits 4 s: it gives the turn away
4 coffee has the turn again: ready
4 toast has the turn and waits 2 s: it gives the turn away
6 toast has the turn again: ready
6 both are ready

Gathered: 4 s and 2 s take 4 s, because they wait at the same time
0 coffee has the turn and waits 4 s: it gives the turn away
0 toast has the turn and waits 2 s: it gives the turn away
2 toast has the turn again: ready
4 coffee has the turn again: ready
4 both are ready: coffee and toast
"""

OUTPUTS = {
    "deadline": """
        all in time:
          quick: done
          slow: done
          results: ['SLOW', 'QUICK']
        too late:
          quick: done
          endless: cancelled, cleaning up
          time is up
        one fails:
          endless: cancelled, cleaning up
          errors: ['broken has no answer']
        """,
    "producer_consumer": """
        apples: all 10 handed over
        pears: all 5 handed over
        apples came out in order: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        pears came out in order: [0, 1, 2, 3, 4]
        """,
    "threads": """
        words counted by three threads: [2, 1, 0]
        the loop went on meanwhile: yes
        report 0
        report 1
        report 2
        Did you get them? Yes, on the loop's own thread: True.
        """,
    "subprocesses": """
        tr: HELLO FROM THE LOOP - exit status 0
        countdown: 3
        countdown: 2
        countdown: 1
        countdown: exit status 0
        sleep: ended by signal 15
        """,
    "echo_streams": """
        ann says 0, ann says 1, ann says 2
        bob says 0, bob says 1, bob says 2
        eve says 0, eve says 1, eve says 2
        """,
    "echo_protocol": """
        5 bytes came back, the same
        1000000 bytes came back, the same
        """,
}

CHAT_ANN = ["* bob comes in", "* eve comes in", "bob: hello ann"]
CHAT_BOB = ["* eve comes in", "ann: hello", "ann: I must go", "* ann leaves"]
CHAT_EVE = ["ann: hello", "bob: hello ann", "ann: I must go", "* ann leaves", "bob: she has gone", "* bob leaves"]


@pytest.fixture(params=["cede run", "import cede", "asyncio"])
def run_example(request: pytest.FixtureRequest, tmp_path: Path, start: Start) -> Callable[..., str]:
    """Return `run(name, *arguments)`: it runs an example to its end, warnings as errors, and returns its output."""

    def run(name: str, *arguments: str) -> str:
        path = EXAMPLES / f"{name}.py"
        if request.param == "import cede":
            source, path = path.read_text(), tmp_path / f"{name}.py"
            path.write_text(source.replace("import asyncio\n", "import cede as asyncio\n"))
        launcher = ["-m", "cede", "run"] if request.param == "cede run" else []
        warnings = [] if name == "first_program" else ["-W", "error"]
        running = start(sys.executable, "-u", *warnings, *launcher, str(path), *arguments)
        status = running.wait()
        assert status == 0, running.output
        return str(running.output)

    return run


def test_first_program(run_example: Callable[..., str]) -> None:
    """A coroutine that is only called prints as an object and is warned of; 4 s and 2 s take 6 s, gathered 4 s."""
    unit = 0.05
    output = run_example("first_program", str(unit))
    output, warnings = re.subn(r"(?m)^.*RuntimeWarning: coroutine 'make' was never awaited\n(  .*\n)?", "", output)
    assert warnings == 1
    output = re.sub(r"(?m)^RuntimeWarning: Enable tracemalloc .*\n", "", output)
    output = re.sub(r"0x[0-9a-fA-F]+", "ADDRESS", output)
    times = [float(time) / unit for time in re.findall(r"(?m)^ *([\d.]+) s  ", output)]
    expected = [float(time) for time in re.findall(r"(?m)^(\d) ", FIRST_PROGRAM)]
    assert re.sub(r"(?m)^ *[\d.]+ s  ", "", output) == re.sub(r"(?m)^\d ", "", FIRST_PROGRAM)
    for time, least in zip(times, expected, strict=True):
        assert least - 0.2 <= time < least + 4, (times, expected)  # the output's last digit is 0.2 units


@pytest.mark.parametrize("name", OUTPUTS)
def test_output(run_example: Callable[..., str], name: str) -> None:
    """The example prints exactly this, and nothing on standard error."""
    lines = [line[8:] for line in OUTPUTS[name].strip("\n").splitlines()[:-1]]
    assert run_example(name).splitlines() == lines


def test_chat(run_example: Callable[..., str]) -> None:
    """Each guest hears what the others say while in the room, in order, and not itself."""
    heard = run_example("chat").splitlines()
    for name, lines in (("ann", CHAT_ANN), ("bob", CHAT_BOB), ("eve", CHAT_EVE)):
        assert [line for line in heard if line.startswith(name)] == [f"{name} hears {line}" for line in lines]


@pytest.mark.parametrize("name", ["echo_streams", "chat"])
def test_serving(start: Start, name: str) -> None:
    """As a server the example listens where it says, and Ctrl-C ends it as it ends any program."""
    running = start(sys.executable, "-u", "-m", "cede", "run", str(EXAMPLES / f"{name}.py"), "serve", "0")
    port = int(running.expect(r"listening on port (\d+)\n")[1])
    with (
        socket.create_connection(("127.0.0.1", port), 5) as ann,
        socket.create_connection(("127.0.0.1", port), 5) as bob,
    ):
        ann.sendall(b"ann\n")
        if name == "chat":
            assert_silent(ann)
            bob.sendall(b"bob\n")
            assert ann.recv(100) == b"* bob comes in\n"
        else:
            assert ann.recv(100) == b"ann\n"
    assert running.end(signal.SIGINT) == -signal.SIGINT
    assert running.output.rstrip().endswith("KeyboardInterrupt")


def assert_silent(sock: socket.socket) -> None:
    sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        sock.recv(1)
    sock.settimeout(5)


# -- the demo ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def site(start: Start, library: Any) -> Callable[..., str]:
    """Return `site(*launcher, pages=…)`, which starts linked_pages.py and returns its address."""
    library("aiohttp")

    def site(*launcher: str, pages: int) -> str:
        server = start(sys.executable, "-u", *launcher, str(EXAMPLES / "linked_pages.py"), "--pages", str(pages))
        return str(server.expect(r"(http://\S+)\n")[1])

    return site


@pytest.mark.parametrize("server", [("-m", "cede", "run"), ()], ids=["server on cede", "server on asyncio"])
@pytest.mark.parametrize("client", [("-m", "cede", "run"), ()], ids=["client on cede", "client on asyncio"])
def test_crawl(site: Callable[..., str], start: Start, server: tuple[str, ...], client: tuple[str, ...]) -> None:
    """The crawler fetches every page once, on either loop from either loop."""
    address = site(*server, pages=150)
    crawler = start(sys.executable, *client, str(EXAMPLES / "crawl.py"), address, "--json", "--workers", "20")
    assert crawler.wait() == 0, crawler.output
    *progress, summary = map(json.loads, crawler.output.splitlines())
    assert (summary["pages"], summary["errors"]) == (150, 0)
    assert summary["bytes"] > 150 * 1000
    assert summary["requests_per_second"] > 0
    assert progress[-1] == {"done": 150, "known": 150}


def test_crawl_on_a_terminal(site: Callable[..., str], tmp_path: Path) -> None:
    """On a terminal there is a bar that fills; the summary is a sentence."""
    address = site("-m", "cede", "run", pages=50)
    try:
        outer, inner = os.openpty()
    except OSError as error:
        pytest.skip(f"no terminals here: {error}")
    command = [sys.executable, "-m", "cede", "run", str(EXAMPLES / "crawl.py"), address]
    with open(outer, encoding="utf-8", newline="\n") as terminal:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=inner, text=True, timeout=20)
        os.close(inner)
        shown = terminal.readline()
    assert done.returncode == 0
    assert re.fullmatch(r"50 pages, \d+ bytes in [\d.]+ s: \d+ requests/s\n", done.stdout)
    assert shown.startswith("\r")
    assert shown.endswith(f"\r{'█' * 40} 50 of 50 pages \r\n")


def test_crawl_reports_errors(site: Callable[..., str], start: Start) -> None:
    """A page that cannot be fetched is named, and the exit status is 1."""
    address = site("-m", "cede", "run", pages=5)
    crawler = start(sys.executable, "-m", "cede", "run", str(EXAMPLES / "crawl.py"), f"{address}page/77")
    assert crawler.wait() == 1
    assert "0 pages, 0 bytes" in crawler.output
    assert "page/77: ClientResponseError(" in crawler.output


@pytest.mark.timeout(120)
def test_demo(start: Start, library: Any) -> None:
    """The demo crawls on all loops, shows them side by side, and names what ran."""
    library("aiohttp")
    library("uvloop")
    demo = start(sys.executable, str(EXAMPLES / "demo.py"), "--pages", "60", "--rounds", "1")
    assert demo.wait(100) == 0, demo.output
    rows = re.findall(r"(?m)^  (\w+) +[\d,]+ requests/s   CPU \d+ \+ \d+ us$", demo.output)
    assert rows == ["cede", "asyncio", "uvloop"]
    assert "Every crawl brought all 60 pages.\n  Requests/s of cede: " in demo.output
    assert "\x1b" not in demo.output, "plain text where there is no terminal"


def test_demo_fails_on_a_wrong_result(start: Start, library: Any, tmp_path: Path) -> None:
    """A crawl that misses pages fails the demo."""
    library("aiohttp")
    for name in ("demo.py", "linked_pages.py", "crawl.py"):
        text = (EXAMPLES / name).read_text()
        (tmp_path / name).write_text(text.replace("return further + anywhere", "return further[:2]"))
    demo = start(sys.executable, "demo.py", "--pages", "20", "--rounds", "1", "--loops", "cede")
    assert demo.wait() == 1
    assert re.search(r"FAILED: cede fetched \d+ of 20 pages, 0 failed\n$", demo.output)
