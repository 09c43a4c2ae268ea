"""Exploring: what fails rarely is found, is the same again, and needs few choices in the end."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import pytest

import cede
from cede.simulation import Deadlock, NotDeterministic, World, explore, exploring, replay, run
from cede.simulation.choices import Name, Strategy, Uniform
from cede.simulation.exploring import Explorer
from cede.simulation.shrink import Shrinker
from cede.simulation.strategies import strategy


class Pool:
    """One thing to lend, by somebody who did not think of cancellation."""

    def __init__(self) -> None:
        self.free = True
        self.waiters: list[asyncio.Future[None]] = []

    async def take(self) -> None:
        while not self.free:
            waiter = asyncio.get_running_loop().create_future()
            self.waiters.append(waiter)
            await waiter
        self.free = False

    def give(self) -> None:
        self.free = True
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
                break


async def loses_a_wake_up() -> None:
    pool = Pool()
    await pool.take()

    async def impatient() -> None:
        try:
            async with asyncio.timeout(0.060):
                await pool.take()
        except TimeoutError:
            return
        pool.give()

    async def patient() -> None:
        await asyncio.sleep(0.020)
        await pool.take()

    asyncio.get_running_loop().call_later(0.050, pool.give)
    await asyncio.gather(impatient(), patient())


def test_a_lost_wake_up_is_found_and_told() -> None:
    found = explore(loses_a_wake_up, seeds=range(200), first=True, shrink_seconds=3600)
    (failure,) = found.failures
    assert type(failure.error) is Deadlock
    assert len(failure.story) == 1
    assert failure.story[0].where == "main oversleeps" and failure.story[0].least
    assert failure.shrunk.whole and failure.shrunk.runs < 60
    (note,) = failure.error.__notes__
    assert "the story: 1 choice of" in note and "(fails from 1" in note and f"token: '{failure.token}'" in note
    assert "patient" in str(failure.error)
    with pytest.raises(Deadlock):
        replay(loses_a_wake_up, str(failure.token))
    with pytest.raises(Deadlock):
        found.raise_first()


def test_without_lateness_it_is_never_found() -> None:
    found = explore(loses_a_wake_up, seeds=range(100), late=False)
    assert found.failures == [] and found.runs == 100
    found.raise_first()


@pytest.mark.parametrize("name", ["pct", "pct(2)", "pos"])
def test_the_other_strategies_find_it_too(name: str) -> None:
    found = explore(loses_a_wake_up, seeds=range(200), strategy=name, first=True)
    assert [type(failure.error) for failure in found.failures] == [Deadlock]


def test_bounded_finds_all_that_one_choice_can_do() -> None:
    found = explore(loses_a_wake_up, seeds=range(1000), strategy="bounded(1)", shrink_seconds=3600)
    assert 3 < found.runs < 60  # then there are no more
    assert [type(failure.error) for failure in found.failures] == [Deadlock]
    assert len(found.failures[0].story) == 1


def test_bounded_has_each_set_once() -> None:
    sets: list[frozenset[Name]] = []

    async def main(world: World) -> None:
        for index in range(4):
            world.draw(f"host/{index}/kind", 0)
        sets.append(frozenset(world.choices.wild.items()))  # type: ignore[arg-type]

    found = explore(main, seeds=range(1000), strategy="bounded(2)", late=False)
    assert found.failures == []
    assert len(sets) >= 1  # all logs are alike here, so only those with one choice follow the tame one
    assert sets[0] == frozenset()


def test_an_unknown_strategy_is_named() -> None:
    for name in ("unifrom", "pct()", "bounded(x)"):
        with pytest.raises(ValueError, match="there is no strategy"):
            explore(loses_a_wake_up, strategy=name)


def test_failures_are_told_apart_and_counted() -> None:
    async def main(world: World) -> None:
        value = world.draw("dice/throw", 0)
        if value > 0.6:
            raise ValueError("high")
        if value > 0.3:
            raise LookupError("middle")

    found = explore(main, seeds=range(300), shrink_seconds=3600)
    kinds = {type(failure.error): failure for failure in found.failures}
    assert set(kinds) == {ValueError, LookupError}
    assert all(failure.count > 5 for failure in found.failures)
    assert 0.6 < kinds[ValueError].shrunk.bounds["dice/throw", 0] < 0.61
    text = str(found)
    assert (
        text.startswith("300 runs in")
        and "ValueError: high" in text
        and "dice/throw, choice 1: 0." in text
        and "(fails from 0.602 on)" in text
    )


def test_what_fails_tamely_needs_no_choice() -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        raise ValueError("always")

    found = explore(main, seeds=range(50))
    (failure,) = found.failures
    assert failure.story == [] and failure.count == 50
    assert "fails in the tame run" in failure.report()


def test_a_program_that_is_not_the_same_twice_is_told() -> None:
    counter = itertools.count()

    async def main() -> None:
        for _ in range(next(counter)):
            await asyncio.sleep(0)

    with pytest.raises(NotDeterministic) as caught:
        explore(main, seeds=range(10))
    assert "They differ from event" in str(caught.value) and "state that one run leaves" in str(caught.value)


def test_a_failure_that_does_not_come_again_is_told() -> None:
    counter = itertools.count()

    async def main() -> None:
        await asyncio.sleep(1)
        assert next(counter) != 5

    with pytest.raises(NotDeterministic, match="the ends are not"):
        explore(main, seeds=range(10))


def test_a_coroutine_cannot_be_run_many_times() -> None:
    coro = loses_a_wake_up()
    with pytest.raises(TypeError, match="no coroutine"):
        explore(coro)  # type: ignore[arg-type]
    coro.close()


def test_ctrl_c_ends_the_exploration() -> None:
    async def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explore(main)


# -- invariants, what should happen, and quiet -------------------------------------------------------------------------


def test_an_invariant_is_checked_after_every_turn() -> None:
    async def main(world: World) -> None:
        balance = [100]

        def never_negative() -> None:
            assert balance[0] >= 0, "overdrawn"

        world.check(never_negative)
        await asyncio.sleep(1)
        balance[0] -= 150
        await asyncio.sleep(1)
        balance[0] += 150
        await asyncio.sleep(1)

    with pytest.raises(AssertionError, match="overdrawn"):
        run(main)


def test_what_no_run_ever_saw_is_named() -> None:
    async def main(world: World) -> None:
        value = world.draw("dice/throw", 0)
        world.sometimes("high", value > 0.9)
        world.sometimes("beyond", value > 1)

    assert explore(main, seeds=range(100)).unseen == ["beyond"]


def test_settle_waits_for_all_but_timers() -> None:
    async def main(world: World) -> list[str]:
        seen: list[str] = []

        async def works(name: str) -> None:
            for _ in range(50):
                await asyncio.sleep(0)
            seen.append(name)
            await asyncio.sleep(1)
            seen.append(f"{name} later")

        tasks = [asyncio.create_task(works("here")), world.host("there").spawn(works("there"))]
        await world.settle()
        assert sorted(seen) == ["here", "there"] and world.now < 0.1
        await world.settle()
        await tasks[0]
        await asyncio.sleep(0.1)
        return seen

    assert sorted(run(main)) == ["here", "here later", "there", "there later"]


def test_buggify_is_false_outside_and_sometimes_true_inside() -> None:
    assert not any(cede.buggify("minimal quorum", 1.0) for _ in range(100))

    async def main() -> int:
        return sum(cede.buggify("minimal quorum", 0.5) for _ in range(100))

    fired = [run(main, seed=seed) for seed in range(40)]
    assert 5 < fired.count(0) < 35
    assert all(30 < count < 70 for count in fired if count)

    async def fails() -> None:
        assert not cede.buggify("minimal quorum")

    (failure,) = explore(fails, seeds=range(100), shrink_seconds=3600).failures
    assert "main, buggify 'minimal quorum': fires" in failure.report()


def test_a_run_that_lasts_longer_than_shrinking_may_is_cut_short() -> None:
    ended = 0

    async def main() -> None:
        nonlocal ended
        for _ in range(25_000):
            await asyncio.sleep(0)
        ended += 1
        raise ValueError("too late")

    (failure,) = explore(main, seeds=range(1), late=False, shrink_seconds=0.001).failures
    assert ended == 4  # when it was found, twice to compare, and for the story; not when it was shrunk
    assert not failure.shrunk.whole and failure.shrunk.runs == 1
    assert type(failure.error) is ValueError and ", as far as the budget went" in failure.report()


@pytest.mark.parametrize("seconds", [3600.0, 0.0], ids=["enough", "none"])
def test_the_story_of_a_run_that_lasts_long_is_told_without_what_there_is_no_time_for(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """From where on a choice makes it fail takes another run to tell, for each."""
    monkeypatch.setattr(exploring, "TELLING_SECONDS", seconds)

    async def main(world: World) -> None:
        world.host("holder")
        world.faults(drift=True)
        began = world.now
        await world.hosts["holder"].run(asyncio.sleep, 1.0)
        assert world.now - began < 1.1

    (failure,) = explore(main, seeds=range(200), first=True, late=False, shrink_seconds=3600).failures
    (line,) = failure.story
    assert line.where == "the clock of holder is slow"
    assert bool(line.least) is (seconds > 0)


# -- shrinking, by itself ----------------------------------------------------------------------------------------------


def shrunk(needed: dict[Name, float], wild: dict[Name, float], **budget: Any) -> Any:
    """Shrink where a run fails iff the needed choices are there with these values or more."""

    def attempt(kept: dict[Name, float]) -> dict[Name, float] | None:
        return kept if all(kept.get(name, 0) >= value for name, value in needed.items()) else None

    return Shrinker(attempt, **budget).shrink(wild)


def wild_choices(streams: int, each: int) -> dict[Name, float]:
    return {(f"a>b/{stream}/send", index): 0.9 for stream in range(streams) for index in range(each)}


def test_of_a_thousand_choices_those_that_matter_are_left() -> None:
    needed = {("a>b/3/send", 7): 0.5, ("a>b/17/send", 44): 0.25}
    found = shrunk(needed, wild_choices(20, 50))
    assert set(found.kept) == set(needed)
    assert found.bounds == needed
    assert found.whole and found.runs < 120


def test_a_budget_is_kept_to() -> None:
    needed = {("a>b/3/send", 7): 0.5, ("a>b/17/send", 44): 0.25}
    found = shrunk(needed, wild_choices(20, 50), runs=20)
    assert found.runs == 20 and not found.whole
    assert set(needed) <= set(found.kept)


def test_a_budget_of_time_is_kept_to_and_a_machine_that_stands_still_uses_none() -> None:
    now = 0.0

    def attempt(kept: dict[Name, float]) -> None:
        nonlocal now
        now += 1

    slow = Shrinker(attempt, seconds=5.5, clock=lambda: now).shrink(wild_choices(2, 20))
    assert not slow.whole and slow.runs == 6

    def stands_still(kept: dict[Name, float]) -> dict[Name, float] | None:
        time.sleep(0.02)
        return kept if ("a>b/1/send", 7) in kept else None

    still = Shrinker(stands_still, seconds=0.2).shrink(wild_choices(2, 20))
    assert still.whole and still.runs > 10  # which take longer than 0.2 s by any clock on the wall


def test_what_happens_to_a_second_connection_is_tried_on_the_first() -> None:
    """A reset that only made the program connect again is none of the story, if another one would have done at once."""

    def attempt(kept: dict[Name, float]) -> dict[Name, float] | None:
        made_anew = ("a<b/1/reset", 13) in kept
        fails = ("a>b/1/reset", 2) in kept or (made_anew and ("a>b/2/reset", 2) in kept)
        return kept if fails else None

    found = Shrinker(attempt).shrink({("a<b/1/reset", 13): 0.5, ("a>b/2/reset", 2): 0.25, ("a>b/2/reset", 7): 0.5})
    assert found.kept == {("a>b/1/reset", 2): 0.25}


def test_values_become_round() -> None:
    wild = {("a/send", 0): 0.73512734}
    assert shrunk({("a/send", 0): 0.7}, wild).kept == {("a/send", 0): 0.75}
    assert shrunk({("a/send", 0): 0.735}, wild).kept == {("a/send", 0): 0.75}


# -- strategies --------------------------------------------------------------------------------------------------------


def test_pct_gives_each_source_a_delay_that_stays_but_for_few_changes() -> None:
    pct = strategy("pct(3)", 5, 100)
    streams = {name: pct.stream(name) for name in ("a/send", "b/send", "c/send")}
    values: dict[str, list[float]] = {name: [] for name in streams}
    for index in range(33):
        for name, draw in streams.items():
            values[name].append(draw(index, 1.0))
    assert len({seen[0] for seen in values.values()}) == 3
    assert sum(len(set(seen)) - 1 for seen in values.values()) <= 2
    assert any(len(set(seen)) > 1 for seen in values.values())


def test_pos_has_nothing_tame_but_what_is_rare() -> None:
    draw = strategy("pos", 5, 0).stream("a/send")
    assert len({draw(index, 1.0) for index in range(100)}) == 100
    assert [draw(index, 0.0) for index in range(5)] == [0.0] * 5


def test_names_of_strategies() -> None:
    assert type(strategy("tame", 1, 0)) is Strategy
    assert type(strategy("uniform", 1, 0)) is Uniform


def test_a_passing_run_is_compared_without_being_changed() -> None:
    explorer = Explorer(lambda world: world.drive(loses_a_wake_up()), {})
    outcome = explorer.once(3, Uniform(3))
    explorer.compare(outcome, lambda: Uniform(3))
