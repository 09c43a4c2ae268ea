"""What gather and TaskGroup stand on: each child is heard of once, a turn after its end, whatever kind it is."""

from __future__ import annotations

import asyncio

import pytest

import cede
from cede.engine.joins import Countdown, Crew


async def turns(n=3):
    for _ in range(n):
        await cede.sleep(0)


def countdown(stops=True):
    log = []
    return Countdown(None, stops, lambda child: log.append(child), lambda: log.append("finished")), log


async def test_the_last_child_finishes_it_a_turn_later(loop):
    join, log = countdown()
    children = [loop.create_future() for _ in range(2)]
    join.watch(children)
    children[0].set_result(1)
    await turns()
    assert log == []
    children[1].set_result(2)
    assert log == []
    await cede.sleep(0)
    assert log == ["finished"]


async def test_the_first_failure_ends_it_once(loop):
    join, log = countdown()
    children = [loop.create_future() for _ in range(3)]
    join.watch(children)
    children[1].set_exception(ValueError("first"))
    children[0].cancel()
    children[2].set_exception(ValueError("never looked at"))  # and yet not reported: it counts as retrieved
    await turns()
    assert log == [children[1]]


async def test_it_may_go_on_after_failures(loop):
    join, log = countdown(stops=False)
    children = [loop.create_future() for _ in range(2)]
    join.watch(children)
    children[0].set_exception(ValueError("x"))
    children[1].cancel()
    await turns()
    assert log == ["finished"]


async def test_children_done_already_count_at_once(loop):
    join, log = countdown()
    child = loop.create_future()
    child.set_result(1)
    join.watch([child])
    assert log == ["finished"]


async def test_futures_of_other_libraries_count_too(loop):
    join, log = countdown()
    children = [asyncio.Future(loop=loop), loop.create_future()]
    join.watch(children)
    children[1].set_result(1)
    children[0].set_result(1)
    await turns()
    assert log == ["finished"]


async def test_a_child_tells_its_waiters_in_the_order_they_came(loop):
    order = []
    child = loop.create_future()
    child.add_done_callback(lambda _: order.append("callback"))
    Countdown(None, True, order.append, lambda: order.append("join")).watch([child])
    child.add_done_callback(lambda _: order.append("later callback"))
    child.set_result(1)
    await turns()
    assert order == ["callback", "join", "later callback"]


async def test_what_a_join_raises_goes_to_the_exception_handler(loop, loop_errors):
    def bad():
        raise ValueError("bad")

    child = loop.create_future()
    Countdown(None, True, bad, bad).watch([child])
    child.set_result(1)
    await turns()
    assert str(loop_errors.pop()["exception"]) == "bad"


async def test_a_child_can_be_described_while_it_is_watched(loop):
    child = loop.create_future()
    join, log = countdown()
    join.watch([child])
    assert "pending" in repr(child)
    ((callback, context),) = child._callbacks
    assert callable(callback)
    assert context is not None
    assert child.remove_done_callback(callback) == 0
    child.set_result(1)
    await turns()
    assert log == ["finished"]


async def test_a_crew_tells_who_failed_and_when_it_is_gone(loop):
    log = []
    crew = Crew(cede.current_task(), lambda task, exc: log.append((task, str(exc))), lambda: log.append("gone"))

    async def work(error=None):
        await cede.sleep(0)
        if error is not None:
            raise ValueError(error)

    good, bad = cede.create_task(work()), cede.create_task(work("bad"))
    crew.add(good)
    crew.add(bad)
    assert crew.tasks == {good, bad}
    assert good._asyncio_awaited_by == {cede.current_task()}
    await turns(4)
    assert crew.tasks == set()
    assert log == ["gone", (bad, "bad")]
    assert not good._asyncio_awaited_by


async def test_a_crew_takes_in_tasks_that_are_done(loop):
    log = []
    crew = Crew(None, lambda task, exc: log.append(exc), lambda: log.append("gone"))
    task = cede.create_task(cede.sleep(0), eager_start=True)
    await task
    crew.add(task)
    assert log == []
    await turns()
    assert log == ["gone"]


@pytest.mark.parametrize("debug", [False, True])
def test_gather_and_groups_work_on_asyncio_s_loop(debug):
    async def work(value):
        await cede.sleep(0)
        return value

    async def main():
        assert await cede.gather(work(1), cede.Task(work(2), loop=cede.get_running_loop())) == [1, 2]
        async with cede.TaskGroup() as group:
            task = group.create_task(work(3))
        assert task.result() == 3
        with pytest.raises(ExceptionGroup):
            async with cede.TaskGroup() as group:
                group.create_task(work(1))
                group.create_task(cede.sleep("not a number"))

    cede.run(main(), debug=debug, loop_factory=asyncio.SelectorEventLoop)
