"""`cede ps PID` and `cede pstree PID`: the tasks of another process."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cede._command import attach, show  # now: libffi, which it brings in, keeps a descriptor
from cede._command.ask import NoAnswer, ask
from cede._command.ps import ps_command

Start = Callable[..., subprocess.Popen[str]]

TASKS = """
import sys, time
import cede

async def leaf():
    await cede.sleep(1000)

async def main():
    cede.get_running_loop().call_later(0.02, ready)
    await cede.gather(leaf(), leaf())

def ready():
    print("ready", flush=True)
    if "hang" in sys.argv:
        time.sleep(1000)

cede.run(main())
"""


@pytest.fixture
def runtime_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder short enough for the paths of sockets."""
    with tempfile.TemporaryDirectory(prefix="cede-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return `start(source, *arguments, **environment)`: a program that has said "ready" and runs until the test ends."""
    processes = []

    def start(source: str, *arguments: str, run: tuple[str, ...] = (), **environment: str) -> subprocess.Popen[str]:
        program = tmp_path / "program.py"
        program.write_text(textwrap.dedent(source))
        process = subprocess.Popen(
            [sys.executable, *run, str(program), *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
            process.communicate()


def names(answer: dict[str, Any]) -> list[str]:
    return [task["stack"][-1][0] for task in answer["tasks"]]


# -- a process that listens --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["in its loop", "hang"])
def test_a_process_that_listens(
    start: Start, runtime_folder: Path, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    process = start(TASKS, where, CEDE_INSPECT="1")
    path = runtime_folder / "cede" / f"{process.pid}.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert ps_command("ps", [str(process.pid)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"process {process.pid}, cede ")
    assert lines[0].endswith(": 1 running loop, 3 tasks (3 waiting)")
    assert sum("sleep(1000)" in line and "sleep -> leaf" in line and "Task-1" in line for line in lines) == 2
    assert ps_command("pstree", [str(process.pid)]) == 0
    tree = capsys.readouterr().out
    assert "└── (T) Task-1\n    └──  main " in tree
    assert tree.count(" leaf ") == 2


NEWCOMER = """
import asyncio, sys, time
import cede

LOCK = cede.Lock()

async def holds():
    async with LOCK:
        await asyncio.sleep(1000)

async def wants():
    async with LOCK:
        pass

async def leaf():
    await asyncio.sleep(1000)

async def group():
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(leaf(), name="grouped")

async def gather():
    await asyncio.gather(leaf())

def works_hard():
    time.sleep(1000)

async def thread():
    await asyncio.to_thread(works_hard)

async def numbers():
    await asyncio.sleep(1000)
    yield 1

async def generator():
    async for _ in numbers():
        pass

async def hangs():
    await asyncio.sleep(0.01)
    print("ready", flush=True)
    time.sleep(1000)

async def main():
    functions = [holds, wants, group, gather, thread, generator, hangs]
    await asyncio.gather(*[asyncio.create_task(each(), name=each.__name__) for each in functions])

asyncio.run(main())
"""


def test_what_a_newcomer_meets(start: Start, runtime_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A program on asyncio's own names that hangs, under `cede run`: each task says what it waits for, and for whom."""
    process = start(NEWCOMER, run=("-m", "cede", "run", "--inspect", "--no-watch"))
    assert ps_command("ps", [str(process.pid)]) == 0
    rows = {name: line for line in capsys.readouterr().out.splitlines() for name in line.split()[1:3]}
    for name, *words in (
        ("wants", "Lock LOCK (held by holds)"),
        ("group", "task grouped", "TaskGroup.__aexit__ -> group"),
        ("gather", "task Task-"),
        ("thread", "to_thread(works_hard)"),
        ("generator", "sleep(1000)", "sleep -> numbers -> generator"),
        ("hangs", "running"),
    ):
        assert all(word in rows[name] for word in words), (name, rows[name])
    assert rows["hangs"].split()[0] == "▶"
    assert ps_command("pstree", [str(process.pid)]) == 0
    lines = [line.partition("(T) ") for line in capsys.readouterr().out.splitlines()]
    depth = {name: len(before) for before, _, name in lines}
    assert depth["grouped"] > depth["group"]


def test_cede_run_inspect_and_the_end(start: Start, runtime_folder: Path) -> None:
    """The socket goes when the process ends, and the process ends as ever."""
    source = 'import sys, cede\nprint("ready", flush=True)\nsys.stdin.read()\n'
    process = start(source, run=("-X", "dev", "-W", "error", "-m", "cede", "run", "--inspect"), CEDE_INSPECT="")
    assert names(ask(process.pid)) == []
    process.communicate("")
    assert process.returncode == 0
    assert os.listdir(runtime_folder / "cede") == []


def test_forked_processes_listen_for_themselves(start: Start, runtime_folder: Path) -> None:
    source = """
        import os, sys, warnings
        import cede
        warnings.simplefilter("ignore", DeprecationWarning)     # 3.12 and newer: of forking with threads
        child = os.fork()
        if child == 0:
            async def in_child():
                print("ready", flush=True)
                await cede.sleep(1000)
            cede.run(in_child())
        sys.stdin.read()
        os.kill(child, 9)
        os.waitpid(child, 0)
    """
    process = start(source, CEDE_INSPECT="1")
    (child,) = {int(path.stem) for path in (runtime_folder / "cede").iterdir()} - {process.pid}
    try:
        assert names(ask(child)) == ["in_child"]
        assert names(ask(process.pid)) == []
    finally:
        process.communicate("")
        assert process.returncode == 0
    assert [path.stem for path in (runtime_folder / "cede").iterdir()] == [str(child)]  # it was killed


def test_sockets_of_dead_processes(start: Start, runtime_folder: Path) -> None:
    """They are in nobody's way, and the next process that listens removes them."""
    folder = runtime_folder / "cede"
    folder.mkdir(mode=0o755)
    (folder / "99999999.sock").write_text("")
    (folder / "notes.txt").write_text("")
    process = start(TASKS, CEDE_INSPECT="1")
    assert {path.name for path in folder.iterdir()} == {f"{process.pid}.sock", "notes.txt"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_socket_nobody_listens_at(runtime_folder: Path) -> None:
    """Left by a process that was killed; its number is another one's now."""
    folder = runtime_folder / "cede"
    folder.mkdir()
    with subprocess.Popen(["sleep", "100"]) as process:
        path = folder / f"{process.pid}.sock"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
        with pytest.raises(NoAnswer, match=r"CEDE_INSPECT=1|is no Python"):
            ask(process.pid)
        assert not path.exists()
        process.kill()


@pytest.mark.linux("elsewhere it is not told who listens: the folder's owner is believed")
def test_an_impostor_s_socket(runtime_folder: Path) -> None:
    """What listens there must be the process itself."""
    folder = runtime_folder / "cede"
    folder.mkdir()
    with subprocess.Popen(["sleep", "100"]) as process, socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / f"{process.pid}.sock"))
        sock.listen()
        with pytest.raises(NoAnswer, match=r"CEDE_INSPECT=1|is no Python"):
            ask(process.pid)
        process.kill()


def test_a_folder_of_somebody_else_s_is_not_used(start: Start, runtime_folder: Path) -> None:
    """The program runs all the same."""
    (runtime_folder / "elsewhere").mkdir()
    (runtime_folder / "cede").symlink_to("elsewhere")
    start(TASKS, CEDE_INSPECT="1")
    assert os.listdir(runtime_folder / "elsewhere") == []


OTHER_USER = """
import os, socket, sys
from cede._command import ask, attach, ps
ask._ask_by_script = None
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sys.exit(ps.ps_command("ps", sys.argv[1:]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(
    "opened",
    [False, pytest.param(True, marks=pytest.mark.linux("without /proc only processes of one's own are asked"))],
    ids=["", "opened"],
)
def test_closed_to_every_other_user(
    start: Start, runtime_folder: Path, run_python: Callable[..., Any], opened: bool
) -> None:
    """Also where somebody has opened the folder: the kernel tells who connects."""
    process = start(TASKS, CEDE_INSPECT="1")
    if opened:
        runtime_folder.chmod(0o755)
        (runtime_folder / "cede").chmod(0o755)
        (runtime_folder / "cede" / f"{process.pid}.sock").chmod(0o666)
    done = run_python(OTHER_USER, str(process.pid), check=False)
    assert (done.returncode, done.stdout) == (1, "")
    said = "answers only its own user and root" if opened else "belongs to another user"
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


# -- a process that was not made ready ---------------------------------------------------------------------------------


def may_attach() -> bool:
    """Return True if this Python can execute code in another process, and may."""
    if sys.version_info < (3, 14):
        return False
    source = "print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()  # Order: before that it is no Python yet
            sys.remote_exec(process.pid, os.devnull)
        except (PermissionError, RuntimeError):
            return False
        finally:
            process.kill()
    return True


attaching = pytest.mark.skipif(not may_attach(), reason="needs Python 3.14, and to be allowed to look into processes")


@attaching
def test_an_idle_process(start: Start, runtime_folder: Path) -> None:
    """It sleeps in its loop, and executes no Python by itself."""
    process = start(TASKS, CEDE_INSPECT="0")
    for _ in range(3):
        assert names(ask(process.pid)) == ["main", "leaf", "leaf"]
    assert process.poll() is None
    assert not list(runtime_folder.iterdir())
    assert not list(Path("/tmp").glob(f"cede-ps-{process.pid}-*"))


@attaching
def test_a_busy_process(start: Start) -> None:
    source = """
        import cede
        async def main():
            await cede.sleep(0)
            print("ready", flush=True)
            while True:
                pass
        cede.run(main())
    """
    assert names(ask(start(source, CEDE_INSPECT="0").pid)) == ["main"]


@attaching
def test_a_process_that_cannot_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it could again, it finds nothing to do, and clears away."""
    source = """
        import signal, sys, threading, cede
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        threading.Timer(0.1, print, ["ready"], {"flush": True}).start()
        signal.sigwait([signal.SIGUSR1])
        for _ in range(100_000): pass
        print("well", flush=True)
    """
    process = start(source, CEDE_INSPECT="0")
    monkeypatch.setattr(attach, "PATIENCE", 0.3)
    with pytest.raises(NoAnswer, match="did not answer within 0.3 seconds: its main thread is inside of a C function"):
        ask(process.pid)
    process.send_signal(signal.SIGUSR1)
    assert process.communicate(timeout=10) == ("well\n", None)
    assert not list(Path("/tmp").glob(f"cede-ps-{process.pid}-*"))


@attaching
def test_a_process_without_cede(start: Start) -> None:
    process = start('print("ready", flush=True)\nwhile True: pass\n')
    with pytest.raises(NoAnswer, match=f"does not use cede; .*python -m asyncio ps {process.pid}"):
        ask(process.pid)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="3.14 and newer can look into it")
def test_a_process_that_does_not_listen(start: Start) -> None:
    process = start(TASKS, CEDE_INSPECT="0")
    with pytest.raises(NoAnswer, match=r"does not listen, so .* Next time, start it with CEDE_INSPECT=1"):
        ask(process.pid)


@attaching
def test_no_python_at_all() -> None:
    with subprocess.Popen(["sleep", "100"]) as process:
        with pytest.raises(NoAnswer, match=r"cannot be asked by this Python 3\.\d+ \(|is no Python: it runs "):
            ask(process.pid)
        process.kill()


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_no_such_process(capsys: pytest.CaptureFixture[str]) -> None:
    assert ps_command("ps", ["99999999"]) == 1
    assert capsys.readouterr().err == "cede ps: there is no process 99999999\n"


NO_NUMBER = "takes options and the number of a process, as in: cede pstree 1234 (cede pstree --help)"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x"], NO_NUMBER),
        (["-1"], NO_NUMBER),
        (["1", "2"], NO_NUMBER),
        (["1", "--filter"], "--filter needs a value after it"),
        (["--what", "1"], "unknown option --what (cede pstree --help lists them)"),
    ],
    ids=str,
)
def test_mistaken_command_lines(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert ps_command("pstree", arguments) == 2
    assert capsys.readouterr().err == f"cede pstree: {said}\n"


@pytest.mark.parametrize(("name", "arguments"), [("pstree", []), ("ps", ["--watch"])], ids=str)
def test_no_process_named(capsys: pytest.CaptureFixture[str], name: str, arguments: list[str]) -> None:
    assert ps_command(name, arguments) == 2
    assert "takes the number of a process" in capsys.readouterr().err


def test_the_processes_that_can_be_looked_at(
    start: Start, runtime_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(TASKS, "an argument", CEDE_INSPECT="1")
    assert ps_command("ps", ["--json"]) == 0
    (mine,) = [row for row in json.loads(capsys.readouterr().out) if row["pid"] == process.pid]
    assert mine["how"] == "listens"
    if sys.platform == "linux" and not os.environ.get("CEDE_PORTABLE"):
        assert mine["command"].endswith("program.py an argument")
    assert ps_command("ps", []) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["PID", "HOW", "COMMAND"] or lines[0].split() == ["PID", "HOW"]
    assert any(line.split()[:2] == [str(process.pid), "listens"] for line in lines)


def test_options(start: Start, runtime_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pid = str(start(TASKS, CEDE_INSPECT="1").pid)
    assert ps_command("ps", [pid, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["tasks"]) == 3
    assert ps_command("ps", ["--filter", "LEAF", pid]) == 0
    assert capsys.readouterr().out.count("leaf") == 2
    assert ps_command("ps", ["--group", pid]) == 0
    assert "    2  waiting  sleep(1000)" in capsys.readouterr().out
    assert ps_command("ps", ["--graph", "/no/folder.html", pid]) == 2
    assert capsys.readouterr().err == "cede ps: cannot write /no/folder.html: No such file or directory\n"


def test_watch(start: Start, runtime_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Until Ctrl-C, or until the process has ended."""
    process = start(TASKS, CEDE_INSPECT="1")
    threading.Timer(0.5, process.kill).start()
    assert ps_command("ps", ["--watch", "0.1", str(process.pid)]) == 1
    process.communicate()
    out, err = capfd.readouterr()
    assert out.count("3 tasks (3 waiting)") > 1
    assert err.count("\n") == 1


def test_ctrl_c_ends_a_trace(
    start: Start, runtime_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was recorded until then is written."""

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    pid = str(start(TASKS, CEDE_INSPECT="1", CEDE_RECORD="1MiB").pid)
    monkeypatch.setattr(show, "time", SimpleNamespace(sleep=interrupted, monotonic=time.monotonic))
    assert show.show_command("trace", [pid, "--seconds", "3600", "-o", str(tmp_path / "trace.json")]) == 0
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert ps_command("ps", ["--help"]) == 0
    assert "CEDE_INSPECT=1" in capsys.readouterr().out


def test_nothing_of_it_is_imported_unasked(run_python: Callable[..., Any]) -> None:
    source = """
        import sys, threading
        import cede
        assert not [name for name in sys.modules if "observe" in name]
        assert threading.active_count() == 1
    """
    run_python(source, env={"CEDE_INSPECT": "0"})


# -- asyncio's own ps --------------------------------------------------------------------------------------------------

STOCK_TASKS = """
import asyncio
import cede

def stock_task(loop, coro, **kwargs):
    return asyncio.Task(coro, loop=loop, **kwargs)

async def leaf():
    await asyncio.sleep(1000)

async def main():
    asyncio.get_running_loop().call_later(0.02, lambda: print("ready", flush=True))
    async with asyncio.TaskGroup() as group:
        group.create_task(leaf(), name="child")

def new_loop():
    loop = cede.new_event_loop()
    loop.set_task_factory(stock_task)
    return loop

asyncio.run(main(), loop_factory=new_loop)
"""


@attaching
def test_asyncio_ps_sees_the_standard_library_s_tasks_on_cede_s_loop(start: Start) -> None:
    """The way out for tools that read the memory of C tasks; docs/inspecting.md shows it."""
    process = start(STOCK_TASKS)
    command = [sys.executable, "-m", "asyncio", "ps", str(process.pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert "child" in done.stdout
    assert "leaf" in done.stdout
    command[-1] = str(start(TASKS).pid)  # cede's own are none of those
    assert "leaf" not in subprocess.run(command, capture_output=True, text=True, timeout=20).stdout
