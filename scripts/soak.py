"""Soak: hours of mixed load on one loop, watching that nothing leaks, hangs or complains.

    make soak                                       an hour, on a debug build, under -X dev
    make soak ARGS="--minutes 5"                    the short form for the impatient
    python -X dev scripts/soak.py --minutes 0.5     on whatever is built; CEDE_PURE=1 for plain Python

A dozen workers spawn, cancel, connect, abort, time out and call in from threads, all on one loop, under a storm of
signals. From time to time they are halted and the process is measured: objects, blocks and bytes of memory, resident
memory, descriptors, tasks. Exit status 0 iff, after warming up, all of them stayed flat, every worker went on all the
time (no wake-up was lost), and nobody complained: no warning, no unraisable exception, no call of the exception
handler that was not provoked.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import itertools
import os
import random
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import cede
from cede.observe.snapshot import capture

STALLED_AFTER = 60.0  # seconds without progress of one worker
MOST_GROWTH = 0.01  # of what is measured, from after warming up to the end
# These are flat only in the long run: a peak leaves pages of which a little is in use.
MOST_GROWTH_OF_BYTES = ((1200, 0.01), (240, 0.03), (0, 0.25))  # (seconds that it ran at least, growth)
PAGE = os.sysconf("SC_PAGE_SIZE")
LIBC = ctypes.CDLL(None)


class Soak:
    """The workers, what they have done, and what was measured between."""

    def __init__(self, seconds: float, seed: int) -> None:
        self.seconds = seconds
        self.random = random.Random(seed)
        self.rounds: dict[str, int] = {}  # name of a worker: how often it came round
        self.going = cede.Event()  # clear while everybody is to stand still
        self.over = False
        self.standing = 0
        self.complaints: list[str] = []
        self.measures: list[dict[str, int]] = []
        self.signals = 0
        with tempfile.TemporaryDirectory() as folder:
            self.contexts = certificate(folder)

    def complain(self, text: str) -> None:
        self.complaints.append(text)
        print("COMPLAINT:", text, file=sys.stderr, flush=True)

    async def worker(self, name: str, once: Callable[[Soak], Awaitable[None]]) -> None:
        """Do `once` again and again; stand still where it is asked for."""
        self.rounds[name] = 0
        while not self.over:
            if not self.going.is_set():
                self.standing += 1
                await self.going.wait()
                self.standing -= 1
            try:
                await once(self)
            except Exception:
                self.complain(f"{name}:\n{traceback.format_exc()}")
                await cede.sleep(0.1)
            self.rounds[name] += 1

    async def measure(self) -> None:
        """Halt the workers, clear away, and note what there is."""
        self.going.clear()
        while self.standing < len(self.rounds):
            await cede.sleep(0.01)
        for _ in range(3):
            await cede.sleep(0.02)
            gc.collect()
        measured = {
            "objects": len(gc.get_objects()),
            "blocks": sys.getallocatedblocks(),
            "allocated": allocated_bytes(),
            "resident": resident_bytes(),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "tasks": len(cede.all_tasks()),
        }
        self.measures.append(measured)
        print("  ".join(f"{name} {number}" for name, number in measured.items()), flush=True)
        self.going.set()

    async def run(self) -> None:
        loop = cede.get_running_loop()
        loop.slow_callback_duration = 10.0
        loop.set_exception_handler(self.handle_error)
        loop.add_signal_handler(signal.SIGUSR1, self.signal_came)
        begun = time.monotonic()
        self.going.set()
        async with cede.TaskGroup() as group:
            for once in WORKERS:
                group.create_task(self.worker(once.__name__, once), name=once.__name__)
            pauses = max(2.0, self.seconds / 60)
            while (left := begun + self.seconds - time.monotonic()) > 0:
                await cede.sleep(min(pauses, left))
                await self.measure()
            self.over = True
        loop.remove_signal_handler(signal.SIGUSR1)

    def handle_error(self, loop: Any, context: dict[str, Any]) -> None:
        # In debug mode a server tells of each client that went away during the handshake: here they are made to.
        lost = isinstance(context.get("exception"), ConnectionError)
        if not (lost and context["message"] == "Error on transport creation for incoming connection"):
            self.complain(f"the loop: {context}")

    def signal_came(self) -> None:
        self.signals += 1


class AllocatorReport(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = [(name, ctypes.c_size_t) for name in ["arena", "ordblks", "smblks", "hblks", "hblkhd"]]
    _fields_ += [(name, ctypes.c_size_t) for name in ["usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"]]


def allocated_bytes() -> int:
    """What C's allocator has given out, which is all but Python's small objects; 0 where it does not tell."""
    if not hasattr(LIBC, "mallinfo2"):
        return 0
    LIBC.mallinfo2.restype = AllocatorReport
    report = LIBC.mallinfo2()
    return int(report.uordblks + report.hblkhd)


def resident_bytes() -> int:
    """What the process has of the machine's memory, less what the allocator only keeps after a peak."""
    if hasattr(LIBC, "malloc_trim"):
        LIBC.malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE


