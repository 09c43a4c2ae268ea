"""What the library makes goes by itself: nothing that is done with is left to the collector of cycles."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import cede


async def answer(value: object = 1) -> object:
    await cede.sleep(0)
    return value


async def fail() -> None:
    await cede.sleep(0)
    raise KeyError


async def shield_cancelled() -> None:
    inner = cede.create_task(answer())
    outer = cede.shield(inner)
    cede.get_running_loop().call_soon(outer.cancel)
    with contextlib.suppress(cede.CancelledError):
        await outer
    await inner


async def group() -> None:
    async with cede.TaskGroup() as tasks:
        tasks.create_task(answer())
        tasks.create_task(answer())


async def in_time() -> None:
    async with cede.timeout(60):
        await answer()


async def late() -> None:
    with contextlib.suppress(TimeoutError):
        async with cede.timeout(0.001):
            await cede.sleep(60)


async def completed() -> None:
    for step in cede.as_completed([answer(1), answer(2)]):
        await step


async def cancelled() -> None:
    task = cede.create_task(cede.sleep(60))
    await cede.sleep(0)
    task.cancel()
    with contextlib.suppress(cede.CancelledError):
        await task


async def through_a_queue() -> None:
    queue: cede.Queue[int] = cede.Queue(1)
    getter = cede.create_task(queue.get())
    await queue.put(1)
    await getter


async def under_a_lock() -> None:
    lock = cede.Lock()

    async def hold() -> None:
        async with lock:
            await cede.sleep(0)

    await cede.gather(hold(), hold())


async def left_generator() -> None:
    async def values() -> Any:
        yield 1
        yield 2

    async for _ in values():
        break
    await cede.sleep(0)
    await cede.sleep(0)


PROGRAMS: dict[str, Callable[[], Awaitable[object]]] = {
    "task": lambda: cede.create_task(answer()),
    "sleep": lambda: cede.sleep(0.0001),
    "gather": lambda: cede.gather(answer(), answer()),
    "gather with an error": lambda: cede.gather(answer(), fail(), return_exceptions=True),
    "shield": lambda: cede.shield(answer()),
    "shield, cancelled": shield_cancelled,
    "shield of a future of the stdlib's": lambda: cede.shield(settled()),
    "wait": lambda: cede.wait([cede.create_task(answer()), cede.create_task(answer())]),
    "wait_for": lambda: cede.wait_for(answer(), 60),
    "timeout": in_time,
    "timeout that came": late,
    "as_completed": completed,
    "TaskGroup": group,
    "cancel": cancelled,
    "Queue": through_a_queue,
    "Lock": under_a_lock,
    "to_thread": lambda: cede.to_thread(int, 1),
    "run_in_executor": lambda: cede.get_running_loop().run_in_executor(None, int, 1),
    "asynchronous generator": left_generator,
}


def settled() -> Any:
    future: asyncio.Future[int] = asyncio.Future()
    cede.get_running_loop().call_soon(future.set_result, 1)
    return future


@pytest.mark.parametrize("name", PROGRAMS)
async def test_no_cycle_is_left(name: str) -> None:
    program = PROGRAMS[name]
    await program()  # whatever is made only once
    await cede.sleep(0.01)
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            await program()
        await cede.sleep(0.01)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = [type(thing).__name__ for thing in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert left == []
