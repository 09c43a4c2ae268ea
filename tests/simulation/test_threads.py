"""Threads of a world: one runs at a time, all waits are virtual, and none outlives it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
import socket
import threading
import time
from time import monotonic
from typing import Any

import pytest

from cede.simulation import Deadlock, SimulationError, World, explore, run, threads
from cede.simulation.choices import Uniform

Threads = threading.Thread


def started(*functions: Any) -> list[threading.Thread]:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    return threads


def test_work_in_threads_takes_virtual_time() -> None:
    def work(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    async def main() -> None:
        began = monotonic()
        assert await asyncio.gather(*(asyncio.to_thread(work, seconds) for seconds in (300, 100, 200))) == [
            300,
            100,
            200,
        ]
        assert 300 <= monotonic() - began < 301
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            assert list(pool.map(work, (10, 20))) == [10, 20]
        assert 330 <= monotonic() - began < 331

    run(main)


def test_a_worker_may_wait_for_the_loop() -> None:
    async def double(value: int) -> int:
        await asyncio.sleep(60)
        return 2 * value

    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = monotonic()
        assert await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(double(4), loop).result()) == 8
        assert await asyncio.to_thread(lambda: asyncio.run(double(5))) == 10
        assert 120 <= monotonic() - before < 121

    run(main)


def test_the_loops_own_thread_may_wait_for_a_worker() -> None:
    async def main() -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            future = pool.submit(time.sleep, 7)
            before = monotonic()
            future.result()
            assert 7 <= monotonic() - before < 7.1
        ticks: list[float] = []
        asyncio.get_running_loop().call_later(1, ticks.append, 1)
        (thread,) = started(lambda: time.sleep(5))
        thread.join()
        assert ticks == []  # the loop stood still
        await asyncio.sleep(0.1)
        assert ticks == [1]

    run(main)


def test_what_threads_share() -> None:
    async def main() -> None:
        events: list[Any] = []
        lock, condition, semaphore = threading.RLock(), threading.Condition(), threading.Semaphore(2)
        barrier, event, things = threading.Barrier(2), threading.Event(), queue.Queue(1)  # type: ignore[var-annotated]

        def locks() -> None:
            with lock, lock:
                time.sleep(1)
                events.append("lock")

        def waits() -> None:
            with condition:
                assert condition.wait_for(lambda: "go" in events, timeout=100)
                events.append("condition")

        def goes() -> None:
            time.sleep(5)
            with condition:
                events.append("go")
                condition.notify_all()

        def puts() -> None:
            for number in range(3):
                things.put(number)
            event.set()

        def takes() -> None:
            for _ in range(3):
                time.sleep(1)
                events.append(things.get())

        def meets() -> None:
            with semaphore:
                barrier.wait()
                events.append("barrier")

        threads = started(locks, locks, waits, goes, puts, takes, meets, meets)
        assert event.wait(50)
        for thread in threads:
            thread.join()
            assert not thread.is_alive()
        assert events.count("lock") == 2 and events.count("barrier") == 2
        assert [event for event in events if isinstance(event, int)] == [0, 1, 2]
        assert events.index("go") < events.index("condition")
        assert not threading.Event().wait(3)
        with pytest.raises(queue.Empty):
            queue.SimpleQueue().get(timeout=2)
        with pytest.raises(queue.Full):
            things.put(1)
            things.put(2, timeout=1)
        held = threading.Lock()
        held.acquire()
        assert not held.acquire(timeout=2) and not held.acquire(blocking=False)
        with pytest.raises(ValueError):
            held.acquire(False, 1)

    run(main)


def test_a_timer_and_a_thread_that_fails(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)

    def fails() -> None:
        raise LookupError("lost")

    async def main() -> None:
        event = threading.Event()
        threading.Timer(30, event.set).start()
        cancelled = threading.Timer(10, fails)
        cancelled.start()
        cancelled.cancel()
        before = monotonic()
        assert event.wait()
        assert 30 <= monotonic() - before < 30.1
        (thread,) = started(fails)
        thread.join()

    run(main)
    assert [failure.exc_type for failure in failures] == [LookupError]


def test_threads_go_on_in_the_same_order_for_the_same_seed() -> None:
    async def main(world: World) -> list[str]:
        seen: list[str] = []
        lock = threading.Lock()

        def works(name: str) -> None:
            for _ in range(10):
                with lock:
                    time.sleep(0.0001)
                    seen.append(name)
                time.sleep(0.0001)

        for thread in started(*(lambda name=name: works(name) for name in "abc")):
            thread.join()
        return seen

    def once(seed: int) -> str:
        return "".join(run(main, seed=seed, strategy=Uniform(seed, swarm=False)))

    assert once(1) == once(1)
    assert len({once(seed) for seed in range(10)}) > 5


def test_a_race_between_threads_is_found_and_told() -> None:
    async def main() -> None:
        balance = [100]

        def withdraw() -> None:
            if balance[0] >= 80:
                time.sleep(0.0005)
                balance[0] -= 80

        first = asyncio.to_thread(withdraw)
        second = asyncio.to_thread(lambda: (time.sleep(0.00075), withdraw()))
        await asyncio.gather(first, second)
        assert balance[0] >= 0

    (failure,) = explore(main, seeds=range(200), first=True, shrink_seconds=3600).failures
    assert "goes on: 0." in failure.report()


def test_threads_that_are_left_end_with_the_world() -> None:
    ends: list[str] = []

    def waits() -> None:
        try:
            threading.Event().wait()
        finally:
            ends.append("waits")

    def stubborn() -> None:
        for _ in range(3):
            with contextlib.suppress(SystemExit):
                queue.SimpleQueue().get()
        ends.append("stubborn")

    async def main() -> None:
        started(waits, stubborn)
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()

    before = threading.active_count()
    run(main)
    assert sorted(ends) == ["stubborn", "waits"]
    assert threading.active_count() == before


def test_threads_of_a_world_that_failed_end_too() -> None:
    async def main() -> None:
        started(threading.Event().wait)
        raise ValueError

    before = threading.active_count()
    with pytest.raises(ValueError):
        run(main)
    assert threading.active_count() == before


def test_a_deadlock_of_threads_is_a_deadlock() -> None:
    async def main() -> None:
        one, other = threading.Lock(), threading.Lock()

        def takes(first: Any, second: Any) -> None:
            with first:
                time.sleep(1)
                with second:
                    pass

        await asyncio.gather(asyncio.to_thread(takes, one, other), asyncio.to_thread(takes, other, one))

    with pytest.raises(Deadlock):
        run(main)


def test_a_thread_that_does_not_give_the_baton_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cede.simulation.threads.PATIENCE", 0.1)
    done = []

    def computes_for_long() -> None:
        import select

        end = time.clock_gettime(time.CLOCK_MONOTONIC) + 0.4
        while time.clock_gettime(time.CLOCK_MONOTONIC) < end:
            select.select([], [], [], 0)
        done.append(True)

    async def main() -> None:
        await asyncio.to_thread(computes_for_long)

    with pytest.raises(SimulationError, match="without blocking on anything of its world") as caught:
        run(main)
    assert "computes_for_long" in str(caught.value)
    deadline = monotonic() + 5
    while not done and monotonic() < deadline:
        time.sleep(0.01)


def test_a_lock_taken_outside_is_waited_for_in_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cede.simulation.waits.PATIENCE", 0.1)
    lock = threading.Lock()
    lock.acquire()

    async def main() -> None:
        assert not lock.acquire(timeout=0.01)
        with pytest.raises(SimulationError, match="nobody in the world can release it"):
            lock.acquire()

    run(main)
    lock.release()


def test_threads_outside_wait_for_real() -> None:
    """They use the same locks' classes, which are exchanged while a world runs."""
    things: queue.SimpleQueue[int] = queue.SimpleQueue()
    took: list[Any] = []
    thread = threading.Thread(target=lambda: took.extend([things.get(), things.get()]))
    thread.start()

    async def main() -> None:
        await asyncio.sleep(1)

    for _ in range(20):
        run(main)
    things.put(1)
    things.put(2)
    thread.join()
    assert took == [1, 2]


def test_blocking_sockets_in_threads() -> None:
    async def main() -> None:
        def serve() -> None:
            with socket.create_server(("127.0.0.1", 8000)) as server:
                ready.set()
                connection, _ = server.accept()
                with connection:
                    connection.sendall(connection.recv(100).upper())

        ready = threading.Event()
        (thread,) = started(serve)
        await asyncio.to_thread(ready.wait)
        reader, writer = await asyncio.open_connection("127.0.0.1", 8000)
        writer.write(b"hello")
        assert await reader.read(100) == b"HELLO"
        assert await reader.read(100) == b""
        writer.close()
        await writer.wait_closed()
        thread.join()

    run(main)


def test_a_machine_that_stood_still_is_not_the_threads_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = threads._acquire, []

    def acquire(lock: Any, blocking: bool = True, timeout: float = -1) -> bool:
        if timeout > 0 and not seen:
            seen.append(timeout)  # all of the time was over at once
            return False
        return real(lock, blocking, timeout)

    monkeypatch.setattr(threads, "_acquire", acquire)
    assert run(lambda: asyncio.to_thread(int, "7")) == 7
    assert seen
