"""What the tasks of a process do, seen from a thread beside their loops."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import cede
from cede.observe import snapshot
from cede.observe.snapshot import as_text
from tests.observe.looking import functions, running


def capture() -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = snapshot.capture()["tasks"]
    return tasks


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
            assert task["state"] == "running"
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
        if of != "future":
            assert functions(task) == ["sleep", "__await__" if of == "generator" else "numbers", "waits"]


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
    assert answer["format"] == snapshot.FORMAT
    assert answer["cede"] == cede.__version__
    (task,) = answer["tasks"]
    assert task["stack"][-1][0] == "test_from_inside"


def test_a_callback_that_hangs() -> None:
    """No task runs, and the loop tells what does."""
    go_on = threading.Event()

    async def calls(ready: threading.Event) -> None:
        def callback() -> None:
            ready.set()
            go_on.wait(10)

        cede.get_running_loop().call_later(0, callback)
        await cede.sleep(1000)

    with running(calls) as thread:
        try:
            answer = snapshot.capture()
            assert {task["state"] for task in answer["tasks"]} == {"waiting"}
            (loop,) = [loop for loop in answer["loops"] if loop["tid"] == thread.native_id]
            assert loop["current"] == 0
            if hasattr(cede.new_event_loop, "_looks"):
                assert functions(loop)[-1] == "callback"
        finally:
            go_on.set()


@pytest.mark.usefixtures("quick_switches")
def test_slices() -> None:
    """While many tasks are described the loop goes on."""
    turns = 0

    async def main(ready: threading.Event) -> None:
        nonlocal turns
        tasks = [cede.create_task(leaf(ready)) for _ in range(1500)]
        await cede.sleep(0.02)
        try:
            while True:
                turns += 1
                await cede.sleep(0)
        finally:
            for task in tasks:
                task.cancel()

    with running(main):
        before = turns
        assert len(capture()) >= 1500
        assert turns - before > 50


def test_beside_other_interpreters(run_python: Callable[..., Any]) -> None:
    """CPython 3.13 dies of `sys._current_frames` while another thread makes an interpreter."""
    source = """
        import threading
        try:
            import _interpreters
        except ImportError:  # before 3.13
            import _xxsubinterpreters as _interpreters
        import cede
        from cede.observe import snapshot

        over = threading.Event()

        def make():
            for _ in range(15):
                number = _interpreters.create()
                _interpreters.run_string(number, "x = 1")
                _interpreters.destroy(number)
            over.set()

        def look():
            while not over.is_set():
                snapshot.capture()

        async def main():
            await cede.gather(cede.to_thread(make), cede.to_thread(look))
            row = next(row for row in snapshot.capture()["tasks"] if row["state"] == "running")
            assert [name for name, _, _ in row["stack"]][-1] == "main"
            print("end")

        cede.run(main())
    """
    assert run_python(source).stdout == "end\n"