# -- what the workers do ------------------------------------------------------------------------------------------


async def spawning(soak: Soak) -> None:
    """Many tasks that end in every way."""

    async def child(number: int) -> int:
        await cede.sleep(0 if number % 3 else soak.random.random() * 0.01)
        if number % 7 == 0:
            raise KeyError(number)
        return number

    outcomes = await cede.gather(*map(child, range(50)), return_exceptions=True)
    assert sum(isinstance(outcome, KeyError) for outcome in outcomes) == 8
    try:
        async with cede.TaskGroup() as group:
            for number in range(1, 8):
                group.create_task(child(number))
    except* KeyError:
        pass
    for future in cede.as_completed([child(1), child(2)], timeout=5):
        await future


async def cancelling(soak: Soak) -> None:
    """Cancel what waits for a lock, an item, an event, a future, at any moment."""
    lock, queue, event = cede.Lock(), cede.Queue[int](1), cede.Event()
    condition, barrier = cede.Condition(), cede.Barrier(2)

    async def holds() -> None:
        async with lock:
            await cede.sleep(0.001)

    async def notified() -> None:
        async with condition:
            await condition.wait()

    makers: list[Callable[[], Any]] = [holds, queue.get, event.wait, notified, barrier.wait, lambda: cede.sleep(10)]
    tasks = [cede.ensure_future(soak.random.choice(makers)()) for _ in range(30)]
    for task in soak.random.sample(tasks, 30):
        if soak.random.random() < 0.3:
            await cede.sleep(0)
        task.cancel()
    await cede.wait(tasks)
    async with lock:
        pass
    queue.put_nowait(1)
    assert await queue.get() == 1


async def timing_out(soak: Soak) -> None:
    """Deadlines that come, and that do not, at the same moment as what was waited for."""
    loop = cede.get_running_loop()
    for _ in range(10):
        future = loop.create_future()
        delay = soak.random.random() * 0.004
        timer = loop.call_later(delay, lambda future=future: future.done() or future.set_result(None))
        try:
            if soak.random.random() < 0.5:
                await cede.wait_for(future, soak.random.random() * 0.004)
            else:
                async with cede.timeout(soak.random.random() * 0.004):
                    await cede.shield(future)
        except TimeoutError:
            timer.cancel()
            future.cancel()


async def handing_over(soak: Soak) -> None:
    """A queue between many; every item arrives once."""
    queue = cede.Queue[int](soak.random.choice([0, 1, 10]))
    got: list[int] = []

    async def consume() -> None:
        while True:
            got.append(await queue.get())
            queue.task_done()

    async def produce(items: range) -> None:
        for item in items:
            await queue.put(item)

    consumers = [cede.create_task(consume()) for _ in range(4)]
    await cede.gather(*(produce(range(n * 50, n * 50 + 50)) for n in range(4)))
    await queue.join()
    for consumer in consumers:
        consumer.cancel()
    await cede.wait(consumers)
    assert sorted(got) == list(range(200))


