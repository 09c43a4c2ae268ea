"""Tasks: making, awaiting, gathering, grouping and cancelling them."""

import asyncio

from benchmarks.row import program


async def answer(value=42):
    return value


@program("task-await", "create and await a task")
async def create_and_await(meter):
    count = meter.count(150_000)
    total = 0
    with meter.timed(count):
        for _ in range(count):
            total += await asyncio.create_task(answer())
    meter.check(total, 42 * count)


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


@program("cancel", "cancel 100,000 sleeping tasks, per task")
async def cancel(meter):
    count = meter.count(100_000)
    sleepers = [asyncio.create_task(sleep_long()) for _ in range(count)]
    await asyncio.sleep(0)
    with meter.timed(count):
        for task in sleepers:
            task.cancel()
        results = [await task for task in sleepers]
    meter.check(results, ["cancelled"] * count)
