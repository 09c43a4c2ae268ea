"""Timeouts around awaits that do, and do not, suspend."""

import asyncio

from benchmarks.row import program

COUNT = 150_000


async def at_once():
    return 1


async def after_a_turn():
    await asyncio.sleep(0)
    return 1


async def with_timeout(meter, work):
    count = meter.count(COUNT)
    total = 0
    with meter.timed(count):
        for _ in range(count):
            async with asyncio.timeout(60):
                total += await work()
    meter.check(total, count)


async def with_wait_for(meter, work):
    count = meter.count(COUNT)
    total = 0
    with meter.timed(count):
        for _ in range(count):
            total += await asyncio.wait_for(work(), 60)
    meter.check(total, count)


@program("timeout-immediate", "`timeout` around what does not suspend")
async def timeout_immediate(meter):
    await with_timeout(meter, at_once)


@program("timeout-suspended", "`timeout` around `sleep(0)`")
async def timeout_suspended(meter):
    await with_timeout(meter, after_a_turn)


@program("wait-for-immediate", "`wait_for` of what does not suspend")
async def wait_for_immediate(meter):
    await with_wait_for(meter, at_once)


@program("wait-for-suspended", "`wait_for` of `sleep(0)`")
async def wait_for_suspended(meter):
    await with_wait_for(meter, after_a_turn)
