#!/usr/bin/env python3
"""Look for leaks, deadlocks and stalls all the time while whole suites run, and judge each report: none may be false.

    scripts/false_reports.py [--python 3.13] [SUITE…]

SUITE is a name of `tests/suites/catalogue.py`, or `cede` for cede's own; anyio, anyio-eager, aiohttp and cede by
default. How it looks, and by what a report is judged, stands in `tests/suites/plugin/looking_on.py`. cede's own tests
of what looks (`tests/observe`) plant leaks, and watch by themselves: they are left out. It prints each report, a table,
and ends with status 1 if one was false.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SUITES = ("anyio", "anyio-eager", "aiohttp", "cede")
OWN = ("engine", "io", "net", "library", "simulation")
KINDS = ("deadlock", "leaks", "leaks in place", "stall")
LOOKS = ("deadlocks", "leaks", "leaks in place")


def run(suite: str, python: str) -> list[dict[str, Any]]:
    """Run a suite to its end, whatever its tests do, and return what was told meanwhile."""
    with tempfile.TemporaryDirectory(prefix="cede-looking-") as folder:
        told = Path(folder) / "told"
        told.touch()
        environment = os.environ | {"CEDE_LOOKING_ON": str(told), "PYTEST_ADDOPTS": "-p looking_on"}
        if suite == "cede":
            plugin = str(ROOT / "tests" / "suites" / "plugin")
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, (plugin, os.environ.get("PYTHONPATH"))))
            # Forking is told of as a danger where there are threads, and here there are.
            options = ["-q", "-W", "ignore:This process:DeprecationWarning", "-m", "not build and not programs"]
            tests = [f"tests/{name}" for name in OWN]
            command = ["scripts/suite.sh", python, "compiled", "--", *options, *tests]
        else:
            command = ["scripts/suites.sh", python, "--on", "cede", suite]
        subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr)
        return [json.loads(line) for line in told.read_text(encoding="utf-8").splitlines()]


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/false_reports.py")
    parser.add_argument("--python", default="3.13")
    parser.add_argument("suites", nargs="*", metavar="SUITE", default=SUITES)
    options = parser.parse_args()
    table = [f"| suite | tests | {' | '.join(f'looks for {kind}' for kind in LOOKS)} | {' | '.join(KINDS)} | false |"]
    table.append("| --- |" + " ---: |" * (len(LOOKS) + len(KINDS) + 2))
    wrong = 0
    for suite in options.suites:
        lines = run(suite, options.python)
        looks: Counter[str] = Counter()
        found: Counter[str] = Counter()
        false = 0
        for line in lines:
            looks.update(line.get("looks", {}))
            if "kind" in line:
                found[line["kind"]] += 1
                false += bool(line["false"])
                print(f"{suite}, {line['test']}: {line['kind']}\n{line['text']}")
                print(f"    FALSE: {line['false']}\n" if line["false"] else "    true\n", flush=True)
            for error in line.get("errors", ()):
                print(f"{suite}: what looks has failed: {error}", flush=True)
                wrong += 1
        died = sum("begun" in line for line in lines) - sum("looks" in line for line in lines)
        if died or not looks:
            print(f"{suite}: {died} of its processes died before all reports were judged, {looks['tests']} tests ran")
            wrong += 1
        wrong += false
        figures = [looks["tests"], *(looks[kind] for kind in LOOKS), *(found[kind] for kind in KINDS), false]
        table.append(f"| {suite} | {' | '.join(map(str, figures))} |")
    print("\n".join(table))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
