"""Queues: producers and consumers."""

import asyncio

from benchmarks.row import program


async def produce(queue, count):
    for value in range(count):
        await queue.put(value)


async def consume(queue, count):
    total = 0
    for _ in range(count):
        total += await queue.get()
    return total


async def exchange(meter, full, maxsize, pairs):
    """Let `pairs` producers and as many consumers hand items over; time the items."""
    each = meter.count(full // pairs)
    queue = asyncio.Queue(maxsize)
    with meter.timed(each * pairs):
        consumers = [asyncio.create_task(consume(queue, each)) for _ in range(pairs)]
        producers = [asyncio.create_task(produce(queue, each)) for _ in range(pairs)]
        totals = [await consumer for consumer in consumers]
    for producer in producers:
        await producer
    meter.check(sum(totals), pairs * each * (each - 1) // 2)


@program(
    "queue-1to1-{maxsize}",
    "Queue, one producer and one consumer, maxsize {maxsize}, per item",
    [{"maxsize": 1}, {"maxsize": 100}, {"maxsize": 0}],
)
async def one_to_one(meter, maxsize):
    await exchange(meter, 100_000 if maxsize == 1 else 300_000, maxsize, pairs=1)


@program("queue-10to10", "Queue, ten producers and ten consumers, maxsize 10, per item")
async def ten_to_ten(meter):
    await exchange(meter, 150_000, maxsize=10, pairs=10)
