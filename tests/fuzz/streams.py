"""Random programs of streams over socket pairs, in virtual time: the same on stock asyncio and on cede.

Several actors, each a task, do one thing after the other with the ends of some socket pairs: write, read in every way,
close, abort, wait with a timeout, cancel each other. Sockets are real, time is not: a loop that would wait advances the
clock, and only when the kernel has nothing for it. Each step begins at a moment that no other step has. So whatever a
step sets going comes to rest before the next one begins, and what is seen does not depend on the order inside of a
moment, which is each loop's own: in which turn it sends, how much it reads at once.

Two things are taken out of the comparison, as cede does better by intent: what came before a reset can still be read, and a
cancelled `read()` loses nothing. Stock asyncio's readers are taught both.
"""

from __future__ import annotations

import asyncio
import gc
import random
import selectors
import socket
import sys
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from cede.io.stock_streams import ReaderOfRest

from .worlds import Clock, Deadlock

Step = list[Any]  # kind, number of an end, argument, timeout in seconds or None
Program = list[list[Step]]  # the steps of each actor

KINDS = (
    *("write",) * 6,
    *("writelines",) * 2,
    *("exactly",) * 4,
    *("line",) * 3,
    *("until",) * 3,
    *("some",) * 3,
    *("all",) * 2,
    *("drain", "wait_closed", "eof", "close", "abort", "cancel", "flood"),
)
# Stock asyncio's: on a transport that is closed (3.12, 3.13), or with another message (3.11).
WRITELINES_FAILS = sys.version_info < (3, 14)
MUCH = 50_000  # bytes; how much of a flood was taken in when it is broken off is each loop's own
ENDS = 4  # of two socket pairs
LIMIT = 2**10  # bytes, of a reader
MOST_RUNS = 30


