"""Names to addresses: literals need no thread, look-ups have threads of their own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import socket
import threading

import pytest

from cede.net import resolve
from cede.net.resolve import LookupThreads, literal

STREAM, DGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP
INET, INET6 = socket.AF_INET, socket.AF_INET6


@pytest.mark.parametrize(
    ("arguments", "entry"),
    [
        (("1.2.3.4", 1, 0, STREAM, 0), (INET, STREAM, TCP, "", ("1.2.3.4", 1))),
        (("1.2.3.4", 1, INET, STREAM, TCP), (INET, STREAM, TCP, "", ("1.2.3.4", 1))),
        (("1.2.3.4", 1, 0, DGRAM, UDP), (INET, DGRAM, UDP, "", ("1.2.3.4", 1))),
        ((b"1.2.3.4", 1, 0, STREAM, 0), (INET, STREAM, TCP, "", ("1.2.3.4", 1))),
        (("::3", 1, 0, STREAM, 0), (INET6, STREAM, TCP, "", ("::3", 1, 0, 0))),
        (("::3", 1, INET6, DGRAM, 0, 5, 6), (INET6, DGRAM, UDP, "", ("::3", 1, 5, 6))),
        (("1.2.3.4", "80", 0, STREAM, 0), (INET, STREAM, TCP, "", ("1.2.3.4", 80))),
        (("1.2.3.4", b"80", 0, STREAM, 0), (INET, STREAM, TCP, "", ("1.2.3.4", 80))),
        (("1.2.3.4", None, 0, STREAM, 0), (INET, STREAM, TCP, "", ("1.2.3.4", 0))),
        (("1.2.3.4", "", 0, STREAM, 0), (INET, STREAM, TCP, "", ("1.2.3.4", 0))),
        (("1.2.3.4", b"", 0, STREAM, 0), (INET, STREAM, TCP, "", ("1.2.3.4", 0))),
        # Not for us: a service, a name, the wrong family, a zone, no host, a raw socket, a strange protocol.
        (("1.2.3.4", "http", 0, STREAM, 0), None),
        (("localhost", 1, 0, STREAM, 0), None),
        (("::3", 1, INET, STREAM, 0), None),
        (("1.2.3.4", 1, INET6, STREAM, 0), None),
        (("fe80::1%lo", 1, 0, STREAM, 0), None),
        ((None, 1, 0, STREAM, 0), None),
        (("1.2.3.4", 1, 0, socket.SOCK_RAW, 0), None),
        (("1.2.3.4", 1, 0, 0, 0), None),
        (("1.2.3.4", 1, 0, STREAM, 99), None),
    ],
)
def test_literal(arguments, entry):
    assert literal(*arguments) == entry


@pytest.fixture
def no_threads(monkeypatch):
    def refuse(self, *args):
        raise AssertionError("a thread was asked")

    monkeypatch.setattr(LookupThreads, "submit", refuse)


@pytest.mark.usefixtures("no_threads")
@pytest.mark.parametrize("host", ["127.0.0.1", b"127.0.0.1", "::1", "fe80::1%lo", "ff02::1%lo", None])
@pytest.mark.parametrize("port", [80, "80", None])
async def test_getaddrinfo_asks_no_thread_for_a_literal(loop, host, port):
    if host is None and port is None:
        pytest.skip("the C library wants one of them")
    assert await loop.getaddrinfo(host, port, type=STREAM) == socket.getaddrinfo(host, port, type=STREAM)


@pytest.mark.usefixtures("no_threads")
async def test_a_zone_is_kept(loop):
    scope = socket.if_nametoindex("lo")
    infos = await resolve.resolve(loop, ("fe80::1%lo", 80))
    assert [info[4][3] for info in infos] == [scope]


@pytest.mark.usefixtures("no_threads")
async def test_a_passive_look_up_without_a_host(loop):
    infos = await loop.getaddrinfo(None, 80, type=STREAM, flags=socket.AI_PASSIVE)
    assert {info[4][0] for info in infos} <= {"0.0.0.0", "::"}


async def test_a_bad_literal_fails_as_the_c_library_says(loop):
    with pytest.raises(socket.gaierror):
        await loop.getaddrinfo("::1", 80, family=INET)


async def test_names_and_services_are_looked_up_in_a_thread(loop, monkeypatch):
    asked = []

    def getaddrinfo(*args):
        asked.append((threading.current_thread().name, args))
        return ["entry"]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert await loop.getaddrinfo("name.invalid", 80, type=STREAM) == ["entry"]
    assert await loop.getaddrinfo("127.0.0.1", "http") == ["entry"]
    assert asked == [
        ("cede-lookup", ("name.invalid", 80, 0, STREAM, 0, 0)),
        ("cede-lookup", ("127.0.0.1", "http", 0, 0, 0, 0)),
    ]


async def test_getnameinfo(loop):
    assert await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST) == ("127.0.0.1", "http")


async def test_an_error_of_the_look_up_is_raised(loop, monkeypatch):
    def getaddrinfo(*args):
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(socket.gaierror, match="later"):
        await loop.getaddrinfo("name.invalid", 80)


async def test_a_full_default_executor_does_not_delay_look_ups(loop):
    gate = threading.Event()
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
    busy = loop.run_in_executor(None, gate.wait)
    try:
        assert await asyncio.wait_for(loop.getaddrinfo("localhost", 80), 10)
    finally:
        gate.set()
        await busy


async def test_look_ups_run_side_by_side(loop, monkeypatch):
    barrier = threading.Barrier(8)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: [barrier.wait(10)])
    found = await asyncio.gather(*(loop.getaddrinfo(f"name{n}.invalid", 80) for n in range(8)))
    assert sorted(found) == [[n] for n in range(8)]


async def test_resolve_asks_the_loop(loop, monkeypatch):
    class Fake:
        async def getaddrinfo(self, host, port, **kwargs):
            return [(host, port, kwargs)] if port else []

    found = await resolve.resolve(Fake(), ("name.invalid", 80, 1, 2), family=INET, flags=3)
    assert found == [("name.invalid", 80, {"family": INET, "type": STREAM, "proto": 0, "flags": 3})]
    with pytest.raises(OSError, match=r"getaddrinfo\('x'\) returned empty list"):
        await resolve.resolve(Fake(), ("x", 0), shown="'x'")


async def test_debug_mode_logs_look_ups_and_the_slow_ones_louder(loop, caplog, monkeypatch):
    loop.set_debug(True)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: ["entry"])
    caplog.set_level(logging.DEBUG, "asyncio")
    await loop.getaddrinfo("name.invalid", 80, type=STREAM)
    assert "Get address info name.invalid:80, type=" in caplog.text
    assert [r.levelname for r in caplog.records if r.getMessage().startswith("Getting address info")] == ["DEBUG"]
    loop.slow_callback_duration = 0
    caplog.clear()
    await loop.getaddrinfo("name.invalid", 80)
    assert [r.levelname for r in caplog.records if r.getMessage().startswith("Getting address info")] == ["INFO"]
    loop.slow_callback_duration = 10


# --- The threads


def test_threads_are_made_when_all_are_busy_and_end_on_close():
    pool = LookupThreads()
    gate = threading.Event()
    assert pool.submit(int, "1").result(10) == 1
    assert pool.submit(int, "2").result(10) == 2
    assert len(pool._threads) == 1
    futures = [pool.submit(gate.wait) for _ in range(3)]
    assert len(pool._threads) == 3
    gate.set()
    assert [future.result(10) for future in futures] == [True] * 3
    threads = list(pool._threads)
    pool.close()
    assert not any(thread.is_alive() for thread in threads)
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(int)


def test_beyond_the_limit_look_ups_wait(monkeypatch):
    monkeypatch.setattr(LookupThreads, "LIMIT", 2)
    pool = LookupThreads()
    gate = threading.Event()
    futures = [pool.submit(gate.wait) for _ in range(5)]
    assert len(pool._threads) == 2
    gate.set()
    assert [future.result(10) for future in futures] == [True] * 5
    pool.close()


def test_idle_threads_end(monkeypatch):
    monkeypatch.setattr(LookupThreads, "IDLE", 0.01)
    pool = LookupThreads()
    assert pool.submit(int).result(10) == 0
    for thread in list(pool._threads):
        thread.join(10)
    assert pool._threads == set()
    assert pool.submit(int).result(10) == 0
    pool.close()


def test_close_cancels_what_waits_and_leaves_what_runs(monkeypatch):
    monkeypatch.setattr(LookupThreads, "LIMIT", 1)
    pool = LookupThreads()
    started, gate = threading.Event(), threading.Event()

    def work():
        started.set()
        gate.wait()
        return 1

    running, waiting = pool.submit(work), pool.submit(int)
    started.wait(10)
    pool.close()  # would hang here
    assert waiting.cancelled()
    gate.set()
    assert running.result(10) == 1


def test_a_cancelled_look_up_does_not_start(monkeypatch):
    monkeypatch.setattr(LookupThreads, "LIMIT", 1)
    pool = LookupThreads()
    gate, called = threading.Event(), []
    running, waiting = pool.submit(gate.wait), pool.submit(called.append, 1)
    waiting.cancel()
    gate.set()
    running.result(10)
    assert pool.submit(int).result(10) == 0
    pool.close()
    assert called == []
