"""Sockets that keep their connections alive, and what they hear of peers that are gone."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest

from cede import simulation
from cede.simulation import World

from .test_hosts import close, connected, echo_server, now

TCP = socket.IPPROTO_TCP
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Happens = Callable[[World], Any]


def keep_alive(sock: Any, idle: int = 10, pause: int = 3, count: int = 4, user_timeout: int = 0) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(TCP, socket.TCP_KEEPIDLE, idle)
    sock.setsockopt(TCP, socket.TCP_KEEPINTVL, pause)
    sock.setsockopt(TCP, socket.TCP_KEEPCNT, count)
    sock.setsockopt(TCP, socket.TCP_USER_TIMEOUT, user_timeout)


def until_lost(happens: Happens, **options: int) -> tuple[float, int | None]:
    """How long a connection that says nothing lives after something happened, and with which error it ends."""

    async def main(world: World) -> tuple[float, int | None]:
        world.host("server", echo_server)
        streams = await connected()
        keep_alive(streams[1].get_extra_info("socket"), **options)
        began = now()
        happens(world)
        try:
            async with asyncio.timeout(5000):
                await streams[0].read(1)
        except OSError as exc:
            await close(streams)
            return now() - began, exc.errno  # None: it lives
        raise AssertionError("the connection ended without an error")

    return simulation.run(main, late=False)


async def read_and_close(streams: Streams) -> None:
    try:
        await streams[0].read(1)
    finally:
        streams[1].close()


def power_off(world: World) -> None:
    world.hosts["server"].power_off()


def test_silence_is_noticed_after_the_time_that_the_options_say() -> None:
    took, number = until_lost(power_off)
    assert number == errno.ETIMEDOUT
    assert took == pytest.approx(10 + 4 * 3, abs=0.1)  # as Linux: idle, and then so many probes


def test_a_partition_is_noticed_as_well_one_way_too() -> None:
    for oneway in (False, True):
        took, number = until_lost(lambda world, oneway=oneway: world.partition("server", oneway=oneway))  # type: ignore[misc]
        assert (number, round(took)) == (errno.ETIMEDOUT, 22)


def test_a_machine_that_came_back_answers_the_next_probe_with_a_reset() -> None:
    def off_and_on(world: World) -> None:
        world.hosts["server"].power_off()
        world.at(world.now + 14, world.hosts["server"].restart)

    took, number = until_lost(off_and_on)
    assert number == errno.ECONNRESET
    assert 14 <= took <= 17


def test_a_partition_that_ends_in_time_is_not_noticed() -> None:
    def for_a_while(world: World) -> None:
        world.partition("server")
        world.at(world.now + 15, world.heal)

    assert until_lost(for_a_while)[1] is None


def test_a_user_timeout_ends_it_at_the_first_probe_that_comes_later() -> None:
    took, number = until_lost(power_off, idle=10, pause=3, count=100, user_timeout=14_000)
    assert number == errno.ETIMEDOUT
    assert took == pytest.approx(16, abs=0.1)


def test_asked_for_after_the_power_was_lost_it_begins_then() -> None:
    async def main(world: World) -> float:
        server = world.host("server", echo_server)
        streams = await connected()
        server.power_off()
        await asyncio.sleep(100)
        began = now()
        sock = streams[1].get_extra_info("socket")
        for option, value in ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 3), (socket.TCP_KEEPCNT, 4)):
            sock.setsockopt(TCP, option, value)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        with pytest.raises(OSError) as caught:
            await streams[0].read(1)
        assert caught.value.errno == errno.ETIMEDOUT
        return now() - began

    assert simulation.run(main, late=False) == pytest.approx(12, abs=0.1)  # it has been idle for long enough


def test_idle_connections_to_peers_that_are_there_keep_no_world_alive() -> None:
    async def main(world: World) -> None:
        world.host("server", echo_server)
        streams = await connected()
        keep_alive(streams[1].get_extra_info("socket"))
        await read_and_close(streams)

    with pytest.raises(simulation.Deadlock):
        simulation.run(main)


def test_without_it_nothing_is_noticed() -> None:
    async def main(world: World) -> None:
        server = world.host("server", echo_server)
        streams = await connected()
        server.power_off()
        await read_and_close(streams)

    with pytest.raises(simulation.Deadlock):
        simulation.run(main)
