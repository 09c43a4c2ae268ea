"""gather: results in order, the first failure, cancelling in both directions, and who waits for whom."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

import cede
from tests.library.coroutines import failing, returning


async def turns(n=3):
    for _ in range(n):
        await cede.sleep(0)


async def test_results_stand_in_the_order_given():
    assert await cede.gather(returning(1, 3), returning(2), returning(3, 1)) == [1, 2, 3]


async def test_nothing_gives_an_empty_list(loop):
    future = cede.gather()
    assert future.done()
    assert future.get_loop() is loop
    assert await future == []


async def test_futures_tasks_coroutines_and_awaitables_mix(loop):
    class Awaitable:
        def __await__(self):
            yield
            return "awaitable"

    future = loop.create_future()
    loop.call_soon(future.set_result, "future")
    task = cede.create_task(returning("task"))
    assert await cede.gather(future, task, returning("coro"), Awaitable()) == ["future", "task", "coro", "awaitable"]


async def test_an_awaitable_given_twice_runs_once():
    runs = []

    async def once():
        runs.append(1)
        return len(runs)

    coro = once()
    future = cede.create_task(returning("x"))
    assert await cede.gather(coro, future, coro, future) == [1, "x", 1, "x"]
    assert runs == [1]


async def test_tasks_start_in_the_order_given():
    order = []

    async def note(i):
        order.append(i)

    coros = [note(i) for i in range(50)]
    await cede.gather(*coros, coros[0])
    assert order == list(range(50))


async def test_the_first_exception_comes_at_once_and_the_others_run_on():
    slow = cede.create_task(returning("slow", 10))
    with pytest.raises(ZeroDivisionError):
        await cede.gather(slow, failing(ZeroDivisionError(), 1), failing(ValueError(), 5))
    assert not slow.done()
    assert await slow == "slow"


async def test_a_second_failure_is_not_reported_as_never_retrieved(loop_errors):
    with pytest.raises(ZeroDivisionError):
        await cede.gather(failing(ZeroDivisionError()), failing(ValueError(), 2))
    await turns(5)
    gc.collect()
    assert loop_errors == []


async def test_return_exceptions_puts_them_into_the_list(loop):
    error = ValueError()
    cancelled = loop.create_future()
    cancelled.cancel("enough")
    results = await cede.gather(returning(1), failing(error), cancelled, return_exceptions=True)
    assert results[:2] == [1, error]
    assert isinstance(results[2], cede.CancelledError)
    assert results[2].args == ("enough",)


async def test_a_child_that_others_cancel_counts_as_one_that_raised():
    child = cede.create_task(cede.sleep(1000))
    other = cede.create_task(returning("other", 5))
    outer = cede.gather(child, other)
    await cede.sleep(0)
    child.cancel("from outside")
    with pytest.raises(cede.CancelledError):
        await outer
    assert not outer.cancelled()
    assert isinstance(outer.exception(), cede.CancelledError)
    assert await other == "other"


async def test_cancelling_it_cancels_every_child():
    children = [cede.create_task(cede.sleep(1000)) for _ in range(3)]
    outer = cede.gather(*children)
    await cede.sleep(0)
    assert outer.cancel("stop") is True
    assert not outer.done()
    with pytest.raises(cede.CancelledError, match="stop"):
        await outer
    assert all(child.cancelled() for child in children)
    assert outer.cancel() is False


@pytest.mark.parametrize("return_exceptions", [False, True])
async def test_a_cancellation_goes_on_out_although_the_children_swallow_it(return_exceptions):
    async def stubborn():
        try:
            await cede.sleep(1000)
        except cede.CancelledError:
            return "swallowed"

    outer = cede.gather(stubborn(), stubborn(), return_exceptions=return_exceptions)
    await cede.sleep(0)
    outer.cancel()
    with pytest.raises(cede.CancelledError):
        await outer


async def test_cancelling_the_task_that_awaits_it_cancels_the_children():
    child = cede.create_task(cede.sleep(1000))

    async def wait():
        await cede.gather(child)

    task = cede.create_task(wait())
    await turns()
    task.cancel()
    with pytest.raises(cede.CancelledError):
        await task
    assert child.cancelled()


async def test_it_is_done_one_turn_after_its_last_child(loop):
    child = loop.create_future()
    outer = cede.gather(child)
    child.set_result(1)
    assert not outer.done()
    await cede.sleep(0)
    assert outer.done()


async def test_children_done_already_make_it_done_at_once(loop):
    done = loop.create_future()
    done.set_result(1)
    outer = cede.gather(done, done)
    assert outer.done()
    assert await outer == [1, 1]


async def test_eager_tasks_that_end_at_once_make_it_done_at_once(loop):
    loop.set_task_factory(cede.eager_task_factory)
    outer = cede.gather(returning(1), returning(2))
    assert outer.done()
    assert outer.result() == [1, 2]
    with pytest.raises(ValueError, match="eager"):
        await cede.gather(returning(1, 3), failing(ValueError("eager")))


async def test_call_graph_edges_come_and_go(loop):
    first, second = loop.create_future(), loop.create_future()
    me = cede.current_task()
    outer = cede.gather(first, second)
    assert first._asyncio_awaited_by == {me}
    first.set_result(None)
    await turns()
    assert not first._asyncio_awaited_by
    assert second._asyncio_awaited_by == {me}
    second.set_result(None)
    await outer
    assert not second._asyncio_awaited_by


async def test_a_failure_takes_the_others_out_of_the_call_graph(loop):
    pending = loop.create_future()
    with pytest.raises(ValueError, match="x"):
        await cede.gather(pending, failing(ValueError("x")))
    assert not pending._asyncio_awaited_by
    pending.cancel()


async def test_a_foreign_future_among_the_children(loop):
    foreign = asyncio.Future(loop=loop)
    outer = cede.gather(foreign, returning(2))
    loop.call_soon(foreign.set_result, 1)
    assert await outer == [1, 2]
    foreign = asyncio.Future(loop=loop)
    outer = cede.gather(foreign, returning(2))
    loop.call_soon(foreign.set_exception, ValueError("foreign"))
    with pytest.raises(ValueError, match="foreign"):
        await outer


async def test_an_awaitable_of_another_loop_is_refused(loop):
    other = cede.new_event_loop()
    try:
        future = other.create_future()
        with pytest.raises(ValueError, match="different loop"):
            cede.gather(future)
    finally:
        other.close()


async def test_what_cannot_be_awaited_is_refused():
    with pytest.raises(TypeError, match="required"):
        cede.gather(1)


def test_without_a_loop_it_is_refused(loop):
    coro = returning(1)
    with pytest.raises(RuntimeError, match="no current event loop"):
        cede.gather(coro)
    with pytest.raises(RuntimeError, match="no current event loop"):
        cede.gather()


def test_futures_bring_their_loop_with_them(loop):
    future = loop.create_future()
    outer = cede.gather(future)
    assert outer.get_loop() is loop
    future.set_result("x")
    assert loop.run_until_complete(outer) == ["x"]


async def test_a_child_that_outlives_the_loop_is_not_reported(loop_errors):
    outer = cede.gather(cede.sleep(1000), failing(ValueError()))
    with pytest.raises(ValueError):
        await outer
    for task in cede.all_tasks() - {cede.current_task()}:
        task.cancel()
    await turns()
    assert loop_errors == []


async def test_results_are_let_go():
    class Big:
        pass

    async def make():
        return Big()

    async def scope():
        (big,) = await cede.gather(make())
        return weakref.ref(big)

    reference = await scope()
    await turns()
    gc.collect()
    assert reference() is None


async def test_ten_thousand_children():
    assert await cede.gather(*(returning(i) for i in range(10_000))) == list(range(10_000))
