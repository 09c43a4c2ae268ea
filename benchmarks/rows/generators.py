"""Asynchronous generators: iterated to the end, and left half-way to the loop's hooks."""

import asyncio

from benchmarks.row import program


async def numbers(count):
    for value in range(count):
        yield value


@program("asyncgen-100", "async generator of 100 values, per value")
async def to_the_end(meter):
    rounds = meter.count(20_000)
    total = 0
    with meter.timed(rounds * 100):
        for _ in range(rounds):
            async for value in numbers(100):
                total += value
    meter.check(total, rounds * 4950)


@program("asyncgen-abandoned", "async generator left after its first value")
async def abandoned(meter):
    count = meter.count(50_000)
    closed = []

    async def one_then_more():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)  # a loop without hooks for them cannot close it so: "ignored GeneratorExit"
            closed.append(1)

    async def first(generator):
        async for value in generator:
            return value

    total = 0
    with meter.timed(count):
        for _ in range(count):
            total += await first(one_then_more())
            await asyncio.sleep(0)
        for _ in range(1000):  # closing is a task of the loop's own: give the last ones time
            if len(closed) == count:
                break
            await asyncio.sleep(0)
    meter.check((total, len(closed)), (count, count))
