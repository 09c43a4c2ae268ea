"""A plugin for pytest that looks for leaks, deadlocks and stalls all the time while a suite runs, and judges each report.

`CEDE_LOOKING_ON` names a file, at whose end each report is a line of JSON (`kind`, `test`, `text`, and `false`: why it is
not true, or ""), the first says that it begins, and the
last how often it looked. `scripts/false_reports.py` runs suites with it.

A report says that something will not happen, so the rest of the run is the judge of it. A task that was told of as leaked,
or as one of a deadlock, is held and looked at until the end: if it went on, and nobody cancelled it or one of the others
in the circle, the report was false. A stall is judged by another witness than the loop's own counter, which the watcher
reads: the stack of the loop's thread is sampled, and it must never have been seen to wait for the kernel meanwhile.
"""

from __future__ import annotations

import _thread
import asyncio
import gc
import json
import math
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cede import observe
from cede.engine import running
from cede.engine.watch import thread_frames
from cede.observe import stacks

THRESHOLD = 1.0  # seconds that a loop may be busy
PAUSE = 0.02  # seconds between two looks, and between two samples
SLACK = 0.2  # seconds at the beginning of a stall, whose begin is reckoned back from when it was told of

pid = os.getpid()
path = os.environ["CEDE_LOOKING_ON"]
test = ""  # that runs
looks = dict.fromkeys(("tests", "deadlocks", "leaks", "leaks in place", "samples"), 0)
errors: list[str] = []  # of what looks
reports: list[Report] = []
seen_asleep: dict[int, float] = {}  # by thread: when its loop was last seen to wait for the kernel
ended = False


class Report:
    """Something that was told, and the tasks that it was told of."""

    def __init__(self, kind: str, text: str, rows: list[dict[str, Any]], excused: bool = False) -> None:
        self.kind = kind
        self.text = text
        self.test = test
        self.false = ""
        self.excused = excused  # whether the report itself says what may end it
        tasks = {id(task): task for task in all_tasks()}
        self.tasks = [(tasks[row["id"]], row) for row in rows if row["id"] in tasks]
        # A task of cede's stays until it is done, or its loop is closed.
        self.gone = [row["name"] for row in rows if row["id"] not in tasks]

    def key(self) -> tuple[Any, ...]:
        return self.kind, *sorted(id(task) for task, _ in self.tasks)

    def judge(self) -> None:
        """Note if the report was false: a task went on that nobody cancelled, nor one for which it waits."""
        if self.excused or any(was_cancelled(task) for task, _ in self.tasks):
            return
        for task, row in self.tasks:
            steps = getattr(task, "_steps", None)
            if task.done() or steps != row["steps"]:
                self.false = f"task {row['name']!r} went on, from {row['steps']} steps to {steps}: {task!r}"


def all_tasks() -> set[Any]:
    """Return cede's tasks and the standard library's, of all loops."""
    found: set[Any] = set(running.live_tasks())
    for name in ("_scheduled_tasks", "_eager_tasks"):
        for _ in range(100):
            try:
                found.update(getattr(asyncio.tasks, name, ()))
                break
            except RuntimeError:  # it changed meanwhile
                pass
    return found


def was_cancelled(task: Any) -> bool:
    return bool(task.cancelled() or task.cancelling() or getattr(task, "_must_cancel", False))


# --- Who looks --------------------------------------------------------------------------------------------------------


def sample() -> None:
    """Note which loops wait for the kernel: innermost on their thread's stack is what runs a loop."""
    now = time.monotonic()
    for ident, frame in thread_frames().items():
        code = frame.f_code
        if stacks.is_own(code.co_filename) and code.co_name in ("run_forever", "run_until_complete", "_wait", "select"):
            seen_asleep[ident] = now
    looks["samples"] += 1


def keep_sampling() -> None:
    while not ended:
        sample()
        time.sleep(PAUSE)


def keep_looking(kind: str, how: Any) -> None:
    while not ended:
        look(kind, how)
        time.sleep(PAUSE)


def look(kind: str, how: Any) -> None:
    looks[kind] += 1
    try:
        found = how()
    except Exception as error:
        errors.append(f"{kind}, in {test}: {type(error).__name__}: {error}")
        return
    known = {report.key() for report in reports}
    for told in found:
        if kind == "deadlocks":
            report = Report("deadlock", str(told), told.tasks, told.limited or bool(told.loose))
        else:
            report = Report(kind, str(told), [told.task])
        if report.key() not in known:
            reports.append(report)


def on_stall(stall: observe.Stall) -> None:
    if stall.descheduled:
        return  # the machine is to blame, and the log's line, at level INFO, says so
    report = Report("stall", str(stall), [])
    ident = next((ident for ident in seen_asleep if is_stack_of(stall, ident)), None)
    end = stall.began + stall.seconds if stall.over else math.inf  # after it the thread may well wait
    if ident is not None and stall.began + SLACK < seen_asleep[ident] < end:
        report.false = f"its thread waited for the kernel {time.monotonic() - seen_asleep[ident]:.2f} s ago"
    if stall.seconds < THRESHOLD * 0.9:
        report.false = f"it lasted {stall.seconds} s"
    reports.append(report)


def is_stack_of(stall: observe.Stall, ident: int) -> bool:
    """Tell whether a thread is where a stall was seen: in a function of the same file."""
    frame = thread_frames().get(ident)
    files = {file for _, file, _ in stall.stack}
    while frame is not None:
        if frame.f_code.co_filename in files:
            return True
        frame = frame.f_back
    return False


# --- pytest -----------------------------------------------------------------------------------------------------------


def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.pluginmanager.hasplugin("dsession"):
        return  # others run the tests
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps({"begun": pid}) + "\n")
    observe.watch(THRESHOLD, on_stall)
    # Not threading.Thread: tests count those.
    _thread.start_new_thread(keep_looking, ("deadlocks", observe.deadlocks))
    _thread.start_new_thread(keep_looking, ("leaks", observe.leaks))
    _thread.start_new_thread(keep_sampling, ())


def pytest_collection_finish() -> None:
    # What is there before the first test is held by somebody, and need not be looked through each time.
    gc.collect()
    gc.freeze()


def pytest_runtest_logstart(nodeid: str) -> None:
    global test
    test = nodeid
    looks["tests"] += 1


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Iterator[Any]:
    """Look as the fixture `cede_no_leaks` does, while other threads go on."""
    result = yield
    if os.getpid() == pid and asyncio._get_running_loop() is None:
        look("leaks in place", lambda: observe.leaks(fork=False))
    return result


def pytest_sessionfinish() -> None:
    global ended
    if os.getpid() != pid or not looks["samples"]:
        return
    ended = True
    with open(path, "a", encoding="utf-8") as file:
        for report in reports:
            report.judge()
            told = {name: getattr(report, name) for name in ("kind", "test", "text", "false", "gone")}
            file.write(json.dumps(told) + "\n")
        file.write(json.dumps({"looks": looks, "errors": errors}) + "\n")
