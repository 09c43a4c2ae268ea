"""`await asyncio.sleep(0)`: what it costs a task to let the others run."""

import asyncio

from benchmarks import build
from benchmarks.row import each, program

STEPS = 500_000


async def spin(turns):
    for _ in range(turns):
        await asyncio.sleep(0)
    return turns


def drive(meter, tasks):
    """The same coroutines without a loop: nothing but PyIter_Send in a ring."""
    turns = meter.count(STEPS // tasks)
    ring = build.drive().ring
    spinners = [spin(turns) for _ in range(tasks)]
    with meter.timed(tasks * turns):
        results = ring(spinners)
    meter.check(results, [turns] * tasks)


SLEEPERS = each(tasks=(1, 100, 10_000))


@program("sleep0-{tasks}", "`sleep(0)`, tasks: {tasks:,}", SLEEPERS, limit=drive, limit_awaits=True)
async def sleep_zero(meter, tasks):
    turns = meter.count(STEPS // tasks)
    spinners = [asyncio.create_task(spin(turns)) for _ in range(tasks)]
    with meter.timed(tasks * turns):
        results = [await spinner for spinner in spinners]
    meter.check(results, [turns] * tasks)
