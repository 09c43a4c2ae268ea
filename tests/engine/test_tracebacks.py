"""Tracebacks point at the user's code: compiled, the engine says where an error of its own began, and no more."""

from __future__ import annotations

import asyncio
import traceback

import pytest

import cede

pytestmark = pytest.mark.skipif(not cede.compiled, reason="plain Python's own frames are seen, as asyncio's are")


def frames(exc):
    """The functions in the traceback of an exception, all of them in this file."""
    summary = traceback.extract_tb(exc.__traceback__)
    assert {frame.filename for frame in summary} <= {__file__}
    return [frame.name for frame in summary]


async def user():
    raise ValueError("user")


async def outer(awaitable):
    return await awaitable


async def caught(coroutine):
    try:
        await coroutine
    except BaseException as exc:
        return frames(exc)


def failed(loop):
    future = loop.create_future()
    future.set_exception(ValueError())
    return future


class Foreign(asyncio.Future):
    pass


async def test_what_is_awaited(loop):
    assert await caught(user()) == ["caught", "user"]
    assert await caught(cede.create_task(user())) == ["caught", "user"]
    assert await caught(outer(cede.create_task(user()))) == ["caught", "outer", "user"]
    assert await caught(failed(loop)) == ["caught"]
    assert await caught(outer(failed(loop))) == ["caught", "outer"]


@pytest.mark.parametrize("make", [Foreign, cede.Future, asyncio.Future])
async def test_futures_of_every_kind(loop, make):
    future = make(loop=loop)
    loop.call_soon(future.set_exception, ValueError("late"))
    assert await caught(outer(future)) == ["caught", "outer"]


async def test_gathered_and_shielded(loop):
    assert await caught(cede.gather(user(), user())) == ["caught", "user"]
    assert await caught(cede.shield(user())) == ["caught", "user"]


async def test_cancelled(loop):
    task = cede.create_task(outer(loop.create_future()))
    await cede.sleep(0)
    task.cancel()
    assert await caught(task) == ["caught", "outer"]


async def test_results_asked_for(loop):
    task = cede.create_task(user())
    await cede.sleep(0)
    await cede.sleep(0)
    for _ in range(2):
        with pytest.raises(ValueError, match="user") as raised:
            task.result()
        assert frames(raised.value) == ["test_results_asked_for", "user"]


async def test_waiting_by_sleep(loop):
    task = cede.create_task(outer(cede.sleep(10)))
    await cede.sleep(0)
    task.cancel()
    with pytest.raises(cede.CancelledError) as raised:
        await task
    names = [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert names == ["test_waiting_by_sleep", "outer", "sleep"]


async def test_misuse_says_where_it_was_found(loop):
    future = loop.create_future()
    for method, argument in ((future.result, ()), (future.exception, ()), (future.set_exception, (1,))):
        with pytest.raises((cede.InvalidStateError, TypeError)) as raised:
            method(*argument)
        mine, ours = traceback.extract_tb(raised.value.__traceback__)
        assert mine.name == "test_misuse_says_where_it_was_found"
        assert ours.filename.endswith("cede/engine/futures.py")


def test_callbacks(loop, loop_errors, turns):
    def callback(*args):
        raise ValueError

    loop.call_soon(callback)
    loop.call_soon_threadsafe(callback)
    loop.call_later(0, callback)
    future = loop.create_future()
    future.add_done_callback(callback)
    future.set_result(1)
    turns(2)
    assert [frames(context["exception"]) for context in loop_errors] == [["callback"]] * 4
    loop_errors.clear()


def test_interrupts(loop):
    def interrupt():
        raise KeyboardInterrupt

    loop.call_soon(interrupt)
    with pytest.raises(KeyboardInterrupt) as raised:
        loop.run_forever()
    assert frames(raised.value) == ["test_interrupts", "interrupt"]
