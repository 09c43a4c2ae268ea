"""CPython's own tests of the network, each in a world of its own: `python -m tests.simulation.conformance MODULE...`.

A line a module: how many passed, failed and were skipped; a line for each that failed. What cannot run on cede at all stands in
`tests/conformance/excluded.tsv`, what cannot be in a world in `LEFT_OUT`.
"""

from __future__ import annotations

import faulthandler
import fnmatch
import importlib
import os
import sys
import unittest
from collections import Counter
from typing import Any

from cede.simulation.running import opened
from tests.conformance import place, suite
from tests.conformance.child import PREFIX, tests_in

MODE = "package"
SECONDS = 60.0  # real ones, of a test; one that takes longer hangs
LEFT_OUT = {
    "test_streams.StreamTests.test_read_all_from_pipe_reader": "it starts a process, and hands it a real pipe",
    "test_server.UnixServerCleanupTests.test_unix_server_cleanup_replaced": "who closes does not see there that its "
    "path was bound anew by another socket",
}


def played(test: Any) -> unittest.TestResult:
    """How a test ends in a world; what the world itself raises is an error of the test's."""
    result = unittest.TestResult()
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    try:
        with opened(seed=1, late=False, max_time=3600) as world, world.host("main").entered():
            unittest.TestSuite([test]).run(result)  # with the fixtures of its class
    except Exception as exc:
        result.errors.append((test, repr(exc)))
    faulthandler.cancel_dump_traceback_later()
    return result


def play(module: str) -> str:
    """What became of a module's tests, in words."""
    loaded = importlib.import_module(PREFIX + module)
    place.adapt(MODE, loaded)
    left_out = [*suite.excluded(MODE), *LEFT_OUT]
    counts: Counter[str] = Counter()
    lines = []
    for test in tests_in(unittest.defaultTestLoader.loadTestsFromModule(loaded)):
        name = test.id().removeprefix(PREFIX)
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in left_out):
            continue
        result = played(test)
        wrong = result.errors + result.failures
        counts["failed" if wrong else "skipped" if result.skipped else "passed"] += 1
        lines += [f"{name}: {why}" for _, why in wrong]
    return "\n".join([" ".join([module, *(f"{what} {count}" for what, count in counts.items())]), *lines])


def main() -> None:
    place.prepare(MODE)
    from test import support

    support.use_resources = ["cpu", "walltime", "subprocess"]  # not: network
    for module in sys.argv[1:]:
        sys.stdout.write(play(module) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
