"""One host in a world: virtual time, ends and errors, and what a program sees of the machine."""

from __future__ import annotations

import asyncio
import datetime
import os
import random
import secrets
import socket
import sys
import time
import types
import uuid
from collections.abc import Awaitable, Callable
from time import monotonic, perf_counter_ns, sleep
from typing import Any

import pytest

import cede
from cede.simulation import Deadlock, Livelock, OutOfTime, World, run, this_world

# -- results and errors ------------------------------------------------------------------------------------------------


def test_what_main_returns_is_returned() -> None:
    async def main() -> int:
        return 42

    assert run(main()) == 42
    assert run(main) == 42


def test_what_main_raises_is_raised_with_its_own_traceback() -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost") as caught:
        run(main)
    assert caught.traceback[-1].name == "main"


def test_main_may_ask_for_the_world() -> None:
    async def main(given: World) -> bool:
        return given is this_world() and given.hosts["main"].loop is asyncio.get_running_loop()

    assert run(main)


@pytest.mark.parametrize("wrong", [7, "main", None])
def test_main_must_be_awaitable(wrong: Any) -> None:
    with pytest.raises(TypeError, match="main must be"):
        run(wrong)
    with pytest.raises(TypeError, match="main must be an async callable"):
        run(lambda: wrong)


async def test_no_world_begins_inside_a_running_loop() -> None:
    async def main() -> None: ...

    with pytest.raises(RuntimeError, match="inside a running event loop"):
        run(main)


def test_there_is_no_world_outside() -> None:
    with pytest.raises(RuntimeError, match="no world here"):
        this_world()


def test_a_world_inside_of_a_world_is_refused() -> None:
    async def main() -> None:
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            run(main)

    run(main)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_ends_the_world(error: type[BaseException]) -> None:
    ended = []

    async def main() -> None:
        try:
            await asyncio.gather(asyncio.sleep(1000), fail())
        finally:
            ended.append(True)

    async def fail() -> None:
        await asyncio.sleep(1)
        raise error()

    with pytest.raises(error):
        run(main)
    assert ended == [True]


def test_left_tasks_and_generators_are_ended_as_by_run() -> None:
    events = []

    async def background() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(5)
            events.append(("background", this_world().now > 5))

    async def numbers() -> Any:
        try:
            yield 1
            yield 2
        finally:
            events.append(("generator", True))

    async def main() -> str:
        task = asyncio.create_task(background())
        generator = numbers()
        await anext(generator)
        await asyncio.sleep(0)
        main.keep = (task, generator)  # type: ignore[attr-defined]
        return "done"

    assert run(main) == "done"
    assert events == [("background", True), ("generator", True)]


# -- time --------------------------------------------------------------------------------------------------------------


def test_sleeps_take_no_real_time() -> None:
    before = monotonic()

    async def main() -> float:
        began = asyncio.get_running_loop().time()
        for _ in range(10):
            await asyncio.sleep(3600)
        return asyncio.get_running_loop().time() - began

    assert 36_000 <= run(main, late=False) < 36_000.01
    assert monotonic() - before < 25


def test_all_clocks_of_a_host_are_the_worlds() -> None:
    async def main() -> None:
        assert 1000 < time.monotonic() < 1000.001
        assert 1000 < monotonic() < 1000.001
        assert 1000 * 10**9 < perf_counter_ns() < 1001 * 10**9
        assert time.time() // 1 == 946_684_800
        assert datetime.datetime.now(datetime.UTC).isoformat()[:19] == "2000-01-01T00:00:00"
        assert datetime.datetime.now().timestamp() // 1 == 946_684_800
        assert datetime.date.today() == datetime.date.fromtimestamp(946_684_800)
        await asyncio.sleep(86_000)
        assert 86_000 <= monotonic() - 1000 < 86_001
        assert 86_000 <= time.time() - 946_684_800 < 86_001
        assert type(time.time_ns()) is int

    run(main)


def test_time_outside_is_real_again() -> None:
    before = time.time(), monotonic(), time.process_time()

    async def main() -> None:
        await asyncio.sleep(10**5 - 2 * 10**4)

    run(main)
    after = time.time(), monotonic(), time.process_time()
    assert all(0 <= b - a < 30 for a, b in zip(before, after))
    with pytest.raises(TypeError):
        time.monotonic(1)  # type: ignore[call-arg]
    assert time.monotonic.__self__ is time  # type: ignore[attr-defined]


def test_errors_of_captured_functions_are_those_of_the_real_ones() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="non-negative"):
            sleep(-1)
        with pytest.raises(TypeError):
            sleep("1")  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            time.monotonic(1)  # type: ignore[call-arg]
        with pytest.raises(ValueError):
            os.urandom(-1)
        with pytest.raises(TypeError):
            os.urandom("1")  # type: ignore[arg-type]

    run(main)


