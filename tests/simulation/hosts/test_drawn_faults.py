"""Faults that are drawn of clocks and of one direction: found, told by name, and over when the world heals."""

from __future__ import annotations

import asyncio
import datetime
import itertools
import time
from typing import Any

import pytest

from cede.simulation import World, explore, run
from cede.simulation.faults import LARGEST_DRIFT, LARGEST_JUMP

PORT = 9


class Ears(asyncio.DatagramProtocol):
    """Counts what it hears, and answers nothing."""

    def __init__(self) -> None:
        self.heard = 0

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.heard += 1


async def heard_each_other(world: World, seconds: float) -> tuple[int, int]:
    """How many of the datagrams that two hosts send each other, 20 a second, came: (to main, to server)."""
    ears = {"main": Ears(), "server": Ears()}

    async def talk(here: str, there: str) -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: ears[here], ("0.0.0.0", PORT))
        for _ in range(int(seconds * 20)):
            transport.sendto(b"hello", (there, PORT))
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)
        transport.close()

    server = world.hosts.get("server") or world.host("server")
    await asyncio.gather(talk("main", "10.0.0.2"), server.run(talk, "server", "10.0.0.1"))
    return ears["main"].heard, ears["server"].heard


def test_a_cut_in_one_direction_is_drawn_and_told() -> None:
    async def main(world: World) -> None:
        world.faults(oneway=True)
        to_main, to_server = await heard_each_other(world, 4.0)
        assert to_server <= to_main + 5, "server hears main, and is not heard"

    (failure,) = explore(main, seeds=range(100), first=True, late=False, shrink_seconds=3600).failures
    (line,) = failure.story
    assert line.where == "main cannot hear server any more" and line.what.startswith("for ")
    assert "server>main/oneway/" in str(failure.token)


def test_the_other_direction_gets_through_and_healing_ends_it() -> None:
    seen = set()

    async def main(world: World) -> None:
        world.faults(oneway=0.1)
        to_main, to_server = await heard_each_other(world, 4.0)
        seen.add((to_main < 75, to_server < 75))
        world.heal()
        assert await heard_each_other(world, 1.0) == (20, 20)

    for seed in range(20):
        run(main, seed=seed, late=False)
    assert (False, False) in seen and seen & {(True, False), (False, True)}


async def slept(seconds: float) -> float:
    """What a host's own clock says of a sleep."""
    began = time.monotonic()
    await asyncio.sleep(seconds)
    return time.monotonic() - began


def test_clocks_drift_until_the_world_heals() -> None:
    rates = []

    async def main(world: World) -> None:
        world.faults(drift=0.4)
        for name in ("before", "after"):
            host = world.host(name)
            began = world.now
            assert 10 <= await host.run(slept, 10.0) < 10.001
            rates.append(10 / (world.now - began))
        world.heal()
        began = world.now
        await world.hosts["after"].run(slept, 10.0)
        assert 10 <= world.now - began < 10.1

    for seed in range(10):
        run(main, seed=seed, late=False)
    assert all(1 - LARGEST_DRIFT - 0.01 < rate < 1 + LARGEST_DRIFT for rate in rates)
    assert min(rates) < 0.95 and max(rates) > 1.05
    assert any(0.998 < rate <= 1 for rate in rates)


def test_a_timer_that_runs_already_is_due_by_the_new_rate() -> None:
    async def main(world: World) -> float:
        sleeper = world.host("sleeper")
        sleeping = asyncio.ensure_future(sleeper.run(slept, 10.0))
        await asyncio.sleep(1)
        sleeper.drift(2.0)
        await sleeping
        return world.now

    assert 5.49 < run(main, late=False) < 5.51


def test_a_clock_that_drifts_is_told_by_its_host() -> None:
    async def main(world: World) -> None:
        world.host("holder")
        world.faults(drift=True)
        began = world.now
        await world.hosts["holder"].run(slept, 1.0)
        assert world.now - began < 1.1, "the lease ran out meanwhile"

    (failure,) = explore(main, seeds=range(200), first=True, late=False, shrink_seconds=3600).failures
    (line,) = failure.story
    assert line.where == "the clock of holder is slow"
    assert line.what.startswith("by ") and line.what.endswith(" ms a second")
    assert line.least


async def times(count: int = 100) -> list[tuple[float, float]]:
    """What both clocks of a host say, in turn."""
    found = []
    for _ in range(count):
        found.append((time.time(), time.monotonic()))
        await asyncio.sleep(0.01)
    return found


def test_wall_clocks_jump_until_the_world_heals() -> None:
    steps = []

    async def main(world: World) -> None:
        world.faults(jumps=0.05)
        host = world.host("reader")
        found = await host.run(times)
        offsets = [wall - monotonic for wall, monotonic in found]
        steps.extend(later - earlier for earlier, later in itertools.pairwise(offsets))
        monotonics = [monotonic for _, monotonic in found]
        assert all(0.01 <= later - earlier < 0.011 for earlier, later in itertools.pairwise(monotonics))
        world.heal()
        offsets = [wall - monotonic for wall, monotonic in await host.run(times)]
        assert max(offsets) - min(offsets) < 1e-5

    for seed in range(10):
        run(main, seed=seed, late=False)
    jumps = [step for step in steps if abs(step) > 1e-3]
    assert 0 < len(jumps) < len(steps) / 2
    assert min(jumps) < -60 and max(jumps) > 60
    assert all(abs(jump) <= LARGEST_JUMP + 1 for jump in jumps)


@pytest.mark.parametrize(
    "now",
    [
        time.time,
        lambda: time.time_ns() / 1e9,
        lambda: time.clock_gettime(time.CLOCK_REALTIME),
        lambda: datetime.datetime.now().timestamp(),
        lambda: datetime.datetime.now(datetime.UTC).timestamp(),
    ],
    ids=["time", "time_ns", "clock_gettime", "now", "now with a zone"],
)
def test_a_time_out_by_the_wall_clock_is_found_and_told(now: Any) -> None:
    """The wall clock is set back while somebody waits for it: a story of one line."""

    async def wait() -> None:
        deadline = now() + 1
        for _ in range(15):
            await asyncio.sleep(0.1)
            if now() >= deadline:
                return
        raise AssertionError("no end after a second")

    async def main(world: World) -> None:
        world.faults(jumps=True)
        await world.host("waiter").run(wait)

    (failure,) = explore(main, seeds=range(200), first=True, late=False, shrink_seconds=3600).failures
    (line,) = failure.story
    assert line.where == "the wall clock of waiter is set back"
    assert line.what.startswith("by ") and line.what.endswith(" s")
    assert line.least


@pytest.mark.parametrize("fault", ["oneway", "drift", "jumps"])
def test_nothing_is_drawn_that_was_not_asked_for(fault: str) -> None:
    async def main(world: World) -> dict[Any, float]:
        world.faults(partitions=True, **{fault: False})
        await world.hosts["main"].run(times)
        await heard_each_other(world, 3.0)
        return dict(world.choices.wild)

    for seed in range(5):
        wild = run(main, seed=seed)
        assert not [stream for stream, _ in wild if stream.rpartition("/")[2].startswith(fault.rstrip("s"))]
