"""Measure the zoo, and write the table of docs/simulation.md from what was measured.

    python -m tests.simulation.zoo --into docs/zoo [ROW ...]       measure rows (all), into docs/zoo/3.13.json
    python -m tests.simulation.zoo --table                         write the table anew

A row is measured whole before it is written, so the work can be stopped and gone on with: rows that stand in the file
already are left out, unless they are named.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from cede.simulation import explore
from cede.simulation.choices import Draw, Strategy, Uniform, even, key_of, kind_of
from cede.simulation.exploring import Explorer
from cede.simulation.running import begin
from tests.io.conftest import Certificates

from . import cancellations, clusters, growth, over_the_network, overload, races  # noqa: F401
from .parts import BUGS, Bug
from .test_raft import raft

SEARCHES = 20
MENDED = 2000
PLAIN = 1000
LIMIT = 1000  # runs of a search
QUIET = 0.01  # of the most that a delay may be
ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "docs" / "zoo"
PAGE = ROOT / "docs" / "simulation.md"
BEGIN, END = "<!-- the zoo's table -->\n", "<!-- its end -->\n"
NEEDS = {  # of the rows of `over_the_network`
    15: "chunks",
    16: "chunks",
    17: "reset",
    18: "reset",
    19: "reset",
    23: "latency",
    24: "partition",
    27: "power",
    28: "power",
    29: "kill",
    30: "signal",
    31: "reorder",
}
RAFT = 100  # number of the first of raft's planted mistakes


class Quiet(Strategy):
    """A plain run, as tests have them: delays differ from run to run, all of them are short, and nothing fails."""

    name = "quiet"

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rare = Uniform(seed, swarm=False)

    def stream(self, name: str) -> Draw:
        key, rare = key_of(self._seed, "stream", name), self._rare.stream(name)
        is_late = kind_of(name) == "late"

        def draw(index: int, wild: float) -> float:
            if wild == 1.0:
                return even(key, index) * QUIET
            return rare(index, wild) * QUIET if is_late else 0.0

        return draw


def bugs() -> list[Bug]:
    """Return all of the zoo, by their numbers."""
    settings = {"max_time": 1000.0}
    rows = [
        Bug(
            row.number,
            row.program.__name__.replace("_", " "),
            NEEDS[row.number],
            row.program,
            row.seeds,
            row.choices,
            settings,
        )
        for row in over_the_network.ROWS
    ]

    def planted(mistake: str) -> Any:
        async def program(world: Any, mended: bool) -> None:
            await raft.trial(world, "" if mended else mistake)

        return program

    rows += [
        Bug(RAFT + index, f"raft: {mistake}", "partition, power", planted(mistake), 300, 3, settings)
        for index, mistake in enumerate(raft.MISTAKES)
    ]
    return sorted([*BUGS.values(), *rows], key=lambda bug: bug.number)


def measure(bug: Bug, plain_runs: int = PLAIN, mended_runs: int = MENDED) -> dict[str, Any]:
    """Return what a row of the table says."""
    runs, choices = [], []
    for search in range(SEARCHES):
        seeds = range(search * LIMIT, search * LIMIT + LIMIT)
        # Shrinking ends after 200 runs, not after some time: so all of this comes out the same on any machine.
        found = explore(bug.wrong, seeds=seeds, first=True, shrink_seconds=3600, **bug.settings)
        runs.append(found.runs if found.failures else LIMIT)
        choices += [len(failure.story) for failure in found.failures]
    explorer = Explorer(partial(begin, bug.wrong), bug.settings)
    plain = sum(explorer.once(seed, Quiet(seed)).kind is not None for seed in range(plain_runs))
    mended = explore(bug.mended, seeds=range(mended_runs), first=True, shrink_seconds=3600, **bug.settings)
    return {
        "name": bug.name,
        "needs": bug.needs,
        "worst": max(runs),
        "median": statistics.median_high(runs),
        "missed": SEARCHES - len(choices),
        "choices": statistics.median_high(choices) if choices else None,
        "most choices": max(choices, default=None),
        "plain": plain,
        "plain runs": plain_runs,
        "mended runs": mended_runs,
        "false alarms": [str(mended)] if mended.failures else [],
        "promised": [bug.seeds, bug.choices],
    }


def key(bug: Bug) -> str:
    return f"{bug.number} {bug.name}"


def measure_into(folder: Path, wanted: list[int], plain_runs: int = PLAIN, mended_runs: int = MENDED) -> None:
    """Measure rows that are not there yet, or those that are wanted."""
    over_the_network.CERTIFICATES = Path(tempfile.mkdtemp())
    Certificates(over_the_network.CERTIFICATES)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{sys.version_info[0]}.{sys.version_info[1]}.json"
    for bug in bugs():
        had = json.loads(file.read_text()) if file.exists() else {}
        if bug.number in wanted or (not wanted and key(bug) not in had):
            had[key(bug)] = measure(bug, plain_runs, mended_runs)
            print(key(bug), had[key(bug)], flush=True)
            file.write_text(
                json.dumps(dict(sorted(had.items(), key=lambda item: int(item[0].split()[0]))), indent=1) + "\n"
            )


def table(folder: Path) -> str:
    """Return the table: a row a bug, of each column first the one Python's and then, if it differs, the other's.

    A dash is where nothing has been measured yet.
    """
    measured = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
    lines = [
        "| # | bug | what it takes | runs until it is found | choices left | fails in plain runs | the mended one passes |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]

    def shown(name: str, text: str) -> str:
        return " / ".join(dict.fromkeys(text.format_map(rows[name]) for rows in measured if name in rows)) or "–"

    for bug in bugs():
        cells = [
            "" if bug.number >= RAFT else str(bug.number),
            bug.name,
            bug.needs,
            shown(key(bug), "{worst} ({median})"),
            shown(key(bug), "{choices} ({most choices})"),
            shown(key(bug), "{plain} of {plain runs:,}"),
            shown(key(bug), "{mended runs:,}"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    head, found, rest = page.partition(BEGIN)
    if not found:
        sys.exit(f"{PAGE} has no line {BEGIN!r}, where the table goes")
    tail = rest.partition(END)[2]
    PAGE.write_text(f"{head}{BEGIN}\n{table(FOLDER)}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--plain", type=int, default=PLAIN, metavar="N", help="so many plain runs (%(default)s)")
    parser.add_argument("--mended", type=int, default=MENDED, metavar="N", help="so many of the mended (%(default)s)")
    parser.add_argument("rows", nargs="*", type=int)
    options = parser.parse_args()
    if options.into is not None:
        measure_into(options.into, options.rows, options.plain, options.mended)
    if options.table:
        write_table()