async def end(writer: cede.StreamWriter) -> None:
    """Close, and wait until it is closed, however that ends."""
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        pass


async def echo(reader: cede.StreamReader, writer: cede.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        await end(writer)


async def connecting(soak: Soak) -> None:
    """Connections that end in order, or are broken off at any point by either side."""
    server = await cede.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def client(number: int) -> None:
        reader, writer = await cede.open_connection("127.0.0.1", port)
        try:
            data = bytes(soak.random.randrange(1, 200_000))
            writer.write(data)
            if number % 4 == 0:
                writer.transport.abort()
                return
            if number % 4 == 1:
                async with cede.timeout(soak.random.random() * 0.01):
                    await reader.readexactly(len(data) + 1)
            writer.write_eof()
            assert len(await reader.read()) == len(data)
        except TimeoutError:
            pass
        finally:
            await end(writer)

    await cede.gather(*map(client, range(12)))
    server.close()
    if soak.random.random() < 0.5:
        server.abort_clients()
    await server.wait_closed()


def certificate(folder: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server that certifies itself, and of a client that believes it."""
    key, cert = f"{folder}/key", f"{folder}/cert"
    options = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(["openssl", *options.split(), "-keyout", key, "-out", cert], check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    return server, ssl.create_default_context(cafile=cert)


async def tls(soak: Soak) -> None:
    """TLS that ends in order, is broken off, or is cancelled in its handshake."""
    server = await cede.start_server(echo, "127.0.0.1", 0, ssl=soak.contexts[0])
    port = server.sockets[0].getsockname()[1]

    async def client(number: int) -> None:
        opening = cede.open_connection("127.0.0.1", port, ssl=soak.contexts[1], server_hostname="localhost")
        try:
            async with cede.timeout(None if number else soak.random.random() * 0.01):
                reader, writer = await opening
        except TimeoutError:
            return
        data = bytes(soak.random.randrange(1, 100_000))
        writer.write(data)
        if number == 1:
            writer.transport.abort()
        elif number == 2:
            assert await reader.readexactly(len(data)) == data
        await end(writer)

    await cede.gather(*map(client, range(4)))
    server.close()
    server.abort_clients()
    await server.wait_closed()


async def pairs(soak: Soak) -> None:
    """Two ends of a socket pair, one of which stops reading, or both are dropped."""
    left, right = socket.socketpair()
    reader, writer = await cede.open_connection(sock=left)
    other, sink = await cede.open_connection(sock=right)
    flood = cede.create_task(flooding(writer))
    await other.read(100_000)
    flood.cancel()
    await cede.wait([flood])
    sink.transport.abort()
    writer.transport.abort()
    for end in (sink, writer):
        try:
            await end.wait_closed()
        except OSError:
            pass
    await reader.read()


async def flooding(writer: cede.StreamWriter) -> None:
    while True:
        writer.write(bytes(50_000))
        await writer.drain()


async def datagrams(soak: Soak) -> None:
    loop = cede.get_running_loop()
    came = loop.create_future()

    class Listening(cede.DatagramProtocol):
        def datagram_received(self, data: bytes, address: Any) -> None:
            if not came.done():
                came.set_result(data)

    ours, _ = await loop.create_datagram_endpoint(Listening, local_addr=("127.0.0.1", 0))
    theirs, _ = await loop.create_datagram_endpoint(cede.DatagramProtocol, remote_addr=ours.get_extra_info("sockname"))
    theirs.sendto(b"hello")
    assert await came == b"hello"
    ours.close()
    theirs.abort()
    await cede.sleep(0.01)


async def threads_calling_in(soak: Soak) -> None:
    """Threads that wait for a coroutine's result, and that only leave a message."""
    loop = cede.get_running_loop()
    messages: list[int] = []

    async def answer(number: int) -> int:
        await cede.sleep(0)
        return number

    def call(number: int) -> int:
        loop.call_soon_threadsafe(messages.append, number)
        return cede.run_coroutine_threadsafe(answer(number), loop).result(STALLED_AFTER)

    assert await cede.gather(*(cede.to_thread(call, number) for number in range(5))) == [0, 1, 2, 3, 4]
    assert sorted(messages) == [0, 1, 2, 3, 4]


async def signals(soak: Soak) -> None:
    before = soak.signals
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGUSR1)
    while soak.signals == before:
        await cede.sleep(0.001)
    await cede.sleep(0.01)


async def children(soak: Soak) -> None:
    process = await cede.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    if soak.random.random() < 0.5:
        assert await process.communicate(b"x" * 1000) == (b"x" * 1000, None)
    else:
        process.kill()
        await process.communicate()
    await cede.sleep(0.05)


async def generators(soak: Soak) -> None:
    """Asynchronous generators that are left in the middle."""

    async def count() -> Any:
        for number in itertools.count():
            yield number
            await cede.sleep(0)

    for _ in range(10):
        async for number in count():
            if number == 3:
                break
    await cede.sleep(0)


WORKERS = (
    spawning,
    cancelling,
    timing_out,
    handing_over,
    connecting,
    tls,
    pairs,
    datagrams,
    threads_calling_in,
    signals,
    children,
    generators,
)

# -- the judgement ------------------------------------------------------------------------------------------------


def watch(soak: Soak) -> None:
    """In a thread: end the process if a worker stands still, and show where everybody is."""
    last = dict.fromkeys((once.__name__ for once in WORKERS), (-1, time.monotonic()))
    while not soak.over:
        time.sleep(0.2)
        for name, (rounds, since) in last.items():
            now = soak.rounds.get(name, 0)
            if now != rounds:
                last[name] = (now, time.monotonic())
            elif time.monotonic() - since > STALLED_AFTER:
                print(f"STALLED: {name} in its round {rounds}", file=sys.stderr)
                for task in capture():
                    print(task["name"], *(" ".join(map(str, entry)) for entry in task["stack"]), sep="\n    ")
                sys.stdout.flush()
                os._exit(1)


def growth(measures: list[dict[str, int]], seconds: float) -> dict[str, tuple[float, float]]:
    """Return what grew too much from the third quarter of the time to the last; the first half is for warming up."""
    quarter = max(1, len(measures) // 4)
    grown = {}
    for name in measures[0]:
        before = statistics.median(measured[name] for measured in measures[-2 * quarter : -quarter])
        after = statistics.median(measured[name] for measured in measures[-quarter:])
        most = MOST_GROWTH
        if name in ("resident", "allocated"):
            most = next(growth for least, growth in MOST_GROWTH_OF_BYTES if seconds >= least)
        if after > before * (1 + most):
            grown[name] = (before, after)
    return grown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    soak = Soak(arguments.minutes * 60, arguments.seed)
    sys.unraisablehook = lambda problem: soak.complain(f"unraisable in {problem.object!r}: {problem.exc_value!r}")
    threading.excepthook = lambda problem: soak.complain(f"in a thread: {problem.exc_value!r}")
    speed = "compiled" if cede.compiled else "pure"
    print(f"cede {cede.__version__}, {speed}, Python {sys.version.split()[0]}, seed {arguments.seed}", flush=True)
    threading.Thread(target=watch, args=(soak,), daemon=True).start()
    cede.run(soak.run())
    gc.collect()
    for name, rounds in soak.rounds.items():
        print(f"{name:<20} {rounds:>8} rounds")
    grown = growth(soak.measures, soak.seconds)
    for name, (before, after) in grown.items():
        print(f"GREW: {name} from {before} to {after}")
    print("complaints:", len(soak.complaints))
    return 1 if grown or soak.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
