"""Make and drop each kind of object ten thousand times, and look whether anything is left of it.

    python -m tests.rounds [--rounds N] [KIND...]

On a debug build of the interpreter (`make refcounts`) the references of the whole process are counted, elsewhere the blocks
of memory, under the address sanitizer (`make sanitize`) its bytes: of each there must be as many after ten thousand rounds
as after the first ones. Exits with 1 if anything grew.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import socket
import sys
from collections.abc import Awaitable, Callable

import cede

WARM_UP = 1500  # rounds after which kept memory, caches and the interpreter's own tables are full
SLACK = 200  # references or blocks that may come and go on their own; a leak of one in fifty rounds is more
SMALLEST = 32  # bytes; no object is smaller

Round = Callable[[cede.AbstractEventLoop], Awaitable[object]]
kinds: dict[str, Round] = {}


def kind(function: Round) -> Round:
    kinds[function.__name__] = function
    return function


async def answer(value: object = None) -> object:
    return value


async def fail() -> None:
    raise ValueError("of this round")


@kind
async def future(loop: cede.AbstractEventLoop) -> None:
    waited = loop.create_future()
    loop.call_soon(waited.set_result, object())
    await waited


@kind
async def future_with_callbacks(loop: cede.AbstractEventLoop) -> None:
    waited = loop.create_future()
    for _ in range(3):
        waited.add_done_callback(lambda done: None)
    waited.set_exception(ValueError("of this round"))
    try:
        await waited
    except ValueError:
        await cede.sleep(0)
    finally:
        del waited  # it leads to its exception, and that to this frame


@kind
async def task(loop: cede.AbstractEventLoop) -> None:
    await loop.create_task(answer(object()), name="a name")


@kind
async def failed_task(loop: cede.AbstractEventLoop) -> None:
    try:
        await loop.create_task(fail())
    except ValueError:
        pass


@kind
async def cancelled_task(loop: cede.AbstractEventLoop) -> None:
    sleeper = loop.create_task(cede.sleep(60))
    await cede.sleep(0)
    sleeper.cancel()
    try:
        await sleeper
    except cede.CancelledError:
        pass


@kind
async def eager_task(loop: cede.AbstractEventLoop) -> None:
    await cede.Task(answer(1), loop=loop, eager_start=True)


@kind
async def handle(loop: cede.AbstractEventLoop) -> None:
    loop.call_soon(answer, object()).cancel()
    kept = loop.call_soon(len, [1, 2])
    await cede.sleep(0)
    repr(kept)


@kind
async def thread_safe_handle(loop: cede.AbstractEventLoop) -> None:
    loop.call_soon_threadsafe(len, "round")
    await cede.sleep(0)


@kind
async def timer(loop: cede.AbstractEventLoop) -> None:
    loop.call_later(60, answer, object()).cancel()
    loop.call_later(0, len, "round")
    await cede.sleep(0)


@kind
async def gathering(loop: cede.AbstractEventLoop) -> None:
    await cede.gather(answer(1), answer(2), fail(), return_exceptions=True)


@kind
async def group(loop: cede.AbstractEventLoop) -> None:
    async with cede.TaskGroup() as tasks:
        tasks.create_task(answer(1))


@kind
async def timeout(loop: cede.AbstractEventLoop) -> None:
    async with cede.timeout(60):
        await cede.sleep(0)
    try:
        await cede.wait_for(loop.create_future(), 0)
    except TimeoutError:
        pass


@kind
async def shield(loop: cede.AbstractEventLoop) -> None:
    await cede.shield(answer(object()))


@kind
async def lock(loop: cede.AbstractEventLoop) -> None:
    held = cede.Lock()
    async with held:
        waiting = loop.create_task(held.acquire())
        await cede.sleep(0)
    await waiting


@kind
async def queue(loop: cede.AbstractEventLoop) -> None:
    full: cede.Queue[object] = cede.Queue(1)
    await full.put(object())
    getting = loop.create_task(full.get())
    await full.put(object())
    await getting


@kind
async def foreign_await(loop: cede.AbstractEventLoop) -> None:
    waited = asyncio.Future(loop=loop)
    loop.call_soon(waited.set_result, 1)
    await waited


@kind
async def connection(loop: cede.AbstractEventLoop) -> None:
    left, right = socket.socketpair()
    left.setblocking(False)
    reader, writer = await cede.open_connection(sock=left)
    right.send(b"a line\n")
    assert await reader.readline() == b"a line\n"
    writer.write(b"back")
    assert right.recv(10) == b"back"
    right.close()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


def counter() -> tuple[str, Callable[[], int]]:
    """Return what this process can count, and the function that does."""
    if hasattr(sys, "gettotalrefcount"):
        return "references", sys.gettotalrefcount
    allocated = getattr(ctypes.CDLL(None), "__sanitizer_get_current_allocated_bytes", None)
    if allocated is None:
        return "blocks", sys.getallocatedblocks
    allocated.restype = ctypes.c_size_t
    return "objects at most", lambda: int(allocated() // SMALLEST)


COUNTED, total = counter()


def count() -> int:
    gc.collect()
    return total()


def grown(play: Round, rounds: int) -> int:
    """Return how much more there is after that many rounds."""
    loop = cede.new_event_loop()

    async def repeat(times: int) -> None:
        for _ in range(times):
            await play(loop)
        await cede.sleep(0.01)  # what still waits, comes

    loop.run_until_complete(repeat(WARM_UP))
    before = count()
    loop.run_until_complete(repeat(rounds))
    after = count()
    loop.close()
    return after - before


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("kinds", nargs="*", metavar="KIND", default=list(kinds))
    options = parser.parse_args()
    failed = False
    for name in options.kinds:
        left = grown(kinds[name], options.rounds)
        failed |= left > SLACK
        print(f"{name:24} {left:+6} {COUNTED}{'   GROWS' if left > SLACK else ''}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
