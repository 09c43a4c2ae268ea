"""`cede top`: what is on its screen, with Textual's pilot at the keys, and in a real terminal."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cede
from cede._command import columns, looking
from cede._command.ask import NoAnswer
from cede._command.looking import Looker, View
from cede._command.top import top_command
from tests.observe.servers import server

pytestmark = pytest.mark.timeout(60)
needs_textual = pytest.mark.skipif(
    importlib.util.find_spec("textual") is None, reason="only where the extra `top` is installed"
)

SHOP = """
import asyncio
import time

LOCK = asyncio.Lock()

async def holder():
    async with LOCK:
        await asyncio.sleep(1000)

async def request():
    async with LOCK:
        pass

async def ticks():
    while True:
        await asyncio.sleep(0.01)

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(holder(), name="the holder")
        for number in range(40):
            group.create_task(request(), name=f"request {number}")
        group.create_task(ticks(), name="[bold]ticks[/]")
        await asyncio.sleep(0.1)
        print("ready", flush=True)

asyncio.run(main())
"""

DEADLOCK = """
import asyncio

A, B = asyncio.Lock(), asyncio.Lock()

async def takes(first, second):
    async with first:
        await asyncio.sleep(0.01)
        async with second:
            pass

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(takes(A, B), name="left")
        group.create_task(takes(B, A), name="right")
        await asyncio.sleep(0.1)
        print("ready", flush=True)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def folder_of_all() -> Iterator[Path]:
    """A folder short enough for the paths of sockets."""
    with tempfile.TemporaryDirectory(prefix="cede-") as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def runtime_folder(folder_of_all: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder_of_all))
    return folder_of_all


def run_shop(folder: Path) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    return server(folder, SHOP, "-m", "cede", "run", "--inspect", CEDE_RECORD="1MiB", XDG_RUNTIME_DIR=str(folder))


@pytest.fixture(scope="module")
def shop_of_all(folder_of_all: Path) -> Iterator[subprocess.Popen[str]]:
    with run_shop(folder_of_all) as process:
        yield process


