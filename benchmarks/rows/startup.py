"""What a program pays before it does anything."""

import asyncio
import statistics
import subprocess
import sys

from benchmarks.row import program

TIMED_IMPORT = """
import time
begun = time.process_time_ns()
import {imports}
print(time.process_time_ns() - begun)
"""


@program("import", "import, in a fresh interpreter", unit="us", warmup=False)
def import_time(meter):
    """In loop mode a program imports asyncio and the loop; in package mode the package alone."""
    command = [sys.executable, "-c", TIMED_IMPORT.format(imports=meter.imports)]
    times = [int(subprocess.check_output(command)) for _ in range(meter.count(11, least=3))]
    meter.report(statistics.median(times))


async def nothing():
    return 1


@program("run-empty", "make a loop, run an empty coroutine, close the loop", unit="us")
def run_empty(meter):
    count = meter.count(2_000)
    total = 0
    with meter.timed(count):
        for _ in range(count):
            with asyncio.Runner(loop_factory=meter.loop_factory) as runner:
                total += runner.run(nothing())
    meter.check(total, count)
