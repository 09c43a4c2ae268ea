"""Choices: evenly spread, named, and not moved by each other."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

from cede.simulation.choices import Choices, Replay, Strategy, Uniform, even, key_of, kind_of


def test_draws_are_spread_evenly_and_do_not_depend_on_their_neighbours() -> None:
    key = key_of(1, "stream", "a>b/1/send")
    values = [even(key, index) for index in range(20_000)]
    assert all(0 <= value < 1 for value in values)
    for bucket in range(20):
        assert 850 < sum(bucket / 20 <= value < (bucket + 1) / 20 for value in values) < 1150
    pairs = sum((one < 0.5) == (other < 0.5) for one, other in itertools.pairwise(values))
    assert 9_700 < pairs < 10_300
    firsts = [even(key_of(seed, "stream", "late"), 0) for seed in range(5_000)]
    assert 2_350 < sum(value < 0.5 for value in firsts) < 2_650


def test_a_draw_is_the_same_in_every_process() -> None:
    program = "from cede.simulation.choices import *; print(even(key_of(5, 'stream', 'bank/late'), 7))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, check=True, text=True, timeout=25,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert seen == {f"{even(key_of(5, 'stream', 'bank/late'), 7)}\n"}


def test_a_probability_decides_how_many_are_wild() -> None:
    choices = Choices(Uniform(3, swarm=False))
    stream = choices.stream("bank/late", 0.05)
    values = [stream.draw() for _ in range(10_000)]
    wild = [value for value in values if value]
    assert 400 < len(wild) < 600
    assert 0.45 < sum(wild) / len(wild) < 0.55
    assert len(choices.wild) == len(wild)
    assert choices.wild[("bank/late", values.index(wild[0]))] == wild[0]


def test_a_swarm_leaves_out_whole_kinds_in_some_runs() -> None:
    assert {Uniform(seed).probability("send", 1.0) for seed in range(60)} == {0.0, 0.05, 0.25, 1.0}
    assert {round(Uniform(seed).probability("late", 0.05), 3) for seed in range(60)} == {0.0, 0.05, 0.25, 1.0}
    assert {round(Uniform(seed).probability("kill", 0.004), 3) for seed in range(60)} == {0.0, 0.004, 0.012, 0.04}
    assert any(Uniform(seed).probability("late", 1.0) != Uniform(seed).probability("send", 1.0) for seed in range(20))
    none = next(seed for seed in range(60) if Uniform(seed).probability("late", 1.0) == 0)
    assert not any(Choices(Uniform(none)).draw("x/late", index) for index in range(100))


def test_choices_are_named_and_stay_put() -> None:
    one, other = Choices(Uniform(9, swarm=False)), Choices(Uniform(9, swarm=False))
    expected = [one.draw("a/send", index) for index in range(50)]
    for index in range(30):
        other.draw("b/send", index)
    assert [other.draw("a/send", index) for index in reversed(range(50))] == expected[::-1]
    counted = other.stream("a/send")
    assert counted is other.stream("a/send")
    assert [counted.draw() for _ in range(50)] == expected
    assert other.streams() == {"a/send": 50}


def test_a_replay_draws_what_it_is_given_and_nothing_else() -> None:
    choices = Choices(Replay({("a/send", 3): 0.25}))
    stream = choices.stream("a/send")
    assert [stream.draw() for _ in range(5)] == [0, 0, 0, 0.25, 0]
    assert choices.draw("b/send", 3) == 0
    assert choices.wild == {("a/send", 3): 0.25}


def test_the_tame_strategy_is_tame() -> None:
    assert Choices(Strategy()).draw("a/send", 0) == 0


@pytest.mark.parametrize(("name", "kind"), [("a>b/2/send", "send"), ("bank/late", "late"), ("odd", "odd")])
def test_the_kind_is_the_last_part(name: str, kind: str) -> None:
    assert kind_of(name) == kind
