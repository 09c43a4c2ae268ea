"""Child processes: talk to them, read them line by line, stop them.

    cede run examples/subprocesses.py

Each waits for its child without keeping the loop from anything else.
"""

import asyncio
import sys
from subprocess import PIPE

COUNTDOWN = "import time\nfor n in (3, 2, 1): print(n, flush=True); time.sleep(0.02)"


async def ask_and_answer():
    """Give a child its input and take all of its output."""
    child = await asyncio.create_subprocess_exec("tr", "a-z", "A-Z", stdin=PIPE, stdout=PIPE)
    output, _ = await child.communicate(b"hello from the loop\n")
    print("tr:", output.decode().strip(), "- exit status", child.returncode)


async def line_by_line():
    """Read what a child says while it is still running."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", COUNTDOWN, stdout=PIPE)
    async for line in child.stdout:
        print("countdown:", line.decode().strip())
    print("countdown: exit status", await child.wait())


async def stopped_in_time():
    """End a child that takes too long."""
    child = await asyncio.create_subprocess_exec("sleep", "3600")
    try:
        await asyncio.wait_for(child.wait(), 0.1)
    except TimeoutError:
        child.terminate()
        print("sleep: ended by signal", -await child.wait())


async def main():
    await ask_and_answer()
    await line_by_line()
    await stopped_in_time()


asyncio.run(main())
