"""wait_for: a result in time, or TimeoutError and nothing left running."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

import cede


async def returning(value, turns=0):
    for _ in range(turns):
        await cede.sleep(0)
    return value


async def test_a_result_in_time():
    for timeout in (None, 1000):
        assert await cede.wait_for(returning(1), timeout) == 1
        assert await cede.wait_for(returning(1, 3), timeout) == 1
        assert await cede.wait_for(cede.create_task(returning(2)), timeout) == 2
    # The loop fixture fails this test if a timer is left.


async def test_an_exception_in_time():
    async def fail():
        await cede.sleep(0)
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await cede.wait_for(fail(), 1000)


async def test_the_time_being_up_cancels_and_raises(loop):
    task = cede.create_task(cede.sleep(1000))
    with pytest.raises(TimeoutError) as caught:
        await cede.wait_for(task, 0.0005)
    assert isinstance(caught.value.__cause__, cede.CancelledError)
    assert task.cancelled()
    assert cede.current_task().cancelling() == 0
    future = loop.create_future()
    with pytest.raises(cede.TimeoutError):
        await cede.wait_for(future, 0.0005)
    assert future.cancelled()


@pytest.mark.parametrize("timeout", [0, -1])
async def test_no_time_at_all_cancels_before_anything_runs(timeout):
    ran = []

    async def work():
        ran.append(1)

    with pytest.raises(TimeoutError):
        await cede.wait_for(work(), timeout)
    assert ran == []


@pytest.mark.parametrize("timeout", [0, -1, 1000])
async def test_what_is_done_already_needs_no_time(loop, timeout):
    future = loop.create_future()
    future.set_result("done")
    turns = []
    loop.call_soon(turns.append, 1)
    assert await cede.wait_for(future, timeout) == "done"
    assert turns == []
    future = loop.create_future()
    future.set_exception(ValueError("done"))
    with pytest.raises(ValueError, match="done"):
        await cede.wait_for(future, timeout)


async def test_no_time_at_all_waits_until_the_cancelled_task_is_done():
    async def slow_to_die():
        try:
            await cede.sleep(1000)
        finally:
            await cede.sleep(0)
            ended.append(1)

    ended = []
    task = cede.create_task(slow_to_die())
    await cede.sleep(0)
    with pytest.raises(TimeoutError):
        await cede.wait_for(task, 0)
    assert ended == [1]


async def test_no_time_at_all_records_who_waits():
    seen = []

    async def look():
        try:
            await cede.sleep(1000)
        finally:
            seen.append(cede.current_task()._asyncio_awaited_by)

    task = cede.create_task(look())
    await cede.sleep(0)
    with pytest.raises(TimeoutError):
        await cede.wait_for(task, 0)
    assert seen == [{cede.current_task()}]
    assert not task._asyncio_awaited_by


@pytest.mark.parametrize("timeout", [0, 0.0005])
async def test_a_task_that_swallows_the_cancellation_gives_its_result(timeout):
    async def stubborn():
        try:
            await cede.sleep(1000)
        except cede.CancelledError:
            return "swallowed"

    task = cede.create_task(stubborn())
    await cede.sleep(0)
    assert await cede.wait_for(task, timeout) == "swallowed"
    assert cede.current_task().cancelling() == 0


@pytest.mark.parametrize("timeout", [0, 0.0005])
async def test_an_exception_raised_while_being_cancelled_comes_out(timeout):
    async def angry():
        try:
            await cede.sleep(1000)
        finally:
            raise ValueError("angry")

    task = cede.create_task(angry())
    await cede.sleep(0)
    with pytest.raises(ValueError, match="angry"):
        await cede.wait_for(task, timeout)


async def test_cancelling_it_cancels_what_it_waits_for():
    inner = cede.create_task(cede.sleep(1000))
    outer = cede.create_task(cede.wait_for(inner, 1000))
    await cede.sleep(0)
    outer.cancel()
    with pytest.raises(cede.CancelledError):
        await outer
    assert inner.cancelled()


async def test_a_result_that_comes_with_the_cancellation_is_not_lost_without_a_trace(loop):
    """The task is cancelled when its future is resolved already: CancelledError, and the future keeps its result."""
    inner = loop.create_future()
    outer = cede.create_task(cede.wait_for(inner, 1000))
    await cede.sleep(0)
    inner.set_result("kept")
    outer.cancel()
    with pytest.raises(cede.CancelledError):
        await outer
    assert inner.result() == "kept"


async def test_a_coroutine_runs_in_the_task_that_waits():
    async def who():
        return cede.current_task()

    assert await cede.wait_for(who(), 1000) is cede.current_task()


async def test_nested_ones_know_whose_time_is_up():
    with pytest.raises(TimeoutError):
        await cede.wait_for(cede.wait_for(cede.sleep(1000), 1000), 0.0005)
    with pytest.raises(TimeoutError):
        await cede.wait_for(cede.wait_for(cede.sleep(1000), 0.0005), 1000)


async def test_a_foreign_future(loop):
    foreign = asyncio.Future(loop=loop)
    loop.call_soon(foreign.set_result, 1)
    assert await cede.wait_for(foreign, 1000) == 1


async def test_it_leaves_no_cycles_when_it_fails():
    class Unlucky(Exception):
        pass

    async def fail():
        await cede.sleep(0)
        raise Unlucky

    gc.collect()
    gc.disable()
    try:
        try:
            await cede.wait_for(fail(), 1000)
        except Unlucky as exc:
            reference = weakref.ref(exc)
        assert reference() is None
    finally:
        gc.enable()


async def test_what_cannot_be_awaited_is_refused():
    for timeout in (None, 0, 1000):
        with pytest.raises(TypeError):
            await cede.wait_for(1, timeout)
