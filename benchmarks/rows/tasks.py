"""Tasks: making, awaiting, gathering, grouping and cancelling them."""

import asyncio
import types

from benchmarks import build
from benchmarks.row import program


async def answer(value=42):
    return value


def drive_answers(meter):
    """The coroutines alone, each made and run to its end."""
    ring = build.drive().ring
    count = meter.count(150_000)
    total = 0
    with meter.timed(count):
        for _ in range(count):
            total += ring([answer()])[0]
    meter.check(total, 42 * count)


@program("task-await", "create and await a task", limit=drive_answers)
async def create_and_await(meter):
    count = meter.count(150_000)
    total = 0
    with meter.timed(count):
        for _ in range(count):
            total += await asyncio.create_task(answer())
    meter.check(total, 42 * count)


@program("task-await-eager", "create and await a task, `eager_task_factory`", limit=drive_answers)
async def create_and_await_eagerly(meter):
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    try:
        await create_and_await(meter)
    finally:
        loop.set_task_factory(None)


@program("gather", "`gather` of 10,000, per coroutine")
async def gather(meter):
    batches = meter.count(15)
    total = 0
    with meter.timed(batches * 10_000):
        for _ in range(batches):
            total += sum(await asyncio.gather(*[answer() for _ in range(10_000)]))
    meter.check(total, 42 * 10_000 * batches)


@program("taskgroup-child", "TaskGroup of 1,000, per child")
async def task_group(meter):
    groups = meter.count(100)
    total = 0
    with meter.timed(groups * 1000):
        for _ in range(groups):
            async with asyncio.TaskGroup() as group:
                children = [group.create_task(answer()) for _ in range(1000)]
            total += sum(child.result() for child in children)
    meter.check(total, 42 * 1000 * groups)


async def sleep_long():
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        return "cancelled"


@types.coroutine
def pause():
    yield


async def pause_long():
    try:
        await pause()
    except asyncio.CancelledError:
        return "cancelled"


def drive_cancel(meter):
    """The same coroutines, suspended without a timer, and the error raised in them."""
    throw = build.drive().throw
    sleepers = [pause_long() for _ in range(meter.count(100_000))]
    for each in sleepers:
        each.send(None)
    with meter.timed(len(sleepers)):
        results = throw(sleepers, asyncio.CancelledError)
    meter.check(results, ["cancelled"] * len(sleepers))


@program("cancel", "cancel 100,000 sleeping tasks, per task", limit=drive_cancel)
async def cancel(meter):
    count = meter.count(100_000)
    sleepers = [asyncio.create_task(sleep_long()) for _ in range(count)]
    await asyncio.sleep(0)
    with meter.timed(count):
        for task in sleepers:
            task.cancel()
        results = [await task for task in sleepers]
    meter.check(results, ["cancelled"] * count)
