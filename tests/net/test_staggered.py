"""staggered_race: the next attempt starts on time or on failure, exactly one wins, nothing is left running."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref

import pytest

from cede.net.staggered import staggered_race


async def _sleep_then(delay, result):
    await asyncio.sleep(delay)
    if isinstance(result, BaseException):
        raise result
    return result


def attempts(*steps):
    return [lambda step=step: _sleep_then(*step) for step in steps]


async def test_without_attempts_nobody_wins():
    assert await staggered_race([], None) == (None, None, [])


async def test_first_success_wins_and_the_rest_never_starts():
    assert await staggered_race(attempts((0, "a"), (0, "b")), 10) == ("a", 0, [None])


async def test_a_failure_starts_the_next_at_once(loop):
    error = OSError("first")
    began = loop.time()
    result, index, exceptions = await staggered_race(attempts((0, error), (0, "b")), 10)
    assert (result, index, exceptions) == ("b", 1, [error, None])
    assert loop.time() - began < 5


async def test_without_a_delay_attempts_run_one_after_another():
    running = []

    async def attempt(number):
        running.append(number)
        await asyncio.sleep(0.002)
        assert running[-1] == number
        raise OSError(number)

    result, index, exceptions = await staggered_race([lambda n=n: attempt(n) for n in range(3)], None)
    assert (result, index) == (None, None)
    assert [exc.args for exc in exceptions] == [(0,), (1,), (2,)]


async def test_the_delay_starts_the_next_beside_the_first():
    cancelled = []

    async def never():
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    result, index, exceptions = await staggered_race([never, lambda: _sleep_then(0, "b")], 0.001)
    assert (result, index) == ("b", 1)
    assert isinstance(exceptions[0], asyncio.CancelledError)
    assert exceptions[1] is None
    assert cancelled == [1]


async def test_only_the_last_one_started_hurries_the_next(loop):
    started = []

    async def attempt(number, delay):
        started.append((number, loop.time()))
        await asyncio.sleep(delay)
        raise OSError

    steps = [(0, 0.03), (1, 0.2), (2, 0)]
    began = loop.time()  # and not the first one's own time: on a busy machine it runs late
    await staggered_race([lambda s=s: attempt(*s) for s in steps], 0.02)
    # 0 fails at 30 ms while 1 runs: 2 still waits for the 20 ms of 1, that is until 40 ms.
    assert [number for number, _ in started] == [0, 1, 2]
    assert started[2][1] - began >= 0.0399


async def test_cancelling_cancels_every_attempt_and_waits_for_it(loop):
    started, ended = [], []

    async def slow():
        started.append(1)
        try:
            await loop.create_future()
        finally:
            await asyncio.sleep(0)
            ended.append(1)

    task = loop.create_task(staggered_race([slow, slow, slow], 0.001))
    while len(started) < 3:
        await asyncio.sleep(0.001)
    task.cancel("why")
    with pytest.raises(asyncio.CancelledError) as info:
        await task
    assert info.value.args == ("why",)
    assert ended == [1, 1, 1]


async def test_each_attempt_runs_in_a_copy_of_the_callers_context():
    var = contextvars.ContextVar("var", default=0)
    var.set(1)
    seen = []

    async def attempt():
        seen.append(var.get())
        var.set(var.get() + 1)
        await asyncio.sleep(0)
        raise OSError

    await staggered_race([attempt] * 3, None)
    assert seen == [1, 1, 1]
    assert var.get() == 1


async def test_an_attempt_that_raises_when_called_counts_as_failed():
    def broken():
        raise ZeroDivisionError

    result, _, exceptions = await staggered_race([broken, lambda: _sleep_then(0, 2)], None)
    assert result == 2
    assert isinstance(exceptions[0], ZeroDivisionError)


@pytest.mark.parametrize("delay", [None, 0.001])
async def test_with_eager_tasks(loop, delay):
    loop.set_task_factory(lambda loop, coro, **kwargs: _task(coro, loop=loop, eager_start=True, **kwargs))
    error = OSError()

    async def fails_at_once():
        raise error

    async def wins_at_once():
        return 3

    assert await staggered_race([fails_at_once, wins_at_once, fails_at_once], delay) == (3, 1, [error, None])
    result, index, exceptions = await staggered_race([fails_at_once] * 3, delay)
    assert (result, index, exceptions) == (None, None, [error] * 3)


def _task(coro, **kwargs):
    from cede.engine.tasks import Task

    return Task(coro, **kwargs)


async def test_no_reference_cycle_keeps_a_failed_attempt():
    class Witness(OSError):
        pass

    async def attempt():
        raise Witness

    gc.collect()
    gc.disable()
    try:
        _, _, exceptions = await staggered_race([attempt] * 2, None)
        witnesses = [weakref.ref(exc) for exc in exceptions]
        del exceptions
        await asyncio.sleep(0)
        assert [ref() for ref in witnesses] == [None, None]
    finally:
        gc.enable()
