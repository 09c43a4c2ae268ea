"""A loop that does not go on is told of while it lasts: where, by whom, who pays, and whose fault it is."""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cede
from cede.engine.watch import wait_for_stall
from cede.observe import Stall, watch, watcher

THRESHOLD = 0.05
BIG = "[" + ",".join(['{"a": [1, 2, 3], "b": "xxxxxxxx"}'] * 400_000) + "]"


def spin(seconds: float) -> None:
    """Compute for so many seconds of the thread's own."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Slow:
    def __del__(self) -> None:
        time.sleep(0.2)


def sleeps() -> None:
    time.sleep(0.2)


def parses() -> None:
    json.loads(BIG)


def backtracks() -> None:
    re.match(r"(a+)+$", "a" * 22 + "b")


def sorts() -> None:
    sorted(NUMBERS)


def computes() -> None:
    spin(0.2)


def drops() -> None:
    thing = Slow()
    del thing


def collects() -> None:
    gc.collect()


NUMBERS: list[str] = []
JUNK: list[Any] = []


@pytest.fixture
def heaps(body: Callable[[], None]) -> Iterator[None]:
    """What takes long to sort, or to collect."""
    if body is sorts:
        NUMBERS.extend(str(number * 7919 % 1_000_003) for number in range(700_000))
    elif body is collects:
        JUNK.extend([number] for number in range(1_500_000))
    yield
    NUMBERS.clear()
    JUNK.clear()


def seen_while(body: Callable[[], Any], threshold: float = THRESHOLD) -> list[Stall]:
    """Run `body()` in a task, called by another; return what the watcher said."""
    found: list[Stall] = []

    async def request() -> None:
        body()

    async def connection() -> None:
        await cede.create_task(request(), name="GET /report")

    async def main() -> None:
        await cede.sleep(0.01)
        await cede.create_task(connection(), name="conn 31")
        await cede.sleep(threshold)

    with watch(threshold, found.append):
        cede.run(main())
    return found


@pytest.mark.usefixtures("heaps")
@pytest.mark.parametrize(
    ("body", "function"),
    [
        (sleeps, "sleeps"),
        (parses, "parses"),
        (backtracks, "backtracks"),
        (sorts, "sorts"),
        (computes, "spin"),
        (drops, "__del__"),
        (collects, "collects"),
    ],
)
def test_planted_stalls(body: Callable[[], None], function: str) -> None:
    # Code of C that keeps Python's lock may have gone on for a moment where the machine is very busy: then once more.
    tries = (stall for _ in range(8) for stall in seen_while(body) if stall.task == "GET /report")
    stall = next(tries)
    functions = [name.rpartition(".")[2] for name, file, _ in stall.stack if file == __file__]
    assert functions[0] == function
    assert functions[-1] == "request"
    assert stall.seconds >= THRESHOLD / 2
    names = [(name, place.rpartition(".")[2]) for name, place, _, _ in stall.waited_for_by]
    assert names == [("conn 31", "connection"), ("Task-" + names[-1][0][5:], "main")]
    assert not stall.crowded
    if body is collects and stall.blame is not None:
        assert stall.blame.collecting > THRESHOLD / 2
    if body is sleeps:
        assert not stall.descheduled


def test_its_words(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="asyncio"):
        (stall,) = seen_while(sleeps)
    told = [record.message for record in caplog.records]
    lines = told[0].splitlines()
    assert lines == str(stall).splitlines()
    assert re.fullmatch(
        r"Event loop blocked for 0\.\d\d s by task 'GET /report' \(task \d+, step 1, of 'conn 31'\), and still is:",
        lines[0],
    )
    line = sleeps.__code__.co_firstlineno + 1
    assert re.fullmatch(rf"  test_watcher.py:{line} +sleeps", lines[1])
    assert re.search(r"^  waited for by: 'conn 31' test_watcher.py:\d+ \S*connection <- 'Task-", lines[3])
    if sys.platform == "linux" and not os.environ.get("CEDE_PORTABLE"):
        blame = r"  processor 0\.\d\d s, waiting for a processor 0\.\d\d s, garbage collector 0\.00 s"
        assert re.fullmatch(blame, lines[-1])
    assert re.fullmatch(r"Event loop goes on after 0\.\d\d s", told[1])
    assert repr(stall) == f"<Stall of {stall.seconds:.2f} s by 'GET /report'>"


def test_one_warning_of_a_place(caplog: pytest.LogCaptureFixture) -> None:
    found: list[Stall] = []

    async def main() -> None:
        await cede.sleep(0.15)  # until it is seen
        for _ in range(3):
            time.sleep(0.15)
            await cede.sleep(0.05)

    with watch(THRESHOLD, found.append) as watcher:
        cede.run(main())
    assert watcher.stalls == len(found) == 3
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


def test_a_callback() -> None:
    found: list[Stall] = []

    async def main() -> None:
        loop = cede.get_running_loop()
        loop.call_soon(sleeps)
        await cede.sleep(0.3)
        loop.call_soon(time.sleep, 0.2)
        await cede.sleep(0.3)

    with watch(THRESHOLD, found.append):
        cede.run(main())
    assert [stall.task for stall in found] == ["", ""]
    assert [name for name, _, _ in found[0].stack] == ["sleeps"]
    assert str(found[0]).splitlines()[0].endswith(" by a callback, and still is:")
    if cede.compiled:
        assert " by a callback in C, " in str(found[1])


@pytest.mark.parametrize("suspected", [True, False])
@pytest.mark.parametrize("ended", [True, False])
def test_one_that_is_over_before_it_can_be_looked_at(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, suspected: bool, ended: bool
) -> None:
    """Another thread, as that which answers `cede ps`, got Python's lock before the watcher: here, always."""
    watched = threading.Event()
    gone_on = threading.Event()
    found: list[Stall] = []
    what = "nothing" if ended else r"task 'GET /report' \(task \d+, step 1, of 'Task-\d+'\)"
    head = r"Event loop was blocked for \d+\.\d\d s, and went on before it could be looked at"
    words = re.compile(f"{head}; what ran in that turn, and still lives: {what}$", re.MULTILINE)

    def waits_too_long(*arguments: Any) -> Any:
        watched.set()
        seen = wait_for_stall(*arguments) if suspected else (-1, [(0, 0)] * len(arguments[0]))
        gone_on.wait(20)
        return seen

    def is_it(stall: Stall) -> bool:
        return stall.missed and stall.seconds > 0.19

    async def request() -> None:
        time.sleep(0.2)
        if not ended:
            await cede.sleep(1000)

    async def main() -> None:
        while not watched.is_set():
            await cede.sleep(0.01)
        task = cede.create_task(request(), name="GET /report")
        await cede.sleep(0.01)
        await cede.sleep(0.01)
        gone_on.set()
        while not any(map(is_it, found)):
            await cede.sleep(0.01)
        task.cancel()

    monkeypatch.setattr(watcher, "wait_for_stall", waits_too_long)
    with watch(THRESHOLD, found.append):
        cede.run(main())
    stall = next(filter(is_it, found))
    assert (stall.over, stall.stack) == (True, [])
    assert stall.descheduled or words.match(str(stall))  # where the machine is busy, that is what is said
    assert stall.task == ("" if ended else "GET /report")
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert stall.descheduled or warnings


