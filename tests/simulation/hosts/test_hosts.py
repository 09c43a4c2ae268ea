"""Several hosts: what they see of each other when one is killed, loses its power, stands still, or cannot be reached."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from cede import simulation
from cede.simulation import HostLost, World

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


async def echo_server() -> None:
    async def echo(reader: Reader, writer: Writer) -> None:
        try:
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # what the tests do to it
        writer.close()

    server = await asyncio.start_server(echo, "0.0.0.0", 7)
    await server.serve_forever()


async def connected() -> tuple[Reader, Writer]:
    while True:
        try:
            return await asyncio.open_connection("server", 7)
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)


async def answered(streams: tuple[Reader, Writer], word: bytes = b"hello") -> bytes:
    reader, writer = streams
    writer.write(word)
    return await reader.readexactly(len(word))


def now() -> float:
    return asyncio.get_running_loop().time()


async def close(streams: tuple[Reader, Writer]) -> None:
    streams[1].close()
    try:
        await streams[1].wait_closed()
    except OSError:
        pass


def test_hosts_talk_and_run_what_they_are_given() -> None:
    async def main(world: World) -> None:
        world.host("server", echo_server)
        alice, bob = world.host("alice"), world.host("bob")

        async def ask(word: bytes) -> bytes:
            streams = await connected()
            answer = await answered(streams, word)
            assert streams[1].get_extra_info("peername") == ("10.0.0.2", 7)
            await close(streams)
            return answer

        assert await asyncio.gather(alice.run(ask, b"from alice"), bob.run(ask, b"from bob")) == [
            b"from alice",
            b"from bob",
        ]

        async def fail() -> None:
            raise KeyError("on bob")

        with pytest.raises(KeyError, match="on bob"):
            await bob.run(fail)
        waiting = asyncio.ensure_future(alice.run(asyncio.sleep, 1000))
        await asyncio.sleep(1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    simulation.run(main)


def test_a_kill_runs_no_finally_and_its_peers_see_the_end() -> None:
    ran: list[str] = []

    async def server() -> None:
        ran.append("starts")
        try:
            await echo_server()
        finally:
            ran.append("finally")

    async def main(world: World) -> None:
        host = world.host("server", server)
        streams = await connected()
        assert await answered(streams) == b"hello"
        host.kill()
        assert await streams[0].read() == b""
        await close(streams)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("server", 7)
        assert ran == ["starts"]
        host.restart()
        streams = await connected()
        assert await answered(streams) == b"hello"
        assert ran == ["starts", "starts"]
        await close(streams)

    simulation.run(main)


def test_a_kill_with_bytes_unread_is_a_reset() -> None:
    async def main(world: World) -> None:
        async def deaf() -> None:
            async def hold(reader: Reader, writer: Writer) -> None:
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                await asyncio.sleep(1000)

            await (await asyncio.start_server(hold, "0.0.0.0", 7)).serve_forever()

        host = world.host("server", deaf)
        streams = await connected()
        await asyncio.sleep(0.1)
        streams[1].write(b"unread")
        await asyncio.sleep(0.1)
        host.kill()
        with pytest.raises(ConnectionResetError):
            await streams[0].read()
        await close(streams)

    simulation.run(main)


def test_a_loss_of_power_is_silence_and_after_the_restart_a_reset() -> None:
    async def main(world: World) -> None:
        host = world.host("server", echo_server)
        streams = await connected()
        assert await answered(streams) == b"hello"
        host.power_off()
        streams[1].write(b"anybody?")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(streams[0].read(10), 20)
        began = now()
        with pytest.raises(TimeoutError, match="Connect call failed"):
            await asyncio.open_connection("server", 7)
        assert now() - began == pytest.approx(127, abs=1)
        host.restart()
        with pytest.raises(ConnectionResetError):
            await streams[0].read(10)
        await close(streams)
        streams = await connected()
        assert await answered(streams) == b"hello"
        await close(streams)

    simulation.run(main)


def test_a_partition_keeps_bytes_and_gives_up_after_a_quarter_of_an_hour() -> None:
    async def main(world: World) -> None:
        world.host("server", echo_server)
        streams = await connected()
        world.partition("main", "server")
        streams[1].write(b"later")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(streams[0].readexactly(5), 30)
        world.heal()
        assert await streams[0].readexactly(5) == b"later"
        world.partition("server")
        began = now()
        streams[1].write(b"never")
        with pytest.raises(TimeoutError):
            await streams[0].read(5)
        assert 924 < now() - began < 1050
        await close(streams)

    simulation.run(main)


def test_one_way_and_held_links() -> None:
    async def main(world: World) -> None:
        world.host("server", echo_server)
        streams = await connected()
        assert await answered(streams) == b"hello"
        world.partition("server", "main", oneway=True)
        streams[1].write(b"heard")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(streams[0].readexactly(5), 5)
        world.heal()
        assert await streams[0].readexactly(5) == b"heard"
        world.hold("main", "server")
        streams[1].write(b"held")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(streams[0].readexactly(4), 1000)
        began = now()
        world.release()
        assert await streams[0].readexactly(4) == b"held"
        assert now() - began < 0.1
        await close(streams)

    simulation.run(main)


def test_a_reset_meets_both_ends() -> None:
    async def main(world: World) -> None:
        world.host("server", echo_server)
        streams = await connected()
        await answered(streams)
        assert world.reset("main", "server") == 1
        with pytest.raises(ConnectionResetError):
            await streams[0].read(10)
        assert world.reset("main", "server") == 0
        await close(streams)

    simulation.run(main)


def test_a_host_that_stands_still_finds_what_came_meanwhile() -> None:
    async def main(world: World) -> None:
        host = world.host("server", echo_server)
        streams = await connected()
        await answered(streams)
        host.pause(5)
        began = now()
        assert await answered(streams) == b"hello"
        assert 4.9 < now() - began < 5.1
        await close(streams)

    simulation.run(main)


def test_signals_go_to_handlers_or_end_the_program() -> None:
    heard: list[Any] = []

    async def main(world: World) -> None:
        async def server() -> None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, heard.append, "loop")
            signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
            await asyncio.sleep(1000)

        host = world.host("server", server)
        await asyncio.sleep(0.1)
        host.signal(signal.SIGTERM)
        host.signal(signal.SIGUSR1)
        host.signal(signal.SIGCHLD)
        await asyncio.sleep(0.1)
        assert heard == ["loop", signal.SIGUSR1]
        assert not host.dead
        host.signal(signal.SIGINT)
        assert host.dead

        async def end_itself() -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(1)

        host.restart()
        with pytest.raises(HostLost, match="went down"):
            other = world.host("other")
            await other.run(end_itself)
        with pytest.raises(HostLost, match="is down"):
            await other.run(asyncio.sleep, 1)

    simulation.run(main)
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_slow_links_take_their_time() -> None:
    async def main(world: World) -> None:
        world.host("server", echo_server)
        world.link("main", "server", latency=0.01, bandwidth=100_000)
        streams = await connected()
        began = now()
        assert len(await answered(streams, bytes(200_000))) == 200_000
        assert 4.0 < now() - began < 4.5
        with pytest.raises(ValueError, match="probability"):
            world.link("main", "server", loss=2)
        await close(streams)

    simulation.run(main)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_drawn_bytes_stay_in_order_or_the_connection_ends(seed: int) -> None:
    async def main(world: World) -> int:
        world.host("server", echo_server)
        world.faults(
            partitions=True, resets=True, chunks=True, loss=True, lookups=True, kills=["server"], power=["server"]
        )
        done = 0
        while done < 20:
            try:
                streams = await asyncio.open_connection("server", 7)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            try:
                async with asyncio.timeout(10):
                    word = b"word %d " % done * 100
                    assert await answered(streams, word) == word
                    done += 1
            except (OSError, asyncio.IncompleteReadError):
                pass
            await close(streams)
        world.heal()
        return done

    assert simulation.run(main, seed=seed) == 20


def test_a_world_with_faults_that_has_nothing_to_do_ends() -> None:
    async def main(world: World) -> None:
        world.host("server", echo_server)
        world.faults(partitions=True, resets=True, kills=["server"])
        await asyncio.sleep(0.1)
        await asyncio.get_running_loop().create_future()

    with pytest.raises(simulation.Deadlock):
        simulation.run(main)


def test_a_host_that_kills_itself_while_the_world_ends_holds_nobody_up() -> None:
    async def server() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
            await asyncio.sleep(1)

    async def main(world: World) -> str:
        world.host("server", server)
        await asyncio.sleep(1)
        return "done"

    assert simulation.run(main) == "done"
