"""Tasks that can never go on are found, and no others."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cede
from cede._command import ps
from cede.observe import leaked, leaks
from cede.observe.snapshot import as_text, joined

HELD: list[Any] = []


def start(coro: Any, name: str) -> Any:
    return cede.create_task(coro, name=name)


async def awaits(future: Any) -> None:
    await future


async def takes(*locks: Any) -> None:
    async with locks[0]:
        await cede.sleep(0.001)
        async with locks[1]:
            pass


def plant() -> None:
    """Seven that are leaked."""
    loop = cede.get_running_loop()
    start(awaits(loop.create_future()), "future")
    start(cede.Event().wait(), "event")
    start(cede.Queue().get(), "queue")
    first, second = cede.Lock(), cede.Lock()
    start(takes(first, second), "lock one")
    start(takes(second, first), "lock two")
    start(awaits(start(cede.Event().wait(), "chained")), "chain")


LEAKED = ["chain", "chained", "event", "future", "lock one", "lock two", "queue"]


@pytest.fixture
def end(loop: Any) -> Callable[[], None]:
    """Return a function that cancels what was planted."""

    def end() -> None:
        for task in cede.all_tasks():
            if task is not cede.current_task():
                task.cancel()

    return end


def names(found: list[Any]) -> list[str]:
    return sorted(leak.task["name"] for leak in found)


@pytest.mark.parametrize("fork", [True, False])
async def test_planted_leaks(loop: Any, end: Callable[[], None], fork: bool) -> None:
    plant()
    await cede.sleep(0.02)
    assert names(leaks(fork=fork)) == LEAKED
    end()
    await cede.sleep(0.01)
    assert leaks(fork=fork) == []


async def test_what_is_none(loop: Any, end: Callable[[], None]) -> None:
    """Somebody is left who may wake it."""
    event, go_on = cede.Event(), threading.Event()
    held = loop.create_future()
    HELD.append(held)
    left, right = socket.socketpair()
    left.setblocking(False)
    start(awaits(held), "global")
    start(event.wait(), "a caller's variable")
    start(cede.sleep(1000), "sleep")
    start(loop.sock_recv(left, 1), "socket")
    start(cede.to_thread(go_on.wait, 10), "thread")
    start(awaits(start(cede.sleep(1000), "inner")), "outer")
    await cede.sleep(0.02)
    try:
        assert leaks() == []
    finally:
        go_on.set()
        end()
        HELD.clear()
        await cede.sleep(0.02)
        left.close()
        right.close()
        await loop.shutdown_default_executor()


async def test_a_thread_that_will_end_the_wait(loop: Any) -> None:
    """Threads are not there in the child; what they hold is held all the same."""
    go_on = threading.Event()

    def waits(future: Any) -> None:
        go_on.wait(10)
        loop.call_soon_threadsafe(future.set_result, None)

    def begin() -> tuple[Any, Any]:
        future = loop.create_future()
        thread = threading.Thread(target=waits, args=(future,))
        thread.start()
        return start(awaits(future), "waiter"), thread

    task, thread = begin()
    await cede.sleep(0.01)
    assert leaks() == []
    go_on.set()
    await task
    thread.join()


async def test_its_words(loop: Any, end: Callable[[], None]) -> None:
    async def maker() -> None:
        plant()

    await start(maker(), "main")
    await cede.sleep(0.02)
    texts = {leak.task["name"]: str(leak) for leak in leaks()}
    line = awaits.__code__.co_firstlineno + 1
    assert texts["future"] == (
        f"task 'future' can never go on: it waits for a future that only it knows, awaits test_leaks.py:{line}"
    )
    assert "it waits for task chained, awaits test_leaks.py" in texts["chain"]
    assert "it waits for Queue.get " in texts["queue"]
    assert "(held by lock two) that only such tasks know" in texts["lock one"]
    end()
    await cede.sleep(0.01)


async def test_who_made_it(loop: Any, end: Callable[[], None]) -> None:
    start(awaits(loop.create_future()), "lost")
    current = cede.current_task()
    assert current is not None
    current.set_name("the test")
    await cede.sleep(0.01)
    (leak,) = leaks()
    assert str(leak).endswith("; made by 'the test'")
    assert repr(leak) == "<Leak of 'lost'>"
    end()
    await cede.sleep(0.01)


async def test_nothing_is_run_or_changed(loop: Any, end: Callable[[], None]) -> None:
    """Hooks of forks, finalizers, the collector's state: all as before."""
    finalized: list[int] = []

    class Cycle:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            finalized.append(os.getpid())

    gc.disable()
    try:
        Cycle()
        for fork in (True, False):
            assert leaks(fork=fork) == []
            assert not gc.isenabled()
        assert finalized == []
    finally:
        gc.enable()
    gc.collect()
    assert finalized == [os.getpid()]