def test_one_that_nobody_suspected(monkeypatch: pytest.MonkeyPatch) -> None:
    """It began just when the watcher's patience ended, and kept Python's lock: the watcher has it in the midst of it."""
    found: list[Stall] = []
    blocked = threading.Event()

    def suspects_none(*arguments: Any) -> Any:
        _, noted = wait_for_stall(*arguments[:-1], 0)
        blocked.wait(20)
        time.sleep(0.01)
        return -1, noted

    async def main() -> None:
        await cede.sleep(0.3)
        time.sleep(THRESHOLD * 2)
        blocked.set()
        until = time.monotonic() + 20
        while not found and time.monotonic() < until:
            time.sleep(0.01)

    monkeypatch.setattr(watcher, "wait_for_stall", suspects_none)
    with watch(THRESHOLD, found.append):
        cede.run(main())
    assert not found[0].missed
    assert found[0].stack[0][0].endswith(".main")


def test_one_that_is_there_when_its_loop_is_found() -> None:
    """A program that blocks its loop at once."""
    found: list[Stall] = []

    async def main() -> None:
        until = time.monotonic() + 20
        while not found and time.monotonic() < until:
            time.sleep(0.01)

    with watch(THRESHOLD, found.append):
        cede.run(main())
    assert not found[0].missed
    assert found[0].stack[0][0].endswith(".main")


