"""Deadlocks are found, and nothing else is taken for one; the picture of who waits for whom."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cede
from cede._command import ps
from cede.observe import deadlocks, describe, graph, report, snapshot, waits
from tests.observe.looking import running

LIBRARIES = [pytest.param(cede, id="cede"), pytest.param(asyncio, id="asyncio")]
Body = Callable[[Any], Any]


async def take(*locks: Any) -> None:
    """Take locks one after the other."""
    async with locks[0]:
        await cede.sleep(0.01)
        if len(locks) > 1:
            await take(*locks[1:])
        else:
            await cede.sleep(1000)


async def somebody_waits(lock: Any) -> None:
    while lock._waiters is None:
        await cede.sleep(0.01)


async def crosswise(library: Any) -> None:
    first, second = library.Lock(), library.Lock()
    async with cede.TaskGroup() as group:
        group.create_task(take(first, second), name="one")
        group.create_task(take(second, first), name="two")


async def three(library: Any) -> None:
    locks = [library.Lock() for _ in range(3)]
    await cede.gather(*(cede.create_task(take(*locks[n:], *locks[:n]), name=f"eater {n}") for n in range(3)))


async def child_wants_what_the_parent_holds(library: Any) -> None:
    lock = library.Lock()
    async with lock, cede.TaskGroup() as group:
        group.create_task(take(lock), name="child")
        group.create_task(cede.sleep(1000))


async def twice(library: Any) -> None:
    lock = library.Lock()
    await take(lock, lock)


async def in_a_circle(library: Any) -> None:
    tasks: list[Any] = []

    async def waits_for(number: int) -> None:
        await cede.sleep(0.01)
        await tasks[number]

    tasks += [cede.create_task(waits_for(1), name="one"), cede.create_task(waits_for(0), name="two")]
    await cede.wait(tasks)


async def with_a_condition(library: Any) -> None:
    lock = library.Lock()
    condition = library.Condition(lock)

    async def waits() -> None:
        async with condition:
            await condition.wait()

    await cede.gather(waits(), take(library.Lock(), lock))


def look(body: Body, library: Any = cede, find: Callable[[], Any] = deadlocks) -> Any:
    async def main(ready: threading.Event) -> None:
        cede.get_running_loop().call_later(0.1, ready.set)
        await body(library)

    with running(main):
        return find()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("body", "members", "behind"),
    [
        (crosswise, ["one", "two"], 1),
        (three, ["eater 0", "eater 1", "eater 2"], 1),
        (child_wants_what_the_parent_holds, ["body", "child"], 0),
        (twice, ["body"], 0),
        (in_a_circle, ["one", "two"], 0),
    ],
)
def test_deadlocks(library: Any, body: Body, members: list[str], behind: int) -> None:
    (found,) = look(body, library)
    assert sorted(task["name"] for task in found.tasks) == members
    assert found.behind == behind
    assert not found.limited


async def take_by_hand(*locks: Any) -> None:
    """Take locks one after the other, without `async with`."""
    for lock in locks:
        await lock.acquire()
        await cede.sleep(0.01)


async def crosswise_by_hand(library: Any) -> None:
    first, second = library.Lock(), library.Lock()
    async with cede.TaskGroup() as group:
        group.create_task(take_by_hand(first, second), name="one")
        group.create_task(take_by_hand(second, first), name="two")


async def handed_on(library: Any) -> None:
    """Both have waited for the lock that they hold."""
    first, second = library.Lock(), library.Lock()
    await first.acquire()
    await second.acquire()
    async with cede.TaskGroup() as group:
        group.create_task(take_by_hand(first, second), name="one")
        group.create_task(take_by_hand(second, first), name="two")
        await cede.sleep(0)
        await cede.sleep(0)
        first.release()
        second.release()


async def by_a_condition(library: Any) -> None:
    """One has the lock of a condition again, after waiting for it."""
    first, second = library.Lock(), library.Lock()
    condition = library.Condition(first)

    async def one() -> None:
        await condition.acquire()
        await condition.wait()
        await take_by_hand(second)

    async def two() -> None:
        await second.acquire()
        await cede.sleep(0.01)
        async with condition:
            condition.notify()
        await cede.sleep(0)
        await take_by_hand(first)

    async with cede.TaskGroup() as group:
        group.create_task(one(), name="one")
        group.create_task(two(), name="two")


@pytest.mark.parametrize("body", [crosswise_by_hand, handed_on, by_a_condition])
def test_locks_taken_by_hand(body: Body) -> None:
    """Another task might release such a lock, so it is said that this is what can end it."""
    (found,) = look(body)
    assert sorted(task["name"] for task in found.tasks) == ["one", "two"]
    first, second = found.loose
    head = str(found).splitlines()[0]
    assert head == f"deadlock: 2 tasks wait for each other, unless another releases {first} or {second}"
    edges = [line for line in str(found).splitlines() if ", held by " in line]
    assert sorted(line.split(" waits for ")[1].split(",")[0] for line in edges) == [first, second]


async def ended_with_it(library: Any) -> None:
    lock = library.Lock()
    await cede.create_task(take_by_hand(lock))
    await take_by_hand(lock)


async def released_and_taken_anew(library: Any) -> None:
    """What was noted of an earlier holder counts no longer."""
    lock = library.Lock()
    await lock.acquire()
    lock.release()

    async def other() -> None:
        async with lock:
            await cede.sleep(1000)

    async with cede.TaskGroup() as group:
        group.create_task(other(), name="other")
        await cede.sleep(0)
        await lock.acquire()


def test_the_holder_of_a_lock_taken_by_hand() -> None:
    answer = look(ended_with_it, find=snapshot.capture)
    (row,) = [row for row in answer["resources"] if row["kind"] == "Lock"]
    assert (row["holders"], row["loose"]) == ([], True)
    assert row["gone"] > 0
    lines = "\n".join(describe.resource_table(answer, None))
    assert f"task {row['gone']}, which has ended" in lines
    assert look(ended_with_it) == []
    answer = look(released_and_taken_anew, find=snapshot.capture)
    (row,) = [row for row in answer["resources"] if row["kind"] == "Lock"]
    names = {task["id"]: task["name"] for task in answer["tasks"]}
    assert ([names[number] for number in row["holders"]], row["loose"]) == (["other"], False)


def test_asyncio_s_own_locks_taken_by_hand(run_python: Callable[..., Any]) -> None:
    """They keep no word of who took them: the interpreter tells of it, in a process that can be looked at."""
    source = """
        import asyncio, sys
        import cede
        from cede import observe

        class Named(asyncio.Lock):
            def __setattr__(self, name, value):
                assert name != "_taken_by"
                super().__setattr__(name, value)

        async def take(first, second):
            await first.acquire()
            await asyncio.sleep(0.01)
            await second.acquire()

        async def main():
            locks = asyncio.Lock(), Named()
            tasks = [asyncio.create_task(take(*order), name=name) for name, order in
                     (("one", locks), ("two", locks[::-1]))]
            await asyncio.sleep(0.05)
            for circle in await asyncio.to_thread(observe.deadlocks):
                print(circle)
            for task in tasks:
                task.cancel()

        for _ in range(2):
            cede.run(main())
        if sys.version_info >= (3, 12):
            from cede.observe.takers import note_takers
            assert note_takers()
            assert [sys.monitoring.get_tool(tool) for tool in range(6)].count("cede") == 1
    """
    lines = run_python(source, env={"CEDE_INSPECT": "1"}).stdout.splitlines()
    heads = [
        line for line in lines if line.startswith("deadlock: 2 tasks wait for each other, unless another releases ")
    ]
    edges = [line.split(" waits for ")[0].strip() for line in lines if ", held by " in line]
    if sys.version_info < (3, 12):
        assert lines == []
    else:
        assert len(heads) == 2
        assert sorted(edges) == ["task 'one'"] * 2 + ["task 'two'"] * 2


@pytest.mark.skipif(sys.version_info < (3, 12), reason="it has no sys.monitoring")
def test_where_others_have_the_tool_ids(run_python: Callable[..., Any]) -> None:
    source = """
        import sys
        from cede.observe.takers import note_takers
        for tool in (3, 4):
            sys.monitoring.use_tool_id(tool, "other")
        assert not note_takers()
    """
    run_python(source)


async def test_who_takes_a_lock_is_known_whatever_other_threads_do() -> None:
    lock: Any = cede.Lock()
    taker: Any = cede.current_task()
    other = threading.Thread(target=lambda: cede.run(cede.sleep(0)))
    other.start()
    other.join()  # a task took steps there, in the middle of a step of this one
    await lock.acquire()
    assert lock._taken_by == taker._id
    lock.release()


async def test_a_callback_is_not_taken_for_the_task_before_it() -> None:
    lock: Any = cede.Lock()

    def take_it() -> None:
        with pytest.raises(StopIteration):
            lock.acquire().send(None)

    cede.get_running_loop().call_soon(take_it)
    await cede.sleep(0)
    assert lock.locked()
    assert lock._taken_by == 0
    lock.release()


@pytest.mark.parametrize("kind", [cede.Lock, lambda: cede.Semaphore(1)])
async def test_who_had_to_wait_is_known(kind: Callable[[], Any]) -> None:
    shared = kind()
    await shared.acquire()
    waiting: Any = cede.create_task(shared.acquire())
    await cede.sleep(0)
    shared.release()
    await waiting
    assert shared._taken_by == waiting._id
    shared.release()


def test_its_words() -> None:
    (found,) = look(crosswise)
    lines = str(found).splitlines()
    assert lines[0] == "deadlock: 2 tasks wait for each other"
    assert lines[1].startswith("  task 'one' waits for Lock ")
    assert lines[1].endswith(", held by 'two'")
    assert [line.split()[0] for line in lines if "test_waits.py" in line] == ["take"] * 4
    assert lines[-1] == "  1 more task waits for them"
    assert repr(found) == "<Deadlock of 'one', 'two'>"
    assert str(look(twice)[0]).startswith("deadlock: a task waits for itself\n  task 'body' waits for Lock ")
    assert "  task 'one' waits for task 'two'\n" in str(look(in_a_circle)[0])


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_timeout_will_end_it(library: Any) -> None:
    async def limited(library: Any) -> None:
        async with library.timeout(1000):
            await twice(library)

    (found,) = look(limited, library)
    assert found.limited
    assert str(found).startswith("deadlock: a task waits for itself, until a timeout ends it\n")


async def waits_for_a_holder(library: Any) -> None:
    lock = library.Lock()
    await cede.gather(take(lock), take(lock), take(lock))


async def first_of_many(library: Any) -> None:
    lock = library.Lock()
    async with lock:
        tasks = [cede.create_task(take(lock)), cede.create_task(cede.sleep(1000))]
        await library.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def semaphores(library: Any) -> None:
    one, two = library.Semaphore(2), library.Semaphore(2)
    for semaphore in (one, two):
        await semaphore.acquire()
    await cede.gather(take(one, two), take(two, one))


async def producer_and_consumer(library: Any) -> None:
    one, two = library.Queue(), library.Queue()
    await cede.gather(one.get(), two.get(), library.Event().wait())


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "body", [waits_for_a_holder, first_of_many, semaphores, producer_and_consumer, with_a_condition]
)
def test_what_is_none(library: Any, body: Body) -> None:
    assert look(body, library) == []


def test_what_moved_between_two_looks_is_none() -> None:
    def find() -> Any:
        answer = snapshot.capture()
        assert len(waits.find(answer)) == 1
        for change in ({"target": 1}, {"steps": 5}):
            moved = {**answer, "tasks": [{**task, **change} for task in answer["tasks"]]}
            assert waits.confirmed(moved, answer) == []
        return waits.confirmed(answer, answer)

    assert len(look(crosswise, find=find)) == 1


async def test_from_inside_the_loop(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks once, and does not sleep."""
    monkeypatch.setattr(waits, "time", None)  # where it would sleep
    lock = cede.Lock()
    assert deadlocks() == []
    task = cede.create_task(take(lock, lock), name="itself")
    await somebody_waits(lock)
    assert repr(deadlocks()) == "[<Deadlock of 'itself'>]"
    task.cancel()
    with pytest.raises(cede.CancelledError):
        await task


