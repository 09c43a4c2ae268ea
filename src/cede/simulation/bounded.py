"""bounded(k): all runs that differ from the tame one in at most k choices.

For small tests it is a proof up to k. Each choice is either tame or one of the values of a small menu; a run whose log
is that of an earlier one leads nowhere new, and is not gone on from. Choices that appear only because another is wild
are found as the runs come to them.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import blake2b
from typing import Any

from .choices import Function, Name, Replay, Strategy

MENU = (0.5, 0.999)  # what a choice is, if it is not tame


class _Noting(Strategy):
    """Replays choices, and notes the names of all that are drawn."""

    name = "bounded"

    def __init__(self, kept: dict[Name, float]) -> None:
        self._replay = Replay(kept)
        self.drawn: dict[Name, None] = {}  # in the order of the draws

    def stream(self, name: str) -> Function:
        draw = self._replay.stream(name)
        drawn = self.drawn

        def note(index: int, wild: float) -> float:
            drawn[(name, index)] = None
            return draw(index, wild)

        return note


def sets_of_choices(
    once: Callable[..., Any], seeds: Iterable[int], name: str
) -> Iterator[tuple[Any, Callable[[], Strategy]]]:
    """Yield (outcome, what makes its strategy) of runs, with few wild choices first, as many as there are seeds.

    All have the first seed: only the choices differ. ValueError if `name` is not "bounded" or "bounded(K)".
    """
    found = re.fullmatch(r"bounded(?:\((\d+)\))?", name)
    if found is None:
        raise ValueError(f'there is no strategy {name!r}: say "bounded(2)"')
    depth = int(found[1] or 2)
    waiting: deque[dict[Name, float]] = deque([{}])
    logs: set[bytes] = set()
    first = None
    for seed in seeds:
        if not waiting:
            return
        first = seed if first is None else first
        kept = waiting.popleft()
        noting = _Noting(kept)
        outcome = once(first, noting, log=True)
        yield outcome, partial(Replay, kept)
        log = blake2b(repr(outcome.events).encode()).digest()
        if log not in logs and len(kept) < depth:
            waiting.extend({**kept, name: value} for name in _after(noting.drawn, kept) for value in MENU)
        logs.add(log)


def _after(drawn: Iterable[Name], kept: dict[Name, float]) -> list[Name]:
    """Return the names that were drawn after the last of those kept: so each set is made once."""
    names = list(drawn)
    last = max((names.index(name) for name in kept if name in names), default=-1)
    return names[last + 1 :]
