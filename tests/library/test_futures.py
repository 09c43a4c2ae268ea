"""wrap_future, and futures that follow each other."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

import pytest

import cede
from cede.futures import chain_future


async def test_a_thread_s_future_becomes_the_loop_s(loop):
    source = concurrent.futures.Future()
    future = cede.wrap_future(source)
    assert future.get_loop() is loop
    threading.Thread(target=source.set_result, args=("result",)).start()
    assert await future == "result"


async def test_one_that_is_done_already_and_one_that_failed():
    source = concurrent.futures.Future()
    source.set_result(1)
    assert await cede.wrap_future(source) == 1
    source = concurrent.futures.Future()
    source.set_exception(ValueError("x"))
    with pytest.raises(ValueError, match="x"):
        await cede.wrap_future(source)


async def test_cancelling_goes_both_ways():
    source = concurrent.futures.Future()
    future = cede.wrap_future(source)
    future.cancel()
    await cede.sleep(0)
    assert source.cancelled()
    source = concurrent.futures.Future()
    future = cede.wrap_future(source)
    source.cancel()
    with pytest.raises(cede.CancelledError):
        await future


async def test_errors_of_concurrent_futures_become_asyncio_s():
    for theirs, ours in (
        (concurrent.futures.CancelledError("c"), asyncio.CancelledError),
        (concurrent.futures.InvalidStateError("i"), asyncio.InvalidStateError),
    ):
        source = concurrent.futures.Future()
        source.set_exception(theirs)
        with pytest.raises(ours) as caught:
            await cede.wrap_future(source)
        assert caught.value.args == theirs.args


async def test_a_loop_s_future_is_returned_as_it_is(loop):
    future = loop.create_future()
    assert cede.wrap_future(future) is future
    future.cancel()


def test_a_loop_that_closed_meanwhile_is_left_alone():
    source = concurrent.futures.Future()
    loop = cede.new_event_loop()
    cede.wrap_future(source, loop=loop)
    loop.close()
    source.set_result(1)


def test_it_needs_a_loop_and_a_future(loop):
    with pytest.raises(RuntimeError, match="no current event loop"):
        cede.wrap_future(concurrent.futures.Future())
    with pytest.raises(AssertionError, match="is expected"):
        cede.wrap_future(1, loop=loop)


async def test_a_task_can_be_followed_by_a_thread_s_future():
    async def work():
        return "result"

    destination = concurrent.futures.Future()
    task = cede.create_task(work())
    chain_future(task, destination)
    await task
    await cede.sleep(0)
    assert destination.result(0) == "result"


def test_futures_of_two_loops_follow_each_other():
    first, second = cede.new_event_loop(), cede.new_event_loop()
    try:
        source, destination = first.create_future(), second.create_future()
        chain_future(source, destination)
        source.set_result("across")
        first.call_soon(first.stop)
        first.run_forever()
        assert second.run_until_complete(destination) == "across"
        source, destination = first.create_future(), second.create_future()
        chain_future(source, destination)
        destination.cancel()
        second.call_soon(second.stop)
        second.run_forever()
        first.call_soon(first.stop)
        first.run_forever()
        assert source.cancelled()
    finally:
        first.close()
        second.close()


def test_only_futures_can_follow(loop):
    future = loop.create_future()
    with pytest.raises(TypeError, match="source"):
        chain_future(1, future)
    with pytest.raises(TypeError, match="destination"):
        chain_future(future, 1)
