"""Worlds of `cede.simulation`: what a program costs in one; beside it, for the other columns, on their real loops.

What is timed is timed around the world: the clocks in it are its own.
"""

import asyncio

from benchmarks.row import program

HOSTS = "abcde"
PORT = 70


def run(meter, main):
    """Run `main(world)` in a world, if this is cede; else, on the loop of the column, `main(None)`."""
    if asyncio.__name__ != "cede":
        with asyncio.Runner(loop_factory=meter.loop_factory) as runner:
            return runner.run(main(None))
    from cede import simulation

    return simulation.run(main, late=False)


@program("world-empty", "make a world, run an empty coroutine, end it", unit="us")
def empty_world(meter):
    async def nothing(world):
        return 1

    count = meter.count(1_000)
    total = 0
    with meter.timed(count):
        for _ in range(count):
            total += run(meter, nothing)
    meter.check(total, count)


@program("world-sleep0", "`sleep(0)` in a world")
def sleep_zero(meter):
    turns = meter.count(200_000)

    async def spin(world):
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    with meter.timed(turns):
        result = run(meter, spin)
    meter.check(result, turns)


@program("world-heartbeats", "heartbeats: five hosts, each connected to each, a beat to each other one", unit="us")
def heartbeats(meter):
    beats = meter.count(400)  # of each to each
    each = len(HOSTS) - 1
    heard = []

    async def listen(reader, writer):
        while line := await reader.readline():
            heard.append(line)
        writer.close()

    async def tell(to, sleep):
        _, writer = await asyncio.open_connection(*to)
        for _ in range(beats):
            writer.write(b"beat\n")
            await asyncio.sleep(sleep)
        writer.close()
        await writer.wait_closed()

    async def main(world):
        if world is None:
            servers = [await asyncio.start_server(listen, "127.0.0.1", 0) for _ in HOSTS]
            where = [server.sockets[0].getsockname() for server in servers]
            await asyncio.gather(*(tell(to, 0) for to in where for _ in range(each)))
            for server in servers:
                server.close()
            return len(heard)

        async def serve():
            async with await asyncio.start_server(listen, "0.0.0.0", PORT) as server:
                await server.serve_forever()

        hosts = {name: world.host(name, serve) for name in HOSTS}
        await asyncio.sleep(1)
        pairs = [(one, other) for one in HOSTS for other in HOSTS if one != other]
        await asyncio.gather(*(hosts[one].run(tell, (other, PORT), 1) for one, other in pairs))
        return len(heard)

    count = beats * each * len(HOSTS)
    with meter.timed(count):
        result = run(meter, main)
    meter.check(result, count)