def test_a_blocking_sleep_holds_the_loop_up() -> None:
    async def main() -> None:
        ticks = []

        async def tick() -> None:
            for _ in range(3):
                await asyncio.sleep(1)
                ticks.append(monotonic() - 1000)

        task = asyncio.create_task(tick())
        await asyncio.sleep(1.5)
        sleep(10)
        await task
        assert 1 <= ticks[0] < 1.1 and 11.5 <= ticks[1] < 11.6 and 12.5 <= ticks[2] < 12.6

    run(main, late=False)


def test_polling_loops_get_on() -> None:
    async def main() -> None:
        flag = []
        asyncio.get_running_loop().call_later(0.5, flag.append, 1)
        while not flag:
            await asyncio.sleep(0)
        end = monotonic() + 0.01
        while monotonic() < end:
            pass

    run(main)


def test_timeouts_and_timers_keep_their_order() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        seen: list[int] = []
        for delay in (3, 1, 2):
            loop.call_later(delay, seen.append, delay)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await asyncio.sleep(10)
        assert seen == [1, 2]
        await cede.sleep(1)
        return seen

    assert run(main) == [1, 2, 3]


# -- who cannot go on --------------------------------------------------------------------------------------------------


def test_a_deadlock_names_who_waits() -> None:
    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.create_task(waits_for_ever(), name="patience")

    with pytest.raises(Deadlock) as caught:
        run(main)
    text = str(caught.value)
    assert "'patience'" in text and "asyncio.Event().wait()" in text and "test_world.py" in text


def test_a_deadlock_is_no_exception_of_the_program() -> None:
    caught = []

    async def main() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except BaseException as exc:
            caught.append(type(exc))
            raise

    with pytest.raises(Deadlock):
        run(main)
    assert caught == [asyncio.CancelledError]  # as the world ended


def test_a_livelock_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cede.simulation.world.TURNS_OF_A_LIVELOCK", 5_000)

    async def spins() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Livelock, match="spins"):
        run(spins)


def test_a_program_that_runs_too_long_is_stopped() -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(60)

    with pytest.raises(OutOfTime, match="max_time"):
        run(main, max_time=3600)
    with pytest.raises(OutOfTime, match="max_turns"):
        run(main, max_turns=100)


def test_a_task_that_refuses_to_end_is_told_at_the_end() -> None:
    async def stubborn() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    async def main() -> None:
        main.task = asyncio.create_task(stubborn())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    with pytest.raises(Deadlock, match="stubborn"):
        run(main)


# -- chance ------------------------------------------------------------------------------------------------------------


async def numbers() -> tuple[Any, ...]:
    return (
        random.random(),
        random.randint(0, 10**9),
        random.sample(range(1000), 5),
        random.Random().random(),
        random.SystemRandom().random(),
        secrets.token_hex(8),
        os.urandom(5),
        uuid.uuid4(),
        uuid.uuid1(),
        random.gauss(0, 1),
    )


def test_chance_comes_from_the_seed() -> None:
    assert run(numbers, seed=3) == run(numbers, seed=3)
    assert all(one != other for one, other in zip(run(numbers, seed=3), run(numbers, seed=4)))
    assert len(set(map(str, run(numbers, seed=3)))) == 10


def test_a_program_may_seed_its_chance() -> None:
    async def main() -> float:
        random.seed(7)
        state = random.getstate()
        first = random.random()
        random.setstate(state)
        assert random.random() == first
        return first

    assert run(main) == random.Random(7).random()


def test_chance_outside_goes_on_as_if_nothing_had_been() -> None:
    random.seed(11)
    expected = [random.random() for _ in range(3)]
    random.seed(11)
    assert random.random() == expected[0]
    run(numbers)
    assert random.random() == expected[1]
    assert random.random() == expected[2]
    assert type(random._inst) is random.Random  # type: ignore[attr-defined]
    random.seed()


# -- several hosts -----------------------------------------------------------------------------------------------------


def test_hosts_take_turns() -> None:
    async def main(given: World) -> list[str]:
        seen: list[str] = []

        def beats(name: str, seconds: float) -> Callable[[], Awaitable[None]]:
            async def beat() -> None:
                for _ in range(2):
                    await asyncio.sleep(seconds)
                    seen.append(name)

            return beat

        given.host("slow", beats("slow", 3))
        given.host("quick", beats("quick", 1))
        await asyncio.sleep(10)
        return seen

    assert run(main, late=False) == ["quick", "quick", "slow", "slow"]


def test_what_a_host_raises_ends_the_run() -> None:
    async def breaks() -> None:
        await asyncio.sleep(1)
        raise ValueError("broken")

    async def main(given: World) -> None:
        given.host("breaks", breaks)
        await asyncio.sleep(10)

    with pytest.raises(ValueError, match="broken"):
        run(main)


def test_names_of_hosts_are_used_once() -> None:
    async def main(given: World) -> None:
        given.host("a")
        with pytest.raises(ValueError, match="already"):
            given.host("a")

    run(main)


async def _coroutine() -> None:
    pass