class KernelSelector(selectors.DefaultSelector):
    """A selector that advances the clock when the kernel has nothing."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        found = super().select(0)
        if not found and timeout != 0:
            self.clock.wait(timeout)
        return found


class StockLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__(KernelSelector(self.clock))
        self._clock_resolution = self.clock.resolution

    def time(self) -> float:
        return self.clock.now


def cede_loop() -> Any:
    import cede

    clock = Clock()
    return cede.EventLoop(KernelSelector(clock), clock=clock)


# -- making and shrinking them -----------------------------------------------------------------------------------------


def generate(seed: int) -> Program:
    rng = random.Random(seed)
    return [[step(rng) for _ in range(rng.randrange(1, 9))] for _ in range(rng.randrange(1, 6))]


def step(rng: random.Random) -> Step:
    kind = rng.choice(KINDS)
    patience = rng.choice((None, None, 0, 1, 3))
    return [kind, rng.randrange(ENDS), rng.choice((0, 1, 3, 10, 50, 400, 1500)), patience]


def smaller(program: Program) -> list[Program]:
    """Return programs with an actor less, or a step less."""
    found = [program[:n] + program[n + 1 :] for n in range(len(program)) if len(program) > 1]
    for n, steps in enumerate(program):
        found += [[*program[:n], steps[:m] + steps[m + 1 :], *program[n + 1 :]] for m in range(len(steps))]
    return found


# -- playing them ------------------------------------------------------------------------------------------------------


class Play:
    """One run of one program with the streams of `lib` on `loop`."""

    def __init__(self, lib: Any, loop: Any) -> None:
        self.lib = lib
        self.loop = loop
        self.seen: list[tuple[float, str, str]] = []  # when, who, what
        self.moments = 0
        self.readers: list[Any] = []
        self.writers: list[Any] = []
        self.actors: list[Any] = []
        self.searched = [0] * ENDS  # how many wait for a separator there

    def note(self, who: str, what: str) -> None:
        self.seen.append((self.loop.time(), who, what))

    async def prepare(self) -> None:
        for _ in range(ENDS // 2):
            for sock in socket.socketpair():
                reader, writer = await self.lib.open_connection(sock=sock, limit=LIMIT)
                if isinstance(self.loop, StockLoop):
                    reader.__class__ = ReaderOfRest  # what came before a reset can be read on cede only
                self.readers.append(reader)
                self.writers.append(writer)

    async def actor(self, number: int, steps: list[Step]) -> None:
        name = f"actor {number}"
        for place, (kind, end, argument, patience) in enumerate(steps):
            # Binary fractions, each actor's its own: no two steps begin, and no timeout ends, at the same moment.
            fraction = 2.0 ** -(number * 8 + place + 2)
            try:
                await self.lib.sleep(1 + fraction)
                doing = getattr(self, f"do_{kind}")(end, argument)
                if isinstance(doing, Awaitable):
                    doing = await self.lib.wait_for(doing, None if patience is None else patience + fraction)
                self.note(name, f"{kind} {end}: {told(doing)}")
            except asyncio.CancelledError:
                self.note(name, f"{kind} {end}: cancelled")
            except Exception as exc:
                self.note(name, f"{kind} {end}: {told(exc)}")
        self.note(name, "ends")

    def do_write(self, end: int, size: int) -> None:
        self.writers[end].write(text(size))

    def do_writelines(self, end: int, size: int) -> None:
        chunks = [text(size + 1), text(size // 2 + 1)]  # stock asyncio hangs on an empty one
        if WRITELINES_FAILS:
            self.writers[end].write(b"".join(chunks))
        else:
            self.writers[end].writelines(chunks)

    def reader(self, end: int) -> Any:
        reader = self.readers[end]
        if reader.exception() is not None:
            reader._buffer.clear()  # stock asyncio never gives what came before an error, cede does
        return reader

    def do_line(self, end: int, size: int) -> Awaitable[bytes]:
        return self.search(end, self.reader(end).readline())

    def do_until(self, end: int, size: int) -> Awaitable[bytes]:
        return self.search(end, self.reader(end).readuntil(b"f\n" if size else b"nowhere"))

    async def search(self, end: int, searching: Awaitable[bytes]) -> bytes:
        self.searched[end] += 1
        try:
            return await searching
        finally:
            self.searched[end] -= 1

    # What takes bytes away from under a search is left out: stock asyncio then goes on searching too far behind.

    def do_exactly(self, end: int, size: int) -> Awaitable[bytes] | None:
        return None if self.searched[end] else self.reader(end).readexactly(size)

    def do_some(self, end: int, size: int) -> Awaitable[bytes] | None:
        return None if self.searched[end] else self.reader(end).read(size)

    def do_all(self, end: int, size: int) -> Awaitable[bytes] | None:
        return None if self.searched[end] else self.to_the_end(self.reader(end))

    async def to_the_end(self, reader: Any) -> bytes:
        try:
            data: bytes = await reader.read()
        except BaseException:
            reader._buffer.clear()  # stock asyncio loses what it had until then, cede gives it to who reads next
            raise
        return data

    def do_drain(self, end: int, size: int) -> Awaitable[None]:
        return self.writers[end].drain()  # type: ignore[no-any-return]

    def do_wait_closed(self, end: int, size: int) -> Awaitable[None]:
        return self.writers[end].wait_closed()  # type: ignore[no-any-return]

    def do_eof(self, end: int, size: int) -> None:
        self.writers[end].write_eof()

    def do_close(self, end: int, size: int) -> None:
        self.writers[end].close()

    def do_abort(self, end: int, size: int) -> None:
        self.writers[end].transport.abort()

    def do_cancel(self, end: int, size: int) -> bool:
        return self.actors[end].cancel() if end < len(self.actors) else False

    async def do_flood(self, end: int, size: int) -> None:
        """More than the kernel and both sides hold."""
        self.writers[end].write(bytes(3_000_000))
        await self.writers[end].drain()

    def run(self, program: Program) -> list[str]:
        """Play the program to its end; return what was seen, in order."""
        self.loop.set_exception_handler(lambda loop, context: self.note("handler", context["message"]))
        self.loop.run_until_complete(self.prepare())
        self.actors = [self.loop.create_task(self.actor(n, steps)) for n, steps in enumerate(program)]
        for number in range(MOST_RUNS):
            try:
                self.loop.run_until_complete(asyncio.wait(self.actors))
                break
            except Deadlock:
                waiting = [actor for actor in self.actors if not actor.done()]
                self.note("driver", f"deadlock of {[self.actors.index(actor) for actor in waiting]}")
                waiting[number % len(waiting)].cancel()
        self.finish()
        return [f"{when:.9g} {who}: {what}" for when, who, what in sorted(self.seen)]

    def finish(self) -> None:
        for end, (reader, writer) in enumerate(zip(self.readers, self.writers, strict=True)):
            self.note(f"end {end}", f"eof {reader.at_eof()}, closing {writer.is_closing()}, {told(reader.exception())}")
        for writer in self.writers:
            try:
                writer.transport.abort()
            except AttributeError as exc:  # stock asyncio's, up to 3.13, where it is lost already
                self.note("end", told(exc))
        self.loop.run_until_complete(asyncio.sleep(1))
        self.loop.close()


async def keeping_all(reader: Any) -> bytes:
    """Read to the end with asyncio's reader, and lose nothing when cancelled, as cede's `read()` does."""
    parts = []
    try:
        while part := await reader.read(LIMIT):
            parts.append(part)
    except BaseException:
        reader._buffer[:0] = b"".join(parts)
        raise
    return b"".join(parts)


def text(size: int) -> bytes:
    return (b"abcdef\n" * (size // 7 + 1))[:size]


def told(value: Any) -> str:
    if isinstance(value, bytes):
        if len(value) > MUCH:
            return "many bytes"
        return f"{len(value)} bytes, {zlib.crc32(value):#x}"
    if isinstance(value, asyncio.IncompleteReadError):
        return f"IncompleteReadError after {told(value.partial)} of {value.expected}"
    if isinstance(value, asyncio.LimitOverrunError):
        return "LimitOverrunError"  # how much was seen by then is each loop's own
    return f"{type(value).__name__}: {value}" if isinstance(value, Exception) else str(value)


def play(program: Program, lib: Any, new_loop: Callable[[], Any]) -> list[str]:
    """Return what is seen of `program`, run with the names of `lib` on a new loop."""
    gc.disable()
    try:
        return Play(lib, new_loop()).run(program)
    finally:
        gc.enable()


def differences(program: Program, libs: dict[str, Any]) -> dict[str, list[str]]:
    """Return mode: log, of the modes in which cede does not do what stock asyncio does."""
    stock = play(program, asyncio, StockLoop)
    if any("'NoneType' object" in line for line in stock):
        return {}  # a bug of its own, of a transport that is lost and used again
    logs = {mode: play(program, lib, cede_loop) for mode, lib in libs.items()}
    return {mode: [*stock, f"--- {mode}:", *log] for mode, log in logs.items() if log != stock}


def shrink(program: Program, libs: dict[str, Any]) -> Program:
    """Return the smallest program found that still differs."""
    for candidate in smaller(program):
        if differences(candidate, libs):
            return shrink(candidate, libs)
    return program
