"""What recording costs in instructions: `python -m benchmarks --budget`.

One process under callgrind does each row off and recording, and only what the row times is counted (`counting` compares
whatever rows, a process for each). It takes seconds, so it is a test as well.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import build, catalogue, counting
from .peers import BY_NAME
from .row import Meter

OPERATIONS = 1000  # of each row; one of `gather`, which is 10,000 tasks
# row: how much more of its instructions recording may take. Chains of empty callbacks have nothing else in them.
BUDGET = {
    "sleep0-1": 0.15,
    "sleep0-100": 0.15,
    "task-await": 0.18,  # 0.15 is the aim: two steps, a birth and a death
    "gather": 0.15,
    "queue-1to1-1": 0.15,
    "future-call-soon": 0.35,
    "call-soon-chain": 0.35,
}
NEWER = {"task-await": 0.23}  # from Python 3.14 on, which takes less for the rest of it


def budget(row: str, python: tuple[int, ...] = sys.version_info[:2]) -> float | None:
    """Return how much recording may take on a Python, as a part of what it takes without; None if that is not said."""
    return NEWER.get(row, BUDGET.get(row)) if python >= (3, 14) else BUDGET.get(row)


@dataclass(frozen=True)
class Count:
    """Instructions an operation."""

    row: str
    off: float
    recording: float

    @property
    def extra(self) -> float:
        """What recording takes, as a part of what it takes without."""
        return self.recording / self.off - 1

    @property
    def kept(self) -> bool:
        """Whether that is within its budget; what has none is."""
        most = budget(self.row)
        return most is None or self.extra <= most


class _Still:
    """A clock that stands: how often a busy loop looks at the kernel does not depend on how slow valgrind is."""

    def time(self) -> float:
        return 0.0


class _Few(Meter):
    """A meter that asks for few operations."""

    def __init__(self, operations: int, counter: counting.Counter | None = None) -> None:
        super().__init__(1.0, counter=counter)
        self._wanted = operations

    def count(self, full: int, least: int = 1) -> int:
        return max(least, min(full, self._wanted))


def child(rows: list[str]) -> None:
    """Do each row (`file:name`) twice, in the process that callgrind watches; print of how many operations each was."""
    peer = BY_NAME["package"]
    package = peer.load_package()
    import cede
    from cede import observe
    from cede.observe import recorder

    recorder._time_of = lambda loop: None  # the recording goes by the processor's counter nevertheless

    names = [row.partition(":")[2] for row in rows]
    modules = dict.fromkeys(row.partition(":")[0] for row in rows)
    loaded = {row.name: row for module in modules for row in catalogue.load(module, package)}
    done: list[int] = []
    counter = counting.Counter(str(build.counter()))
    for recording in (False, True):
        if recording:
            observe.start("1MiB", file=False)
        for name in names:
            row = loaded[name]
            operations = 1 if name == "gather" else OPERATIONS  # of 10,000 tasks each
            with package.Runner(loop_factory=lambda: cede.EventLoop(clock=_Still())) as runner:
                runner.run(row.run(_Few(max(operations // 4, 1)), **row.variant))
                meter = _Few(operations, counter)
                runner.run(row.run(meter, **row.variant))
            done.append(meter.operations)
    print(json.dumps(done))


def available() -> bool:
    """Tell whether valgrind is here."""
    return shutil.which("valgrind") is not None


def count(names: list[str]) -> list[Count]:
    """Count each row, off and recording."""
    library = str(build.counter())
    modules = {row.name: row.module for row in catalogue.all_rows()}
    with tempfile.TemporaryDirectory(prefix="counts") as folder:
        out = Path(folder) / "out"
        words = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
        words += [sys.executable, "-m", "benchmarks.recording", *[f"{modules[name]}:{name}" for name in names]]
        environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONPATH": _path(), "LD_PRELOAD": library}
        done = subprocess.run(words, capture_output=True, text=True, env=environment)
        if done.returncode:
            sys.exit(f"counting failed:\n{done.stderr[-2000:]}")
        # A file for each count, in the order in which they ended.
        totals = [_total(Path(f"{out}.{number + 1}").read_text()) for number in range(2 * len(names))]
    per_operation = [total / of for total, of in zip(totals, json.loads(done.stdout.splitlines()[-1]))]
    off, on = per_operation[: len(names)], per_operation[len(names) :]
    return [Count(name, *both) for name, *both in zip(names, off, on)]


def _total(written: str) -> int:
    found = re.search(r"^(?:totals|summary): (\d+)", written, re.MULTILINE)
    assert found is not None
    return int(found[1])


def _path() -> str:
    root = Path(__file__).parent.parent
    return os.pathsep.join([str(root), str(root / "src")])


def table(counts: list[Count]) -> list[str]:
    """Return the lines that say to a person at a terminal what was counted."""
    lines = [f"{'instructions an operation':28} {'off':>9} {'recording':>9} {'':>7} {'budget':>7}"]
    for one in counts:
        most = budget(one.row)
        limit = "" if most is None else f"{100 * most:6.0f} %"
        lines.append(f"{one.row:28} {one.off:9.0f} {one.recording:9.0f} {100 * one.extra:+6.1f}% {limit}")
    return lines


if __name__ == "__main__":
    child(sys.argv[1:])
