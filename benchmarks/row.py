"""What a row is, and the stopwatch that its program is handed.

A row is declared by decorating the program it measures. There are two kinds:

    @program("sleep0-{tasks}", "`sleep(0)`, {tasks:,} tasks", each(tasks=(1, 100)))
    async def sleep_zero(meter, tasks): ...

does its work and times it itself, with `meter.timed(operations)`; and

    @server("tcp-echo-{size}", "TCP echo, {size}", client=exchange, variants=each(size=(KIB,)))
    async def echo(): ...

starts a server and returns it; a client in another process, on another core, loads it and reads
the CPU clock of the server's process. A decorated program is one row for each of its variants:
dicts of arguments, which also fill in the row's name and title.

Law: this module imports nothing that imports asyncio, for rows must be free to choose theirs.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

Variant = dict[str, Any]


class WrongAnswer(Exception):
    """A program did not do what it is timed for: its time is worth nothing."""


class Size(int):
    """A number of bytes that prints as people write it: `Size(1024)` is `1KiB`."""

    def __str__(self) -> str:
        for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
            if self >= unit and self % unit == 0:
                return f"{self // unit}{name}"
        return f"{int(self)}B"

    def __format__(self, spec: str) -> str:
        return str(self)


KIB = Size(1024)
MIB = Size(1024 * 1024)


@dataclass(frozen=True)
class Row:
    """One program, with the arguments of one variant."""

    name: str  # what --list shows and a glob matches
    title: str  # what the table says
    module: str  # the file in rows/ that holds it
    run: Callable[..., Any]
    variant: Variant
    unit: str = "ns"  # "ns" or "us" of time an operation, or "bytes"
    metrics: tuple[str, ...] = ("",)  # the numbers that a run gives; one of them may go without a name
    warmup: bool = True  # True iff a small run goes ahead of the measured one
    fresh: bool = False  # True iff the allocator is as a process begins with it (child.settle_allocator)
    most_rounds: int = 99  # a row that takes minutes is not run as often as the others
    package: bool = True  # False iff the program is somebody else's, which imports asyncio whatever we do
    client: Any = None  # a client of clients.py; None iff the program times itself
    limit: Any = None  # the same by hand: a function(meter, **variant), or clients.LimitServer
    limit_awaits: bool = False  # True iff that function awaits coroutines of the package

    @property
    def serves(self) -> bool:
        return self.client is not None


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

# Rows by module, in the order in which their decorators were executed.
declared: dict[str, list[Row]] = {}


def each(**values: Sequence[Any]) -> list[Variant]:
    """Return every combination of the values as a list of variants."""
    return [dict(zip(values, combination)) for combination in itertools.product(*values.values())]


Choice = Callable[[Variant], bool]


def large(variant: Variant) -> bool:
    """Choose the variants whose messages are so large that the age of the allocator matters."""
    return bool(variant.get("size", MIB) > 64 * KIB)


def program(
    name: str, title: str, variants: list[Variant] | None = None, *, twice: Choice | None = None, **details: Any
) -> Decorator:
    """Declare a program that times itself: `async def f(meter, **variant)`, or a plain `def`.

    `details` are fields of Row. A plain function is called without a running loop and makes its
    own, from `meter.loop_factory`. A variant that `twice` chooses is a second row, whose process is fresh.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        module = function.__module__.rpartition(".")[2]
        for variant in variants or [{}]:
            row = Row(name.format(**variant), title.format(**variant), module, function, variant, **details)
            declared.setdefault(module, []).append(row)
            if twice is not None and twice(variant):
                fresh = replace(row, name=f"{row.name}-fresh", title=f"{row.title}, fresh process", fresh=True)
                declared[module].append(fresh)
        return function

    return decorate


def server(
    name: str, title: str, variants: list[Variant] | None = None, *, client: Callable[..., Any], **details: Any
) -> Decorator:
    """Declare a server: `async def f()` that starts it and returns it, or its address.

    `client(**variant)` makes what loads it; `details` are fields of Row.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for variant in variants or [{}]:
            loaded = {"unit": "us", "client": client(**variant), **details}
            program(name, title, [variant], **loaded)(function)
        return function

    return decorate


@dataclass
class Meter:
    """What a program is handed: how much to do, and the stopwatch."""

    scale: float = 1.0  # 1 is a full run; warm-up and quick runs do a fraction of it
    loop_factory: Callable[[], Any] | None = None  # the loop under test; for plain functions
    imports: str = "asyncio"  # the package and the module that bring the loop under test, as after `import`
    factory: str = "None"  # what makes the loop, as a program of those imports writes it
    values: dict[str, float] = field(default_factory=dict)  # metric -> nanoseconds an operation, or bytes
    wall_ns: float | None = None  # wall time an operation, where a stopwatch ran
    operations: int = 0  # how many those were
    counter: Any = None  # counting.Counter, if their instructions are counted

    def count(self, full: int, least: int = 1) -> int:
        """Return how many operations to do where a full run does `full`."""
        return max(least, round(full * self.scale))

    @contextmanager
    def timed(self, operations: int) -> Iterator[None]:
        """Take the CPU time of this process, all its threads, for so many operations."""
        if self.counter:
            self.counter.begin()
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        yield
        cpu, wall = time.process_time_ns() - cpu, time.perf_counter_ns() - wall
        if self.counter:
            self.counter.end()
        self.values[""] = cpu / operations
        self.wall_ns = wall / operations
        self.operations += operations

    def report(self, value: float, metric: str = "") -> None:
        """Give a number that is not a CPU time: nanoseconds, or bytes."""
        self.values[metric] = value

    def check(self, answer: object, expected: object) -> None:
        """Raise WrongAnswer unless the program's answer is the expected one."""
        if answer != expected:
            raise WrongAnswer(f"wrong answer: {str(answer)[:60]} instead of {str(expected)[:60]}")
