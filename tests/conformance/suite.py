"""Runs CPython's asyncio tests on cede in processes of their own, and judges how they ended.

`excluded.tsv` says which tests are not about cede, or look inside CPython's own classes: they do not run.
`expected/X.Y.tsv` says which fail on that Python, and why a program need not mind.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .place import MODES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SECONDS = 20.0  # a test that takes longer hangs
HOPELESS_SECONDS = 5.0  # the same for one that is expected to fail
MODULE_SECONDS = 300.0


@dataclass
class Result:
    """How the tests of a module ended in a mode."""

    outcomes: dict[str, str] = field(default_factory=dict)  # passed, failed, skipped, idle (see `child`)
    why: dict[str, str] = field(default_factory=dict)  # of those that failed
    lost: list[str] = field(default_factory=list)  # failed, alone too, and not expected to
    mended: list[str] = field(default_factory=list)  # expected to fail, and do not

    def count(self) -> Counter[str]:
        return Counter(self.outcomes.values())

    def complaint(self) -> str:
        lines = [f"LOST {name}: {self.why[name]}" for name in self.lost]
        lines += [f"MENDED, to be taken off the list: {name}" for name in self.mended]
        return "\n".join(lines)


@functools.cache
def modules() -> list[str]:
    """The modules of CPython's asyncio tests; none if this Python came without them."""
    try:
        spec = importlib.util.find_spec("test.test_asyncio")
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        return []
    names = sorted(path.stem for path in Path(spec.origin).parent.glob("test_*.py"))
    return [name for name in names if not all(is_excluded(mode, name + ".") for mode in MODES)]


@functools.cache
def table(path: Path) -> list[tuple[str, str, str]]:
    """The rows of a list: mode (`both` for both), name of a test, reason."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [(mode, name, reason) for mode, name, reason in rows]


def excluded(mode: str) -> dict[str, str]:
    """Patterns of the tests that do not run, and why."""
    return {name: reason for row, name, reason in table(HERE / "excluded.tsv") if row in (mode, "both")}


def is_excluded(mode: str, test: str) -> bool:
    return any(fnmatch.fnmatchcase(test, pattern) for pattern in excluded(mode))


def expected(mode: str, module: str = "*") -> dict[str, str]:
    """The tests that fail on this Python, and why."""
    path = HERE / "expected" / "{}.{}.tsv".format(*sys.version_info)
    prefix = "" if module == "*" else module + "."
    return {name: why for row, name, why in table(path) if row in (mode, "both") and name.startswith(prefix)}


def run(mode: str, module: str, *, with_expected: bool = False) -> Result:
    """Run the tests of `module`, and those that fail a second time, each alone.

    `with_expected` runs those too that are expected to fail.
    """
    known = expected(mode, module)
    left_out = [*excluded(mode), *known]
    result = Result()
    left = True  # True iff a test has ended the process, so that those after it have still to run
    while left:
        begun = _run_child(result, mode, module, left_out + list(result.outcomes), SECONDS)
        left = begun is not None and begun not in result.outcomes
        if begun is not None:
            result.outcomes[begun] = "failed"
    for name in [name for name, outcome in result.outcomes.items() if outcome == "failed"]:
        _run_alone(result, mode, module, name, SECONDS)
        if result.outcomes[name] == "failed":
            result.lost.append(name)
    if with_expected:
        for name in known:
            _run_alone(result, mode, module, name, HOPELESS_SECONDS)
            if result.outcomes.get(name) in ("passed", "idle"):
                result.mended.append(name)
    return result


def _run_alone(result: Result, mode: str, module: str, name: str, seconds: float) -> None:
    begun = _run_child(result, mode, module, ["only", name], seconds)
    if begun is not None:
        result.outcomes[begun] = "failed"


def _run_child(result: Result, mode: str, module: str, names: list[str], seconds: float) -> str | None:
    """Run one process, add to `result`; return the test that ended the process, if one did."""
    with tempfile.TemporaryDirectory(prefix="cede-conformance-") as folder:
        report = Path(folder) / "report"
        report.touch()
        command = [sys.executable, "-m", "tests.conformance.child", mode, module, str(report), str(seconds)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "TMPDIR": folder}
        # Not a pipe: a process that a test has left would keep it open.
        with open(Path(folder) / "errors", "w+", errors="replace") as errors:
            child = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                text=True,
            )
            try:
                child.communicate("\n".join(names), MODULE_SECONDS)
            except subprocess.TimeoutExpired:
                errors.write("the process did not end")
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)  # with what a test may have left
                child.wait()
            errors.seek(0)
            output = errors.read()
        begun, ended = None, False
        for line in report.read_text().splitlines():
            event = json.loads(line)
            if "begun" in event:
                begun = event["begun"]
            elif "ended" in event:
                begun = None
                result.outcomes[event["ended"]] = event["outcome"]
                result.why[event["ended"]] = event["why"]
            else:
                ended = True
    if not ended:
        begun = begun or f"{module}: outside of a test"
        result.why[begun] = "it hung, or the process died\n" + output[-3000:]
    return begun
