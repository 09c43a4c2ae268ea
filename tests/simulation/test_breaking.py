"""What goes wrong in worlds, and what is said then."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import Any

import pytest

from cede import simulation
from cede.simulation import Deadlock, World, current
from cede.simulation.outside import captured
from cede.simulation.undo import Undo


def test_a_deadlock_shows_where_threads_stand_still() -> None:
    lock = threading.Lock()

    def take_it_twice() -> None:
        with lock:
            lock.acquire()

    async def main() -> None:
        await asyncio.to_thread(take_it_twice)

    with pytest.raises(Deadlock, match=r"main: thread 'asyncio_0' stands still\n .*in take_it_twice: lock.acquire\(\)"):
        simulation.run(main)
    assert not lock.locked()


def test_alarms_ring_in_the_time_of_the_world() -> None:
    async def main() -> list[float]:
        rung: list[float] = []
        signal.signal(signal.SIGALRM, lambda number, frame: rung.append(round(time.monotonic() - 1000)))
        assert signal.alarm(10) == 0
        assert signal.alarm(5) == 10
        await asyncio.sleep(20)
        assert signal.setitimer(signal.ITIMER_REAL, 1, 100) == (0, 0)
        await asyncio.sleep(150)
        left, interval = signal.getitimer(signal.ITIMER_REAL)
        assert 50 < left < 52 and interval == 100
        signal.setitimer(signal.ITIMER_REAL, 0)
        await asyncio.sleep(1000)
        return rung

    assert simulation.run(main, late=False) == [5, 21, 121]


def test_an_alarm_that_nobody_handles_ends_the_program() -> None:
    async def main(world: World) -> bool:
        async def program() -> None:
            signal.alarm(3)
            await asyncio.sleep(100)

        host = world.host("other", program)
        await asyncio.sleep(5)
        return host.dead

    assert simulation.run(main)


def test_hosts_that_are_not_there_are_named() -> None:
    async def main(world: World) -> None:
        calls: list[Any] = [
            lambda: world.link("main", "nobody", latency=0.1),
            lambda: world.partition("nobody"),
            lambda: world.hold("main", ["nobody"]),
            lambda: world.release("nobody"),
            lambda: world.reset("main", "nobody"),
            lambda: world.faults(kills=["nobody"]),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="no host 'nobody'"):
                call()

    simulation.run(main)


def test_a_world_in_another_thread_is_refused_while_one_runs() -> None:
    found: list[Any] = []

    def second() -> None:
        try:
            found.append(simulation.run(asyncio.sleep, seed=1))
        except (RuntimeError, TypeError) as exc:
            found.append(str(exc))

    async def main() -> None:
        await asyncio.to_thread(second)

    simulation.run(main)
    assert len(found) == 1 and "a world runs in this process already" in found[0]


def test_an_interrupt_of_the_users_ends_the_world_and_gives_everything_back() -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(0.001)

    def interrupt() -> None:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        simulation.run(main, max_time=1e12)
    thread.join()
    assert time.time() > 1e9 and simulation.run(lambda: asyncio.sleep(1, "well")) == "well"


def test_an_interrupt_while_a_host_was_entered_leaves_nobody_in_it() -> None:
    """Else the next world would do what happens between turns on behalf of a host that is gone."""
    with pytest.raises(KeyboardInterrupt), captured(seed=1):
        current.enter(object())  # type: ignore[arg-type]
        raise KeyboardInterrupt
    assert current.host() is None


def test_an_interrupt_of_undoing_leaves_nothing_in_place() -> None:
    class Owner:
        own = "own"

    def interrupt() -> None:
        raise KeyboardInterrupt

    undo = Undo()
    undo.put(Owner, "own", "exchanged")
    undo.put(Owner, "new", "exchanged")
    undo.callback(interrupt)
    with pytest.raises(KeyboardInterrupt):
        undo.all()
    assert Owner.own == "own" and not hasattr(Owner, "new") and not undo
