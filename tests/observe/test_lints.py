"""What is wrong in a snapshot is named with the task and the line; what is not wrong, is not."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest

import cede
from cede.observe import lints, snapshot, watch
from cede.observe.history import History
from cede.observe.schema import UNKNOWN, Event
from cede.observe.stalls import Seen, Stall
from tests.observe.looking import running


def findings(wanted: str = "") -> list[str]:
    return [str(finding) for finding in lints.find(snapshot.capture()) if finding.mark == wanted or not wanted]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds elsewhere is wrong at once."""
    for name in ("HELD", "UNDRAINED"):
        monkeypatch.setattr(lints, name, 0.0)


async def keeps_a_lock(ready: threading.Event) -> None:
    cache = cede.Lock()

    async def holds() -> None:
        async with cache:
            await cede.sleep(1000)

    async def wants() -> None:
        async with cache:
            pass

    async with cede.TaskGroup() as group:
        group.create_task(holds(), name="the slow one")
        for number in range(3):
            group.create_task(wants(), name=f"request {number}")
        cede.get_running_loop().call_later(0.05, ready.set)


@pytest.mark.usefixtures("impatient")
def test_a_lock_that_is_kept() -> None:
    with running(keeps_a_lock):
        (found,) = findings()
    assert found.startswith("■ task 'the slow one' is in Lock ")
    place = f"test_lints.py:{keeps_a_lock.__code__.co_firstlineno + 5}"
    assert f", and waits for sleep(1000): keeps_a_lock.<locals>.holds {place}; 3 tasks wait for the Lock" in found


def test_a_lock_that_is_kept_for_a_moment_is_no_fault() -> None:
    with running(keeps_a_lock):
        assert findings() == []


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("drained", [False, True], ids=["", "drained"])
def test_a_queue_that_nobody_drains(drained: bool) -> None:
    async def fills(ready: threading.Event) -> None:
        jobs: cede.Queue[int] = cede.Queue(2)
        go_on = cede.Event()

        async def takes() -> None:
            while True:
                await jobs.get()
                await go_on.wait()

        taker = cede.create_task(takes()) if drained else None
        cede.get_running_loop().call_later(0.05, ready.set)
        try:
            for number in range(4):
                await jobs.put(number)
        finally:
            if taker is not None:
                taker.cancel()
                await cede.wait([taker])

    with running(fills):
        found = findings()
    # Where somebody takes, if slowly, nobody can say from a look that he will not come back: the wait must be long.
    assert len(found) == 1
    assert found[0].startswith("≡ Queue ")
    assert "is full, 2 of 2 items, and nobody waits in its get(); 1 in put() for up to " in found[0]
    assert "as task 'body' at test_lints.py:" in found[0]


def test_a_loop_that_is_blocked() -> None:
    go_on = threading.Event()

    async def hangs(ready: threading.Event) -> None:
        await cede.sleep(0.01)
        ready.set()
        go_on.wait(5)

    with running(hangs):
        time.sleep(lints.BLOCKED + 0.1)
        found = findings("▲")
        go_on.set()
    assert len(found) == 1
    assert found[0].startswith("▲ task 'body' blocks the loop for ")
    assert f"test_lints.py:{hangs.__code__.co_firstlineno + 3}; cure: `await asyncio.to_thread(…)`" in found[0]


def test_a_callback_that_blocks() -> None:
    go_on = threading.Event()

    async def hangs(ready: threading.Event) -> None:
        def callback() -> None:
            ready.set()
            go_on.wait(5)

        cede.get_running_loop().call_later(0.01, callback)
        await cede.sleep(1000)

    with running(hangs):
        early = findings("▲")
        time.sleep(lints.BLOCKED + 0.1)
        found = findings("▲")
        go_on.set()
    assert early == []
    assert len(found) == 1
    assert found[0].startswith("▲ a callback blocks the loop for ")
    assert f"test_lints.py:{hangs.__code__.co_firstlineno + 3}" in found[0]


