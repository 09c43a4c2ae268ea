"""Run tests of one of CPython's modules in this process, and tell of each as it goes.

    python -m tests.conformance.child MODE MODULE REPORT SECONDS <TESTS

TESTS are patterns of those to leave out, or after a line `only` the names of those to run, one a line. Every event is a line of JSON at the end of
the file REPORT, so whoever reads it knows what was under way if this process dies: a test that takes longer than SECONDS ends
the process.
"""

from __future__ import annotations

import faulthandler
import fnmatch
import importlib
import json
import os
import signal
import sys
import traceback
import unittest
from collections.abc import Iterator
from typing import Any

from . import place

PREFIX = "test.test_asyncio."


class Report(unittest.TestResult):
    """Writes how each test ended: `passed`, `skipped`, `failed`, or `idle`, which is passed without a loop of cede's."""

    def __init__(self, path: str, seconds: float, idle_counts: bool) -> None:
        super().__init__()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._pid = os.getpid()
        self._seconds = seconds
        self._idle_counts = idle_counts
        self._name = ""
        self._outcome, self._why = "passed", ""

    def tell(self, **event: str) -> None:
        if os.getpid() == self._pid:  # some tests fork
            os.write(self._file, json.dumps(event).encode() + b"\n")

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._name = test.id().removeprefix(PREFIX)
        self._outcome, self._why = "passed", ""
        place.loops_made = 0
        self.tell(begun=self._name)
        faulthandler.dump_traceback_later(self._seconds, exit=True)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()
        if self._outcome == "passed" and not place.loops_made and not self._idle_counts:
            self._outcome = "idle"
        self.tell(ended=self._name, outcome=self._outcome, why=self._why)
        self._name = ""

    def _failed(self, test: Any, error: Any) -> None:
        why = "".join(traceback.format_exception(*error))[-3000:]
        if self._name:
            self._outcome, self._why = "failed", why
        else:  # a fixture of a class or of the module
            self.tell(ended=test.id().replace(PREFIX, ""), outcome="failed", why=why)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self._failed(test, err)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._failed(test, err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self._failed(test, err)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._outcome, self._why = "failed", "unexpected success"

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        if self._name:
            if self._outcome == "passed":
                self._outcome, self._why = "skipped", reason
        else:
            self.tell(ended=test.id().replace(PREFIX, ""), outcome="skipped", why=reason)


def tests_in(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_in(test)
        else:
            yield test


def main() -> None:
    mode, module_name, path, seconds = sys.argv[1:]
    names = sys.stdin.read().split()
    only = names[:1] == ["only"]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has it ignored
    report = Report(path, float(seconds), mode == "package")
    try:
        place.prepare(mode)
        from test import support

        support.use_resources = ["cpu", "walltime", "subprocess"]  # not: network
        module = importlib.import_module(PREFIX + module_name)
        place.adapt(mode, module)
    except unittest.SkipTest as skip:
        report.tell(ended=module_name, outcome="skipped", why=str(skip))
    else:
        suite = unittest.TestSuite()
        for test in tests_in(unittest.defaultTestLoader.loadTestsFromModule(module)):
            name = test.id().removeprefix(PREFIX)
            if only is any(fnmatch.fnmatchcase(name, pattern) for pattern in names):
                suite.addTest(test)
        suite.run(report)
    report.tell(end="")
    os._exit(0)  # whatever threads a test left


if __name__ == "__main__":
    main()
