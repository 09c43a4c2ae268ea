"""as_completed: what is done first comes first, by both kinds of iteration."""

from __future__ import annotations

import pytest

import cede


async def returning(value, turns=0):
    for _ in range(turns):
        await cede.sleep(0)
    return value


async def test_async_iteration_gives_the_tasks_themselves():
    tasks = {cede.create_task(returning(i, 9 - 3 * i)): i for i in range(3)}
    seen = [tasks[task] async for task in cede.as_completed(tasks)]
    assert seen == [2, 1, 0]


async def test_async_iteration_gives_tasks_for_coroutines():
    results = []
    async for task in cede.as_completed([returning(1, 3), returning(2)]):
        assert isinstance(task, cede.Task)
        results.append(await task)
    assert results == [2, 1]


async def test_plain_iteration_gives_coroutines_of_the_results():
    results = []
    for step in cede.as_completed([returning(1, 3), returning(2)]):
        assert cede.iscoroutine(step)
        results.append(await step)
    assert results == [2, 1]


async def test_steps_may_be_awaited_later_and_at_once():
    steps = list(cede.as_completed([returning(1, 3), returning(2)]))
    assert await cede.gather(*steps) == [2, 1]


async def test_an_exception_comes_where_its_task_would():
    async def fail():
        raise ValueError("x")

    results = []
    for step in cede.as_completed([returning(1, 3), fail()]):
        try:
            results.append(await step)
        except ValueError as exc:
            results.append(str(exc))
    assert results == ["x", 1]


async def test_duplicates_come_once():
    task = cede.create_task(returning(1))
    coro = returning(2)
    results = [await step for step in cede.as_completed([task, coro, task, coro])]
    assert sorted(results) == [1, 2]


async def test_the_time_being_up_fails_every_step_that_is_left(loop):
    slow = [cede.create_task(cede.sleep(1000)) for _ in range(2)]
    outcomes = []
    for step in cede.as_completed([returning(1), *slow], timeout=0.05):
        try:
            outcomes.append(await step)
        except TimeoutError:
            outcomes.append("late")
    assert outcomes == [1, "late", "late"]
    assert not any(task._asyncio_awaited_by for task in slow)
    for task in slow:
        task.cancel()


async def test_the_time_being_up_ends_async_iteration():
    slow = cede.create_task(cede.sleep(1000))
    seen = []
    with pytest.raises(TimeoutError):
        async for task in cede.as_completed([returning(1), slow], timeout=0.05):
            seen.append(await task)
    assert seen == [1]
    slow.cancel()


async def test_an_unused_timeout_leaves_no_timer():
    assert [await step for step in cede.as_completed([returning(1)], timeout=1000)] == [1]
    assert list(cede.as_completed([], timeout=1000)) == []


async def test_a_cancelled_step_loses_nothing(loop):
    future = loop.create_future()
    steps = cede.as_completed([future])
    step = cede.create_task(next(steps))
    await cede.sleep(0)
    step.cancel()
    with pytest.raises(cede.CancelledError):
        await step
    loop.call_soon(future.set_result, "kept")
    assert await next(steps) == "kept"
    with pytest.raises(StopIteration):
        next(steps)


async def test_a_cancelled_async_step_loses_nothing(loop):
    future = loop.create_future()
    steps = cede.as_completed([future])
    step = cede.create_task(anext(steps))
    await cede.sleep(0)
    step.cancel()
    with pytest.raises(cede.CancelledError):
        await step
    loop.call_soon(future.set_result, "kept")
    assert await anext(steps) is future
    with pytest.raises(StopAsyncIteration):
        await anext(steps)


async def test_edges_come_and_go(loop):
    future = loop.create_future()
    steps = cede.as_completed([future])
    assert future._asyncio_awaited_by == {cede.current_task()}
    future.set_result(None)
    await next(steps)
    assert not future._asyncio_awaited_by


async def test_one_awaitable_instead_of_many_is_refused(loop):
    future = loop.create_future()
    coro = returning(1)
    for one in (future, coro):
        with pytest.raises(TypeError, match="iterable of awaitables"):
            cede.as_completed(one)
    coro.close()
    future.cancel()


def test_without_a_loop_it_is_refused(loop):
    coro = returning(1)
    with pytest.raises(RuntimeError, match="no current event loop"):
        cede.as_completed([coro])
    coro.close()
