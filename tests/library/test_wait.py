"""wait: what is done, what is not, and nothing cancelled."""

from __future__ import annotations

import asyncio

import pytest

import cede
from tests.library.coroutines import failing, returning


def start(*coros):
    return [cede.create_task(coro) for coro in coros]


async def test_all_completed_waits_for_all():
    tasks = start(returning(1, 2), failing(ValueError()), returning(3))
    done, pending = await cede.wait(tasks)
    assert done == set(tasks)
    assert pending == set()
    assert isinstance(tasks[1].exception(), ValueError)


async def test_first_completed_returns_with_the_first():
    quick, slow = start(returning(1), returning(2, 10))
    done, pending = await cede.wait([quick, slow], return_when=cede.FIRST_COMPLETED)
    assert (done, pending) == ({quick}, {slow})
    await slow


async def test_first_exception_passes_over_results_and_cancellations():
    quick, cancelled, bad, slow = start(returning(1), cede.sleep(1000), failing(ValueError(), 4), returning(2, 20))
    await cede.sleep(0)
    cancelled.cancel()
    done, pending = await cede.wait([quick, cancelled, bad, slow], return_when=cede.FIRST_EXCEPTION)
    assert (done, pending) == ({quick, cancelled, bad}, {slow})
    bad.exception()
    await slow


async def test_first_exception_without_one_waits_for_all():
    tasks = start(returning(1), returning(2, 2))
    done, pending = await cede.wait(tasks, return_when=cede.FIRST_EXCEPTION)
    assert len(done) == 2
    assert not pending


async def test_the_time_being_up_cancels_and_raises_nothing():
    tasks = start(returning(1), cede.sleep(0.05))
    done, pending = await cede.wait(tasks, timeout=0.001)
    assert (done, pending) == ({tasks[0]}, {tasks[1]})
    assert not tasks[1].cancelling()
    await tasks[1]


async def test_an_unused_timeout_leaves_no_timer():
    done, _ = await cede.wait(start(returning(1)), timeout=1000)
    assert len(done) == 1
    # The loop fixture fails this test if a timer is left.


async def test_what_is_done_already_takes_a_turn_all_the_same(loop):
    done = loop.create_future()
    done.set_result(1)
    turns = []
    loop.call_soon(turns.append, 1)
    assert await cede.wait([done]) == ({done}, set())
    assert turns == [1]


async def test_cancelling_it_cancels_nothing_else(loop):
    future = loop.create_future()
    task = cede.create_task(cede.wait([future], timeout=1000))
    await cede.sleep(0)
    task.cancel()
    with pytest.raises(cede.CancelledError):
        await task
    assert not future.done()
    assert not future._callbacks
    assert not future._asyncio_awaited_by
    future.cancel()


async def test_waiting_again_and_again_leaves_nothing_on_the_future(loop):
    future = loop.create_future()
    for _ in range(20):
        await cede.wait([future], timeout=0)
    assert not future._callbacks
    assert not future._asyncio_awaited_by
    future.cancel()


async def test_edges_while_it_waits(loop):
    future = loop.create_future()
    task = cede.create_task(cede.wait([future]))
    await cede.sleep(0)
    assert future._asyncio_awaited_by == {task}
    future.set_result(None)
    await task
    assert not future._asyncio_awaited_by


async def test_any_iterable_and_duplicates_count_once():
    (task,) = start(returning(1))
    assert await cede.wait(iter([task, task])) == ({task}, set())


async def test_a_foreign_future(loop):
    foreign = asyncio.Future(loop=loop)
    loop.call_soon(foreign.set_result, 1)
    assert await cede.wait([foreign]) == ({foreign}, set())


async def test_what_it_refuses(loop):
    future = loop.create_future()
    coro = returning(1)
    with pytest.raises(TypeError, match="list of futures"):
        await cede.wait(future)
    with pytest.raises(TypeError, match="list of futures"):
        await cede.wait(coro)
    with pytest.raises(TypeError, match="coroutines is forbidden"):
        await cede.wait([coro])
    with pytest.raises(ValueError, match="empty"):
        await cede.wait([])
    with pytest.raises(ValueError, match="return_when"):
        await cede.wait([future], return_when="whenever")
    coro.close()
    future.cancel()
