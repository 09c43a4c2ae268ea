"""Timers: setting and cancelling them, and how late they are."""

import asyncio
import random
import time

from benchmarks.row import each, program


def never():
    raise AssertionError("a cancelled timer fired")


@program("call-later-cancel", "`call_later` of a million, all pending at once, and cancel, per timer")
async def call_later_and_cancel(meter):
    loop = asyncio.get_running_loop()
    count = meter.count(1_000_000)
    with meter.timed(count):
        timers = [loop.call_later(60 + i % 1000, never) for i in range(count)]
        for timer in timers:
            timer.cancel()
        await asyncio.sleep(0)
    meter.check(all(timer.cancelled() for timer in timers), True)


@program("call-later-cancel-soon", "`call_later`, cancelled at once, among 10,000 pending, per timer")
async def call_later_and_cancel_soon(meter):
    loop = asyncio.get_running_loop()
    count = meter.count(500_000)
    pending = [loop.call_later(60 + i % 1000, never) for i in range(10_000)]
    with meter.timed(count):
        for i in range(count):
            loop.call_later(30 + i % 60, never).cancel()
        await asyncio.sleep(0)
    for timer in pending:
        timer.cancel()


@program("call-later-fire", "10,000 timers that fire within 50 ms, per timer")
async def call_later_and_fire(meter):
    loop = asyncio.get_running_loop()
    rounds, count = meter.count(10), 10_000
    fired = []
    with meter.timed(rounds * count):
        for _ in range(rounds):
            done = loop.create_future()
            for i in range(count):
                loop.call_later((i * 7919 % count) * 5e-6, fired.append, i)
            loop.call_later(0.051, done.set_result, None)
            await done
    meter.check(len(fired), rounds * count)


@program(
    "sleepers-{tasks}-{seconds}s",
    "{tasks:,} tasks that sleep up to {seconds} s, per task",
    each(tasks=(1000, 10_000, 100_000), seconds=(0.1, 2)),
    unit="us",
    warmup=False,
)
async def sleepers(meter, tasks, seconds):
    chance = random.Random(1)
    delays = [chance.random() * seconds for _ in range(tasks)]  # at any scale: how many they are is what is measured
    with meter.timed(len(delays)):
        await asyncio.gather(*map(asyncio.sleep, delays))


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@program(
    "lateness-{ms}ms",
    "how late a sleep of {ms} ms ends",
    each(ms=(0.5, 1, 10)),
    unit="us",
    metrics=("p50", "p99"),
)
async def lateness(meter, ms):
    seconds = ms / 1000
    late = []
    for _ in range(meter.count(round(min(500, 2000 / ms)), least=20)):
        begun = time.monotonic_ns()
        await asyncio.sleep(seconds)
        late.append(time.monotonic_ns() - begun - seconds * 1e9)
    early = sum(1 for ns in late if ns < 0)
    meter.check(f"{early} early wake-ups in {len(late)}", f"0 early wake-ups in {len(late)}")
    late.sort()
    meter.report(percentile(late, 0.5), "p50")
    meter.report(percentile(late, 0.99), "p99")
