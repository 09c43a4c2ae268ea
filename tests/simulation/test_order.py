"""The order in which a loop runs what is ready: asyncio's, or another one that is drawn."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from cede import simulation
from cede.simulation import World, explore


def orders(main: Callable[[], Any], order: str, seeds: int = 40) -> set[tuple[Any, ...]]:
    return {tuple(simulation.run(main, seed=seed, order=order)) for seed in range(seeds)}


async def tasks_that_are_ready_together() -> list[str]:
    seen: list[str] = []

    async def work(name: str) -> None:
        await asyncio.sleep(0)
        seen.append(name)

    await asyncio.gather(work("a"), work("b"), work("c"))
    return seen


async def timers_that_are_due_together() -> list[str]:
    seen: list[str] = []
    loop = asyncio.get_running_loop()
    when = loop.time() + 1
    for name in "abc":
        loop.call_at(when, seen.append, name)
    await asyncio.sleep(2)
    return seen


async def sockets_that_are_ready_together() -> list[str]:
    seen: list[str] = []
    loop = asyncio.get_running_loop()
    pairs = [socket.socketpair() for _ in "abc"]

    def read(name: str, sock: socket.socket) -> None:
        sock.recv(1)
        seen.append(name)

    for name, (one, other) in zip("abc", pairs, strict=True):
        one.setblocking(False)
        loop.add_reader(one, read, name, one)
        other.send(b"x")
    await asyncio.sleep(1)
    for one, other in pairs:
        loop.remove_reader(one)
        one.close()
        other.close()
    return seen


async def callbacks_of_call_soon() -> list[str]:
    seen: list[str] = []
    for name in "abc":
        asyncio.get_running_loop().call_soon(seen.append, name)
    await asyncio.sleep(0.1)
    return seen


FIFO = {("a", "b", "c")}


@pytest.mark.parametrize(
    ("main", "wakeups", "any_order"),
    [
        (tasks_that_are_ready_together, False, True),
        (timers_that_are_due_together, True, True),
        (sockets_that_are_ready_together, True, True),
        (callbacks_of_call_soon, False, False),
    ],
)
def test_what_each_order_moves(main: Callable[[], Any], wakeups: bool, any_order: bool) -> None:
    assert orders(main, "fifo") == FIFO
    for order, moves in (("wakeups", wakeups), ("any", any_order)):
        found = orders(main, order)
        assert found >= FIFO
        assert (len(found) > 2) == moves, found


async def leans_on_the_order(world: World) -> None:
    values: list[str] = []

    async def write() -> None:
        values.append("ready")

    async def read() -> None:
        assert values, "read before it was written"

    await asyncio.gather(write(), read())


def test_code_that_leans_on_the_order_is_found_and_told() -> None:
    assert not explore(leans_on_the_order, seeds=range(50)).failures
    assert not explore(leans_on_the_order, seeds=range(50), order="wakeups").failures
    (failure,) = explore(leans_on_the_order, seeds=range(100), order="any", first=True, shrink_seconds=3600).failures
    assert len(failure.story) == 1
    assert "write#1: falls behind" in str(failure.story[0])
    with pytest.raises(AssertionError, match="before it was written"):
        simulation.replay(leans_on_the_order, str(failure.token), order="any")


def test_loops_of_the_programs_own_have_the_order_too() -> None:
    async def main() -> list[str]:
        return await asyncio.to_thread(asyncio.run, tasks_that_are_ready_together())

    assert len(orders(main, "any")) > 2
    assert orders(main, "fifo") == FIFO


def test_an_order_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match='"wakeups"'):
        simulation.run(tasks_that_are_ready_together, order="lifo")
