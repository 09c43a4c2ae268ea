"""`as_completed` and `shield`."""

import asyncio

from benchmarks.row import program


async def answer(value):
    await asyncio.sleep(0)
    return value


@program("as-completed", "`as_completed` of 1,000, per coroutine")
async def as_completed(meter):
    rounds = meter.count(80)
    total = 0
    with meter.timed(rounds * 1000):
        for _ in range(rounds):
            for next_done in asyncio.as_completed([answer(value) for value in range(1000)]):
                total += await next_done
    meter.check(total, rounds * 499_500)


@program("shield", "`shield` of a task")
async def shield(meter):
    count = meter.count(60_000)
    total = 0
    with meter.timed(count):
        for value in range(count):
            total += await asyncio.shield(answer(value))
    meter.check(total, count * (count - 1) // 2)