def test_stalls_that_are_over_are_told_by_who_watched() -> None:
    async def stalls(ready: threading.Event) -> None:
        await cede.sleep(0.05)
        time.sleep(0.3)
        cede.get_running_loop().call_later(0.05, ready.set)
        await cede.sleep(1000)

    def told(stack: list[Any]) -> bool:
        return any("stalls" in function for function, *_ in stack)

    with watch(threshold=0.05), running(stalls):
        for _ in range(100):
            answer = snapshot.capture()
            mine = [stall for stall in answer["stalls"] if told(stall["stack"]) and stall["over"]]
            if mine:
                break
            time.sleep(0.02)
    assert mine[-1]["task"] == "body"
    assert mine[-1]["seconds"] >= 0.25
    texts = [str(finding) for finding in lints.find(answer)]
    line = stalls.__code__.co_firstlineno + 2
    assert any(
        text.startswith("▲ task 'body' blocked the loop for ") and f"test_lints.py:{line}; cure" in text
        for text in texts
    )


@pytest.mark.parametrize(("task", "who"), [("", "a turn"), ("GET /", "a turn of task 'GET /'")])
def test_a_stall_that_nobody_saw_has_no_place(task: str, who: str) -> None:
    seen = Seen()
    seen.missed, seen.task = True, task
    answer = snapshot.capture()
    answer["stalls"] = [Stall(2.0, 0.1, seen, None, crowded=False, over=True).as_dict()]
    (text,) = [str(finding) for finding in lints.find(answer) if "blocked" in finding.text]
    assert re.match(f"▲ {who} blocked the loop for 2.0 s, 2.0 s ago: over before it could be looked at; cure", text)


def test_since_when_and_what_it_cost() -> None:
    async def waits(ready: threading.Event) -> None:
        cede.get_running_loop().call_later(0.3, ready.set)
        await cede.sleep(1000)

    with running(waits):
        answer = snapshot.capture()
    (task,) = [task for task in answer["tasks"] if task["name"] == "body"]
    assert 0.2 < task["since"] < 20
    assert 0 < answer["cost"] < 10
    (loop,) = [loop for loop in answer["loops"] if loop["id"] == task["loop"]]
    assert loop["up"] >= task["since"] - 0.05
    assert loop["stats"]["tasks"] >= 1


# -- what a recording tells --------------------------------------------------------------------------------------------


def of_history(steps: int, every: float, ran: float, how: str, queued: float = 0.0) -> list[str]:
    """What is found of a task that took these steps."""

    class Fake:
        tasks: dict[int, Any] = {}
        events = [
            Event("step", number * every, ran, 7, how, 0, queued, 0, UNKNOWN, "", number) for number in range(steps)
        ]

    history = History()
    history.add(Fake())  # type: ignore[arg-type]
    answer = {
        "tasks": [
            {"id": 1, "number": 7, "name": "t", "state": "waiting", "stack": [["f", "/a.py", 3]], "steps": steps,
             "awaited_by": [], "resource": 0, "waits": "", "since": 0.0}
        ],
        "loops": [],
        "resources": [],
    }  # fmt: skip
    return [finding.mark for finding in lints.find(answer, None, history.tasks)]


@pytest.mark.parametrize(
    ("steps", "every", "ran", "how", "queued", "marks"),
    [
        (100, 0.001, 1e-4, "scheduled", 0.0, ["⟲"]),
        (100, 0.0005, 1e-6, "waiting", 0.0, ["○"]),
        (100, 0.1, 1e-6, "scheduled", 0.0, []),  # seldom
        (100, 0.0005, 1e-4, "waiting", 0.0, []),  # it does something
        (10, 0.0001, 1e-6, "scheduled", 0.0, []),  # a few
        (100, 0.1, 1e-4, "waiting", 0.3, ["◷"]),
    ],
)
def test_the_history_of_a_task(steps: int, every: float, ran: float, how: str, queued: float, marks: list[str]) -> None:
    assert of_history(steps, every, ran, how, queued) == marks


def test_a_history_forgets_who_has_ended() -> None:
    class Fake:
        tasks: dict[int, Any] = {}
        events = [
            Event("step", 1.0, 0.5, 7, "done", 0, 0.0, 0, UNKNOWN, "", 1),
            Event("death", 1.0, 0.0, 7, "", 0, 0.0, 0, UNKNOWN, "", 1),
        ]

    history = History()
    history.add(Fake())  # type: ignore[arg-type]
    assert history.tasks == {}
    assert history.ended == 1.0


def test_spans() -> None:
    told = [lints.span(seconds) for seconds in (2e-6, 0.0123, 0.4, 3.21, 41, 192, 3 * 3600 + 720, 60 * 3600)]
    assert told == ["2 µs", "12.3 ms", "400 ms", "3.2 s", "41 s", "3 m 12 s", "3 h 12 m", "2 d 12 h"]
