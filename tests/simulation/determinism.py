"""Worlds that use everything, and their logs' digests: the same in each run, with any hashes of strings, in both speeds.

python -m tests.simulation.determinism                    the digests, in this process
python -m tests.simulation.determinism --table PYTHON...  those of several interpreters, each in both speeds (the
                                                          compiled one if it is built) and with three hash seeds
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import queue
import random
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cede
from cede.simulation import World
from cede.simulation.running import begin, opened

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(5)
FOLDER = Path("/var/lib/a store of a world")


async def sleeps(world: World) -> None:
    """Timers, time-outs, locks and chance on one loop."""
    lock, gate, line = asyncio.Lock(), asyncio.Condition(), asyncio.Queue[str](3)
    world.sometimes(f"begun {uuid.uuid4()} {time.time_ns()}")

    async def work(number: int) -> None:
        for _ in range(20):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(random.random() * 0.03), lock:
                    await asyncio.sleep(random.random() * 0.01)
            with contextlib.suppress(asyncio.QueueFull, asyncio.QueueEmpty):
                line.put_nowait(f"item {number}") if random.random() < 0.5 else line.get_nowait()
            async with gate:
                gate.notify_all()
        await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(work(number))


async def streams(world: World) -> None:
    """Hosts that talk by TCP, UDP and unix sockets, over links that lose, reorder and duplicate."""

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while line := await reader.readline():
                writer.write(line.upper())
                await writer.drain()
        writer.close()

    async def serve() -> None:
        async with await asyncio.start_server(shout, "0.0.0.0", 80) as server:
            await server.serve_forever()

    async def ask(number: int) -> None:
        reader, writer = await asyncio.open_connection("server", 80)
        for index in range(5):
            writer.write(b"line %d of %d\n" % (index, number) + os.urandom(8).hex().encode() + b"\n")
            await reader.readline()
        writer.close()
        await writer.wait_closed()

    async def datagrams() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
            for sock in (one, other):
                sock.setblocking(False)
                sock.bind(("10.0.0.1", 0))
            for index in range(10):
                await loop.sock_sendto(one, b"datagram %d" % index, other.getsockname())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    while True:
                        await loop.sock_recvfrom(other, 100)

    async def unix() -> None:
        async with await asyncio.start_unix_server(shout, "/tmp/a socket of a world"):
            reader, writer = await asyncio.open_unix_connection("/tmp/a socket of a world")
            writer.write(b"unix\n")
            await reader.readline()
            writer.close()
            await writer.wait_closed()

    world.host("server", serve)
    world.link("main", "server", latency=(0.001, 0.02), loss=0.1, duplicate=0.2, reorder=0.2)
    await asyncio.gather(*(ask(number) for number in range(4)), datagrams(), unix())


async def threads(world: World) -> None:
    """Worker threads: locks, queues, events, blocking sockets, and calls into the loop from outside of it."""
    loop = asyncio.get_running_loop()
    line: queue.Queue[int] = queue.Queue(2)
    lock, ready = threading.Lock(), threading.Event()

    def put(number: int) -> int:
        ready.wait()
        for index in range(5):
            with lock:
                time.sleep(random.random() * 0.001)
            line.put(number * index)
        return int(asyncio.run_coroutine_threadsafe(asyncio.sleep(0.001, number), loop).result())

    def take() -> int:
        return sum(line.get() for _ in range(20))

    def serve(listener: socket.socket) -> None:
        sock, _ = listener.accept()
        with sock, listener:
            while data := sock.recv(100):
                sock.sendall(data.upper())

    def talk(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            for word in (b"one", b"two"):
                sock.sendall(word)
                sock.recv(100)

    listener = socket.create_server(("127.0.0.1", 0))
    loop.call_later(0.01, ready.set)
    work: list[Any] = [asyncio.to_thread(put, number) for number in range(4)]
    work += [asyncio.to_thread(take), asyncio.to_thread(serve, listener)]
    work.append(asyncio.to_thread(talk, listener.getsockname()[1]))
    await asyncio.gather(*work)


async def files(world: World) -> None:
    """A store that loses its power: what was synced, what was not, and what is there afterwards."""

    async def nothing() -> None:
        pass

    async def write() -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for index in range(5):
            temporary = FOLDER / f"{index}.new"
            with temporary.open("wb") as file:
                file.write(random.randbytes(300))
                file.flush()
                if index % 2:
                    os.fsync(file.fileno())
            temporary.rename(FOLDER / str(index))
            await asyncio.sleep(0.001)

    async def look() -> None:
        there = sorted(FOLDER.iterdir()) if FOLDER.exists() else []
        hashes = [hashlib.sha256(path.read_bytes()).hexdigest()[:8] for path in there]
        assert world.log is not None
        world.log.add("store", "found", f"{[path.name for path in there]} {hashes}")

    store = world.host("store", nothing)
    for _ in range(2):
        await store.run(write)
        store.power_off()
        store.restart()
        await asyncio.sleep(0.1)
        await store.run(look)


async def faults(world: World) -> None:
    """Three hosts that tell each other what they know, while everything breaks; then it heals."""
    known: dict[str, set[str]] = {name: set() for name in "abc"}

    def member(name: str) -> Callable[[], Any]:
        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                while line := await reader.readline():
                    known[name].add(line.decode().strip())
            writer.close()

        async def tell(other: str) -> None:
            for index in range(1000):
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(1):
                        _, writer = await asyncio.open_connection(other, 70)
                        writer.write(f"{name} {min(index, 5)}\n".encode())
                        await writer.drain()
                        writer.close()
                await asyncio.sleep(0.2 + random.random() * 0.1)

        async def main() -> None:
            async with await asyncio.start_server(hear, "0.0.0.0", 70):
                await asyncio.gather(*(tell(other) for other in "abc" if other != name))

        return main

    hosts = [world.host(name, member(name)) for name in "abc"]
    world.faults(
        partitions=True, resets=True, chunks=True, loss=True, lookups=True, kills=hosts[:2], drift=True, jumps=True
    )
    await asyncio.sleep(6)
    world.heal()
    await asyncio.sleep(3)
    assert world.log is not None
    world.log.add("main", "known", str({name: sorted(what) for name, what in known.items()}))


async def endings(world: World) -> None:
    """Who is cancelled first: where a group fails, and at the end of a loop that still has tasks."""

    async def note(number: int) -> None:
        try:
            await asyncio.sleep(100 + number)
        finally:
            assert world.log is not None
            world.log.add("main", "ends", str(number))

    async def fail() -> None:
        await asyncio.sleep(1)
        raise ValueError

    async def failing(group: Any) -> None:
        with contextlib.suppress(ExceptionGroup):
            async with group:
                for number in range(30):
                    group.create_task(note(number))
                group.create_task(fail())

    async def leave() -> None:
        kept = [asyncio.create_task(note(number)) for number in range(30)]
        await asyncio.sleep(len(kept) / 100)

    for group in (asyncio.TaskGroup(), cede.TaskGroup()):
        await asyncio.create_task(failing(group))  # of its own: before Python 3.13 its count of cancellations stays
    await asyncio.to_thread(lambda: asyncio.run(leave()))
    await asyncio.to_thread(lambda: cede.run(leave()))


WORLDS = {world.__name__: world for world in (sleeps, streams, threads, files, faults, endings)}


def log_of(name: str, seed: int) -> list[str]:
    """Run a world; return the lines of its log, and what was drawn."""
    with opened(seed=seed, log=True) as world:
        begin(WORLDS[name], world)
    assert world.log is not None
    drawn = [f"{choice} {value!r}" for choice, value in sorted(world.choices.wild.items())]
    return [*(repr(tuple(event)) for event in world.log.events), *drawn, f"{world.turns} turns"]


def digests() -> Iterator[str]:
    """A line for each world: its name, and the digest of its logs with several seeds."""
    for name in WORLDS:
        lines = [line for seed in SEEDS for line in log_of(name, seed)]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
        yield f"{name} {digest} of {len(lines)} lines"


def digests_elsewhere(python: str, *, pure: bool, hash_seed: str) -> list[str]:
    """The digests as another process has them."""
    speed = {"CEDE_PURE": "1" if pure else "", "PYTHONHASHSEED": hash_seed}
    environment = {**os.environ, **speed, "PYTHONPATH": str(ROOT / "src")}
    command = [python, "-m", "tests.simulation.determinism"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=True)
    return ended.stdout.splitlines()


def table(pythons: list[str]) -> None:
    """Write who has which digests."""
    for python in pythons:
        for pure in (False, True):
            seen = {tuple(digests_elsewhere(python, pure=pure, hash_seed=seed)) for seed in ("0", "1", "random")}
            for lines in seen:
                sys.stdout.write("\n  ".join([f"{python} {'interpreted' if pure else 'as built'}", *lines]) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--table"]:
        table(sys.argv[2:])
    else:
        sys.stdout.writelines(f"{line}\n" for line in digests())
