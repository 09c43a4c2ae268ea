"""What the tasks of a process do, seen from a thread beside their loops; and how it is shown."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cede
from cede._command import ps
from cede.observe.snapshot import as_text, capture


@contextlib.contextmanager
def running(main: Callable[[threading.Event], Any]) -> Iterator[threading.Thread]:
    """Run `main(ready)` on a loop of its own in a thread until the block ends; the block begins when `ready` is set."""
    ready = threading.Event()
    over = threading.Event()
    handles: list[Any] = []

    async def body() -> None:
        loop = cede.get_running_loop()
        stop = cede.Event()
        handles.extend([loop, stop])
        task = cede.create_task(main(ready), name="body")
        await stop.wait()
        task.cancel()
        await cede.wait([task])

    def run() -> None:
        cede.run(body())
        over.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(5)
        yield thread
    finally:
        handles[0].call_soon_threadsafe(handles[1].set)
        assert over.wait(10)
        thread.join()


def functions(task: dict[str, Any]) -> list[str]:
    return [name.rpartition(".")[2] for name, _, _ in task["stack"]]


async def leaf(ready: threading.Event) -> None:
    cede.get_running_loop().call_later(0.02, ready.set)
    await cede.sleep(1000)


async def parent(ready: threading.Event) -> None:
    async with cede.TaskGroup() as group:
        group.create_task(leaf(ready), name="child")


def test_who_waits_for_whom() -> None:
    with running(parent) as thread:
        tasks = {task["name"]: task for task in capture()}
        assert functions(tasks["child"]) == ["sleep", "leaf"]
        assert tasks["child"]["stack"][1][1] == __file__
        assert tasks["child"]["awaited_by"] == [tasks["body"]["id"]]
        assert functions(tasks["body"])[-1] == "parent"
        assert tasks["body"]["awaited_by"] == []
        assert {task["tid"] for task in tasks.values()} == {thread.native_id}


def test_several_loops() -> None:
    async def other(ready: threading.Event) -> None:
        await leaf(ready)

    with running(parent) as first, running(other) as second:
        tids = {
            task["name"]: task["tid"] for task in capture() if "other" in str(task["stack"]) or task["name"] == "child"
        }
        assert tids == {"child": first.native_id, "body": second.native_id}


def test_a_loop_that_hangs() -> None:
    """What runs is shown down to the function that it is in."""
    go_on = threading.Event()

    async def hangs(ready: threading.Event) -> None:
        def deep() -> None:
            ready.set()
            go_on.wait(10)

        deep()

    with running(hangs):
        try:
            (task,) = [task for task in capture() if task["name"] == "body"]
            assert functions(task)[-2:] == ["deep", "hangs"]
        finally:
            go_on.set()


@pytest.mark.parametrize("of", ["future", "generator", "async generator"])
def test_whatever_is_awaited(of: str) -> None:
    async def waits(ready: threading.Event) -> None:
        cede.get_running_loop().call_later(0.02, ready.set)
        if of == "future":
            await cede.get_running_loop().create_future()
        elif of == "generator":
            await Awaitable()
        else:
            async for _ in numbers():
                pass

    class Awaitable:
        def __await__(self) -> Any:
            yield from cede.sleep(1000).__await__()

    async def numbers() -> Any:
        await cede.sleep(1000)
        yield 1

    with running(waits):
        (task,) = [task for task in capture() if task["name"] == "body"]
        assert functions(task)[-1] == "waits"
        if of == "generator":
            assert functions(task)[-2] == "__await__"


def test_the_standard_library_s_tasks_are_there_too() -> None:
    def factory(loop: Any, coro: Any, **kwargs: Any) -> Any:
        return asyncio.Task(coro, loop=loop, **kwargs)

    async def main(ready: threading.Event) -> None:
        loop = cede.get_running_loop()
        loop.set_task_factory(factory)
        inner = cede.create_task(leaf(ready), name="inner")
        assert type(inner) is asyncio.Task
        loop.set_task_factory(None)
        await cede.create_task(waits_for(inner), name="outer")

    async def waits_for(inner: Any) -> None:
        await inner

    with running(main):
        tasks = {task["name"]: task for task in capture()}
        assert functions(tasks["inner"]) == ["sleep", "leaf"]
        assert tasks["inner"]["awaited_by"] == [tasks["outer"]["id"]]


@pytest.mark.usefixtures("quick_switches")  # functions end, and drop their variables, in the midst of a look
def test_what_is_looked_at_dies_in_its_own_thread() -> None:
    """A snapshot must not be the one to destroy what a task held: destructors belong into the loop's thread."""
    deaths: set[int] = set()
    born = 0

    class Held:
        def __del__(self) -> None:
            deaths.add(threading.get_ident())

    async def short() -> None:
        held = Held()
        await cede.sleep(0)
        del held

    async def main(ready: threading.Event) -> None:
        nonlocal born
        ready.set()
        while True:
            await cede.gather(*(short() for _ in range(20)))
            born += 20

    with running(main) as thread:
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            capture()
    assert born > 20
    assert deaths == {thread.ident}