async def test_the_report(loop: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lock = cede.Lock()
    task = cede.create_task(take(lock, lock), name="itself")
    await somebody_waits(lock)
    report()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith(": 1 running loop, 2 tasks (1 running, 1 waiting)")
    assert any("▶" in line and "test_the_report" in line for line in lines)
    assert "deadlock: a task waits for itself" in lines
    task.cancel()
    with pytest.raises(cede.CancelledError):
        await task


# -- pictures ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answer() -> Any:
    return look(crosswise, find=snapshot.capture)


def test_dot(answer: Any) -> None:
    text = graph.as_dot(answer)
    assert text.count("->") == 4
    assert text.count("color=red") == 4
    if dot := shutil.which("dot"):
        subprocess.run([dot, "-Tsvg"], input=text, text=True, check=True, capture_output=True)


def test_mermaid(answer: Any) -> None:
    lines = graph.as_mermaid(answer).splitlines()
    assert lines[0] == "flowchart LR"
    assert sum("-->" in line for line in lines) == 4
    assert lines[-1].startswith("  linkStyle ")


def test_page(answer: Any) -> None:
    """What is drawn lies inside of the picture; names cannot do any harm."""
    for task in answer["tasks"]:
        if task["name"] == "one":
            task["name"] = "<script>alert(1)</script>"
    text = graph.as_page(answer)
    assert "<script" not in text
    assert "can never go on" in text
    drawing = ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    boxes = [tuple(map(float, box.attrib["transform"][10:-1].split())) for box in drawing.findall("g")]
    assert len(set(boxes)) == len(answer["tasks"])
    assert all(0 < x < float(drawing.attrib["width"]) and 0 < y < float(drawing.attrib["height"]) for x, y in boxes)
    assert len([path for path in drawing.findall("path") if path.attrib.get("class") == "red"]) == 2
    empty = {"pid": 1, "tasks": [], "resources": [], "loops": []}
    assert "There are no tasks" in graph.as_page(empty)


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def find() -> None:
        monkeypatch.setattr(ps, "ask", lambda pid: {**snapshot.capture(), "pid": pid})
        assert ps.ps_command("ps", ["7", "--deadlocks"]) == 0
        assert capsys.readouterr().out.startswith("deadlock: 2 tasks wait for each other\n")
        for kind in ("html", "dot", "mmd"):
            assert ps.ps_command("ps", ["7", "--graph", str(tmp_path / f"out.{kind}")]) == 0
            assert "one" in (tmp_path / f"out.{kind}").read_text()
        assert ps.ps_command("ps", ["7", "--graph", "out.bmp"]) == 2
        assert "cannot tell the form of a picture from 'out.bmp'" in capsys.readouterr().err
        monkeypatch.setattr(shutil, "which", lambda name: None)
        assert ps.ps_command("ps", ["7", "--graph", "out.svg"]) == 2
        assert "needs Graphviz" in capsys.readouterr().err

    look(crosswise, find=find)
    monkeypatch.setattr(ps, "ask", lambda pid: snapshot.capture())
    assert ps.ps_command("ps", ["7", "--deadlocks"]) == 0
    assert capsys.readouterr().out == "no deadlock\n"
