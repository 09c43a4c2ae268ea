"""The laws of a world: nothing outside changes, the same token is the same run, taming moves nothing, the log only looks."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from cede.simulation import Deadlock, World, outside
from cede.simulation.choices import Replay, Strategy, Uniform
from cede.simulation.running import begin, opened

OWNERS = (time, os, random, uuid, socket, datetime.datetime, socket.socket, random.Random, threading, gc)


def state_of_the_process() -> list[Any]:
    """Return everything that a world might forget to put back."""
    names = [(id(owner), sorted(vars(owner))) for owner in OWNERS]
    values = [id(value) for owner in OWNERS for _, value in sorted(vars(owner).items()) if callable(value)]
    selves = [getattr(value, "__self__", None) for owner in (time, os, random) for value in vars(owner).values()]
    return [names, values, [id(one) for one in selves], gc.isenabled(), type(random._inst)]  # type: ignore[attr-defined]


def test_importing_changes_nothing(run_python: Callable[..., Any]) -> None:
    run_python(
        """
        import datetime, gc, os, random, socket, sys, threading, time, uuid, ssl, asyncio, cede

        assert not any(name.startswith("cede.simulation") for name in sys.modules)
        owners = (time, os, random, uuid, socket, datetime.datetime, socket.socket, random.Random, threading)
        def state():
            return [(id(v), getattr(v, "__self__", None)) for o in owners for k, v in sorted(vars(o).items()) if k[:2]
            != "__"]
        before = state()
        import cede.simulation, cede.simulation.outside
        assert state() == before
        """
    )


@pytest.mark.parametrize("how", ["returns", "raises", "is interrupted", "is stuck"])
def test_all_is_put_back_however_a_world_ends(how: str) -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        if how == "raises":
            raise ValueError
        if how == "is interrupted":
            raise KeyboardInterrupt
        if how == "is stuck":
            await asyncio.get_running_loop().create_future()

    def once() -> None:
        expected = () if how == "returns" else (ValueError, KeyboardInterrupt, Deadlock)
        with contextlib.suppress(*expected), opened(seed=1) as world:
            world.complete(world.host("main"), main())

    once()
    before = state_of_the_process()
    once()
    assert state_of_the_process() == before


def test_other_threads_see_the_real_machine(quick_switches: None) -> None:
    seen: list[Any] = []
    stop = threading.Event()

    def look() -> None:
        last = monotonic()
        while not stop.is_set():
            now = monotonic()
            if not last <= now < last + 25:
                seen.append((last, now))
            last = now
            if abs(time.time() - datetime.datetime.now().timestamp()) > 25 or time.time() < 1_000_000_000:
                seen.append("wall clock")
            if type(socket.socket) is not type or os.urandom(8) == os.urandom(8):
                seen.append("chance")
            random.random()
            time.sleep(0)

    async def main() -> None:
        for _ in range(3_000):
            await asyncio.sleep(1)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for seed in range(5):
            with opened(seed=seed) as world:
                world.complete(world.host("main"), main())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert seen == []


def test_a_second_world_in_another_thread_is_refused() -> None:
    refused: list[str] = []

    def another() -> None:
        try:
            with opened():
                pass
        except RuntimeError as exc:
            refused.append(str(exc))

    with opened() as world:
        thread = threading.Thread(target=another)
        thread.start()
        thread.join()
        world.host("main")
    assert len(refused) == 1 and "one ends before the next begins" in refused[0]


def test_this_interpreter_lets_everything_be_captured() -> None:
    assert outside.uncaptured() == []


# -- the same run, choices that stay put, and a log that only looks ----------------------------------------------------


async def busy(world: World) -> list[str]:
    """Three hosts that sleep, time out and cancel each other by chance."""
    seen: list[str] = []

    async def works(name: str) -> None:
        for index in range(20):
            try:
                async with asyncio.timeout(0.05):
                    await asyncio.sleep(random.random() * 0.1)
                seen.append(f"{name} {index} in time {monotonic():.7f}")
            except TimeoutError:
                seen.append(f"{name} {index} timed out {monotonic():.7f}")

    hosts = [world.host(name) for name in ("alice", "bob", "carol")]
    tasks = [host.spawn(works(host.name)) for host in hosts]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0.01)
    return seen


def one_run(strategy: Strategy | None = None, *, seed: int = 5, log: bool = True) -> tuple[World, list[str]]:
    with opened(seed=seed, strategy=strategy or Uniform(seed, swarm=False), log=log) as world:
        result = begin(busy, world)
    return world, result


def test_the_same_seed_is_the_same_run() -> None:
    (one, seen), (other, seen_again) = one_run(), one_run()
    assert seen == seen_again
    assert one.log is not None and other.log is not None
    assert one.log.events == other.log.events and one.log.digest() == other.log.digest()
    assert one.choices.wild == other.choices.wild and len(one.choices.wild) > 2
    assert one_run(seed=6)[1] != seen


def test_a_replay_of_all_wild_choices_is_the_same_run() -> None:
    world, seen = one_run()
    again, seen_again = one_run(Replay(world.choices.wild))
    assert seen_again == seen
    assert again.log is not None and world.log is not None and again.log.events == world.log.events


def test_taming_a_choice_moves_no_other() -> None:
    world, _ = one_run()
    wild = world.choices.wild
    for name in list(wild)[::2]:
        tamed, _ = one_run(Replay({other: value for other, value in wild.items() if other != name}))
        assert name not in tamed.choices.wild
        for other, value in tamed.choices.wild.items():
            assert wild[other] == value


def test_the_log_only_looks() -> None:
    with_log, without_log = one_run(log=True), one_run(log=False)
    assert with_log[1] == without_log[1]
    assert with_log[0].choices.wild == without_log[0].choices.wild
    assert with_log[0].now == without_log[0].now and with_log[0].turns == without_log[0].turns
    assert without_log[0].log is None


def test_compiled_and_interpreted_are_the_same_run(run_python: Callable[..., Any]) -> None:
    program = """
        import asyncio, contextlib, random
        from cede.simulation.choices import Uniform
        from cede.simulation.running import opened
        from time import monotonic

        async def works():
            loop = asyncio.get_running_loop()
            queue = asyncio.Queue(2)
            async def fill():
                for index in range(50):
                    with contextlib.suppress(asyncio.QueueFull):
                        queue.put_nowait(index)
                    await asyncio.sleep(random.random() * 0.01)
            async def take():
                for index in range(50):
                    try:
                        async with asyncio.timeout(0.006):
                            await queue.get()
                    except TimeoutError:
                        pass
                    for _ in range(random.randrange(40)):
                        await asyncio.sleep(0)
            await asyncio.gather(fill(), take(), asyncio.wait_for(asyncio.sleep(0.1), 1))
            while loop.time() < 1001:
                loop.call_later(0.001, int)
                await asyncio.sleep(0.0005)
            return monotonic()

        with opened(seed=4, strategy=Uniform(4, swarm=False), log=True) as world:
            result = world.complete(world.host("main"), works())
        print(result, world.turns, world.log.digest(), sorted(world.choices.wild))
        """
    outputs = {run_python(program, env={"CEDE_PURE": pure, "PYTHONHASHSEED": seed}).stdout
               for pure, seed in (("", "1"), ("1", "2"))}  # fmt: skip
    assert len(outputs) == 1, outputs
