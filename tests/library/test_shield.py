"""shield: the outcome goes out, the cancellation does not come in."""

from __future__ import annotations

import gc

import pytest

import cede


async def turns(n=3):
    for _ in range(n):
        await cede.sleep(0)


async def test_result_and_exception_go_through(loop):
    async def work(outcome):
        await cede.sleep(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert await cede.shield(work(1)) == 1
    with pytest.raises(ValueError, match="x"):
        await cede.shield(work(ValueError("x")))


async def test_what_is_done_is_returned_as_it_is(loop):
    done = loop.create_future()
    done.set_result(1)
    assert cede.shield(done) is done


async def test_cancelling_the_waiter_leaves_the_inner_one_running():
    inner = cede.create_task(cede.sleep(0.002, "result"))

    async def wait():
        await cede.shield(inner)

    task = cede.create_task(wait())
    await turns()
    task.cancel()
    with pytest.raises(cede.CancelledError):
        await task
    assert not inner.done()
    assert await inner == "result"


async def test_cancelling_the_inner_one_cancels_the_shield():
    inner = cede.create_task(cede.sleep(1000))
    outer = cede.shield(inner)
    await cede.sleep(0)
    inner.cancel()
    with pytest.raises(cede.CancelledError):
        await outer
    assert outer.cancelled()


async def test_a_late_exception_is_reported_if_nobody_asks_for_it(loop, loop_errors):
    async def fail_later():
        await turns(3)
        raise ValueError("late")

    outer = cede.shield(fail_later())
    await cede.sleep(0)
    outer.cancel()
    await turns(6)
    del outer
    gc.collect()
    (context,) = loop_errors
    assert str(context["exception"]) == "late"
    assert "never retrieved" in context["message"]
    loop_errors.clear()


async def test_a_late_exception_that_somebody_asks_for_is_not_reported(loop_errors):
    async def fail_later():
        await turns(3)
        raise ValueError("late")

    inner = cede.create_task(fail_later())
    outer = cede.shield(inner)
    await cede.sleep(0)
    outer.cancel()
    with pytest.raises(ValueError, match="late"):
        await inner
    del inner, outer
    await turns()
    gc.collect()
    assert loop_errors == []


async def test_an_exception_in_the_same_turn_as_the_cancellation_is_reported(loop, loop_errors):
    inner = loop.create_future()
    outer = cede.shield(inner)
    inner.set_exception(ValueError("same turn"))
    outer.cancel()
    await turns()
    del inner, outer
    gc.collect()
    assert [str(context["exception"]) for context in loop_errors] == ["same turn"]
    loop_errors.clear()


async def test_a_cancelled_shield_leaves_no_callback_and_no_edge(loop):
    inner = loop.create_future()
    for _ in range(10):
        cede.shield(inner).cancel()
    assert inner._asyncio_awaited_by
    await turns()
    assert not inner._callbacks
    assert not inner._asyncio_awaited_by
    inner.cancel()


async def test_edges_last_as_long_as_the_inner_one_is_awaited(loop):
    inner = loop.create_future()
    outer = cede.shield(inner)
    assert inner._asyncio_awaited_by == {cede.current_task()}
    inner.set_result(None)
    await outer
    assert not inner._asyncio_awaited_by


async def test_inside_gather_and_wait_for(loop):
    inner = cede.create_task(cede.sleep(0.002, "result"))
    with pytest.raises(TimeoutError):
        await cede.wait_for(cede.shield(inner), 0.0005)
    outer = cede.gather(cede.shield(inner))
    outer.cancel()
    with pytest.raises(cede.CancelledError):
        await outer
    assert await inner == "result"
