"""What tasks wait for and who has it: locks, queues, events, threads; cede's own and the standard library's."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import cede
from cede.observe import snapshot
from tests.observe.looking import functions, running

LIBRARIES = [pytest.param(cede, id="cede"), pytest.param(asyncio, id="asyncio")]


def see(body: Callable[[], Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run `body()` until it waits; return the tasks by name, and the resources by kind and name."""

    async def main(ready: threading.Event) -> None:
        cede.get_running_loop().call_later(0.05, ready.set)
        await body()

    with running(main):
        answer = snapshot.capture()
    names = {task["id"]: task["name"] for task in answer["tasks"]}
    for row in answer["resources"]:
        for field in ("waiters", "holders"):
            row[field] = sorted(names.get(number, "?") for number in row[field])
    return {task["name"]: task for task in answer["tasks"]}, {row["kind"]: row for row in answer["resources"]}


async def all_of(**coros: Any) -> None:
    async with cede.TaskGroup() as group:
        for name, coro in coros.items():
            group.create_task(coro, name=name)


async def holds(lock: Any) -> None:
    async with lock:
        await cede.sleep(1000)


async def enters(lock: Any) -> None:
    async with lock:
        pass


async def acquires(lock: Any) -> None:
    await lock.acquire()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("wants", [enters, acquires])
def test_a_lock_and_who_holds_it(library: Any, wants: Any) -> None:
    async def body() -> None:
        lock = library.Lock()
        await all_of(holder=holds(lock), waiter=wants(lock))

    tasks, found = see(body)
    assert (found["Lock"]["state"], found["Lock"]["waiting"]) == ("locked", 1)
    assert (found["Lock"]["holders"], found["Lock"]["waiters"]) == (["holder"], ["waiter"])
    assert tasks["waiter"]["waits"] == "Lock"
    assert functions(tasks["waiter"])[0] == "acquire" if library is asyncio or cede.compiled else "_turn"
    assert functions(tasks["waiter"])[-1] == wants.__name__
    if sys.version_info >= (3, 13):
        assert found["Lock"]["name"] == "lock"


@pytest.mark.parametrize("library", LIBRARIES)
def test_who_waits_for_a_lock_does_not_hold_it_and_may_hold_another(library: Any) -> None:
    async def body() -> None:
        first, second = library.Lock(), library.Semaphore(1)

        async def both() -> None:
            async with first, second:
                await cede.sleep(1000)

        await all_of(one=holds(second), two=both(), three=enters(first))

    _, found = see(body)
    assert (found["Lock"]["holders"], found["Lock"]["waiters"]) == (["two"], ["three"])
    assert (found["Semaphore"]["holders"], found["Semaphore"]["waiters"]) == (["one"], ["two"])
    assert found["Semaphore"]["state"] == "value 0"