@pytest.fixture
def shop(shop_of_all: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """A server that is only looked at."""
    return shop_of_all


@pytest.fixture
def mortal(folder_of_all: Path) -> Iterator[subprocess.Popen[str]]:
    """The same, to be done with what one likes."""
    with run_shop(folder_of_all) as process:
        yield process


# -- looking, without a screen -----------------------------------------------------------------------------------------


def test_two_looks(shop: subprocess.Popen[str]) -> None:
    looker = Looker(shop.pid)
    first = looker.look()
    assert first.rates == {}
    time.sleep(0.5)
    view = looker.look()
    tasks = {task["name"]: task for task in view.answer["tasks"]}
    assert 10 < view.rates[tasks["[bold]ticks[/]"]["id"]] < 110
    assert view.rates[tasks["the holder"]["id"]] == 0
    assert view.recorded
    history = view.history[tasks["[bold]ticks[/]"]["number"]]
    assert history.steps == tasks["[bold]ticks[/]"]["steps"] or history.steps > 10
    assert len(view.heads) == 1
    for word in ("up ", " % busy", " turns/s", "late p50 ", " p99 ", " max ", "43 tasks", f"thread {shop.pid}"):
        assert word in view.heads[0]


def test_a_look_that_is_dear_is_seldom(shop: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it takes of the process, it takes at most a fiftieth of a processor."""
    looker = Looker(shop.pid, 0.2)
    view = looker.look()
    assert looker.pause == max(0.2, view.answer["cost"] / 0.02)
    answer = dict(view.answer, cost=0.3)
    monkeypatch.setattr(looking, "ask", lambda pid, leaks: answer)
    looker.look()
    assert looker.pause == pytest.approx(15)


def test_whom_a_task_waits_for(shop: subprocess.Popen[str]) -> None:
    view = Looker(shop.pid).look()
    tasks = {task["name"]: task for task in view.answer["tasks"]}
    lines = list(looking.who_waits_for(view, tasks["request 7"]))
    assert lines[0] == "Lock LOCK: locked, held by the holder"
    assert lines[1].startswith("task ")
    assert "'the holder': waiting for " in lines[1]
    assert lines[1].endswith(" at program.py:9")
    assert lines[2] == "sleep(1000)"


def test_a_circle_has_an_end(tmp_path: Path) -> None:
    with server(tmp_path, DEADLOCK, "-m", "cede", "run", "--inspect") as process:
        looker = Looker(process.pid)
        looker.look()
        view = looker.look()
        left = next(task for task in view.answer["tasks"] if task["name"] == "left")
        lines = list(looking.who_waits_for(view, left))
    assert lines[-1].endswith(", again: a circle")
    assert [finding.mark for finding in view.findings] == ["◆", "◆"]
    assert "task 'left' waits for Lock " in "".join(finding.text for finding in view.findings)


def test_a_process_that_ends(mortal: subprocess.Popen[str]) -> None:
    looker = Looker(mortal.pid)
    looker.look()
    mortal.kill()
    mortal.wait()
    with pytest.raises(NoAnswer) as caught:
        looker.look()
    assert str(caught.value) == f"process {mortal.pid} has ended (`cede show {mortal.pid}` shows what it recorded)"


@pytest.mark.linux("elsewhere nobody says what a process does")
def test_a_process_that_is_stopped(mortal: subprocess.Popen[str]) -> None:
    looker = Looker(mortal.pid)
    mortal.send_signal(signal.SIGSTOP)
    for _ in range(100):
        if "stopped" in looker.why_silent():
            break
        time.sleep(0.02)
    assert looker.why_silent() == "it is stopped (kill -CONT lets it go on)"


# -- tables ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200, 400])
def test_tables_fit(shop: subprocess.Popen[str], width: int) -> None:
    view = Looker(shop.pid).look()
    tasks = view.answer["tasks"]
    for made in (
        columns.tasks_of(view, tasks, columns.WORST, False, width),
        columns.groups_of(view, tasks, width),
        columns.resources_of(view, width),
        columns.processes_of([(1, "listens", "x" * 300)], width),
    ):
        assert {len(cells) for _, cells in made.rows} == {len(made.titles)}
        for cells in (made.titles, *(cells for _, cells in made.rows)):
            assert all(len(cell) <= size for cell, size in zip(cells, made.widths, strict=True))
        if width >= 60:
            assert sum(size + columns.PADDING for size in made.widths) <= width
    made = columns.tasks_of(view, tasks, columns.WORST, False, width)
    assert ("BY" in made.titles) == (width >= 120)
    assert "NAME" in [title.strip() for title in made.titles]


@pytest.mark.parametrize("sort", [columns.WORST, *columns.SORTS])
def test_each_order(shop: subprocess.Popen[str], sort: str) -> None:
    looker = Looker(shop.pid)
    looker.look()
    time.sleep(0.1)
    view = looker.look()
    there = columns.tasks_of(view, view.answer["tasks"], sort, False, 200).rows
    back = columns.tasks_of(view, view.answer["tasks"], sort, True, 200).rows
    assert len(there) == len(back) == 43
    assert sorted(key for key, _ in there) == sorted(key for key, _ in back)
    if sort == "name":
        assert there[0][1][2].strip() == "Task-1"
    if sort == "steps a second":
        assert back != there


def test_what_is_wrong_comes_first(shop: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cede.observe.lints.HELD", 0.0)
    view = Looker(shop.pid).look()
    made = columns.tasks_of(view, view.answer["tasks"], columns.WORST, False, 200)
    assert [cell.strip() for cell in made.rows[0][1][:3:2]] == ["■", "the holder"]


def test_of_very_many_tasks_the_first_are_drawn() -> None:
    task = {"name": "t", "state": "waiting", "steps": 1, "since": 1.0, "stack": [], "waits": "", "resource": 0,
            "awaited_by": [], "parent": 0}  # fmt: skip
    tasks = [{**task, "id": number, "number": number} for number in range(1, 10_001)]
    answer: dict[str, Any] = {"tasks": tasks, "resources": [], "loops": []}
    view = View(answer, looking.Names(answer), [], {}, {}, False, [])
    assert len(columns.tasks_of(view, tasks, "number", False, 100).rows) == columns.MOST
    assert len(columns.groups_of(view, tasks, 100).rows) == 1


# -- the screen --------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def console(
    pid: int | None, size: tuple[int, int] = (120, 30), interval: float = 0.2
) -> AsyncIterator[tuple[Any, Any]]:
    """Show the console on a screen that nobody sees; when the block begins something is on it."""
    from cede._command.console import Console

    app = Console(pid, interval)
    async with app.run_test(size=size) as pilot:
        if pid is not None:
            await until(pilot, lambda: app.view is not None)
        yield app, pilot
    if app.thread is not None:
        await cede.to_thread(app.thread.join)


async def until(pilot: Any, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 25
    while time.monotonic() < end:
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError(screen(pilot.app))


def screen(app: Any) -> str:
    """Return what can be read on the screen."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


@needs_textual
@pytest.mark.build
async def test_the_tables(shop: subprocess.Popen[str]) -> None:
    async with console(shop.pid, (140, 60)) as (app, pilot):
        await until(pilot, lambda: "the holder" in screen(app) and " % busy" in screen(app))
        shown = screen(app)
        assert f"process {shop.pid}, cede " in shown
        assert "[bold]ticks[/]" in shown  # a name is no markup
        assert "Lock LOCK (held by the holder)" in shown
        await pilot.press("g")
        await until(pilot, lambda: "request 0, request 1" in screen(app))
        assert "   40  waiting" in screen(app)
        await pilot.press("r")
        await until(pilot, lambda: "RESOURCE" in screen(app))
        assert "Lock LOCK" in screen(app)
        await pilot.press("w")
        await until(pilot, lambda: "nothing is wrong" in screen(app) or "■" in screen(app))
        await pilot.press("t")
        await until(pilot, lambda: "NAME" in screen(app))


@needs_textual
@pytest.mark.build
async def test_a_filter(shop: subprocess.Popen[str]) -> None:
    async with console(shop.pid) as (app, pilot):
        await pilot.press("f", *"request 3", "enter")
        await until(pilot, lambda: "11 of 43 tasks with 'request 3'" in screen(app))
        assert "the holder " not in screen(app)
        assert "request 39" in screen(app)
        await pilot.press("s")  # which is no letter of the filter any more
        await until(pilot, lambda: "sorted by number" in screen(app))
        await pilot.press("S")
        await until(pilot, lambda: "sorted by number, the other way round" in screen(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.query_one("#table-tasks").row_count == 43)
        assert "tasks with" not in screen(app)


@needs_textual
@pytest.mark.build
async def test_one_task(shop: subprocess.Popen[str]) -> None:
    async with console(shop.pid) as (app, pilot):
        await pilot.press("f", *"[bold]", "enter")
        await until(pilot, lambda: "1 of 43" in screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: "WHERE IT IS" in screen(app))
        await until(pilot, lambda: "ITS LATEST STEPS" in screen(app))
        shown = screen(app)
        assert "'[bold]ticks[/]': waiting" in shown
        assert "made by 'Task-1'" in shown
        assert "program.py:17  ticks" in shown
        assert "up to " in shown and "█" in shown
        await pilot.press("escape", "escape", "f", *"request 7", "enter", "enter")
        await until(pilot, lambda: "Lock LOCK: locked, held by the holder" in screen(app))
        await pilot.press("q")
        await until(pilot, lambda: "SINCE" in screen(app))
        assert app.is_running


CANCELS = """
import asyncio

async def stubborn():
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass

async def late():
    async with asyncio.timeout(0.01):
        await asyncio.sleep(1000)

async def boss(task):
    while True:
        task.cancel()
        await asyncio.wait([asyncio.create_task(late(), name="late one")])
        await asyncio.sleep(0.05)

async def main():
    task = asyncio.create_task(stubborn(), name="stubborn")
    asyncio.create_task(boss(task), name="boss")
    await asyncio.sleep(0.1)
    print("ready", flush=True)
    await asyncio.sleep(1000)

import logging
logging.disable()
asyncio.run(main())
"""


@needs_textual
@pytest.mark.build
async def test_who_cancelled_whom(runtime_folder: Path) -> None:
    """Also of tasks that have ended; and of one task."""
    options: dict[str, str] = {"CEDE_RECORD": "1MiB", "XDG_RUNTIME_DIR": str(runtime_folder)}
    with server(runtime_folder, CANCELS, "-m", "cede", "run", "--inspect", **options) as process:
        async with console(process.pid) as (app, pilot):
            await pilot.press("x")
            # Before Python 3.12 a task gets its name when it is there: "Task-2 (stubborn)".
            row = r"\bstubborn\)? +(Task-3 \()?boss\)? +program.py:\d+ +boss"
            await until(pilot, lambda: re.search(row, screen(app)) is not None)
            await until(pilot, lambda: re.search(r" late one +a timeout", screen(app)) is not None)
            await pilot.press("t", "f", *"stubborn", "enter")
            await until(pilot, lambda: "1 of " in screen(app))
            await pilot.press("enter")
            await until(pilot, lambda: "HOW IT WAS CANCELLED" in screen(app))
            assert re.search(r"at \d\d:\d\d:\d\d  by (Task-3 \()?boss\)?  in program.py:\d+ boss", screen(app))
            await pilot.press("escape", "x", "end")
            await until(pilot, lambda: app.query_one("#table-cancels").has_focus)


@needs_textual
@pytest.mark.build
async def test_pause_and_dump(shop: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with console(shop.pid) as (app, pilot):
        await pilot.press("p")
        await until(pilot, lambda: "paused: p goes on" in screen(app))
        await pilot.pause(0.3)
        held = app.view
        await pilot.pause(0.5)
        assert app.view is held
        await pilot.press("d")
        (path,) = tmp_path.glob(f"{shop.pid}-*.json")
        assert json.loads(path.read_text())["pid"] == shop.pid
        await pilot.press("p")
        await until(pilot, lambda: app.view is not held)


@needs_textual
@pytest.mark.build
async def test_the_cursor_stays_on_its_task(shop: subprocess.Popen[str]) -> None:
    """Whatever the others do, and however the table is sorted."""
    async with console(shop.pid) as (app, pilot):
        await pilot.press("down", "down", "down")
        table = app.query_one("#table-tasks")
        key = list(table.rows)[table.cursor_row]
        for _ in range(3):
            await pilot.press("s")
            await pilot.pause(0.1)
            assert list(table.rows)[table.cursor_row] == key


@needs_textual
@pytest.mark.build
async def test_a_process_that_ends_while_one_looks(mortal: subprocess.Popen[str]) -> None:
    async with console(mortal.pid) as (app, pilot):
        mortal.kill()
        await cede.to_thread(mortal.wait)
        await until(pilot, lambda: f"process {mortal.pid} has ended (`cede show {mortal.pid}`" in screen(app))
        assert "the holder" in screen(app)  # as it was seen last
        await pilot.press("enter")
        await until(pilot, lambda: "WHERE IT IS" in screen(app))


@needs_textual
@pytest.mark.build
async def test_the_processes_to_choose_from(shop: subprocess.Popen[str]) -> None:
    async with console(None) as (app, pilot):
        await until(pilot, lambda: "Which process?" in screen(app))
        await until(pilot, lambda: str(shop.pid) in screen(app))
        assert "listens" in screen(app)
        keys = [str(key.value) for key in app.screen.query_one("#processes").rows]
        await pilot.press(*["down"] * keys.index(str(shop.pid)), "enter")
        await until(pilot, lambda: "the holder" in screen(app))
        await pilot.press("o")
        await until(pilot, lambda: "Which process?" in screen(app))
        await pilot.press("escape")
        await until(pilot, lambda: "the holder" in screen(app))


@needs_textual
@pytest.mark.build
async def test_help_and_the_end(shop: subprocess.Popen[str]) -> None:
    async with console(shop.pid, (80, 24)) as (app, pilot):
        await pilot.press("question_mark")
        await until(pilot, lambda: "another process" in screen(app))
        shown = screen(app)
        for binding in app.BINDINGS:
            for key in (
                binding.key.replace("slash", "/").replace("question_mark", "?").replace("shift+s", "S").split(",")
            ):
                assert key.capitalize()[:3] in shown or key in shown, key
        await pilot.press("question_mark", "q")
    assert app.return_code == 0


@needs_textual
@pytest.mark.build
@pytest.mark.parametrize("size", [(30, 8), (80, 24), (200, 50)], ids=str)
async def test_narrow_and_wide(shop: subprocess.Popen[str], size: tuple[int, int]) -> None:
    async with console(shop.pid, size) as (app, pilot):
        table = app.query_one("#table-tasks")
        await until(pilot, lambda: "NAME" in screen(app) and ("BY" in screen(app)) == (size[0] == 200))
        if size[0] >= 80:
            assert not table.show_horizontal_scrollbar
        await pilot.resize_terminal(100, 30)
        await until(pilot, lambda: max(map(len, screen(app).splitlines())) == 100 and "SINCE" in screen(app))


@needs_textual
@pytest.mark.build
async def test_tasks_that_can_never_go_on(tmp_path: Path) -> None:
    source = """
        import asyncio
        async def forgotten():
            await asyncio.get_running_loop().create_future()
        async def main():
            asyncio.create_task(forgotten(), name="the forgotten one")
            await asyncio.sleep(0.05)
            print("ready", flush=True)
            await asyncio.sleep(1000)
        asyncio.run(main())
    """
    with server(tmp_path, source, "-m", "cede", "run", "--inspect") as process:
        async with console(process.pid) as (app, pilot):
            await pilot.press("l", "w")
            await until(
                pilot, lambda: "∅ task 'the forgotten one' can never go on: forgotten program.py:4" in screen(app)
            )
            seen = app.view
            await until(pilot, lambda: app.view is not seen)
            assert "∅" in screen(app)  # still, though not asked again
            await pilot.press("enter")
            await until(pilot, lambda: "WHERE IT IS" in screen(app))


@needs_textual
@pytest.mark.build
async def test_no_colours(shop: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with console(shop.pid) as (app, pilot):
        assert app.no_color
        table = app.query_one("#table-tasks")
        assert table.get_component_styles("datatable--cursor").text_style.reverse  # else nobody sees where it is


# -- a real terminal ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def terminal(command: str, width: int, height: int, **environment: str) -> Iterator[Callable[..., str]]:
    """Run a command in tmux; what is yielded sends keys, and returns what is on the screen when `until` is."""
    with tempfile.TemporaryDirectory(prefix="cede-tmux-") as folder:
        tmux = ["tmux", "-S", f"{folder}/socket", "-f", "/dev/null"]
        settings = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
        subprocess.run(
            [*tmux, "new-session", "-d", "-x", str(width), "-y", str(height), *settings, command], check=True
        )

        def at(*keys: str, until: str = "", unlike: str = "") -> str:
            for key in keys:
                subprocess.run([*tmux, "send-keys", key], check=True)
            for _ in range(300):
                done = subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True)
                if until in done.stdout and (not unlike or unlike not in done.stdout) and done.stdout.strip():
                    return done.stdout
                time.sleep(0.05)
            raise AssertionError(done.stdout)

        try:
            yield at
        finally:
            subprocess.run([*tmux, "kill-server"], capture_output=True)


@needs_textual
@pytest.mark.build
@pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")
@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)])
def test_in_a_real_terminal(shop: subprocess.Popen[str], runtime_folder: Path, width: int, height: int) -> None:
    command = shlex.join([sys.executable, "-m", "cede", "top", "--interval", "0.5", str(shop.pid)])
    variables = {name: os.environ[name] for name in ("PYTHONPATH", "CEDE_PURE") if name in os.environ}
    settings = {**variables, "XDG_RUNTIME_DIR": str(runtime_folder), "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
    with terminal(f"env -u COLUMNS -u LINES {command}; echo status $?; sleep 100", width, height, **settings) as at:
        at(until="the holder")
        shown = at(until="t tasks")
        assert len(shown.splitlines()) <= height
        assert max(map(len, shown.splitlines())) <= width
        assert ("BY" in shown) == (width == 200)
        assert "q quit" in shown or width == 80
        shown = at("r", until="RESOURCE")
        assert "Lock LOCK" in shown
        at("Enter", until="WHERE IT IS")
        at("Escape", until="RESOURCE")
        at("?", until="another process")
        at("Escape", until="RESOURCE", unlike="another process")
        assert "status 0" in at("q", until="status ")


# -- the command -------------------------------------------------------------------------------------------------------


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert top_command(["--help"]) == 0
    assert "pip install cede[top]" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["x"],
        ["-1"],
        ["1", "2"],
        ["--interval"],
        ["--interval", "0"],
        ["--interval", "x"],
        ["--theme", "blue"],
        ["--what"],
    ],
    ids=str,
)
def test_mistaken_command_lines(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert top_command(arguments) == 2
    assert capsys.readouterr().err == (
        "cede top: takes the number of a process, --interval SECONDS and --theme light or dark (cede top --help)\n"
    )


def test_without_textual(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textual", None)
    assert top_command(["1"]) == 1
    said = "cede top: needs Textual: pip install cede[top]; `cede ps --watch 1` does without\n"
    assert capsys.readouterr().err == said


@needs_textual
def test_no_terminal(capsys: pytest.CaptureFixture[str], shop: subprocess.Popen[str]) -> None:
    assert top_command([str(shop.pid)]) == 1
    assert capsys.readouterr().err == "cede top: needs a terminal; `cede ps` writes to files and pipes\n"


@needs_textual
def test_no_such_process(capsys: pytest.CaptureFixture[str]) -> None:
    assert top_command(["99999999"]) == 1
    assert capsys.readouterr().err == "cede top: there is no process 99999999\n"
