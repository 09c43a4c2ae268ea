"""Memory and clocks: what grows because nobody reads, and what a clock is good for."""

from __future__ import annotations

import asyncio
import time

from cede.simulation import World

from .parts import ask, bug, serving


async def fine(line: str) -> str:
    return "fine"


@bug(13, "unbounded queue", "slow peer", seeds=10, choices=6)
async def unbounded_queue(world: World, mended: bool) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(5 if mended else 0)
    most = 0

    async def produce() -> None:
        nonlocal most
        for number in range(30):
            await queue.put(number)
            most = max(most, queue.qsize())
            await asyncio.sleep(0.005)
        queue.put_nowait(-1) if not mended else await queue.put(-1)

    async def consume() -> None:
        while await queue.get() >= 0:
            await ask("sink", "item")

    world.host("sink", serving(fine))
    world.link("main", "sink", latency=(0.0002, 0.1))
    await asyncio.sleep(0.1)
    await asyncio.gather(produce(), consume())
    assert most <= 10, f"{most} items wait in memory"


@bug(14, "drain forgotten: the buffer grows", "slow peer", seeds=10, choices=4)
async def drain_forgotten(world: World, mended: bool) -> None:
    most = 0

    async def read_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(20_000):
            await ask("disk", "write")
        writer.close()

    async def server() -> None:
        async with await asyncio.start_server(read_slowly, "0.0.0.0", 81, limit=20_000) as listening:
            await listening.serve_forever()

    world.host("disk", serving(fine))
    reading = world.host("reading", server)
    world.link(reading, "disk", latency=(0.0001, 0.2))
    await asyncio.sleep(0.1)
    _, writer = await asyncio.open_connection("reading", 81)
    for _ in range(100):
        writer.write(bytes(20_000))
        most = max(most, writer.transport.get_write_buffer_size())
        if mended:
            await writer.drain()
        await asyncio.sleep(0.002)
    writer.close()
    await writer.wait_closed()
    assert most <= 200_000, f"{most:,} bytes wait in memory"


@bug(34, "wall clock used for a time-out", "clock jump", seeds=20, choices=1)
async def wall_clock(world: World, mended: bool) -> None:
    clock = time.monotonic if mended else time.time
    jumps = world.stream("main/jump", 0.2)

    async def answer(line: str) -> str:
        if severity := jumps.draw():
            world.hosts["main"].clock.jump(severity * 3600)
            if world.log is not None:
                world.explain(jumps, "the clock of main jumps", f"{severity * 3600:.0f} s ahead")
        return "fine"

    world.host("server", serving(answer))
    await asyncio.sleep(0.1)
    for _ in range(5):
        began = clock()
        await ask("server", "hello")
        assert clock() - began < 30, "given up too early"
