"""A plugin for pytest, in the process of somebody else's test suite: puts a loop in asyncio's place and tells of each test.

`CEDE_SUITE_JOB` names a file of JSON:

loop       `cede`, `uvloop` or `asyncio`: what every road to a new loop leads to
events     a file; each event is a line of JSON at its end, so whoever reads it knows what was under way if this process dies
seconds    a test that takes longer ends the process
only       if not null, the ids of the tests to run
leave_out  the ids of tests not to run
setup      a statement to execute before the suite is imported

It stands in a folder of its own, which is put into PYTHONPATH: so no other module of this project can take the place of
one of the suite's.
"""

from __future__ import annotations

import asyncio
import asyncio.unix_events
import faulthandler
import gc
import importlib
import json
import os
import signal
import time
from typing import Any

import pytest

OUTSIDE_SECONDS = 120.0  # to import the suite, to get from a test to the next
END_SECONDS = 20.0  # to end, after the last test

with open(os.environ["CEDE_SUITE_JOB"], encoding="utf-8") as file:
    job: dict[str, Any] = json.load(file)

events = os.open(job["events"], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
# Order: before pytest catches what is written to descriptor 2.
standard_error = open(os.dup(2), "w", encoding="utf-8")  # noqa: SIM115
own_pid = os.getpid()
loops_made = 0


def tell(**event: object) -> None:
    if os.getpid() == own_pid:  # some tests fork
        os.write(events, json.dumps(event).encode() + b"\n")


def name_of(nodeid: str) -> str:
    """A test's id, the same on every machine also where the suite is a part of an installed package."""
    return nodeid.rpartition("site-packages/")[2]


def watch(seconds: float) -> None:
    """End the process, with the stacks of its threads, unless told otherwise within `seconds`."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=standard_error)


def place(loop: str) -> None:
    """Make every road to a new loop lead to one of this kind: policies, `asyncio.Runner`, the names of the classes."""
    if loop == "cede":
        cede = importlib.import_module("cede")
        assert cede.compiled is (os.environ["CEDE_PURE"] != "1"), "cede is not built for this Python"
        kind = cede.EventLoop
    elif loop == "uvloop":
        kind = importlib.import_module("uvloop").Loop
    else:
        kind = asyncio.SelectorEventLoop
    init = kind.__init__

    def counting_init(self: Any, *args: Any, **options: Any) -> None:
        global loops_made
        loops_made += 1
        init(self, *args, **options)

    kind.__init__ = counting_init
    if loop != "asyncio":
        for module in (asyncio, asyncio.unix_events):
            for name in ("SelectorEventLoop", "EventLoop"):
                if hasattr(module, name):
                    setattr(module, name, kind)
        for name in ("_UnixDefaultEventLoopPolicy", "_DefaultEventLoopPolicy"):
            if hasattr(asyncio.unix_events, name):
                getattr(asyncio.unix_events, name)._loop_factory = kind


# Order: as in a terminal. A job in the background has SIGINT ignored, one under nohup SIGHUP.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
place(job["loop"])
exec(job["setup"])
watch(OUTSIDE_SECONDS)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    only = None if job["only"] is None else set(job["only"])
    leave_out = set(job["leave_out"])
    chosen, others = [], []
    for item in items:
        wanted = name_of(item.nodeid) not in leave_out and (only is None or name_of(item.nodeid) in only)
        (chosen if wanted else others).append(item)
    items[:] = chosen
    if others:
        config.hook.pytest_deselected(items=others)
    tell(chosen=len(chosen))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        tell(broken=name_of(report.nodeid), why=str(report.longrepr)[-3000:])


def pytest_collection_finish() -> None:
    # Many of the tests collect garbage; half of their time would go by looking through what stays to the end: modules, tests.
    gc.collect()
    gc.freeze()


current: dict[str, Any] = {}


def pytest_runtest_logstart(nodeid: str) -> None:
    global loops_made
    loops_made = 0
    current.update(outcome="passed", why="", begun=time.monotonic())
    tell(begun=name_of(nodeid))
    watch(job["seconds"])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        current.update(outcome="failed", why=report.longreprtext[-3000:])
    elif report.skipped and current["outcome"] == "passed" and not hasattr(report, "wasxfail"):
        current.update(outcome="skipped", why=str(report.longrepr)[-300:])


def pytest_runtest_logfinish(nodeid: str) -> None:
    watch(OUTSIDE_SECONDS)
    seconds = round(time.monotonic() - current["begun"], 2)
    tell(ended=name_of(nodeid), outcome=current["outcome"], why=current["why"], loops=loops_made, seconds=seconds)


def pytest_sessionfinish(exitstatus: int) -> None:
    watch(END_SECONDS)
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        tell(finished=True)
