"""Strategies beyond `uniform`: where the wild choices are put, for bugs that even spreading meets rarely.

`pct`, after probabilistic concurrency testing: each source of events (a stream of choices that delay something) gets a
priority for the whole run, which is its delay; at a few moments the source that is drawn from falls behind all others.
A bug that needs d such orders among n sources and k choices is met with probability 1 / (n k^(d-1)) or better.

`pos`, after partial order sampling: each choice that delays something gets a fresh delay, none is tame.

Choices that are rare by themselves (p < 1: losses, resets, oversleeping) stay as `uniform` has them.
"""

from __future__ import annotations

import re

from .choices import Function, Strategy, Uniform, even, key_of

_KNOWN = 'say "uniform", "pct", "pct(DEPTH)", "pos", "bounded(K)"'
_LAST = 0.999  # the delay of a source that has fallen behind all others


class PriorityChanges(Strategy):
    """`pct(depth)`: a delay a source, and `depth` - 1 moments at which one falls behind."""

    name = "pct"

    def __init__(self, seed: int, *, depth: int, choices: int) -> None:
        """`choices` is how many are drawn in a run, about: that of an earlier one."""
        self._seed = seed
        self._rare = Uniform(seed)
        key = key_of(seed, "pct")
        self._moments = {int(even(key, index) * max(choices, 1)) for index in range(depth - 1)}
        self._drawn = 0

    def stream(self, name: str) -> Function:
        rare = self._rare.stream(name)
        delay = even(key_of(self._seed, "priority", name), 0) * _LAST

        def draw(index: int, wild: float) -> float:
            nonlocal delay
            if wild < 1.0:
                return rare(index, wild)
            if self._drawn in self._moments:
                delay = _LAST
            self._drawn += 1
            return delay

        return draw


class FreshPriorities(Strategy):
    """`pos`: a fresh delay each time."""

    name = "pos"

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rare = Uniform(seed)

    def stream(self, name: str) -> Function:
        rare = self._rare.stream(name)
        key = key_of(self._seed, "pos", name)
        return lambda index, wild: rare(index, wild) if wild < 1.0 else even(key, index)


def of_one_run(wanted: Strategy | str, seed: int) -> Strategy:
    """Return the strategy of a single run, given itself or by its name. TypeError or ValueError if it is none."""
    if isinstance(wanted, Strategy):
        return wanted
    if not isinstance(wanted, str):
        raise TypeError(f"a strategy is given by its name, got {wanted!r}: {_KNOWN}")
    if wanted.startswith("bounded"):
        raise ValueError(f"the strategy {wanted!r} is one of many runs: cede.simulation.explore(main, …) has them")
    return strategy(wanted, seed, 1)


def strategy(name: str, seed: int, choices: int) -> Strategy:
    """Return the strategy of that name for a run: "uniform", "pct", "pct(DEPTH)" or "pos". ValueError for another.

    `choices` is how many an earlier run drew, for `pct`.
    """
    if name == "tame":
        return Strategy()
    if name == "uniform":
        return Uniform(seed)
    if name == "pos":
        return FreshPriorities(seed)
    if found := re.fullmatch(r"pct(?:\((\d+)\))?", name):
        return PriorityChanges(seed, depth=int(found[1] or 3), choices=choices)
    raise ValueError(f"there is no strategy {name!r}: {_KNOWN}")
