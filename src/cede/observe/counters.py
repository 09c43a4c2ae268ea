"""Numbers for a dashboard: how busy each loop is, how late, and what waits.

Counters are read. The tasks are gone through once, to count those that wait: a tenth of a microsecond each.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..engine import forks, tasks
from .ages import moment
from .handing_over import hand_over

_SMALLEST, _LARGEST = 10, 40  # bits of ticks: what the histogram of delays tells apart, about 1 µs to 5 minutes


@dataclass(frozen=True, slots=True)
class LoopStats:
    """The numbers of one loop. Times are in seconds; the counters only grow."""

    thread: int  # that runs it, as `threading.get_ident` numbers them; 0: none does
    busy: float  # running callbacks, tasks and transports
    idle: float  # waiting for the kernel
    turns: int
    looks: int  # at the kernel
    longest: float  # the longest time from one look to the next: so late is what came meanwhile
    delays: tuple[
        tuple[float, int], ...
    ]  # (seconds, how often it took at most so long, and longer than the one before)
    tasks: int  # that are not done
    tasks_ready: int  # of these: that stand in line, or run
    tasks_waiting: int  # of these: that wait for something
    ready: int  # callbacks and tasks that stand in line
    timers: int
    transports: int
    executor_threads: int
    executor_queued: int

    def as_dict(self) -> dict[str, Any]:
        """Return the same as plain data, of which `LoopStats(**data)` makes it again."""
        return asdict(self)

    @property
    def utilization(self) -> float:
        """The part of the time in which it was busy, from 0 to 1."""
        whole = self.busy + self.idle
        return self.busy / whole if whole > 0 else 0.0

    @property
    def mean_delay(self) -> float:
        """The mean time from one look at the kernel to the next."""
        return self.busy / self.looks if self.looks else 0.0

    def delay(self, part: float) -> float:
        """Return the delay that the part (0 to 1) of all looks did not exceed, to a factor of two; 0.99: the p99."""
        whole = sum(count for _, count in self.delays)
        seen = 0
        for bound, count in self.delays:
            seen += count
            if count and seen >= part * whole:
                return min(bound, self.longest) if self.longest else bound
        return 0.0

    def since(self, earlier: LoopStats) -> LoopStats:
        """Return the numbers of the time since `earlier`; `longest` is that of all the time."""
        return replace(
            self,
            busy=self.busy - earlier.busy,
            idle=self.idle - earlier.idle,
            turns=self.turns - earlier.turns,
            looks=self.looks - earlier.looks,
            delays=tuple(
                (bound, count - before) for (bound, count), (_, before) in zip(self.delays, earlier.delays, strict=True)
            ),
        )


@dataclass(frozen=True, slots=True)
class Stats:
    """The numbers of a process."""

    pid: int
    tasks_created: int  # since it began; begins anew at 2 ** 31
    stalls: int  # that a watcher saw, since it began: a loop was blocked by the program
    descheduled: int  # the same, where the machine was to blame
    records: int  # that were written by the recorder
    record_bytes: int  # of its rings
    loops: tuple[LoopStats, ...]  # the oldest first

    def as_dict(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return asdict(self)


def stats() -> Stats:
    """Return the numbers of this process and of its loops, now. May be called from any thread."""
    recorder = sys.modules.get("cede.observe.recorder")  # not imported: nothing is recorded
    records, size = (0, 0) if recorder is None else recorder.totals()
    open_loops = [loop for loop in forks.loops() if not loop.is_closed()]
    seen = watched()
    return Stats(
        os.getpid(), tasks.made(), *seen, records, size, tuple(of_loop(loop, by_state=True) for loop in open_loops)
    )


def watched() -> tuple[int, int]:
    """Return how many stalls watchers saw in this process, and how many were the machine's."""
    watcher = sys.modules.get("cede.observe.watcher")  # not imported: nobody watches
    return (0, 0) if watcher is None else watcher.totals()


def of_loop(loop: Any, by_state: bool = False) -> LoopStats:
    """Return the numbers of one loop; tasks by their state only if that is asked for."""
    _, tick = moment(loop)
    counts = loop._lags()
    delays = [(float(2**bits) * tick, counts[bits]) for bits in range(_SMALLEST, _LARGEST + 1)]
    delays[0] = (delays[0][0], sum(counts[: _SMALLEST + 1]))
    delays[-1] = (delays[-1][0], sum(counts[_LARGEST:]))
    threads, queued = _executor(getattr(loop, "_default_executor", None))
    count, waiting = _states_of(loop) if by_state else (len(loop._live), 0)
    return LoopStats(
        loop._thread_id or 0,
        loop._busy_ticks * tick,
        loop._idle_ticks * tick,
        loop._turns,
        loop._looks // 2,
        loop._longest * tick,
        tuple(delays),
        count,
        count - waiting if by_state else 0,
        waiting,
        len(loop._upcoming),
        len(loop._timers),
        len(loop._transports),
        threads,
        queued,
    )


def _states_of(loop: Any) -> tuple[int, int]:
    """Return how many tasks a loop has, and how many of them wait."""
    alive = list(loop._live)
    count, waiting = len(alive), sum(map(_waits, alive))
    hand_over(loop, alive)
    return count, waiting


def _waits(task: Any) -> bool:
    awaited = task._fut_waiter
    return awaited is not None and not awaited.done()


def _executor(pool: Any) -> tuple[int, int]:
    """Return how many threads an executor has, and how many calls wait for one; of a foreign one nothing is known."""
    queue = getattr(pool, "_work_queue", None)
    return len(getattr(pool, "_threads", ())), 0 if queue is None else queue.qsize()
