"""Runs the rows: rounds of one run a peer, interleaved, and the medians of them.

A round measures every peer of a row once, in an order that turns by one from round to round, so
that a slow minute of the machine falls on all of them. A peer that fails a run is out of that
row, with its reason: a loop that answers wrong one time in five has no speed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from . import machine
from .catalogue import section_of
from .clients import Sample
from .peers import BY_NAME, Peer
from .row import Row
from .run import Failed, Settings, run_once


@dataclass
class Result:
    """What all rounds of one row gave."""

    name: str
    title: str
    section: str
    unit: str
    metrics: list[str]
    rounds: int
    scale: float
    date: str = field(default_factory=lambda: time.strftime("%Y-%m-%d"))
    commit: str = field(default_factory=machine.commit)  # of cede
    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)  # peer -> metric -> a number a round
    wall_ns: dict[str, float] = field(default_factory=dict)  # peer -> median wall time an operation
    failures: dict[str, str] = field(default_factory=dict)  # peer -> why it has no number

    def value(self, peer: str, metric: str) -> float | None:
        """Return the median of a peer; None if it failed or was not measured."""
        numbers = self.samples.get(peer, {}).get(metric)
        return statistics.median(numbers) if numbers else None

    def best_peer(self, metric: str) -> tuple[str, float] | None:
        """Return the peer with the lowest median, cede and the limits aside."""
        values = {peer: self.value(peer, metric) for peer in self.samples if BY_NAME[peer].kind == "peer"}
        known = {peer: value for peer, value in values.items() if value is not None}
        return min(known.items(), key=lambda item: item[1]) if known else None

    def ratio(self, peer: str, other: str, metric: str) -> float | None:
        """Return how many times the other's value the peer's is; None if one of them has none."""
        ours, others = self.value(peer, metric), self.value(other, metric)
        return ours / others if ours and others else None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def fits(peer: Peer, row: Row) -> bool:
    """Tell whether this peer can differ from its base on this row at all."""
    if peer.kind == "limit":
        # A C server is one program whatever the package; a driven coroutine is the package's own.
        return row.limit is not None and (peer.package == "asyncio" or row.limit_awaits)
    if peer.package != "asyncio" and not row.package:
        return False
    return peer.sections is None or section_of(row.module) in peer.sections


Watch = Callable[[str, Peer, str], None]


def measure(row: Row, peers: Iterable[Peer], settings: Settings, rounds: int, watch: Watch) -> Result:
    """Measure one row on all peers; `watch(row, peer, outcome)` hears of every run."""
    rounds = min(rounds, row.most_rounds)
    result = Result(row.name, row.title, section_of(row.module), row.unit, list(row.metrics), rounds, settings.scale)
    taking_part = [peer for peer in peers if fits(peer, row)]
    walls: dict[str, list[float]] = {}
    for number in range(rounds):
        turn = number % max(1, len(taking_part))
        for peer in taking_part[turn:] + taking_part[:turn]:
            if peer.name in result.failures:
                continue
            try:
                sample = run_once(row, peer, settings)
            except Failed as failure:
                result.failures[peer.name] = str(failure)
                result.samples.pop(peer.name, None)
                watch(row.name, peer, f"- {failure}")
                continue
            _keep(result, walls, peer, sample)
            watch(row.name, peer, ", ".join(f"{metric} {value:.1f}".strip() for metric, value in sample.values.items()))
    result.wall_ns = {name: statistics.median(numbers) for name, numbers in walls.items()}
    return result


def _keep(result: Result, walls: dict[str, list[float]], peer: Peer, sample: Sample) -> None:
    for metric, value in sample.values.items():
        result.samples.setdefault(peer.name, {}).setdefault(metric, []).append(value)
    if sample.wall_ns is not None:
        walls.setdefault(peer.name, []).append(sample.wall_ns)
