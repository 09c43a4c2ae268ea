"""Callbacks without a task: `call_soon` many at once, one after the other, and from a thread."""

import asyncio
import threading

from benchmarks import build
from benchmarks.row import program

NUMBERS = list(range(1000))


def drive_batch(meter):
    calls = build.drive().Calls()
    batches, complete = meter.count(800), 0
    with meter.timed(batches * 1000):
        for _ in range(batches):
            seen = []
            for i in NUMBERS:
                calls.call_soon(seen.append, i)
            calls.run()
            complete += len(seen) == 1000
    meter.check((complete, seen), (batches, NUMBERS))


@program("call-soon-batch", "`call_soon`, batches of 1,000, per callback", limit=drive_batch)
async def batch(meter):
    loop = asyncio.get_running_loop()
    batches, complete = meter.count(800), 0
    with meter.timed(batches * 1000):
        for _ in range(batches):
            seen, done = [], loop.create_future()
            for i in NUMBERS:
                loop.call_soon(seen.append, i)
            loop.call_soon(done.set_result, None)
            await done
            complete += len(seen) == 1000
    meter.check((complete, seen), (batches, NUMBERS))


def drive_chain(meter):
    calls = build.drive().Calls()
    left = meter.count(500_000)

    def link():
        nonlocal left
        left -= 1
        if left > 0:
            calls.call_soon(link)

    with meter.timed(left):
        calls.call_soon(link)
        calls.run()
    meter.check(left, 0)


@program("call-soon-chain", "`call_soon`, each callback calling the next", limit=drive_chain)
async def chain(meter):
    loop = asyncio.get_running_loop()
    count = left = meter.count(500_000)
    done = loop.create_future()

    def link():
        nonlocal left
        left -= 1
        if left > 0:
            loop.call_soon(link)
        else:
            done.set_result(count - left)

    with meter.timed(count):
        loop.call_soon(link)
        calls = await done
    meter.check(calls, count)


@program("call-soon-threadsafe", "`call_soon_threadsafe`, bursts of 1,000 from a thread, per callback")
async def from_a_thread(meter):
    """The loop waits inside a callback while the thread calls: no fight for the GIL is measured."""
    loop = asyncio.get_running_loop()
    bursts, complete = meter.count(300), 0

    def burst(seen, done):
        for i in NUMBERS:
            loop.call_soon_threadsafe(seen.append, i)
        loop.call_soon_threadsafe(done.set_result, None)

    with meter.timed(bursts * 1000):
        for _ in range(bursts):
            seen, done = [], loop.create_future()
            thread = threading.Thread(target=burst, args=(seen, done))
            thread.start()
            thread.join()
            await done
            complete += len(seen) == 1000
    meter.check((complete, seen), (bursts, NUMBERS))


async def answer(value):
    return value


@program("threadsafe-result", "`run_coroutine_threadsafe(…).result()` in a thread", unit="us")
async def result_for_a_thread(meter):
    loop = asyncio.get_running_loop()
    count = meter.count(10_000)
    answers = []

    def ask():
        for value in range(count):
            answers.append(asyncio.run_coroutine_threadsafe(answer(value), loop).result())
        loop.call_soon_threadsafe(done.set_result, None)

    done = loop.create_future()
    thread = threading.Thread(target=ask)
    with meter.timed(count):
        thread.start()
        await done
        thread.join()
    meter.check(answers, list(range(count)))
