"""Instructions instead of time: `python -m benchmarks --count task-await tcp-echo-1KiB-10`.

Of a row only what is timed is counted, in user space, by callgrind; of a server, what a longer run takes more than a
short one. The clock goes as much slower there as the process does. The count hardly depends on what else the machine
does, so two of them can be compared to a percent where times cannot. `--without "kept memory"`, which may be repeated,
counts again without that trick (`cede/engine/assumptions.py`), `--against src` with the cede of another tree, compiled
there.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import build, run
from .clients import REPOSITORY as REPOSITORY
from .peers import Peer
from .row import Row

SCALE = 0.02  # of a full run: thousands of operations
LIBRARY = "CEDE_COUNT"  # names the library to the measured process
COMMAND = ("valgrind", "--tool=callgrind", "--instr-atstart=no")


class Counter:
    """In the measured process: what to count begins, and ends."""

    def __init__(self, library: str) -> None:
        functions = ctypes.CDLL(library)
        self.begin, self.end = functions.count_begin, functions.count_end


def counter() -> Counter | None:
    """Return that of this process; None if nothing is counted in it."""
    library = os.environ.get(LIBRARY)
    return Counter(library) if library else None


def count(row: Row, peer: Peer) -> float:
    """Return the instructions of one operation of a row; run.Failed if there is no number."""
    instructions, operations = _counted(row, peer, SCALE)
    if row.serves:
        more, of_more = _counted(row, peer, 3 * SCALE)
        instructions, operations = more - instructions, of_more - operations
    return instructions / operations


def _counted(row: Row, peer: Peer, scale: float) -> tuple[int, int]:
    """Return the instructions and the operations of a run."""
    with tempfile.TemporaryDirectory(prefix="count") as folder:
        wrapper = (*COMMAND, f"--callgrind-out-file={folder}/out")
        sample = run.run_once(row, peer, run.Settings(scale, wrapper=wrapper, pinned=False))
        # A file for each count that ended; without a number that of the end of the process.
        written = Path(folder, "out" if row.serves else "out.1").read_text()
        totals = re.search(r"^totals: (\d+)", written, re.MULTILINE)
        if totals is None or not sample.operations:
            raise run.Failed("nothing was counted")
        return int(totals.group(1)), sample.operations


def compare(rows: Sequence[Row], peer: Peer, variants: dict[str, dict[str, str]]) -> None:
    """Print a table: the instructions of an operation, and how many per cent more or less in each variant.

    A variant is what it is called, and what the environment of its processes has besides. The first is the one that
    the others are compared with.
    """
    library = str(build.counter())
    peer = dataclasses.replace(peer, environment=peer.environment | {LIBRARY: library, "LD_PRELOAD": library})
    print("| row |", " | ".join(variants), "|")
    print("| --- |", " | ".join("---:" for _ in variants), "|")
    for row in rows:
        cells: list[str] = []
        first = 0.0
        for environment in variants.values():
            varied = dataclasses.replace(peer, environment=peer.environment | environment)
            try:
                found = count(row, varied)
            except run.Failed as reason:
                cells.append(f"({reason})")
                continue
            cells.append(f"{(found / first - 1) * 100:+.1f} %" if first else f"{found:,.0f}")
            first = first or found
        print(f"| {row.name} |", " | ".join(cells), "|", flush=True)