def test_a_child_that_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one may that was forked while another thread had its hands on what guards the interpreter's lock."""
    parent, find = os.getpid(), leaked._find
    made: list[int] = []

    def fork_of(libc: Any) -> Any:
        def fork() -> int:
            made.append(0)
            child: int = libc.fork()
            if child == 0 and len(made) == 1:
                threading.Event().wait()
            return child

        return fork

    class Libc:
        def __init__(self, name: None) -> None:
            libc = PyDLL(name)
            self.fork, self.write = fork_of(libc), libc.write

    def finds() -> list[int]:
        assert os.getpid() != parent
        return find()

    PyDLL = ctypes.PyDLL
    monkeypatch.setattr(leaked.ctypes, "PyDLL", Libc)
    monkeypatch.setattr(leaked, "_find", finds)
    interval = sys.getswitchinterval()
    assert leaked.find_in_child() == []
    assert len(made) == 2
    assert sys.getswitchinterval() == interval
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_a_child_never_lets_go_of_the_interpreter_s_lock() -> None:
    """It would wait for ever for a thread to take it: nobody is there. Threads here want it all the time."""
    over = threading.Event()

    def want() -> None:
        while not over.is_set():
            time.sleep(0)

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            assert leaked.find_in_child() == []
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_where_the_process_cannot_be_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoFork:
        def fork(self) -> int:
            return -1

    monkeypatch.setattr(leaked.ctypes, "PyDLL", lambda name: NoFork())
    with pytest.raises(OSError, match=r"leaks\(fork=False\) looks in place"):
        leaks()


async def test_the_command(
    loop: Any, end: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start(awaits(loop.create_future()), "lost")
    await cede.sleep(0.01)
    monkeypatch.setattr(
        ps, "ask", lambda pid, leaks: joined(json.loads(as_text(leaked.find_in_child() if leaks else None)))
    )
    assert ps.ps_command("ps", ["7", "--leaks"]) == 0
    assert capsys.readouterr().out.startswith("task 'lost' can never go on: ")
    end()
    await cede.sleep(0.01)
    assert ps.ps_command("ps", ["7", "--leaks"]) == 0
    assert capsys.readouterr().out == "no leaked task\n"


# -- the plugin --------------------------------------------------------------------------------------------------------

TESTS = """
import asyncio
import cede

HELD = []

async def test_on_a_loop_of_cede(tmp_path):
    assert isinstance(asyncio.get_running_loop(), cede.EventLoop)
    assert tmp_path.exists()

async def waits(future):
    await future

async def test_that_leaks(cede_no_leaks):
    cede.create_task(waits(asyncio.get_running_loop().create_future()), name="lost")
    await cede.sleep(0.01)

async def test_that_does_not(cede_no_leaks):
    HELD.append(asyncio.get_running_loop().create_future())
    cede.create_task(waits(HELD[0]), name="held")
    await cede.sleep(0.01)

async def test_that_nobody_asked():
    cede.create_task(waits(asyncio.get_running_loop().create_future()), name="lost")
    await cede.sleep(0.01)

def test_plain(cede_no_leaks):
    pass
"""


def test_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    plugins = ["-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:anyio", "-p", "cede.observe.plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=25,
    )
    assert "1 failed, 4 passed" in done.stdout, done.stdout + done.stderr
    assert "task 'lost' can never go on: it waits for a future that only it knows, waits test_it.py:" in done.stdout


def test_at_the_end_of_a_run_in_debug_mode(caplog: pytest.LogCaptureFixture) -> None:
    """One message for each task that could never have gone on; others that are left are none of it."""

    async def waits_for_nobody() -> None:
        await cede.get_running_loop().create_future()

    async def waits_for_somebody() -> None:
        await cede.sleep(1000)

    async def main() -> None:
        cede.create_task(waits_for_nobody(), name="forgotten")
        cede.create_task(waits_for_somebody(), name="sleeper")
        await cede.sleep(0.01)

    cede.run(main())
    assert caplog.messages == []
    cede.run(main(), debug=True)
    (message,) = caplog.messages
    assert message.startswith("task 'forgotten' can never go on: it waits for a future that only it knows, ")
    assert "waits_for_nobody test_leaks.py:" in message
    assert caplog.records[0].levelname == "WARNING" and caplog.records[0].name == "asyncio"