def test_one_that_is_there_when_its_loop_is_found_and_over_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """It kept Python's lock: after the watcher's first look at that loop it goes on."""
    found: list[Stall] = []
    watched = threading.Event()
    gone_on = threading.Event()

    def waits_too_long(*arguments: Any) -> Any:
        _, noted = wait_for_stall(*arguments[:-1], 0)
        watched.set()
        gone_on.wait(20)
        return -1, noted

    async def main() -> None:
        time.sleep(THRESHOLD * 2)
        with watch(THRESHOLD, found.append):
            watched.wait(20)
            await cede.sleep(0.01)
            gone_on.set()
            until = time.monotonic() + 20
            while not found and time.monotonic() < until:
                await cede.sleep(0.01)

    monkeypatch.setattr(watcher, "wait_for_stall", waits_too_long)
    cede.run(main())
    assert found[0].over and not found[0].missed
    assert found[0].stack[-1][0].endswith(".main")


def test_a_crowded_turn() -> None:
    found: list[Stall] = []

    async def short() -> None:
        spin(0.001)

    async def main() -> None:
        await cede.gather(*(short() for _ in range(400)))

    with watch(0.1, found.append):
        cede.run(main())
    assert found[0].crowded
    assert str(found[0]).startswith("Event loop has been in one turn of many short steps for ")


@pytest.mark.linux("elsewhere it is not told how long a thread waits for a processor")
def test_a_busy_machine(run_python: Callable[..., Any]) -> None:
    """Hogs on the same processor: that is not the program's fault, and no warning."""
    source = """
        import logging, os, subprocess, sys, time
        import cede
        from cede.observe import watch

        logging.basicConfig(stream=sys.stdout, format="%(levelname)s", level=logging.WARNING)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(8)]
        found = []

        async def main():
            while not any(stall.descheduled for stall in found):
                end = time.thread_time() + 0.03
                while time.thread_time() < end:
                    pass
                await cede.sleep(0)

        try:
            time.sleep(0.3)
            with watch(0.15, found.append) as watcher:
                cede.run(main())
        finally:
            for hog in hogs:
                hog.kill()
                hog.wait()
        stall = next(stall for stall in found if stall.descheduled)
        assert stall.blame.waiting > 0.05, stall.blame
        assert "waiting for a processor" in str(stall).splitlines()[0]
        assert watcher.descheduled
        print("end")
    """
    assert run_python(source).stdout.splitlines()[-1:] == ["end"]


def test_an_audit_event_and_a_callback_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of it reaches the program."""
    events: list[Any] = []

    def hook(name: str, arguments: Any) -> None:
        if name == "cede.stall":
            events.append((type(arguments[0]).__name__, arguments[1]))

    sys.addaudithook(hook)

    def fails(stall: Stall) -> None:
        raise RuntimeError

    async def main() -> None:
        time.sleep(0.2)
        await cede.sleep(0.05)

    with watch(THRESHOLD, fails):
        cede.run(main())
    ((name, seconds),) = events
    assert name == "EventLoop"
    assert seconds > THRESHOLD / 2
    assert "on_stall failed" in [record.message for record in caplog.records]
    caplog.clear()


async def test_a_loop_that_only_waits_is_none(loop: Any) -> None:
    with watch(0.02) as watcher:
        await cede.sleep(0.3)
        for _ in range(100):
            await cede.sleep(0)
    assert watcher.stalls == 0


def test_loops_in_several_threads() -> None:
    found: list[Stall] = []

    async def main(seconds: float) -> None:
        await cede.sleep(0.7)  # new loops are looked for twice a second
        await cede.create_task(block(seconds), name=f"{seconds} s")
        await cede.sleep(0.3)

    async def block(seconds: float) -> None:
        time.sleep(seconds)

    with watch(THRESHOLD, found.append):
        threads = [threading.Thread(target=lambda n=n: cede.run(main(n))) for n in (0.0, 0.2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    # Where the machine is busy, either loop may have had to wait for Python's lock as well.
    assert [stall.task for stall in found].count("0.2 s") == 1
    assert "0.0 s" not in [stall.task for stall in found]


@pytest.mark.parametrize("threshold", [0, -1, 1e9, float("nan")])
def test_no_threshold(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold must be between"):
        watch(threshold)


def test_what_is_compiled_refuses_what_makes_no_sense() -> None:
    for arguments in (
        ([None], [-1], 1, 0.1, 0),
        ([object()], [-1], 1, 0.1, 0),
        ([], [], 1, 0, 0),
        ([], [], 1, 2, 0),
        ([], [], 1, 0.1, float("nan")),
    ):
        with pytest.raises((TypeError, ValueError, AttributeError)):
            wait_for_stall(*arguments)
    loop = cede.new_event_loop()
    try:
        if cede.compiled:
            with pytest.raises(IndexError):
                wait_for_stall([loop], [], 1, 0.1, 0)
    finally:
        loop.close()
    assert wait_for_stall([], [], 0.1, 0.001, 0) == (-1, [])


# -- how it is asked for -----------------------------------------------------------------------------------------------

PROGRAM = """
import sys, time
import cede

