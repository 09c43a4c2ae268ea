"""Choices: every free choice of a world, by name.

A choice is named by its cause, a stream, and by its number in that stream: the third segment that alice sends on her
second connection to bank is `("alice>bank/2/send", 2)`, whatever happened elsewhere. Its value lies in [0, 1); 0 is
tame: the least latency, no loss, nothing late. The value is a hash of the seed and of the name and of nothing else.

Law: taming one choice moves no other. So a failing run can be made small by taming choices one after the other.

A strategy decides how many choices are wild. The last part of a stream's name is its kind (`send`, `late`, …).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TypeAlias

from . import mixing

Name: TypeAlias = "tuple[str, int]"  # (stream, index)
Function: TypeAlias = "Callable[[int, float], float]"  # (index, probability of being wild) -> [0, 1)

# How much of what could be wild is, in a run: each kind gets one of these, by its own draw. A choice that is rare by
# itself is left out, as it is, or many times as frequent. In two runs of five all that may be wild is: what one choice
# brings out is then found at once, and what a calm around it brings out in the others.
_SWARM = (0.0, 0.05, 0.25, 1.0, 1.0)
_SWARM_OF_RARE = (0.0, 1.0, 5.0, 20.0, 20.0)
# Kills and resets are asked for at everything that comes or goes: with more of them a run is nothing but catastrophes,
# of which its story can leave out none.
_SWARM_OF_RAREST = (0.0, 1.0, 3.0, 10.0, 10.0)
_RAREST = 0.01


def key_of(seed: int, *names: str) -> int:
    """Return 64 bits that depend on the seed and on the names, the same in every process."""
    text = "\0".join((str(seed), *names)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def even(key: int, index: int) -> float:
    """Return the number of [0, 1) that belongs to a key and an index."""
    return mixing.even(key, index)


class Draw:
    """What answers the draws of one stream. Called with (index, probability of being wild), it returns the value."""

    def value(self, index: int, wild: float) -> float:
        """Return the value of a choice. Here: nothing is ever wild."""
        return 0.0

    def __call__(self, index: int, wild: float) -> float:
        return self.value(index, wild)


class _Drawn(Draw):
    """Draws by a function."""

    def __init__(self, function: Function) -> None:
        self._function = function

    def value(self, index: int, wild: float) -> float:
        return self._function(index, wild)


class _Even(Draw):
    """Draws by a hash."""

    def __init__(self, strategy: Uniform, kind: str, key: int) -> None:
        self._strategy = strategy
        self._kind = kind
        self._key = key
        self._asked = -1.0  # probability of being wild that was asked for last
        self._probability = 0.0  # what the strategy made of it

    def value(self, index: int, wild: float) -> float:
        if wild != self._asked:
            self._probability = self._strategy.probability(self._kind, wild)
            self._asked = wild
        drawn = mixing.even(self._key, index)
        return drawn / self._probability if drawn < self._probability else 0.0


class _Kept(Draw):
    """Draws what is given, and else nothing wild."""

    def __init__(self, values: dict[int, float]) -> None:
        self._values = values

    def value(self, index: int, wild: float) -> float:
        return self._values.get(index, 0.0)


class Strategy:
    """Who answers draws. `stream` is asked once a stream and run, and what it returns at each draw."""

    name = "tame"

    def stream(self, name: str) -> Draw | Function:
        """Return what draws in the stream `name`. Here: nothing is ever wild."""
        return _tame


_tame = Draw()


class Uniform(Strategy):
    """Each choice by itself. A run first draws which kinds of choices are to be wild in it, and how often."""

    name = "uniform"

    def __init__(self, seed: int, swarm: bool = True) -> None:
        self._seed = seed
        self._swarm = swarm

    def probability(self, kind: str, wild: float) -> float:
        """Return how probable it is in this run that a choice of this kind is wild, which asks to be so with `wild`."""
        if not self._swarm or kind == "buggify":  # half of the points of that kind are never asked
            return wild
        which = int(even(key_of(self._seed, "swarm", kind), 0) * len(_SWARM))
        if wild == 1.0:
            return _SWARM[which]
        return min(1.0, wild * (_SWARM_OF_RAREST if wild < _RAREST else _SWARM_OF_RARE)[which])

    def stream(self, name: str) -> Draw:
        return _Even(self, kind_of(name), key_of(self._seed, "stream", name))


class Replay(Strategy):
    """The choices that are given, and the rest tame."""

    name = "replay"

    def __init__(self, kept: Mapping[Name, float]) -> None:
        self._streams: dict[str, dict[int, float]] = {}
        for (stream, index), value in kept.items():
            self._streams.setdefault(stream, {})[index] = value

    def stream(self, name: str) -> Draw:
        values = self._streams.get(name)
        return _tame if values is None else _Kept(values)


def kind_of(stream: str) -> str:
    """Return the kind of a stream: the last part of its name."""
    return stream.rpartition("/")[2]


class Stream:
    """A stream, and where it has got to."""

    def __init__(self, choices: Choices, name: str, p: float) -> None:
        self.name = name
        self.index = 0  # of the next draw
        self._p = p  # probability of being wild that its owner asks for
        self._choices = choices
        self._draw = choices.drawer(name)

    def draw(self) -> float:
        """Return the value of the next choice of this stream."""
        index = self.index
        self.index = index + 1
        value = self._draw.value(index, self._p)
        if value:
            self._choices.wild[(self.name, index)] = value
        return value


class Choices:
    """The choices of one run: who draws them, and which were wild."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self.wild: dict[Name, float] = {}  # what was drawn and is not tame, in the order of the draws
        self.told: dict[Name, tuple[float, str, str]] = {}  # of those: when, where and what came of it, in words
        self._drawers: dict[str, Draw] = {}
        self._streams: dict[str, Stream] = {}

    def drawer(self, stream: str) -> Draw:
        """Return what answers the draws of a stream."""
        draw = self._drawers.get(stream)
        if draw is None:
            drawn = self.strategy.stream(stream)
            draw = self._drawers[stream] = drawn if isinstance(drawn, Draw) else _Drawn(drawn)
        return draw

    def draw(self, stream: str, index: int, p: float = 1.0) -> float:
        """Return the value of a choice, the same however often it is asked for; wild with probability `p` at most."""
        value = self.drawer(stream).value(index, p)
        if value:
            self.wild[(stream, index)] = value
        return value

    def stream(self, name: str, p: float = 1.0) -> Stream:
        """Return the stream of that name, which counts its draws. There is one of a name; the first one's `p` holds."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Stream(self, name, p)
        return stream

    def streams(self) -> dict[str, int]:
        """Return how many choices each counted stream has drawn."""
        return {name: stream.index for name, stream in self._streams.items()}
