"""The interpreter's own tools of 3.14 and newer, which read from outside, see cede's tasks."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cede
from cede.observe import mirror

Start = Callable[..., subprocess.Popen[str]]

# What 3.14 and 3.15 say of tasks, on 64 bits; the rest is of no account here.
LAYOUT = mirror.Layout(168, 136, 96, 108, 109, 128, 152, 16, 0, 1000, 0, 8, 16)

compiled = pytest.mark.skipif(not cede.compiled, reason="interpreted, tasks are laid out as Python's objects are")
tools = pytest.mark.skipif(
    sys.version_info < (3, 14) or not cede.compiled or sys.platform != "linux",
    reason="the tools are part of Python 3.14 and newer, and see what is compiled",
)

PROGRAM = """
import asyncio, sys, time
import cede

lib = {"cede": cede, "asyncio": asyncio}[sys.argv[1]]

async def sleeper():
    await lib.sleep(1000)

async def waiter(other):
    await other

async def busy():
    while True:
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            pass
        await lib.sleep(0)

async def main():
    lib.get_running_loop().call_later(0.05, lambda: print("ready", flush=True))
    async with lib.TaskGroup() as group:
        if "busy" in sys.argv:
            group.create_task(busy())
            return
        inner = group.create_task(sleeper(), name="inner")
        group.create_task(waiter(inner), name="one")
        group.create_task(waiter(inner), name="two")
        await lib.gather(sleeper(), sleeper())

