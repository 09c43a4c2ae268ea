"""Memory: what the things a program waits with weigh, in bytes of resident memory."""

import asyncio
import gc
import os

from benchmarks.row import program

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE


async def wait_for(gate):
    await gate
    return 1


def nothing():
    pass


@program("memory-task", "a suspended task", unit="bytes", warmup=False)
async def task(meter):
    """A coroutine of one local variable, waiting for a future of its own."""
    loop, count = asyncio.get_running_loop(), meter.count(200_000, least=50_000)
    gates = [loop.create_future() for _ in range(count)]
    tasks = [None] * count
    before = resident()
    for i, gate in enumerate(gates):
        tasks[i] = loop.create_task(wait_for(gate))
    await asyncio.sleep(0)
    meter.report((resident() - before) / count)
    for gate in gates:
        gate.set_result(None)
    meter.check(sum([await each for each in tasks]), count)


@program("memory-future", "a pending future", unit="bytes", warmup=False)
async def future(meter):
    loop, count = asyncio.get_running_loop(), meter.count(200_000, least=50_000)
    futures = [None] * count
    before = resident()
    for i in range(count):
        futures[i] = loop.create_future()
    meter.report((resident() - before) / count)
    meter.check(any(each.done() for each in futures), False)


@program("memory-timer", "a pending timer", unit="bytes", warmup=False)
async def timer(meter):
    loop, count = asyncio.get_running_loop(), meter.count(200_000, least=50_000)
    timers = [None] * count
    before = resident()
    for i in range(count):
        timers[i] = loop.call_later(3600 + i % 100, nothing)
    meter.report((resident() - before) / count)
    meter.check(any(each.cancelled() for each in timers), False)
    for each in timers:
        each.cancel()


async def nap(seconds, awake):
    await asyncio.sleep(seconds)
    awake.append(1)


@program(
    "asleep-million",
    "a million tasks asleep at once, per task",
    metrics=("", "bytes"),
    warmup=False,
    most_rounds=1,
)
async def asleep(meter):
    """All are asleep before the first wakes; every one runs to its end."""
    loop, count, awake = asyncio.get_running_loop(), meter.count(1_000_000), []
    before, deadline = resident(), loop.time() + max(5, 25 * meter.scale)
    with meter.timed(count):
        tasks = [loop.create_task(nap(deadline - loop.time(), awake)) for _ in range(count)]
        await asyncio.sleep(0)
        asleep_bytes, early = resident() - before, len(awake)
        for each in tasks:
            await each
    meter.report(asleep_bytes / count, "bytes")
    meter.check((early, len(awake)), (0, count))