async def main():
    time.sleep(0.9)
    await cede.sleep(0.05)

if __name__ == "__main__":
    cede.run(main())
"""


@pytest.mark.parametrize(
    ("options", "environment", "told"),
    [
        ([], {}, True),
        (["--no-watch"], {}, False),
        (["--watch"], {}, True),
        (["--watch=30"], {}, False),
        ([], {"CEDE_WATCH": "0"}, False),
        ([], {"CEDE_WATCH": "0.2"}, True),
        ([], {"CEDE_WATCH": "soon"}, False),
    ],
    ids=str,
)
def test_cede_run(run_python: Callable[..., Any], options: list[str], environment: dict[str, str], told: bool) -> None:
    source = f"""
        import subprocess, sys
        with open("program.py", "w") as file:
            file.write({PROGRAM!r})
        done = subprocess.run([sys.executable, "-m", "cede", "run", *sys.argv[1:], "program.py"])
        sys.exit(done.returncode)
    """
    done = run_python(source, *options, env={"CEDE_WATCH": "", **environment} if environment else None)
    assert ("Event loop blocked for " in done.stderr) is told
    assert ("is no number of seconds" in done.stderr) is (environment.get("CEDE_WATCH") == "soon")


def test_the_environment(run_python: Callable[..., Any]) -> None:
    """The watcher is no thread of the program's, begins with the first loop, and also in what is forked."""
    source = """
        import os, sys, threading, time, warnings
        import cede
        from cede.observe import watcher

        assert "cede.observe.watcher" in sys.modules and not watcher.is_watching()
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and newer: of forking with threads

        async def main(seconds):
            time.sleep(seconds)
            await cede.sleep(0.01)

        cede.run(main(0))
        assert watcher.is_watching()
        assert threading.active_count() == 1
        child = os.fork()
        cede.run(main(0.3 if child == 0 else 0))
        if child:
            os.waitpid(child, 0)
    """
    done = run_python(source, env={"CEDE_WATCH": "0.1"})
    assert done.stderr.count("Event loop blocked for ") == 1


def test_a_stall_at_which_the_program_ends(run_python: Callable[..., Any]) -> None:
    source = """
        import re
        import cede

        async def main():
            await cede.sleep(0.2)
            re.match(r"(a+)+$", "a" * 25 + "b")

        cede.run(main())
    """
    done = run_python(source, env={"CEDE_WATCH": "0.1"})
    assert re.match(r"Event loop (was )?blocked for ", done.stderr)
    assert re.search(r"program\.py:\d+ +main$", done.stderr, re.MULTILINE)


def test_it_imports_nothing_that_asks_to_be_told_before_forks(run_python: Callable[..., Any]) -> None:
    """It begins in the thread of the first loop, while another may fork, which then would be told of half of its fork."""
    source = """
        import os
        import sys

        real = os.register_at_fork

        def register_at_fork(**when):
            if "cede.observe.watcher" in sys.modules:  # what asyncio imports is not its doing
                assert not {"before", "after_in_parent"} & {*when}, when
            real(**when)

        os.register_at_fork = register_at_fork
        import cede

        async def main():
            await cede.sleep(0.3)

        cede.run(main())
        assert "cede.observe.watcher" in sys.modules
        assert "concurrent.futures.thread" not in sys.modules
    """
    run_python(source, env={"CEDE_WATCH": "0.1"})


def test_nothing_of_it_is_imported_unasked(run_python: Callable[..., Any]) -> None:
    source = """
        import sys
        import cede

        async def main():
            pass

        cede.run(main())
        assert not [name for name in sys.modules if name.startswith("cede.observe")]
    """
    run_python(source, env={"CEDE_WATCH": "", "CEDE_INSPECT": ""})
