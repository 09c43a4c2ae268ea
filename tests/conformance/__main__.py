"""Run all of CPython's own asyncio tests on cede, and count.

    python -m tests.conformance [--mode loop|package] [--jobs N] [MODULE...]

MODULE is a name such as test_streams. Tests that are expected to fail run as well. The exit status is 1 if one is lost, or
passes though it is on the list of those that fail. CEDE_PURE=1 in the environment chooses plain Python.
"""

from __future__ import annotations

import argparse
import functools
import platform
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import cede

from . import suite
from .place import MODES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("--mode", choices=MODES)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    options = parser.parse_args()
    names = options.modules or suite.modules()
    if not names:
        print("this Python came without test.test_asyncio")
        return 1
    status = 0
    for mode in [options.mode] if options.mode else MODES:
        total: Counter[str] = Counter()
        with ThreadPoolExecutor(options.jobs) as pool:
            run = functools.partial(suite.run, mode, with_expected=True)
            for name, result in zip(names, pool.map(run, names)):
                total += result.count()
                counts = (f"{outcome} {count}" for outcome, count in sorted(result.count().items()))
                print(f"{mode:8}{name:28}", *counts, flush=True)
                if result.complaint():
                    status = 1
                    print(result.complaint(), flush=True)
        judged = total["passed"] + total["failed"]
        speed = "compiled" if cede.compiled else "plain Python"
        beside = ", ".join(f"{count} {outcome}" for outcome, count in total.items() if outcome in ("idle", "skipped"))
        print(f"Python {platform.python_version()}, {speed}, {mode}: {total['passed']} of {judged} pass; {beside}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
