"""Children: start and wait, with and without pipes. The CPU time is the parent's alone."""

import asyncio

from benchmarks.row import program


@program("subprocess-start", "start a child and wait for it", unit="us")
async def start(meter):
    count = meter.count(200)
    statuses = []
    with meter.timed(count):
        for _ in range(count):
            child = await asyncio.create_subprocess_exec("true")
            statuses.append(await child.wait())
    meter.check(statuses, [0] * count)


@program("subprocess-pipes", "start a child, `communicate` through pipes", unit="us")
async def communicate(meter):
    count, pipe = meter.count(200), asyncio.subprocess.PIPE
    answers = []
    with meter.timed(count):
        for _ in range(count):
            child = await asyncio.create_subprocess_exec("cat", stdin=pipe, stdout=pipe, stderr=pipe)
            answers.append(await child.communicate(b"hello"))
    meter.check(answers, [(b"hello", b"")] * count)
