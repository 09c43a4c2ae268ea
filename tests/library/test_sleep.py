"""sleep: one turn, or as long as was asked."""

from __future__ import annotations

import inspect

import pytest

import cede


async def test_zero_lets_every_ready_task_have_one_turn():
    order = []

    async def worker(name):
        for _ in range(3):
            order.append(name)
            await cede.sleep(0)

    await cede.gather(worker("a"), worker("b"))
    assert order == ["a", "b"] * 3


async def test_zero_and_less_take_exactly_one_turn(loop):
    for delay in (0, 0.0, -1, float("-inf")):
        turns = []
        loop.call_soon(turns.append, 1)
        assert await cede.sleep(delay, "result") == "result"
        assert turns == [1]


async def test_it_returns_its_result_and_is_never_early(loop):
    began = loop.time()
    assert await cede.sleep(0.003, "result") == "result"
    assert loop.time() - began >= 0.003
    assert await cede.sleep(0.0001) is None


async def test_shorter_sleeps_end_first():
    order = []

    async def sleeper(delay):
        await cede.sleep(delay)
        order.append(delay)

    await cede.gather(sleeper(0.03), sleeper(0.001), sleeper(0.01))
    assert order == [0.001, 0.01, 0.03]


async def test_not_a_number_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        await cede.sleep(float("nan"))


async def test_cancelling_takes_the_timer_away(loop):
    task = cede.create_task(cede.sleep(1000))
    await cede.sleep(0)
    task.cancel()
    with pytest.raises(cede.CancelledError):
        await task
    # The loop fixture fails this test if a timer is left.


async def test_cancelling_sleep_zero():
    task = cede.create_task(cede.sleep(0))
    await cede.sleep(0)
    task.cancel("why")
    with pytest.raises(cede.CancelledError, match="why"):
        await task


def test_it_is_a_coroutine_function():
    assert inspect.iscoroutinefunction(cede.sleep)
    coro = cede.sleep(1)
    assert inspect.iscoroutine(coro)
    assert cede.iscoroutine(coro)
    assert coro.__name__ == "sleep"
    assert coro.__qualname__ == "sleep"
    coro.close()


async def test_a_sleeper_can_be_seen(loop):
    task = cede.create_task(cede.sleep(1000))
    await cede.sleep(0)
    assert task.get_stack()[-1].f_code.co_name == "sleep"
    task.cancel()
