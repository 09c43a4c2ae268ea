"""Processes that cannot be looked at: each command says in one line whose they are, or what they are, and what to do."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cede.__main__ import main
from cede._command import ask, strangers
from cede.observe import processes, schema
from tests.observe.servers import server

COMMANDS = ("ps", "pstree", "top", "show", "trace")
AS_NOBODY = """
import os, sys
from cede._command import ask, attach, ps, show  # before nobody may read them
try:
    import textual.app
except ImportError:
    pass
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
from cede.__main__ import main
for name in sys.argv[2:]:
    print(name, main([name, sys.argv[1]]))
"""

pytestmark = [pytest.mark.linux("elsewhere little is told of other processes"), pytest.mark.timeout(60)]


@pytest.fixture(autouse=True)
def runtime_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cede-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[str, int], str]:
    """Return what a command says of a process: one line."""

    def said(name: str, pid: int) -> str:
        if name == "top":
            pytest.importorskip("textual", reason="only where the extra `top` is installed")
        status = main([name, str(pid)])
        captured = capsys.readouterr()
        return the_line(name, status, captured.out, captured.err)

    return said


def the_line(name: str, status: int, out: str, err: str) -> str:
    assert status in (1, 2), err
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith(f"cede {name}: ")
    return err.removeprefix(f"cede {name}: ").rstrip("\n")


@pytest.fixture
def no_attaching(monkeypatch: pytest.MonkeyPatch) -> None:
    """As before Python 3.14, where no process can be entered."""
    monkeypatch.setattr(ask, "sys", SimpleNamespace(version_info=(3, 13)))


@pytest.mark.parametrize("name", COMMANDS)
def test_no_process(said: Callable[[str, int], str], name: str) -> None:
    assert said(name, 99999999).startswith("there is no process 99999999")


@pytest.mark.parametrize("name", COMMANDS)
def test_no_python(said: Callable[[str, int], str], name: str) -> None:
    with subprocess.Popen(["sleep", "100"]) as process:
        try:
            line = said(name, process.pid)
        finally:
            process.kill()
    assert re.fullmatch(rf"process {process.pid} is no Python: it runs \S+", line), line


@pytest.mark.usefixtures("no_attaching")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_python_without_cede(said: Callable[[str, int], str], tmp_path: Path, name: str) -> None:
    source = 'print("ready", flush=True); import time; time.sleep(100)'
    with server(tmp_path, source) as process:
        line = said(name, process.pid)
    if name in ("show", "trace"):
        assert line.startswith(f"process {process.pid} records nothing: start it with CEDE_RECORD=16MiB ")
        assert line.endswith(" (and it may not run on cede at all)")
    else:
        version = ".".join(map(str, sys.version_info[:2]))
        assert re.match(
            rf"process {process.pid} does not listen, so all that can be seen is: Python {version}, not on a compiled"
            r" cede, its main thread (sleeps in the kernel|runs)\. Next time, start it with CEDE_INSPECT=1 ",
            line,
        )


NOT_READY = """
import cede
async def main():
    print("ready", flush=True)
    await cede.sleep(100)
cede.run(main())
"""


@pytest.mark.usefixtures("no_attaching")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_process_that_was_not_made_ready(said: Callable[[str, int], str], tmp_path: Path, name: str) -> None:
    """Where it cannot be entered, as before Python 3.14: what can be seen, and what to set next time."""
    with server(tmp_path, NOT_READY, CEDE_INSPECT="0") as process:
        line = said(name, process.pid)
    assert "CEDE_RECORD=16MiB" in line
    if name in ("show", "trace"):
        assert line.startswith(f"process {process.pid} records nothing: start it with CEDE_RECORD=16MiB ")
    else:
        assert f"process {process.pid} does not listen, so all that can be seen is: Python 3." in line
        assert ", its main thread " in line
        assert "Next time, start it with CEDE_INSPECT=1 in its environment, or with `cede run --inspect`" in line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("ready", [False, True], ids=["unprepared", "prepared"])
def test_another_user_s(run_python: Callable[..., Any], tmp_path: Path, ready: bool) -> None:
    settings = {"CEDE_INSPECT": "1", "CEDE_RECORD": "1MiB"} if ready else {"CEDE_INSPECT": "0"}
    names = [name for name in COMMANDS if name != "top" or importlib.util.find_spec("textual")]
    with server(tmp_path, NOT_READY, **settings) as process:
        done = run_python(AS_NOBODY, str(process.pid), *names)
    assert done.stdout.split()[::2] == names
    for name, status, line in zip(names, done.stdout.split()[1::2], done.stderr.splitlines(keepends=True), strict=True):
        said = the_line(name, int(status), "", line)
        assert said == f"process {process.pid} belongs to another user, who alone may ask it (try sudo)"


OTHER_CEDE = """
from cede.observe import snapshot
snapshot.FORMAT = 1
snapshot.__version__ = "0.0.9"
import cede
async def main():
    print("ready", flush=True)
    await cede.sleep(100)
cede.run(main())
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_another_cede(said: Callable[[str, int], str], tmp_path: Path, runtime_folder: Path, name: str) -> None:
    with server(tmp_path, OTHER_CEDE, CEDE_INSPECT="1", CEDE_RECORD="1MiB") as process:
        (ring,) = (runtime_folder / "cede").glob("*.ring")
        with open(ring, "r+b") as file:
            file.seek(schema.FIELDS["version"][0])
            file.write(struct.pack("<I", 99))
        line = said(name, process.pid)
    if name in ("show", "trace"):
        assert line.endswith(
            f"this recording is of version 99, and this cede reads version {schema.VERSION}:"
            " read it with the cede that wrote it"
        )
    else:
        assert line == (
            f"process {process.pid} runs cede 0.0.9, which answers in another form; use the cede of its own"
        )


@pytest.mark.parametrize("name", ["record", "watch"])
def test_a_process_is_nothing_to_record(said: Callable[[str, int], str], name: str) -> None:
    """They run a program."""
    assert said(name, 1) == (
        "runs a program; of a process that runs: cede trace 1 (if it was started with CEDE_RECORD=16MiB)"
    )


@pytest.mark.parametrize(
    ("program", "version"),
    [
        ("/usr/bin/python3.13", "3.13"),
        ("/usr/bin/python3", "3"),
        ("/opt/python3.14t", "3.14"),
        ("/opt/python", ""),
        ("/usr/bin/pythonish", None),
        ("/usr/bin/sleep", None),
        ("", ""),
    ],
)
def test_which_python(monkeypatch: pytest.MonkeyPatch, program: str, version: str | None) -> None:
    monkeypatch.setattr("cede.observe.processes.program_of", lambda pid: program)
    monkeypatch.setattr("cede.observe.processes.files_of", lambda pid, part: [])
    assert strangers.python_of(1) == version


def test_a_program_with_python_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cede.observe.processes.program_of", lambda pid: "/usr/bin/uwsgi")
    monkeypatch.setattr("cede.observe.processes.files_of", lambda pid, part: ["/usr/lib/libpython3.12.so.1.0"])
    assert strangers.python_of(1) == "3.12"


def test_a_process_that_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "PATIENCE", 0.3)
    with server(tmp_path, NOT_READY, CEDE_INSPECT="1") as process:
        process.send_signal(signal.SIGSTOP)
        while processes.state_of(process.pid) != "T":
            time.sleep(0.01)
        with pytest.raises(ask.NoAnswer, match=r"within 0.3 seconds: it is stopped \(kill -CONT lets it go on\)"):
            ask.ask(process.pid)
