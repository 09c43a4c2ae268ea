"""Too much at once: queues that wait for each other, clients that ask again and again, and all of them at the same time."""

from __future__ import annotations

import asyncio
import random
from collections import deque

from cede.simulation import World

from .parts import ask, bug, serving


async def fine(line: str) -> str:
    return "fine"


class Rate:
    """How often something happened in the last `window` seconds, and how often it did at most."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._times: deque[float] = deque()
        self.most = 0

    def note(self) -> None:
        now = asyncio.get_running_loop().time()
        self._times.append(now)
        while self._times[0] < now - self._window:
            self._times.popleft()
        self.most = max(self.most, len(self._times))


@bug(12, "deadlock through two full queues", "slow peer", seeds=20, choices=2)
async def two_full_queues(world: World, mended: bool) -> None:
    """Pages are fetched and parsed, and parsing one may ask for one more; mended, that one waits in no bounded queue."""
    wanted: asyncio.Queue[int] = asyncio.Queue(3)
    pages: asyncio.Queue[int] = asyncio.Queue(2)
    more: list[int] = []
    parsed = 0

    async def fetch() -> None:
        while True:
            page = more.pop() if more else await wanted.get()
            await ask("web", "get")
            await pages.put(page)

    async def parse() -> None:
        nonlocal parsed
        while parsed < 30:
            page = await pages.get()
            await ask("store", "save")
            parsed += 1
            if page % 2:
                continue
            if mended:
                more.append(page + 1)
                if wanted.empty():
                    wanted.put_nowait(more.pop())
            else:
                await wanted.put(page + 1)

    async def search() -> None:
        for page in range(15):
            await wanted.put(page * 2)
            await asyncio.sleep(0.02)

    for name in ("web", "store"):
        world.host(name, serving(fine))
    world.link("main", "store", latency=(0.0002, 0.2))
    await asyncio.sleep(0.1)
    fetching = asyncio.ensure_future(fetch())
    await asyncio.gather(search(), parse())
    fetching.cancel()


@bug(20, "retry storm: no pause, no jitter", "partition", seeds=50, choices=2)
async def retry_storm(world: World, mended: bool) -> None:
    attempts = Rate(1.0)

    async def client(number: int) -> None:
        await asyncio.sleep(number * 0.05)
        for _ in range(4):
            pause = 0.2
            while True:
                attempts.note()
                try:
                    async with asyncio.timeout(0.05):
                        await ask("server", "hello")
                    break
                except OSError:
                    if mended:
                        await asyncio.sleep(pause * random.uniform(1, 2))
                        pause = min(pause * 2, 5)
            await asyncio.sleep(1)

    world.host("server", serving(fine))
    await asyncio.sleep(0.1)
    world.faults(partitions=True)
    await asyncio.gather(*(client(number) for number in range(10)))
    assert attempts.most <= 40, f"{attempts.most} attempts in a second"


@bug(21, "thundering herd after a partition", "partition", seeds=50, choices=2)
async def thundering_herd(world: World, mended: bool) -> None:
    syncs = Rate(0.5)

    async def answer(line: str) -> str:
        if line == "sync":
            syncs.note()
        return "fine"

    async def said(line: str) -> bool:
        try:
            async with asyncio.timeout(0.1):
                await ask("server", line)
        except OSError:
            return False
        return True

    async def client(number: int) -> None:
        await asyncio.sleep(number * 0.15)
        ending = asyncio.get_running_loop().time() + 4
        await said("sync")
        while asyncio.get_running_loop().time() < ending:
            if not await said("alive?"):
                while not await said("alive?"):
                    await asyncio.sleep(0.1)
                if mended:
                    await asyncio.sleep(random.uniform(0, 8))
                await said("sync")
            await asyncio.sleep(0.4)

    world.host("server", serving(answer))
    await asyncio.sleep(0.1)
    world.faults(partitions=True)
    await asyncio.gather(*(client(number) for number in range(12)))
    assert syncs.most <= 8, f"{syncs.most} clients at once"
