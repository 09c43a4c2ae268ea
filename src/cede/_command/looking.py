"""What `cede top` shows, without its screen: looks at a process again and again, and what became of it in between."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..observe import lints, processes, schema
from ..observe.counters import LoopStats
from ..observe.history import Cancel, History, TaskHistory
from ..observe.lints import Finding, span
from ..observe.words import Names, list_of, place
from .ask import NoAnswer, ask, why_silent
from .rings import rings_of

Answer = dict[str, Any]
Task = dict[str, Any]

INTERVAL = 1.0
"""Seconds between two looks, at least."""

_SHARE = 0.02  # of a processor: more than that no look may cost the process, on average
_LATEST = 50_000  # events of a recording that are read in one go
_LOOPS = 3  # that are told of


class View(NamedTuple):
    """What was seen at one look."""

    answer: Answer
    names: Names
    findings: list[Finding]
    rates: dict[int, float]  # by the id of a task: its steps a second since the last look
    history: dict[int, TaskHistory]  # by the number of a task; empty if nothing is recorded
    recorded: bool
    heads: list[str]  # a line a loop
    cancels: Sequence[Cancel] = ()  # that were recorded, the oldest first

    def marks(self) -> dict[int, str]:
        """Return the marks of the tasks with which something is wrong, by their ids, the worst first."""
        marks: dict[int, str] = {}
        for finding in self.findings:
            if finding.task:
                marks.setdefault(finding.task, finding.mark)
        return marks


class Looker:
    """Looks at one process; `look` waits for the answer, so it is called in a thread."""

    def __init__(self, pid: int, interval: float = INTERVAL) -> None:
        self.pid = pid
        self.pause = interval  # seconds to wait before the next look
        self._interval = interval
        self._before: Answer | None = None
        self._at = 0.0
        self._history = History()
        self._leaked: set[tuple[int, int]] = set()  # ids and numbers of tasks that can never go on
        self._told: dict[str, int] = {}  # by the path of a ring: the records that are in the history

    def look(self, leaks: bool = False) -> View:
        """Look once; NoAnswer if that cannot be done. `leaks` asks for tasks that can never go on, too."""
        try:
            answer = ask(self.pid, leaks=leaks)
        except NoAnswer:
            self.pause = self._interval
            if not processes.exists(self.pid):
                raise NoAnswer(self._epitaph()) from None
            raise
        if leaks:
            leaked = set(answer["leaks"])
            self._leaked = {(task["id"], task["number"]) for task in answer["tasks"] if task["id"] in leaked}
        answer["leaks"] = [task["id"] for task in answer["tasks"] if (task["id"], task["number"]) in self._leaked]
        now = time.monotonic()
        self.pause = max(self._interval, answer.get("cost", 0.0) / _SHARE)
        recorded = self._read_rings()
        before, seconds = self._before, now - self._at
        self._before, self._at = answer, now
        return View(
            answer,
            Names(answer),
            lints.find(answer, before, self._history.tasks),
            _rates(answer, before, seconds),
            self._history.tasks,
            recorded,
            list(_heads(answer, before, seconds)),
            tuple(self._history.cancels),
        )

    def _epitaph(self) -> str:
        left = " (`cede show %d` shows what it recorded)" % self.pid if rings_of(self.pid) else ""
        return f"process {self.pid} has ended{left}"

    def why_silent(self) -> str:
        """Return why there is no answer, as far as that can be seen from outside."""
        return why_silent(self.pid)

    def _read_rings(self) -> bool:
        """Take in what was recorded since the last look; tell whether anything is."""
        paths = rings_of(self.pid)
        for path in paths:
            try:
                head = schema.written(path)
                recording = schema.read(path, max(self._told.get(path, 0), head - _LATEST))
            except (OSError, schema.NotARing):
                continue  # it went just now, or is another cede's
            self._told[path] = int(recording.header["head"])
            self._history.add(recording)
        return bool(paths)


def _rates(answer: Answer, before: Answer | None, seconds: float) -> dict[int, float]:
    if before is None or seconds <= 0:
        return {}
    steps = {(task["id"], task["number"]): task["steps"] for task in before["tasks"]}
    return {
        task["id"]: max(task["steps"] - steps.get((task["id"], task["number"]), 0), 0) / seconds
        for task in answer["tasks"]
        if task["steps"] is not None
    }


# --- The loops ----------------------------------------------------------------------------------


def _heads(answer: Answer, before: Answer | None, seconds: float) -> Iterator[str]:
    """Yield a line for each loop that runs: how busy and how late it was since the last look."""
    earlier = {} if before is None else {loop["id"]: loop for loop in before["loops"]}
    running = [loop for loop in answer["loops"] if loop["running"]]
    for loop in running[:_LOOPS]:
        yield _head(loop, earlier.get(loop["id"]), seconds)
    if len(running) > _LOOPS:
        yield f"and {len(running) - _LOOPS} more loops"


def _head(loop: dict[str, Any], before: dict[str, Any] | None, seconds: float) -> str:
    now = LoopStats(**loop["stats"])
    since = now if before is None else now.since(LoopStats(**before["stats"]))
    words = [f"up {span(loop['up'])}"]
    if loop["busy"] > lints.BLOCKED:
        words.append(f"BLOCKED for {span(loop['busy'])}")
    busy = since.busy + loop["busy"]  # what lasts still is not counted yet
    words.append(f"{100 * busy / max(busy + since.idle, 1e-9):.0f} % busy")
    words.append(f"{since.turns / (loop['up'] if before is None else seconds):,.0f} turns/s")
    late = " ".join(f"{name} {_milliseconds(since.delay(part))}" for name, part in (("p50", 0.5), ("p99", 0.99)))
    words.append(f"late {late} max {_milliseconds(now.longest)} ms")
    words.append(f"{now.tasks:,} tasks")
    words.append(f"thread {loop['tid']}")
    return " · ".join(words)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}" if seconds < 0.0095 else f"{seconds * 1e3:,.0f}"


# --- One task -----------------------------------------------------------------------------------


def who_waits_for(view: View, task: Task) -> Iterator[str]:
    """Yield a line for each task that a task waits for, for the one that that one waits for, and so on."""
    tasks = {other["id"]: other for other in view.answer["tasks"]}
    resources = {row["id"]: row for row in view.answer["resources"]}
    seen = {task["id"]}
    current: Task | None = task
    while current is not None:
        resource = resources.get(current["resource"])
        owing = resource["holders"] if resource is not None else view.names.awaited(current)
        if resource is not None:
            yield f"{view.names.resource(resource)}: {resource['state']}" + (
                f", held by {list_of(view.names.tasks(owing))}" if owing else ""
            )
        elif len(owing) > 1:
            yield f"{len(owing)} tasks: {list_of(view.names.tasks(owing), 5)}"
        following = tasks.get(owing[0]) if owing else None
        if following is None:
            if resource is None and not owing and current["waits"]:
                yield f"{current['waits']}"
            return
        yield label_of(following) + (", again: a circle" if following["id"] in seen else "")
        if following["id"] in seen:
            return
        seen.add(following["id"])
        current = following


def label_of(task: Task) -> str:
    """Return a task in a few words: number, name, state, since when and where."""
    number = f"task {task['number']} " if task["number"] else "task "
    since = task.get("since")
    when = f" for {span(since)}" if since is not None and task["state"] != "ready" else ""
    return f"{number}{task['name']!r}: {task['state']}{when} at {place(task['stack'])}"
