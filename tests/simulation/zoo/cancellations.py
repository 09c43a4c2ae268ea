"""Cancellations: what is half done when a deadline comes."""

from __future__ import annotations

import asyncio
import contextlib

from cede.simulation import World

from .parts import after, ask, bug, serving, together


async def fine(line: str) -> str:
    return "fine"


@bug(4, "wake-up lost when its waiter is cancelled", "late", seeds=50, choices=2)
async def lost_wake_up(world: World, mended: bool) -> None:
    free = True
    waiters: list[asyncio.Future[None]] = []

    def wake() -> None:
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
                break

    async def take() -> None:
        nonlocal free
        while not free:
            waiter = asyncio.get_running_loop().create_future()
            waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if mended and waiter.done() and not waiter.cancelled():
                    wake()
                raise
        free = False

    def give() -> None:
        nonlocal free
        free = True
        wake()

    async def impatient() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.060):
                await take()
            give()

    await take()
    asyncio.get_running_loop().call_later(0.050, give)
    await together(impatient(), after(0.02, take()))


@bug(5, "connection leaked from a pool by cancellation", "latency", seeds=50, choices=2)
async def leaked_connection(world: World, mended: bool) -> None:
    used = 0

    async def connect() -> asyncio.StreamWriter:
        nonlocal used
        used += 1
        try:
            _, writer = await asyncio.open_connection("db", 80)
        except BaseException:
            if mended:
                used -= 1
            raise
        return writer

    async def query() -> None:
        nonlocal used
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.015):
                writer = await connect()
                writer.close()
                used -= 1

    world.host("db", serving(fine))
    await asyncio.sleep(0.1)
    for _ in range(3):
        await query()
    assert used == 0, "a connection is lost to the pool"


@bug(6, "result dropped at its deadline", "latency", seeds=50, choices=3)
async def dropped_result(world: World, mended: bool) -> None:
    jobs = list(range(5))
    done: list[int] = []

    async def take() -> int:
        job = jobs.pop(0)
        try:
            await ask("board", f"taken {job}")
        except BaseException:
            if mended:
                jobs.insert(0, job)
            raise
        return job

    async def worker() -> None:
        while jobs:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.03):
                    job = await take()
                done.append(job)

    world.host("board", serving(fine))
    await asyncio.sleep(0.1)
    await worker()
    assert sorted(done) == [0, 1, 2, 3, 4], "a job was taken and never done"


@bug(7, "clean-up itself cancelled", "latency, late", seeds=50, choices=2)
async def cancelled_clean_up(world: World, mended: bool) -> None:
    released = False

    async def release() -> None:
        nonlocal released
        await ask("locks", "release")
        released = True

    async def work() -> None:
        try:
            async with asyncio.timeout(0.05):
                await asyncio.sleep(10)
        finally:
            if mended:
                cleaning = asyncio.ensure_future(release())
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.shield(cleaning)
                await cleaning
            else:
                await release()

    world.host("locks", serving(fine))
    await asyncio.sleep(0.1)
    task = asyncio.create_task(work())
    await asyncio.sleep(0.065)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert released, "the lock is held for ever"


@bug(8, "lock released twice on cancel", "latency", seeds=50, choices=4)
async def released_twice(world: World, mended: bool) -> None:
    inside = 0
    lock = asyncio.Semaphore(1)

    async def critical() -> None:
        nonlocal inside
        inside += 1
        try:
            assert inside == 1, "two are inside"
            await ask("device", "use")
        finally:
            inside -= 1

    async def use(deadline: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                if mended:
                    async with lock:
                        await critical()
                else:
                    try:
                        await lock.acquire()
                        await critical()
                    finally:
                        lock.release()

    world.host("device", serving(fine))
    await asyncio.sleep(0.1)
    await together(use(1), after(0.005, use(0.02)), after(0.026, use(1)))


@bug(32, "exception swallowed in a callback", "latency", seeds=50, choices=3)
async def swallowed_exception(world: World, mended: bool) -> None:
    results: list[str] = []

    async def refresh() -> str:
        async with asyncio.timeout(0.03):
            return await ask("feed", "news")

    def keep(task: asyncio.Task[str]) -> None:
        if task.exception() is None:  # and nobody hears of it if there was one
            results.append(task.result())
        elif mended:
            results.append("old news")

    world.host("feed", serving(fine))
    await asyncio.sleep(0.1)
    task = asyncio.create_task(refresh())
    task.add_done_callback(keep)
    await asyncio.wait([task])
    await asyncio.sleep(0.1)
    assert results, "the page stays empty"
