"""Nodes that believe what is no longer so: a lease that has run out, a leader that nobody can talk to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from cede.simulation import World

from .parts import ask, bug, serving


@bug(25, "lease believed after it ran out", "late, drift", seeds=50, choices=2)
async def lease_believed(world: World, mended: bool) -> None:
    """Who holds the lease writes; mended, the store refuses who shows an older lease than it has seen."""
    last_token = 0
    held_until = 0.0
    written: list[int] = []

    async def lock(line: str) -> str:
        nonlocal last_token, held_until
        now = asyncio.get_running_loop().time()
        if now < held_until:
            return "0"
        last_token += 1
        held_until = now + 1.0
        return str(last_token)

    async def store(line: str) -> str:
        token = int(line)
        if not mended or token >= max(written, default=0):
            written.append(token)
        return "fine"

    def worker(name: str) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            loop = asyncio.get_running_loop()
            if name == "second":
                await asyncio.sleep(0.2)
            while True:
                asked = loop.time()
                token = await ask("lock", name)
                if token != "0":
                    break
                await asyncio.sleep(0.05)
            while loop.time() < asked + 0.97:
                await ask("store", token)
                await asyncio.sleep(0.05)

        return work

    for name, answer in (("lock", lock), ("store", store)):
        world.host(name, serving(answer))
    await asyncio.sleep(0.1)
    world.faults(drift=True)
    for name in ("first", "second"):
        world.host(name, worker(name))
    await asyncio.sleep(3)
    assert written == sorted(written), "a write of the first after one of the second"


@bug(26, "leader that cannot hear (liveness)", "one-way partition", seeds=50, choices=1)
async def deaf_leader(world: World, mended: bool) -> None:
    """A leader beats, followers answer, and what most have answered is done; mended, a leader without answers gives up."""
    done = [0.0]
    port = 9

    def node(number: int) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            loop = asyncio.get_running_loop()
            term, heard, answered, leads = 0, loop.time(), loop.time(), number == 0

            class Ears(asyncio.DatagramProtocol):
                def datagram_received(self, data: bytes, addr: Any) -> None:
                    nonlocal term, heard, answered, leads
                    word, their_term = data.split()
                    if word == b"beat" and int(their_term) >= term:
                        leads = leads and int(their_term) == term
                        term, heard = int(their_term), loop.time()
                        transport.sendto(b"answer %d" % term, addr)
                    elif word == b"answer" and int(their_term) == term and leads:
                        answered = loop.time()
                        done[0] = max(done[0], world.now)

            transport, _ = await loop.create_datagram_endpoint(Ears, ("0.0.0.0", port))
            while True:
                now = loop.time()
                if leads and mended and now - answered > 0.5:
                    leads, heard = False, now + 1
                elif not leads and now - heard > 0.4 + 0.2 * number:
                    term, leads, answered = term + 1 + (number - term - 1) % 3, True, now
                if leads:
                    for other in range(3):
                        if other != number:
                            transport.sendto(b"beat %d" % term, (f"10.0.0.{2 + other}", port))
                await asyncio.sleep(0.1)

        return run

    for number in range(3):
        world.host(f"node{number}", node(number))
    await asyncio.sleep(1)
    cuts = world.stream("main/oneway", 0.2)
    if severity := cuts.draw():
        await asyncio.sleep(severity)
        world.partition(["node1", "node2"], ["node0"], oneway=True)
        if world.log is not None:
            world.explain(cuts, "node0 hears nobody any more", f"from {1 + severity:.3g} s on")
    for _ in range(4):
        await asyncio.sleep(2)
        assert world.now - done[0] < 2.5, f"nothing was done for {world.now - done[0]:.1f} s"