@pytest.mark.parametrize("library", LIBRARIES)
def test_who_holds_the_lock_that_it_wants(library: Any) -> None:
    async def body() -> None:
        lock = library.Lock()

        async def twice() -> None:
            async with lock, lock:
                pass

        await all_of(twice=twice())

    _, found = see(body)
    assert found["Lock"]["holders"] == found["Lock"]["waiters"] == ["twice"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_condition_gives_its_lock_back(library: Any) -> None:
    async def body() -> None:
        condition = library.Condition()

        async def waits() -> None:
            async with condition:
                await condition.wait()

        await all_of(waits=waits(), holds=holds(condition), wants=enters(condition))

    tasks, found = see(body)
    assert tasks["waits"]["waits"] == "Condition.wait"
    assert tasks["waits"]["holds"] == []
    assert found["Condition"]["waiters"] == ["waits"]
    assert found["Condition"]["state"] == "locked"
    assert (found["Lock"]["holders"], found["Lock"]["waiters"]) == (["holds"], ["wants"])


@pytest.mark.parametrize("library", LIBRARIES)
def test_queues_events_barriers(library: Any) -> None:
    async def body() -> None:
        full, empty = library.Queue(1), library.PriorityQueue()
        full.put_nowait(1)
        await all_of(
            putter=full.put(2),
            joiner=full.join(),
            getter=empty.get(),
            event=library.Event().wait(),
            barrier=library.Barrier(3).wait(),
        )

    tasks, found = see(body)
    queue = found["Queue"]
    assert (queue["depth"], queue["maxsize"], queue["getters"], queue["putters"]) == (1, 1, 0, 1)
    assert queue["state"] == "1 of 1 items"
    assert queue["waiters"] == ["joiner", "putter"]
    assert (found["PriorityQueue"]["getters"], found["PriorityQueue"]["waiters"]) == (1, ["getter"])
    assert tasks["putter"]["waits"] == "Queue.put"
    assert tasks["joiner"]["waits"] == "Queue.join"
    assert tasks["getter"]["waits"] == "PriorityQueue.get"
    assert tasks["event"]["waits"] == "Event.wait"
    assert (tasks["barrier"]["waits"], found["Barrier"]["state"]) == ("Barrier.wait", "1 of 3 arrived")


@pytest.mark.parametrize("library", LIBRARIES)
def test_sleeps_and_threads(library: Any) -> None:
    go_on = threading.Event()

    def in_thread() -> None:
        go_on.wait(10)

    async def body() -> None:
        loop = cede.get_running_loop()
        loop.set_default_executor(__import__("concurrent.futures").futures.ThreadPoolExecutor(2))
        try:
            await all_of(
                sleeper=library.sleep(1000),
                thread=library.to_thread(in_thread),
                method=library.to_thread(go_on.wait, 10),
                queued=library.to_thread(in_thread),
            )
        finally:
            go_on.set()

    tasks, found = see(body)
    assert tasks["sleeper"]["waits"] == "sleep(1000)"
    assert tasks["thread"]["waits"].endswith("in_thread)")
    assert tasks["method"]["waits"] == "to_thread(Event.wait)"
    assert found["executor"]["state"] == "2 of 2 threads busy, 1 calls queued"
    assert any(functions({"stack": stack})[-1] == "in_thread" for stack in found["executor"]["busy"])


def test_asyncio_s_own_groups_say_who_waits() -> None:
    """Before Python 3.14 its tasks keep no list of who awaits them."""

    async def leaf() -> None:
        await asyncio.sleep(1000)

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(leaf(), name="in group")

    async def gather() -> None:
        await asyncio.gather(named("in gather"), asyncio.shield(named("in shield")))

    async def wait() -> None:
        await asyncio.wait([named("in wait")])

    def named(name: str) -> Any:
        return asyncio.get_running_loop().create_task(leaf(), name=name)

    async def body() -> None:
        await all_of(group=group(), gather=gather(), wait=wait())

    tasks, _ = see(body)
    names = {task["id"]: task["name"] for task in tasks.values()}
    awaiters = {name: [names[number] for number in task["awaited_by"]] for name, task in tasks.items()}
    assert {name: awaiters[name] for name in ("in group", "in gather", "in wait")} == {
        "in group": ["group"],
        "in gather": ["gather"],
        "in wait": ["wait"],
    }


class Odd:
    """A lock of the program's own, which must not be asked anything."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)

    def __eq__(self, other: object) -> bool:
        raise AssertionError

    def __hash__(self) -> int:
        raise AssertionError

    def __await__(self) -> Any:
        return OddIterator()


class OddIterator:
    def __init__(self) -> None:
        self.future: Any = cede.get_running_loop().create_future()
        self.future._asyncio_future_blocking = True

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.future

    def __getattr__(self, name: str) -> Any:
        if name not in ("throw", "close", "send"):
            raise RuntimeError(name)
        raise AttributeError(name)


def test_nothing_of_the_program_s_is_called() -> None:
    class Strange(cede.Lock):
        def locked(self) -> bool:
            raise AssertionError

        def __repr__(self) -> str:
            raise AssertionError

    async def waits() -> None:
        odd = Odd()
        await odd

    async def body() -> None:
        lock = Strange()
        await lock.acquire()
        await all_of(odd=waits(), strange=enters(lock))

    tasks, found = see(body)
    assert functions(tasks["odd"]) == ["waits"]
    assert found["Strange"]["state"] == "locked"
