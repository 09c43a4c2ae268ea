"""Faults of the system under a stream transport: calls that are interrupted, memory that is not there."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import threading
import time

import pytest

import cede
from cede.engine import own_calls
from tests.io.conftest import LARGE

# --- Interrupted system calls


async def test_system_calls_that_are_interrupted(loop, connected):
    """A timer's signal strikes every half millisecond, in Python's handler and in the loop's; nothing is lost."""
    strikes = itertools.count()
    before = signal.signal(signal.SIGALRM, lambda *_: next(strikes))
    noticed = itertools.count()
    loop.add_signal_handler(signal.SIGUSR1, lambda: next(noticed))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        async with connected() as (transport, protocol, peer):
            data = LARGE[:4_000_000]
            transport.write(data)
            sending = asyncio.ensure_future(loop.sock_sendall(peer, data))
            got = bytearray()
            while len(got) < len(data):
                got += await loop.sock_recv(peer, 100_000)
                os.kill(os.getpid(), signal.SIGUSR1)
            await sending
            assert await protocol.got(len(data)) == data
            assert got == data
            for _ in range(20):
                await asyncio.sleep(0.001)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        loop.remove_signal_handler(signal.SIGUSR1)
    assert next(strikes) > 5
    assert next(noticed) > 0


@pytest.mark.cede_only("asyncio drops the number of a signal, and warns, when the pipe is full")
async def test_a_storm_of_signals(loop):
    """More signals than the pipe to the loop has room for: those of a kind fall together, none is forgotten."""
    seen = []
    last = loop.create_future()
    loop.add_signal_handler(signal.SIGUSR1, seen.append, 1)
    loop.add_signal_handler(signal.SIGUSR2, lambda: last.done() or last.set_result(None))
    try:
        for _ in range(3000):
            os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR2)
        await asyncio.wait_for(last, 5)
        assert 0 < len(seen) <= 3000
        seen.clear()
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.sleep(0.01)
        assert seen == [1]
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)
        loop.remove_signal_handler(signal.SIGUSR2)


async def test_a_storm_from_another_thread_starves_nobody(loop):
    main = threading.get_ident()
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, 1)
    over = False

    def storm():
        while not over:
            signal.pthread_kill(main, signal.SIGUSR1)
            time.sleep(0)

    thread = threading.Thread(target=storm)
    try:
        thread.start()
        await asyncio.sleep(0.05)
        for _ in range(100):
            await asyncio.sleep(0)
        assert seen
    finally:
        over = True
        thread.join()
        loop.remove_signal_handler(signal.SIGUSR1)


# --- No memory


NO_MEMORY = """
import contextlib, os, resource, socket, sys
import cede
with contextlib.suppress(ImportError):
    import _colorize                            # what traceback imports when it first prints: not without memory

def limit_memory():
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used, resource.RLIM_INFINITY))

no_limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

class Keeping(cede.Protocol):
    def connection_made(self, transport):
        self.kept = []
        self.lost = cede.get_running_loop().create_future()

    def data_received(self, data):
        self.kept.append(data)                  # nothing is freed that the next read could have
        if len(self.kept) == 3:
            limit_memory()

    def connection_lost(self, exc):
        self.lost.set_result(exc)

def handle(loop, context):
    resource.setrlimit(resource.RLIMIT_AS, no_limit)
    told.append(context)

async def main():
    loop = cede.get_running_loop()
    loop.set_exception_handler(handle)
    if sys.argv[1] == "pipe":
        reading, writing = os.pipe()
        _, protocol = await loop.connect_read_pipe(Keeping, open(reading, "rb", 0))
        writer, _ = await loop.connect_write_pipe(cede.Protocol, open(writing, "wb", 0))
    else:
        ours, theirs = socket.socketpair()
        _, protocol = await loop.create_connection(Keeping, sock=ours)
        writer, _ = await loop.create_connection(cede.Protocol, sock=theirs)
    writer.write(bytes(100_000_000))
    assert isinstance(await protocol.lost, MemoryError)
    (context,) = told
    assert context["exception"] is protocol.lost.result()
    assert "Fatal read error" in context["message"]
    writer.abort()
    assert await cede.sleep(0.01, "alive") == "alive"

told = []
cede.run(main())
"""


def test_no_memory_for_what_came_ends_that_connection_only(run_python):
    run_python(NO_MEMORY, "socket")


@pytest.mark.skipif(not cede.compiled, reason="interpreted, waiting takes memory, too; the next test is for that")
def test_no_memory_for_what_came_through_a_pipe(run_python):
    run_python(NO_MEMORY, "pipe")


@pytest.mark.skipif(cede.compiled, reason="compiled, nothing of Python's reads")
async def test_no_memory_to_read_from_a_pipe(loop, loop_errors, recorder, monkeypatch):
    def no_memory(fd, size):
        raise MemoryError

    reading, writing = os.pipe()
    transport, protocol = await loop.connect_read_pipe(recorder, os.fdopen(reading, "rb"))
    monkeypatch.setattr(own_calls, "read", no_memory)
    os.write(writing, b"x")
    with contextlib.suppress(MemoryError):
        await protocol.lost
    monkeypatch.undo()
    os.close(writing)
    assert isinstance(loop_errors.pop()["exception"], MemoryError)
    assert transport.is_closing()
