"""What a program pays before it does anything."""

import asyncio
import os
import statistics
import subprocess
import sys

from benchmarks.row import program

TIMED = """
import time
begun = time.process_time_ns()
{program}
print(time.process_time_ns() - begun)
"""
RUNNING = """
import {imports}
async def main():
    pass
with {package}.Runner(loop_factory={factory}) as runner:
    runner.run(main())
"""


def fresh(meter, program):
    """Report the CPU time of a program in fresh interpreters, which find all modules compiled to bytecode."""
    command = [sys.executable, "-c", TIMED.format(program=program)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.check_call(command, env=environment, stdout=subprocess.DEVNULL)
    times = [int(subprocess.check_output(command, env=environment)) for _ in range(meter.count(11, least=3))]
    meter.report(statistics.median(times))


@program("import", "import, in a fresh interpreter", unit="us", warmup=False)
def import_time(meter):
    """In loop mode a program imports asyncio and the loop; in package mode the package alone."""
    fresh(meter, f"import {meter.imports}")


@program("import-and-run", "import, and run an empty coroutine, in a fresh interpreter", unit="us", warmup=False)
def import_and_run(meter):
    package = meter.imports.partition(",")[0]
    fresh(meter, RUNNING.format(imports=meter.imports, package=package, factory=meter.factory))


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
