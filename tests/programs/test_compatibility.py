"""The table of docs/compatibility.md, cell by cell: each row is tried on each loop, and must end as the page says.

loop_probes.py has the programs. Where a loop's new release does more, this fails: then the page is out of date.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.programs.conftest import environment

pytestmark = pytest.mark.programs

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "compatibility.md"
REQUIREMENTS = ROOT / "requirements"
PROBES = Path(__file__).with_name("loop_probes.py")

# The row → its program.
ROWS = {
    "every name of asyncio 3.15": "names",
    "every method of asyncio's loop, with its arguments": "methods",
    "`sendfile`": "sendfile",
    "TLS": "tls",
    "a timer never fires early": "never_early",
    "a sleep of 200 µs takes that, and no millisecond": "short_sleeps",
    "a task that nobody holds lives": "unheld_task_lives",
    "look-ups of names do not wait for the default executor": "look_ups",
    "a cancelled timer is freed at once": "cancelled_timer_is_freed",
    "a clock of one's own": "own_clock",
    "a forked child may run a loop of its own": "forked_child",
    "waking a task from the wrong thread raises in debug mode": "wrong_thread",
    "who waits for whom": "who_waits",
    "Ctrl-C wakes a loop that sleeps": "ctrl_c",
    "runs without compiled code": "plain_python",
}


def table() -> tuple[list[str], dict[str, list[str]]]:
    """Return the names of the loops, and what each row says of them."""
    lines = [line.strip("| \n") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    head = next(number for number, line in enumerate(lines) if "proven by" in line)
    names = [name.split()[0] for name in lines[head].split("|")[:-1]]
    rows = {}
    for line in lines[head + 2 :]:
        row, *cells = (cell.strip() for cell in line.split("|"))
        if len(cells) != len(names) + 1:
            break
        rows[row] = cells[:-1]
    return names, rows


LOOPS, TABLE = table()


def test_the_table_has_the_rows_that_are_tried() -> None:
    assert list(TABLE) == list(ROWS)
    assert LOOPS == ["cede", "asyncio", "uvloop", "rloop"]
    assert all(cell in ("✓", "") for cells in TABLE.values() for cell in cells)


@pytest.mark.timeout(120)
@pytest.mark.skipif(sys.version_info[:2] != (3, 13), reason="the page tells of Python 3.13")
@pytest.mark.parametrize("name", LOOPS)
def test_each_cell(name: str, library: Callable[[str], Any], tmp_path: Path) -> None:
    """Each row's program answers with yes where the page has a tick, and with no where it has none."""
    library(name)

    def answer(row: str) -> tuple[str, str]:
        """Return what stands in the cell, and what the program said."""
        done = subprocess.run(
            [sys.executable, str(PROBES), name, ROWS[row]],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=50,
        )
        return {0: "✓", 3: ""}.get(done.returncode, f"no answer: {done.returncode}"), done.stdout

    with ThreadPoolExecutor(3) as threads:
        found = dict(zip(TABLE, threads.map(answer, TABLE)))
    wrong = {row: (found[row], cells) for row, cells in TABLE.items() if found[row][0] != cells[LOOPS.index(name)]}
    assert not wrong


def test_the_versions_that_are_named_are_those_that_are_tried() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "CPython 3.13 " in text
    files = ("programs.txt", "programs-more.txt")
    installed = "".join((REQUIREMENTS / file).read_text(encoding="utf-8") for file in files)
    for name in LOOPS[2:]:
        (version,) = set(re.findall(rf"\b{name} ([\d.]+\d)", text))
        assert f"{name}=={version}" in installed
