"""Shrinking: from the choices of a failing run to the few that it needs.

As choices have names, taming some of them moves no other: what is left out is simply not replayed. So whole kinds are
left out first, then streams, then single choices (delta debugging); and what a failing replay did not draw at all is
gone at once. Several delays that only add up become one, and what happens to a later connection is tried on the first
one, alone. Each choice that is left is then halved towards tame, which
says from where on the run fails.

A replay counts as the same failure if it raises the same type of exception on the same line of the user's.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .choices import Name, kind_of

RUNS = 200
SECONDS = 10.0
_WILDEST = 255 / 256
_LATER = re.compile(r"/\d+/")  # the number of a connection, in the name of a stream
_DIGITS = 256  # values are rounded to these parts, and bounds found as exactly

Kept = dict[Name, float]
Attempt = Callable[[Kept], "Kept | None"]  # replay; what was wild in it if it failed in the same way, else None


@dataclass
class Shrunk:
    """What is left of a failing run."""

    kept: Kept  # the choices that it needs, rounded
    bounds: Kept  # the least value of each with which it still fails
    runs: int  # that it took
    whole: bool  # False iff the budget was used up before


class Enough(Exception):
    """The budget is used up. An attempt may raise it in the midst of a replay."""


class Shrinker:
    """Makes a set of wild choices small, as long as `attempt` says that it fails in the same way."""

    def __init__(
        self,
        attempt: Attempt,
        *,
        runs: int = RUNS,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.process_time,
    ) -> None:
        """`clock` says what is counted as seconds: the processor's, as a rule, so that a machine that stands still
        for a while does not change what a story needs."""
        self._attempt = attempt
        self._most = runs
        self._seconds = seconds
        self._clock = clock
        self._until = math.inf
        self.runs = 0

    def shrink(self, wild: Kept) -> Shrunk:
        """Return the small set. `wild` must fail."""
        self._until = self._clock() + self._seconds
        self._kept = dict(wild)
        bounds: Kept = {}
        whole = True
        try:
            if not self._try({}):
                self._drop(_grouped(self._kept, lambda name: kind_of(name[0])))
                self._drop(_grouped(self._kept, lambda name: name[0]))
                self._drop([[name] for name in self._kept])
                self._concentrate()
                self._on_the_first_connection()
            for name in list(self._kept):
                self._round(name)
            for name in list(self._kept):
                self._halve(name, bounds)
        except Enough:
            whole = False
        return Shrunk(self._kept, {**self._kept, **bounds}, self.runs, whole)

    def has_time(self) -> bool:
        """Whether the seconds are not used up yet."""
        return self._clock() <= self._until

    def _try(self, kept: Kept) -> bool:
        """Whether a set fails as well; if so, what of it was drawn becomes the one to go on with."""
        wild = self._replay(kept)
        if wild is None:
            return False
        self._kept = {name: value for name, value in kept.items() if name in wild}
        return True

    def _replay(self, kept: Kept) -> Kept | None:
        if self.runs >= self._most or not self.has_time():
            raise Enough
        self.runs += 1
        return self._attempt(kept)

    def _drop(self, groups: Sequence[Sequence[Name]]) -> None:
        """Leave out as many of the groups as can be: halves first, then quarters, … (delta debugging)."""
        parts = 2
        groups = list(groups)
        while groups:
            size = math.ceil(len(groups) / parts)
            chunks = [groups[start : start + size] for start in range(0, len(groups), size)]
            for chunk in chunks:
                without = {name for group in chunk for name in group}
                if self._try({name: value for name, value in self._kept.items() if name not in without}):
                    parts = max(parts - 1, 2)
                    break
            else:
                if size == 1:
                    return
                parts = min(len(groups), 2 * parts)
            groups = [left for group in groups if (left := [name for name in group if name in self._kept])]

    def _concentrate(self) -> None:
        """Let one choice do what several did together: leave one out, and make another one as wild as can be."""
        tried: set[tuple[Name, Name]] = set()
        while len(self._kept) > 1:
            pairs = [(name, other) for name in self._kept for other in self._kept if name != other]
            for name, other in [pair for pair in pairs if pair not in tried]:
                tried.add((name, other))
                if self._try({**{left: value for left, value in self._kept.items() if left != other}, name: _WILDEST}):
                    break
            else:
                return

    def _on_the_first_connection(self) -> None:
        """Let what happens to a later connection happen to the first one: often the others only made it necessary."""
        for (stream, index), value in list(self._kept.items()):
            first = _LATER.sub("/1/", stream)
            if len(self._kept) > 1 and first != stream and self._try({(first, index): value}):
                return

    def _round(self, name: Name) -> None:
        """Take a value of few digits in place of one, if it does as well."""
        value = self._kept.get(name)
        if value is None:
            return
        for digits in (16, _DIGITS, _DIGITS**2):
            for near in (math.ceil(value * digits), math.floor(value * digits)):
                if 0 < near < digits and self._try({**self._kept, name: near / digits}):
                    return

    def _halve(self, name: Name, bounds: Kept) -> None:
        """Find the least value with which it fails, all others being as they are."""
        if name not in self._kept:
            return
        fails, passes = round(self._kept[name] * _DIGITS), 0
        while fails - passes > 1:
            middle = (fails + passes) // 2
            if self._replay({**self._kept, name: middle / _DIGITS}) is None:
                passes = middle
            else:
                fails = middle
        bounds[name] = min(fails / _DIGITS, self._kept[name])


def _grouped(names: Iterable[Name], key: Callable[[Name], Any]) -> list[list[Name]]:
    groups: dict[Any, list[Name]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return list(groups.values())