def test_nobody_s_error() -> None:
    """A task class of the program's own may misbehave."""

    class Nameless(cede.Task):
        def get_name(self) -> str:
            raise OSError("no name")

    async def main(ready: threading.Event) -> None:
        task = Nameless(leaf(ready), loop=cede.get_running_loop())
        await task

    with running(main):
        assert "<OSError in get_name>" in [task["name"] for task in capture()]


async def test_from_inside(loop: Any) -> None:
    answer = json.loads(as_text())
    assert answer["format"] == 1
    assert answer["cede"] == cede.__version__
    (task,) = answer["tasks"]
    assert task["stack"][-1][0] == "test_from_inside"


# -- as text -----------------------------------------------------------------------------------------------------------


def task(number: int, *stack: str, awaited_by: tuple[int, ...] = ()) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"task{number}",
        "tid": 77,
        "stack": [[name, "app.py", 10 + place] for place, name in enumerate(stack)],
        "awaited_by": list(awaited_by),
    }


def test_table() -> None:
    rows = list(ps.table([task(1, "gather", "main"), task(2, "sleep", "work", awaited_by=(1, 99))]))
    assert len({row.index("coroutine" if number == 0 else "->") for number, row in enumerate(rows) if number != 1}) <= 3
    cells = [row.split() for row in rows]
    assert cells[0] == "tid task id task name coroutine stack awaiter chain awaiter name awaiter id".split()  # noqa: SIM905
    assert set(rows[1]) == {"-"}
    assert cells[2] == ["77", "0x1", "task1", "gather", "->", "main", "0x0"]
    assert cells[3] == ["77", "0x2", "task2", "sleep", "->", "work", "gather", "->", "main", "task1", "0x1"]
    assert cells[4][-2:] == ["Unknown", "0x63"]


def test_tree() -> None:
    tasks = [task(1, "gather", "main"), task(2, "sleep", "work", awaited_by=(1,)), task(3, "work", awaited_by=(1,))]
    assert list(ps.tree(tasks)) == [
        "└── (T) task1",
        "    └──  main app.py:11",
        "        └──  gather app.py:10",
        "            ├── (T) task2",
        "            │   └──  work app.py:11",
        "            │       └──  sleep app.py:10",
        "            └── (T) task3",
        "                └──  work app.py:10",
    ]


def test_circle() -> None:
    """Two tasks that wait for each other, and an onlooker."""
    tasks = [task(1, "a", awaited_by=(2,)), task(2, "b", awaited_by=(1,)), task(3, "c")]
    assert list(ps.tree(tasks)) == [
        "└── (T) task3",
        "    └──  c app.py:10",
        "└── (T) task1",
        "    └──  a app.py:10",
        "        └── (T) task2",
        "            └──  b app.py:10",
        "                └── (T) task1 (a circle)",
    ]