@pytest.mark.parametrize(
    ("mistake", "error", "words"),
    [
        (lambda world: world.host("a", 3), TypeError, "host 'a' must be an async callable, got 3: give the function"),
        (lambda world: world.host("a", _coroutine()), TypeError, "give the function itself"),
        (lambda world: world.host("a", lambda: None), TypeError, "returned None: say async def"),
        (lambda world: world.host(3), TypeError, "the name of a host must be a str, got 3"),
        (lambda world: world.hosts["shpo"], KeyError, r"no host 'shpo' \(there are main, shop\): make it first"),
        (lambda world: world.reset("main", "shpo"), ValueError, r"no host 'shpo' \(there are main, shop\)"),
        (lambda world: world.faults(kills=["shpo"]), ValueError, r"no host 'shpo' \(there are main, shop\)"),
        (lambda world: world.faults(power="shpo"), ValueError, "no host 'shpo'"),
        (lambda world: world.faults(jumps=2), ValueError, "jumps is a probability, from 0 to 1, not 2"),
        (lambda world: world.faults(drift=-0.5), ValueError, "drift is a probability, from 0 to 1, not -0.5"),
        (lambda world: world.link("main", "shop", loss=1.5), ValueError, "loss is a probability, from 0 to 1, not 1.5"),
        (
            lambda world: world.link("main", "shop", latency=-1),
            ValueError,
            "latency is in seconds, .* from 0 on, not -1",
        ),
        (
            lambda world: world.link("main", "shop", latency=(2, 1)),
            ValueError,
            r"the least and the most, .* not \(2, 1\)",
        ),
        (
            lambda world: world.link("main", "shop", bandwidth=0),
            ValueError,
            "bytes a second, above 0, not 0; to cut",
        ),
        (lambda world: world.lookup(failure=3), ValueError, "failure is a probability"),
        (lambda world: world.lookup(delay=(1, float("nan"))), ValueError, "delay is in seconds"),
    ],
)
def test_mistakes_with_hosts_are_told(mistake: Callable[[World], Any], error: type[Exception], words: str) -> None:
    async def main(given: World) -> None:
        given.host("shop")
        with pytest.raises(error, match=words):
            mistake(given)

    run(main)


def test_a_name_that_nobody_has_fails_as_for_real_and_is_told_with_those_that_there_are() -> None:
    async def main(given: World) -> None:
        given.host("shop")
        with pytest.raises(socket.gaierror) as caught:
            await asyncio.open_connection("shpo", 80)
        assert caught.value.args == (socket.EAI_NONAME, "Name or service not known")
        assert "nobody in this world is called 'shpo'" in caught.value.__notes__[0]
        assert "the names are main, shop." in caught.value.__notes__[0]

    run(main)


def test_a_single_run_has_a_strategy_by_its_name() -> None:
    async def main() -> None:
        await asyncio.sleep(1)

    for name in ("tame", "uniform", "pos", "pct(2)"):
        run(main, strategy=name)
    with pytest.raises(ValueError, match=r"no strategy 'x': say \"uniform\", "):
        run(main, strategy="x")
    with pytest.raises(ValueError, match="'bounded' is one of many runs"):
        run(main, strategy="bounded")
    with pytest.raises(TypeError, match="given by its name, got 3"):
        run(main, strategy=3)


def test_a_blocked_host_holds_nobody_else_up() -> None:
    async def main(given: World) -> list[float]:
        times = []

        async def ticks() -> None:
            for _ in range(3):
                await asyncio.sleep(1)
                times.append(given.now)

        async def blocks() -> None:
            time.sleep(100)

        given.host("ticks", ticks)
        given.host("blocks", blocks)
        await asyncio.sleep(5)
        return times

    times = run(main, late=False)
    assert [round(moment, 2) for moment in times] == [1, 2, 3]


def test_generators_that_libraries_made_begin_anew_in_each_world() -> None:
    library = random.Random(5)
    sys.modules["a_library"] = types.ModuleType("a_library")  # one more: they are looked for again
    vars(sys.modules["a_library"])["chance"] = library
    try:

        async def main() -> tuple[float, float]:
            return library.random(), library.gauss(0, 1)

        expected = random.Random(5)
        assert library.random() == expected.random()
        assert run(main, seed=1) == run(main, seed=1) != run(main, seed=2)
        assert library.random() == expected.random()
    finally:
        del sys.modules["a_library"]


def test_async_generators_belong_to_the_host_that_began_them() -> None:
    before, closed = sys.get_asyncgen_hooks(), []

    async def main(given: World) -> None:
        async def numbers(name: str) -> Any:
            try:
                for number in range(100):
                    yield number
                    await asyncio.sleep(0.01)
            finally:
                await asyncio.sleep(0)
                closed.append((name, asyncio.get_running_loop() is given.hosts[name].loop))

        async def drops(name: str) -> None:
            async for number in numbers(name):
                if number > 5:
                    break
            await asyncio.sleep(1)

        await asyncio.gather(drops("main"), given.host("a").run(drops, "a"), given.host("b").run(drops, "b"))

    run(main)
    assert sorted(closed) == [("a", True), ("b", True), ("main", True)]
    assert sys.get_asyncgen_hooks() == before
