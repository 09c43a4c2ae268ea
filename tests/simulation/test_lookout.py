"""A program that computes for ever in a world is told of, with the line where it is; whatever takes turns is not."""

from __future__ import annotations

import _thread
import itertools
import threading
import time
import weakref
from collections.abc import Callable

import pytest

from cede.simulation.lookout import Lookout


def wait_for_words(told: list[str], number: int) -> None:
    while len(told) < number:
        pass  # it computes


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_where_it_stands_still_is_told_again_and_again() -> None:
    told: list[str] = []
    with Lookout(lambda: 7, told.append, patience=0.05):
        wait_for_words(told, 2)
    first, second = told[:2]
    head, place, caller = first.splitlines()[:3]
    assert head.startswith("no turn for ") and head.endswith(" s of the machine's: the program is here")
    assert f"{__file__}:" in place and " in wait_for_words: " in place
    assert caller.endswith("in test_where_it_stands_still_is_told_again_and_again: wait_for_words(told, 2)")
    assert second.splitlines()[2] == caller


def test_turns_are_not_told_of() -> None:
    told: list[str] = []
    asked = threading.Event()
    turns = itertools.count()

    def turn() -> int:
        if (number := next(turns)) == 50:
            asked.set()
        return number

    with Lookout(turn, told.append, patience=0.01):
        assert asked.wait(30)
    assert not told


@pytest.mark.parametrize("ends", [False, True], ids=["told", "at once"])
def test_nothing_is_left(ends: bool) -> None:
    """Neither the thread nor what the frames held, which goes in the thread whose it is."""
    went: list[int] = []

    class Thing:
        pass

    def held() -> None:
        thing = Thing()
        weakref.finalize(thing, lambda: went.append(threading.get_ident()))
        wait_for_words(told, 0 if ends else 1)

    told: list[str] = []
    before = _thread._count()
    with Lookout(lambda: None, told.append, patience=0.02):
        held()
    assert went == [threading.get_ident()]
    wait_until(lambda: _thread._count() == before)
