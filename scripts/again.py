#!/usr/bin/env python3
"""Run the tests that failed beside others again, by themselves, and tell those that fail from those that lacked time.

    scripts/again.py CACHE COMMAND...

CACHE is the cache folder of the run that failed, COMMAND is what runs pytest, without the tests. Each test runs in
processes of its own. One that passes as often as is asked here has failed for want of a processor, or by what ran
before it: it is named, and counted as a rerun by scripts/tally.py; the exit status is 0 if there is no other. Where
many fail at once it is no chance, and where one ended its process it is no want of time: then nothing runs again. Nor
does a test that draws what it tries (its marker is `drawn`), for it would try something else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

TIMES = 3  # a fault that shows in every third run is still seen in seven of ten
MOST = 5  # tests


def failed_tests(cache: Path) -> list[str]:
    """Return the names of the tests that failed in the run that left this cache; none if one ended its process."""
    values = cache / "v"
    if (values / "cede" / "crashed").exists():
        return []
    try:
        return sorted(json.loads((values / "cache" / "lastfailed").read_text(encoding="utf-8")))
    except FileNotFoundError:  # nothing failed that is a test
        return []


def passes_alone(command: list[str], test: str) -> bool:
    """Return whether the test passes by itself as often as is asked; print what a run says that fails."""
    for number in range(1, TIMES + 1):
        one = [*command, "-q", "-p", "no:cacheprovider", "-m", "not drawn", test]
        done = subprocess.run(
            one, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode != 0:
            print("".join(f"    | {line}\n" for line in done.stdout.splitlines()), end="")
            print(f"again: {test} failed by itself, too, at try {number}", flush=True)
            return False
    print(f"again: {test} passed by itself, {TIMES} times", flush=True)
    return True


def main(cache: str, *command: str) -> int:
    tests = failed_tests(Path(cache))
    if not 0 < len(tests) <= MOST:
        return 1
    lost = [test for test in tests if not passes_alone(list(command), test)]
    if not lost:
        print(f"again: {len(tests)} in all", flush=True)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