lib.run(main())
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str, run: tuple[str, ...] = (), inspect: str = "") -> subprocess.Popen[str]:
        program = tmp_path / "program.py"
        program.write_text(PROGRAM)
        process = subprocess.Popen(
            [sys.executable, *run, str(program), *arguments],
            env={**os.environ, "CEDE_INSPECT": inspect, "XDG_RUNTIME_DIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def output(*command: str) -> str:
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=25)
    assert done.returncode == 0, done.stderr
    return done.stdout


@tools
@pytest.mark.parametrize(
    ("lib", "run"),
    [("cede", ()), ("cede", ("-m", "cede", "run")), ("asyncio", ("-m", "cede", "run"))],
    ids=["cede.run", "cede run", "asyncio's own group and gather"],
)
def test_asyncio_ps_and_pstree(start: Start, lib: str, run: tuple[str, ...]) -> None:
    process = start(lib, run=run, inspect="1")
    rows = [line.split("  ") for line in output("-m", "asyncio", "ps", str(process.pid)).splitlines()[2:]]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    seen = {(cell[2], cell[3], cell[5]) for cell in cells if len(cell) > 5}  # task, stack, awaited by
    assert {("one", "waiter", "Task-1"), ("two", "waiter", "Task-1")} <= seen
    assert {("inner", "sleep -> sleeper", name) for name in ("Task-1", "one", "two")} <= seen
    assert sum(stack == "sleep -> sleeper" and by == "Task-1" for _, stack, by in seen) == 3
    tree = output("-m", "asyncio", "pstree", str(process.pid))
    assert tree.startswith("└── (T) Task-1\n    └──  main ")
    assert tree.count("(T) inner\n") == 3
    assert tree.count("(T)") == 8


@tools
def test_without_inspection_there_is_no_list(start: Start) -> None:
    process = start("cede")
    assert len(output("-m", "asyncio", "ps", str(process.pid)).splitlines()) == 2


@tools
@pytest.mark.skipif(sys.version_info < (3, 15), reason="the sampling profiler is part of Python 3.15")
@pytest.mark.parametrize("mode", ["running", "all"])
def test_the_sampling_profiler_fails_on_no_sample(start: Start, tmp_path: Path, mode: str) -> None:
    """By default it takes the running task's memory for that of C's asyncio.Task, whether the process is prepared or not."""
    process = start("cede", "busy", inspect="1" if mode == "all" else "")
    command = ["-m", "profiling.sampling", "attach", "--async-aware", "--async-mode", mode, "-d", "1", "--collapsed"]
    said = output(*command, "-o", str(tmp_path / "stacks"), str(process.pid))
    assert "Error rate: 0.00" in said
    stacks = (tmp_path / "stacks").read_text().splitlines()
    counts = {line.rpartition(" ")[0]: int(line.rpartition(" ")[2]) for line in stacks}
    inside = sum(count for stack, count in counts.items() if ":main:" in stack and ":busy:" in stack)
    assert inside > 0.9 * sum(counts.values()) > 50


@compiled
def test_a_task_is_laid_out_as_the_interpreter_s() -> None:
    assert mirror.fits(LAYOUT)
    for field in ("name", "awaited_by", "is_task", "is_awaited_by_set", "coro"):
        assert not mirror.fits(LAYOUT._replace(**{field: 16})), field
    assert not mirror.fits(LAYOUT._replace(place=128))
    assert not mirror.fits(LAYOUT._replace(task_size=400))
    assert not mirror.fits(LAYOUT._replace(thread_head=1000))
    gc.collect()


def test_files_of_another_kind() -> None:
    with pytest.raises(ValueError, match="not an ELF file"):
        mirror._section(b"MZ and so on", ".AsyncioDebug")
    executable = Path(os.path.realpath(sys.executable)).read_bytes()
    if sys.platform == "linux":
        assert mirror._section(executable, ".text")
        assert mirror._section(executable, ".nothing") == b""


@pytest.mark.skipif(sys.version_info >= (3, 14) and cede.compiled, reason="there it can be done")
def test_where_it_cannot_be_done_nothing_happens() -> None:
    assert mirror.show_tasks() is False


LISTED = """
import asyncio, gc, threading
import cede
from cede.observe import mirror

async def nothing():
    pass

async def forever():
    await cede.get_running_loop().create_future()

async def main():
    early = cede.create_task(forever(), name="early")
    assert mirror.show_tasks()
    tasks = [cede.create_task(forever()) for _ in range(1000)]
    class Own(cede.Task):
        pass
    tasks.append(Own(forever(), loop=cede.get_running_loop()))
    stock = asyncio.Task(asyncio.sleep(1000), loop=cede.get_running_loop())
    everything = {*tasks, early, stock, cede.current_task()}
    assert asyncio.all_tasks() == everything == cede.all_tasks()
    for task in tasks[::2]:
        task.cancel()
    await cede.sleep(0.01)
    assert asyncio.all_tasks() == {*tasks[1::2], early, stock, cede.current_task()}
    await cede.gather(*[nothing() for _ in range(1000)])
    for task in tasks[1::2]:
        task._log_destroy_pending = False

cede.run(main())

def leaves_one():
    loop = cede.new_event_loop()
    left.append((loop, loop.create_task(forever())))

left = []
threads = [threading.Thread(target=leaves_one) for _ in range(3)]
for thread in threads:
    thread.start()
    thread.join()
for loop, task in left:
    assert asyncio.all_tasks(loop) == {task}
    task.cancel()
    loop.run_until_complete(cede.wait([task]))
    loop.close()
loop = cede.new_event_loop()
task = loop.create_task(nothing())
task._log_destroy_pending = False
loop.close()
task.get_coro().close()
del task, loop, left
gc.collect()
cede.run(nothing())
print("ok")
"""


@tools
def test_the_list_stays_whole() -> None:
    """All tasks of all kinds are counted once, whatever became of a thread, a loop or a task in it."""
    assert output("-X", "dev", "-W", "error", "-c", textwrap.dedent(LISTED)) == "ok\n"


def test_who_awaits_is_told_as_ever() -> None:
    async def main() -> None:
        async def wait(task: Any) -> None:
            await task

        inner = cede.create_task(cede.sleep(1000))
        assert inner._asyncio_awaited_by is None
        outer = [cede.create_task(wait(inner)) for _ in range(3)]
        await cede.sleep(0)
        assert inner._asyncio_awaited_by == frozenset(outer)
        for task in outer:
            cede.future_discard_from_awaited_by(inner, task)
        assert inner._asyncio_awaited_by is None
        inner.cancel()
        await cede.wait(outer)

    with cede.Runner(debug=True) as runner:
        runner.run(main())
