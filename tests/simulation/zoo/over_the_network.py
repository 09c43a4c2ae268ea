"""Programs with a mistake that only the network, the disk or the end of a process brings out, each with its mended twin.

Every program is an async function of the world and of whether it is the mended one. It raises AssertionError, or what
its mistake raises, when the mistake shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from cede.simulation import HostLost, World

Program = Callable[[World, bool], Awaitable[None]]
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
PORT = 80
FOLDER = Path("/tmp/zoo")  # of simulated disks
CERTIFICATES = Path(os.environ.get("CEDE_TEST_CERTIFICATES", "/nonexistent"))


async def serve(handle: Callable[[Reader, Writer], Awaitable[None]], **options: Any) -> None:
    """Serve until the host ends; a connection that breaks ends its handler."""

    async def guarded(reader: Reader, writer: Writer) -> None:
        try:
            await handle(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(guarded, "0.0.0.0", PORT, **options)
    async with server:
        await server.serve_forever()


async def until_open(host: str) -> tuple[Reader, Writer]:
    while True:
        try:
            return await asyncio.open_connection(host, PORT)
        except OSError:
            await asyncio.sleep(0.05)


async def close(writer: Writer) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def ask(host: str, line: bytes) -> bytes:
    """Ask on a connection of its own; OSError or b"" where there is no answer."""
    reader, writer = await until_open(host)
    try:
        async with asyncio.timeout(5):
            writer.write(line + b"\n")
            return (await reader.readline()).rstrip()
    finally:
        await close(writer)


async def answered(host: str, line: bytes) -> bytes:
    """Ask until there is an answer."""
    while True:
        try:
            answer = await ask(host, line)
        except OSError:
            answer = b""
        if answer:
            return answer
        await asyncio.sleep(0.05)


# --- 15, 16: as many bytes as one call moves --------------------------------------------------------


async def read_taken_for_a_message(world: World, mended: bool) -> None:
    got: list[bytes] = []

    async def handle(reader: Reader, writer: Writer) -> None:
        got.append(await (reader.readexactly(20) if mended else reader.read(20)))
        writer.write(b"thanks\n")

    world.host("server", lambda: serve(handle))
    world.faults(chunks=True)
    await ask("server", b"a message of 19 char")
    assert got == [b"a message of 19 char"], got


async def send_taken_for_all(world: World, mended: bool) -> None:
    got: list[bytes] = []

    async def handle(reader: Reader, writer: Writer) -> None:
        got.append(await reader.read(-1))

    world.host("server", lambda: serve(handle))
    world.faults(chunks=True)
    await close((await until_open("server"))[1])
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("server", PORT))
        if mended:
            await loop.sock_sendall(sock, b"everything")
        else:
            sock.send(b"everything")
    await asyncio.sleep(1)
    assert b"everything" in got, got


# --- 17, 18, 19: connections that end ---------------------------------------------------------------


async def written_is_not_delivered(world: World, mended: bool) -> None:
    """A shipper of log lines drains after each line, and goes on when the connection is gone."""
    got: set[bytes] = set()

    async def handle(reader: Reader, writer: Writer) -> None:
        while line := await reader.readline():
            got.add(line.strip())
            writer.write(b"ok\n")
            await writer.drain()

    world.host("server", lambda: serve(handle))
    world.faults(resets=True)
    reader, writer = await until_open("server")
    for number in range(20):
        line = b"line %d" % number
        while True:
            try:
                writer.write(line + b"\n")
                await writer.drain()
                if not mended or await reader.readline():
                    break
            except OSError:
                pass
            await close(writer)
            reader, writer = await until_open("server")
        await asyncio.sleep(0.01)
    world.heal()
    await asyncio.sleep(1)
    await close(writer)
    missing = {b"line %d" % number for number in range(20)} - got
    assert not missing, sorted(missing)


async def end_taken_for_whole(world: World, mended: bool) -> None:
    """A download over TLS ends where the connection does; nobody counts."""
    body = b"x" * 200_000
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(CERTIFICATES / "server.pem", CERTIFICATES / "server.key")
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(CERTIFICATES / "authority.pem")

    async def handle(reader: Reader, writer: Writer) -> None:
        await reader.readline()
        writer.write(b"%d\n" % len(body))
        for begin in range(0, len(body), 10_000):
            writer.write(body[begin : begin + 10_000])
            await writer.drain()
            await asyncio.sleep(0.001)

    world.host("server", lambda: serve(handle, ssl=served))
    world.faults(kills=["server"])
    for _ in range(3):
        try:
            reader, writer = await asyncio.open_connection(
                "server", PORT, ssl=trusting, server_hostname="localhost", ssl_handshake_timeout=5
            )
        except OSError:
            await asyncio.sleep(0.5)
            continue
        try:
            writer.write(b"GET\n")
            size = int(await reader.readline() or 0)
            got = await (reader.readexactly(size) if mended else reader.read(-1))
            assert not size or len(got) == len(body), len(got)
        except (OSError, asyncio.IncompleteReadError):
            pass  # it is known to be broken
        finally:
            await close(writer)


async def stale_connection_is_not_retried(world: World, mended: bool) -> None:
    async def handle(reader: Reader, writer: Writer) -> None:
        while line := await reader.readline():
            writer.write(line)

    world.host("server", lambda: serve(handle))
    world.faults(resets=True)
    pool: list[tuple[Reader, Writer]] = []

    async def get(line: bytes) -> bytes:
        while True:
            was_pooled = bool(pool)
            reader, writer = pool.pop() if pool else await until_open("server")
            try:
                writer.write(line + b"\n")
                answer = await reader.readline()
                if not answer:
                    raise ConnectionResetError("no answer")
            except OSError:
                await close(writer)
                if mended or not was_pooled:
                    continue
                raise
            pool.append((reader, writer))
            return answer

    try:
        for number in range(20):
            assert await get(b"%d" % number) == b"%d\n" % number
    finally:
        for _, writer in pool:
            await close(writer)


# --- 23, 24: replicas -------------------------------------------------------------------------------


async def stale_read_after_failover(world: World, mended: bool) -> None:
    """A primary answers before its replica has what was written; then the primary is gone."""
    kept: dict[str, dict[bytes, bytes]] = {"primary": {}, "replica": {}}

    def node(name: str) -> Callable[[], Awaitable[None]]:
        async def handle(reader: Reader, writer: Writer) -> None:
            while line := await reader.readline():
                command, key, value = line.split()
                if command == b"get":
                    writer.write(kept[name].get(key, b"none") + b"\n")
                    continue
                kept[name][key] = value
                if name == "primary":
                    copying = asyncio.ensure_future(ask("replica", line.strip()))
                    if mended:
                        await copying
                writer.write(b"ok\n")

        return lambda: serve(handle)

    primary = world.host("primary", node("primary"))
    world.host("replica", node("replica"))
    await ask("primary", b"set balance 1")
    await asyncio.sleep(0.005)
    primary.kill()
    assert await ask("replica", b"get balance -") == b"1"


async def two_leaders(world: World, mended: bool) -> None:
    """Who hears nobody of a lower number leads; mended, only who has the votes of most of the nodes.

    A vote is for one node at a time: who changes it says nothing until the last one has run out.
    """
    names = ["node0", "node1", "node2"]
    leaders: dict[str, bool] = dict.fromkeys(names, False)
    patience = 0.5

    def node(number: int) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            loop = asyncio.get_running_loop()
            began = loop.time()
            heard: dict[int, tuple[float, int]] = {}  # {node: (when, for whom it votes)}
            vote, voted = number, began

            class Ears(asyncio.DatagramProtocol):
                def datagram_received(self, data: bytes, addr: Any) -> None:
                    sender, its_vote = map(int, data.split())
                    heard[sender] = (loop.time(), its_vote)

            transport, _ = await loop.create_datagram_endpoint(Ears, ("0.0.0.0", PORT))
            while True:
                now = loop.time()
                lowest = min([number, *(other for other, (when, _) in heard.items() if when > now - patience)])
                leads = lowest == number and now - began > patience
                if mended:
                    if now - voted > patience:
                        vote = lowest
                    given = vote if vote == lowest else -1
                    if given != -1:
                        voted = now
                    votes = [v for when, v in heard.values() if when > now - patience / 2]
                    leads = leads and [*votes, given].count(number) >= 2
                leaders[names[number]] = leads
                for other in range(3):
                    if other != number:
                        transport.sendto(b"%d %d" % (number, given if mended else 0), (f"10.0.0.{2 + other}", PORT))
                await asyncio.sleep(0.05)

        return run

    def one_leads() -> None:
        leading = [name for name, leads in leaders.items() if leads]
        assert len(leading) < 2, leading

    for number, name in enumerate(names):
        world.host(name, node(number))
    world.check(one_leads)
    world.faults(partitions=True)
    await asyncio.sleep(6)


# --- 27, 28: what the disk keeps --------------------------------------------------------------------


def sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    os.fsync(number)
    os.close(number)


def ready_folder() -> None:
    if not FOLDER.exists():
        FOLDER.mkdir()
    sync(FOLDER.parent)


def storing(save: Callable[[str], None], load: Callable[[], list[str]]) -> Callable[[], Awaitable[None]]:
    """A server that saves each line it gets, then says so, and tells what it has; it loads that when it starts."""
    words: list[str] = []

    async def handle(reader: Reader, writer: Writer) -> None:
        while line := await reader.readline():
            word = line.decode().strip()
            if word == "all":
                writer.write(json.dumps(words).encode() + b"\n")
            else:
                save(word)
                words.append(word)
                writer.write(b"saved\n")

    async def main() -> None:
        ready_folder()
        words[:] = load()
        await serve(handle)

    return main


async def what_was_saved_is_there(world: World) -> None:
    """Save words while the server may lose its power; each that it says it has saved must be there in the end."""
    world.faults(power=["server"])
    saved = []
    for number in range(20):
        try:
            if await ask("server", b"word%d" % number) == b"saved":
                saved.append(f"word{number}")
        except OSError:
            pass
    world.heal()
    found = json.loads(await answered("server", b"all"))
    assert set(saved) <= set(found), sorted(set(saved) - set(found))


async def acknowledged_and_not_synced(world: World, mended: bool) -> None:
    log = FOLDER / "log"

    def save(word: str) -> None:
        with log.open("a") as file:
            file.write(word + "\n")
            file.flush()
            if mended:
                os.fsync(file.fileno())
        if mended:
            sync(FOLDER)

    def load() -> list[str]:
        if not log.exists():
            return []
        whole, _, torn = log.read_text().rpartition("\n")
        if torn:
            os.truncate(log, len(whole) + 1 if whole else 0)
        return whole.split("\n") if whole else []

    world.host("server", storing(save, load))
    await what_was_saved_is_there(world)


async def renamed_and_folder_not_synced(world: World, mended: bool) -> None:
    state, new = FOLDER / "state", FOLDER / "state.new"

    def load() -> list[str]:
        words: list[str] = json.loads(state.read_text()) if state.exists() else []
        return words

    def save(word: str) -> None:
        words = [*load(), word]
        new.write_text(json.dumps(words))
        sync(new)
        new.replace(state)
        if mended:
            sync(FOLDER)

    world.host("server", storing(save, load))
    await what_was_saved_is_there(world)


async def torn_line_on_recovery(world: World, mended: bool) -> None:
    """A log of JSON lines, read again after a start: the last line may be half a line."""
    log = FOLDER / "log"

    def load() -> list[str]:
        if not log.exists():
            return []
        lines = log.read_text().splitlines(keepends=True)
        if mended and lines and not lines[-1].endswith("\n"):
            lines.pop()
            os.truncate(log, sum(map(len, lines)))
        words: list[str] = [json.loads(line) for line in lines]
        return words

    def save(word: str) -> None:
        with log.open("a") as file:
            file.write(json.dumps(word) + "\n")
            file.flush()
            os.fsync(file.fileno())
        sync(FOLDER)

    world.host("server", storing(save, load))
    await what_was_saved_is_there(world)


# --- 29, 30: processes that end ---------------------------------------------------------------------


async def redelivered_after_a_kill(world: World, mended: bool) -> None:
    """A worker takes jobs from a queue, pays, and says that it is done; killed between, the job comes again."""
    jobs = [b"job%d" % number for number in range(6)]
    done: set[bytes] = set()
    paid: list[bytes] = []

    async def queue(reader: Reader, writer: Writer) -> None:
        while line := await reader.readline():
            if line.startswith(b"done "):
                done.add(line.split()[1])
                writer.write(b"ok\n")
            else:
                left = [job for job in jobs if job not in done]
                writer.write((left[0] if left else b"none") + b"\n")

    async def ledger(reader: Reader, writer: Writer) -> None:
        while line := await reader.readline():
            if not mended or line.strip() not in paid:
                paid.append(line.strip())
            writer.write(b"ok\n")

    async def worker() -> None:
        while (job := await answered("queue", b"next")) != b"none":
            await answered("ledger", job)
            await answered("queue", b"done " + job)

    world.host("queue", lambda: serve(queue))
    world.host("ledger", lambda: serve(ledger))
    world.host("worker", worker)
    world.faults(kills=["worker"])
    while len(done) < len(jobs):
        await asyncio.sleep(0.1)
    assert len(paid) == len(set(paid)), paid


async def shutdown_forgets_work(world: World, mended: bool) -> None:
    async def server() -> None:
        ending = asyncio.Event()
        working: set[asyncio.Task[Any]] = set()

        async def handle(reader: Reader, writer: Writer) -> None:
            task = asyncio.current_task()
            assert task is not None
            working.add(task)
            line = await reader.readline()
            await asyncio.sleep(0.05)  # the work
            writer.write(line)
            await writer.drain()
            working.discard(task)
            writer.close()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
        listening = await asyncio.start_server(handle, "0.0.0.0", PORT)
        await ending.wait()
        listening.close()
        if mended:
            await asyncio.wait(working) if working else None
        os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(1)

    host = world.host("server", server)
    await asyncio.sleep(0.1)
    world.link("main", "server", latency=(0.001, 0.2))
    reader, writer = await until_open("server")
    writer.write(b"please\n")
    asking = asyncio.ensure_future(reader.readline())
    await asyncio.sleep(0.12)
    host.signal(signal.SIGTERM)
    answer = b"was not begun"
    with contextlib.suppress(OSError, HostLost):
        answer = await asking
    await close(writer)
    assert answer in (b"please\n", b"was not begun"), answer


# --- 31: datagrams ----------------------------------------------------------------------------------


async def datagrams_taken_for_a_stream(world: World, mended: bool) -> None:
    latest: list[int] = [0]

    async def receiver() -> None:
        class Ears(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                latest[0] = max(int(data), latest[0]) if mended else int(data)

        await asyncio.get_running_loop().create_datagram_endpoint(Ears, ("0.0.0.0", PORT))
        await asyncio.get_running_loop().create_future()

    world.host("receiver", receiver)
    await asyncio.sleep(0.1)
    world.link("main", "receiver", reorder=0.1, duplicate=0.1)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=("receiver", PORT)
    )
    for number in range(1, 21):
        transport.sendto(b"%d" % number)
        await asyncio.sleep(0.02)
    await asyncio.sleep(1)
    transport.close()
    assert latest[0] == 20, latest


class Row(NamedTuple):
    """A row of the table: its number, the program, within how many seeds and to how many choices it is found."""

    number: int
    program: Program
    seeds: int
    choices: int


ROWS = [
    Row(15, read_taken_for_a_message, 20, 1),
    Row(16, send_taken_for_all, 20, 1),
    Row(17, written_is_not_delivered, 50, 1),
    Row(18, end_taken_for_whole, 50, 1),
    Row(19, stale_connection_is_not_retried, 50, 1),
    Row(23, stale_read_after_failover, 100, 2),
    Row(24, two_leaders, 100, 3),
    Row(27, acknowledged_and_not_synced, 100, 2),
    Row(28, renamed_and_folder_not_synced, 100, 2),
    Row(28, torn_line_on_recovery, 150, 4),
    Row(29, redelivered_after_a_kill, 100, 2),
    Row(30, shutdown_forgets_work, 20, 1),
    Row(31, datagrams_taken_for_a_stream, 20, 1),
]
