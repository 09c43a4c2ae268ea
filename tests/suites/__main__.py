"""Run other people's test suites on cede, and count: of the tests that pass on the standard library's loop, how many pass.

    python -m tests.suites [--on LOOP,…] [--ci] [--jobs N] [--table] [--json FILE] [--add FILE…] [SUITE…]

LOOP is asyncio, cede, cede-plain or uvloop. With --ci those suites that CI runs; N suites run side by side, for most of
their time they wait. A test that fails runs a second time, with the others that failed, when all suites have run; if
it fails twice, and not on asyncio, it runs alone (unless they are many); one that fails then, too, is lost: the exit
status tells whether one was lost on cede. --table prints the figures as a table for docs/programs.md. What one run
writes with --json another counts with --add as its own, and runs nothing more unless suites are named: so the table can
be made in pieces.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import runner
from .catalogue import BY_NAME, SUITES, Suite

Results = dict[str, runner.Result]


def run_on_each(suite: Suite, loops: list[str]) -> Results:
    """Run a suite on each loop, and print a line about each."""
    results: Results = {}
    for loop in loops:
        begun = time.monotonic()
        result = results[loop] = runner.run(suite, loop)
        again = f", {len(result.failed)} to be run again" if result.failed else ""
        print(f"{suite.name:16}{loop:12}{result.summary()}{again}  {time.monotonic() - begun:.0f} s", flush=True)
    return results


def judge(suite: Suite, results: Results) -> None:
    """Run again what failed, and print how that went."""
    for loop, result in results.items():
        if not result.failed:
            continue
        runner.judge(suite, loop, result, results.get("asyncio"))
        lines = [f"{suite.name:16}{loop:12}{result.summary()}"]
        for word, tests in (("LOST", result.lost), ("fails on asyncio", result.fail_on_stock)):
            for test in tests:
                reason = (result.tests[test].why.strip().splitlines() or [""])[-1]
                lines.append(f"    {word}: {test}\t{result.tests[test].outcome}: {reason[:160]}")
        lines += [f"    at the second try: {test}" for test in result.second_try]
        print("\n".join(lines), flush=True)


def table(results: dict[str, Results], loops: list[str]) -> str:
    """The figures as a table in Markdown: how many tests pass on asyncio, and how many of these on each of the others."""
    titles = {"asyncio": "asyncio", "cede": "cede, compiled", "cede-plain": "cede, plain", "uvloop": "uvloop"}
    others = [loop for loop in loops if loop != "asyncio"]
    lines = ["| suite | version | asyncio | " + " | ".join(titles[loop] for loop in others) + " |"]
    lines.append("| --- | --- | ---: | " + " | ".join("---:" for _ in others) + " |")
    for name, by_loop in results.items():
        suite = BY_NAME[name]
        passed = {loop: set(result.named("passed")) for loop, result in by_loop.items()}
        stock = passed.get("asyncio") or set().union(*(by_loop[loop].lost for loop in by_loop), *passed.values())
        version = suite.requirement.split("==")[1]
        figures = [str(len(stock))]
        for loop in others:
            if loop in by_loop:  # a test that only asyncio's run knows has another name here: some bear the loop's
                others_tests = by_loop[loop].tests
                figures.append(str(sum(test in passed[loop] or test not in others_tests for test in stock)))
            else:
                figures.append("")
        lines.append(f"| {name} | {version} | {' | '.join(figures)} |")
    return "\n".join(lines)


def read_earlier(files: list[Path]) -> dict[str, Results]:
    """What earlier runs wrote with --json, as if it were of one run."""
    found: dict[str, Results] = {}
    for file in files:
        for name, by_loop in json.loads(file.read_text(encoding="utf-8")).items():
            for loop, told in by_loop.items():
                told["tests"] = {test: runner.Outcome(**outcome) for test, outcome in told["tests"].items()}
                found.setdefault(name, {})[loop] = runner.Result(**told)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.suites")
    parser.add_argument("--on", default="cede", type=lambda text: text.split(","))
    parser.add_argument("--ci", action="store_true")
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write how each test ended")
    parser.add_argument(
        "--add", type=Path, action="append", default=[], metavar="FILE", help="what --json wrote before"
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE")
    options = parser.parse_args()
    suites = [BY_NAME[name] for name in options.suites]
    if not suites and not options.add:
        suites = [suite for suite in SUITES if suite.in_ci or not options.ci]
    results = read_earlier(options.add)
    begun, total = time.monotonic(), Counter[str]()
    with ThreadPoolExecutor(options.jobs) as pool:
        futures = {}
        for suite in suites:
            missing = [name for name in suite.needs if not os.environ.get(name)]
            if missing:
                print(f"{suite.name:16}needs {', '.join(missing)}", flush=True)
                total["error"] += 1
            else:
                futures[suite.name] = pool.submit(run_on_each, suite, options.on)
    for name, future in futures.items():  # Order: all have run, so that nothing takes the processor from who runs again
        try:
            by_loop = future.result()
            judge(BY_NAME[name], by_loop)
            results.setdefault(name, {}).update(by_loop)
        except runner.Broken as error:
            print(error, flush=True)
            total["error"] += 1
    results = {name: results[name] for name in BY_NAME if name in results}
    if options.table:
        print(table(results, options.on))
    if options.json:
        told = {name: {loop: vars(result) for loop, result in by_loop.items()} for name, by_loop in results.items()}
        options.json.write_text(json.dumps(told, default=vars, indent=1), encoding="utf-8")
    for loop in options.on:
        of_loop = [by_loop[loop] for by_loop in results.values() if loop in by_loop]
        passed, judged = (sum(getattr(result, what) for result in of_loop) for what in ("passed", "judged"))
        skipped = sum(len(result.named("skipped")) for result in of_loop)
        print(
            f"Python {platform.python_version()}, {loop}: {passed} of {judged} that pass on asyncio, {skipped} skipped"
        )
        if loop.startswith("cede"):
            total.update(passed=passed, failed=judged - passed, skipped=skipped)
    # In pytest's form, for scripts/tally.py.
    counts = ", ".join(f"{total[kind]} {kind}" for kind in ("failed", "passed", "skipped", "error") if total[kind])
    print(f" {counts or 'no tests ran'} in {time.monotonic() - begun:.2f}s ".center(80, "="))
    return 1 if total["failed"] or total["error"] else 0


if __name__ == "__main__":
    sys.exit(main())
