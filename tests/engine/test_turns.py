"""Turn by turn: what `turn`, `can_run` and `next_deadline` promise those who drive several loops on one thread."""

from __future__ import annotations

import asyncio
import sys
import threading
from math import inf

import pytest

import cede
from cede.engine.pollers.base import Poller


class NeverWaits(Poller):
    """A poller that asks nobody."""

    def __init__(self):
        self.waits = []

    def add(self, fd, watcher, interest): ...
    def modify(self, fd, watcher, interest): ...
    def remove(self, fd): ...
    def close(self): ...

    def wait(self, timeout):
        self.waits.append(timeout)


@pytest.fixture
def new_turning():
    """Return what makes loops that do not wait; they are closed at the end."""
    made = []

    def new():
        made.append(cede.EventLoop(poller=NeverWaits()))
        return made[-1]

    yield new
    for loop in made:
        loop.close()


def test_a_turn_runs_what_is_ready_and_returns(new_turning):
    loop, seen = new_turning(), []
    loop.call_soon(seen.append, 1)
    loop.call_soon(lambda: loop.call_soon(seen.append, 2))
    assert loop.can_run()
    assert loop.turn() is False
    assert seen == [1]
    assert loop.can_run()
    loop.turn()
    assert seen == [1, 2]
    assert not loop.can_run()
    loop.turn()
    assert loop._poller.waits[-1] != 0


def test_tasks_of_two_loops_take_turns_on_one_thread(new_turning):
    loops, seen = [new_turning(), new_turning()], []

    async def works(number):
        for _ in range(3):
            assert asyncio.get_running_loop() is loops[number]
            assert asyncio.current_task() is tasks[number]
            seen.append(number)
            await asyncio.sleep(0)

    tasks = [loop.create_task(works(number)) for number, loop in enumerate(loops)]
    for _ in range(4):
        for loop in loops:
            loop.turn()
            assert asyncio._get_running_loop() is None
            assert not loop.is_running()
            assert asyncio.current_task(loop) is None
    assert seen == [0, 1] * 3
    assert all(task.done() for task in tasks)


def test_a_loop_that_sleeps_says_until_when(new_turning):
    loop = new_turning()
    assert loop.next_deadline() == inf
    late, early = loop.call_later(1000, int), loop.call_later(10, int)
    assert loop.next_deadline() == early.when()
    early.cancel()
    assert loop.next_deadline() == late.when()
    assert not loop.can_run()


def test_what_another_thread_asks_for_can_run(new_turning):
    loop, seen = new_turning(), []
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(seen.append, 1))
    thread.start()
    thread.join()
    assert loop.can_run()
    loop.turn()
    assert seen == [1]


def test_a_turn_says_that_stop_was_called(new_turning):
    loop = new_turning()
    loop.call_soon(loop.stop)
    assert loop.turn() is True
    assert loop.turn() is False
    loop.stop()
    assert loop.can_run()
    assert loop.turn() is True
    assert not loop.can_run()


def test_what_is_raised_out_of_a_turn_leaves_the_rest_for_the_next(new_turning):
    loop, seen = new_turning(), []

    def interrupts():
        raise KeyboardInterrupt

    loop.call_soon(interrupts)
    loop.call_soon(seen.append, 1)
    with pytest.raises(KeyboardInterrupt):
        loop.turn()
    assert asyncio._get_running_loop() is None
    assert loop.can_run()
    loop.turn()
    assert seen == [1]


def test_a_turn_leaves_the_hooks_of_generators_alone(new_turning):
    loop, seen = new_turning(), []
    before = sys.get_asyncgen_hooks()

    async def main():
        seen.append(sys.get_asyncgen_hooks())

    loop.create_task(main())
    loop.turn()
    assert seen == [before]
    assert sys.get_asyncgen_hooks() == before


async def test_a_turn_inside_of_a_running_loop_is_refused(new_turning):
    loop = new_turning()
    with pytest.raises(RuntimeError, match="another loop is running"):
        loop.turn()
    with pytest.raises(RuntimeError, match="already running"):
        asyncio.get_running_loop().turn()
    assert asyncio.get_running_loop().is_running()


def test_a_closed_loop_takes_no_turn():
    loop = cede.new_event_loop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.turn()
