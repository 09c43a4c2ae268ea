"""`run_in_executor`: there and back."""

import asyncio

from benchmarks.row import program


@program("executor", "`run_in_executor`, a round trip", unit="us")
async def round_trip(meter):
    loop = asyncio.get_running_loop()
    count = meter.count(10_000)
    total = 0
    with meter.timed(count):
        for value in range(count):
            total += await loop.run_in_executor(None, abs, -value)
    meter.check(total, count * (count - 1) // 2)
