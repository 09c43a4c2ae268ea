"""What is wrong in a snapshot, with its cure: who blocks a loop, who keeps others waiting, who waits in vain.

Law: nothing is called wrong that a healthy program does; a finding names the task and the line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from . import waits
from .history import TaskHistory
from .words import Names, is_librarys, list_of, place, places

Answer = dict[str, Any]
Task = dict[str, Any]

BLOCKED = 0.1  # seconds that a step may take
HELD = 5.0  # seconds that others may wait for a lock
UNDRAINED = 5.0  # seconds that a full queue may stay full with nobody who takes
LATE = 0.1  # seconds that a task may stand in line
_POLLS, _POLL_STEP = 1000.0, 5e-6  # steps a second, and the seconds of each, that make a busy poller
_AGAIN = 100.0  # steps a second of one that wakes itself
_SHOWN = 3  # places of a stack


class Finding(NamedTuple):
    """Something that is wrong."""

    mark: str
    task: int  # the id of the task; 0: none, or one that has ended
    text: str
    cure: str

    def __str__(self) -> str:
        return f"{self.mark} {self.text}; {self.cure}" if self.cure else f"{self.mark} {self.text}"


MARKS = {
    "▲": "blocks the loop",
    "◆": "deadlock",
    "■": "keeps a lock",
    "≡": "full queue",
    "⟲": "wakes itself",
    "○": "polls",
    "◷": "stands in line",
    "∅": "nobody can wake it",
}
"""What each mark says."""

_IN_A_THREAD = "cure: `await asyncio.to_thread(…)`, or an asynchronous function of the same kind"


def find(
    answer: Answer, before: Answer | None = None, history: Mapping[int, TaskHistory] | None = None
) -> list[Finding]:
    """Return what is wrong in a snapshot, the worst first.

    Deadlocks are among it if there is a snapshot from `before`; what only a recording can tell, if there is the history
    of the tasks, by their numbers.
    """
    names = Names(answer)
    found = [*_blocks(answer), *_deadlocks(answer, before), *_locks(answer, names), *_queues(answer, names)]
    found += _leaks(answer)
    if history:
        for task in answer["tasks"]:
            one = history.get(task["number"])
            if one is not None:
                found += _of_history(task, one)
    return found


def _blocks(answer: Answer) -> Iterator[Finding]:
    for task in answer["tasks"]:
        since = task.get("since")
        if task["state"] == "running" and since is not None and since > BLOCKED:
            first = ", in its first step" if task["steps"] == 1 else ""
            yield Finding(
                "▲",
                task["id"],
                f"task {task['name']!r} blocks the loop for {span(since)}{first}: {_where(task['stack'])}",
                _IN_A_THREAD,
            )
    for loop in answer["loops"]:
        if loop["stack"] and loop["busy"] > BLOCKED:
            yield Finding(
                "▲", 0, f"a callback blocks the loop for {span(loop['busy'])}: {_where(loop['stack'])}", _IN_A_THREAD
            )
    yield from _stalls(answer)


def _stalls(answer: Answer) -> Iterator[Finding]:
    """What blocked the loop before, as a watcher saw it; what happened again and again is told once."""
    same: dict[Any, list[dict[str, Any]]] = {}
    for stall in reversed(answer.get("stalls", ())):
        if stall["over"]:
            same.setdefault((stall["task"], place(stall["stack"])), []).append(stall)
    for stalls in same.values():
        latest = stalls[0]
        who = f"task {latest['task']!r}" if latest["task"] else "a callback"
        if latest["crowded"]:
            who = "a turn of many short steps"
        elif latest["missed"]:
            who = f"a turn of {who}" if latest["task"] else "a turn"
        where = "over before it could be looked at" if latest["missed"] else _where(latest["stack"])
        longest = span(max(stall["seconds"] for stall in stalls))
        times = f" {len(stalls)} times, for up to {longest}, the last time" if len(stalls) > 1 else f" for {longest},"
        payers = [repr(name) for name, *_ in latest["waited_for_by"]]
        paid = f", while {list_of(payers)} waited for it" if payers else ""
        yield Finding(
            "▲",
            0,
            f"{who} blocked the loop{times} {span(latest['ago'])} ago: {where}{paid}",
            _IN_A_THREAD,
        )


def _deadlocks(answer: Answer, before: Answer | None) -> Iterator[Finding]:
    for circle in waits.confirmed(before, answer) if before is not None else ():
        for task, line in zip(circle.tasks, circle.lines_of_tasks(), strict=True):
            limited = ", until a timeout ends it" if circle.limited else ""
            yield Finding(
                "◆", task["id"], f"deadlock{limited}: {line} {place(task['stack'])}", "cure: take locks in one order"
            )


def _locks(answer: Answer, names: Names) -> Iterator[Finding]:
    tasks = {task["id"]: task for task in answer["tasks"]}
    for row in answer["resources"]:
        waited = _longest(tasks, row["waiters"])
        if row["kind"] == "Event" or not row["holders"] or waited < HELD:
            continue
        for number in row["holders"]:
            holder = tasks.get(number)
            if holder is None:
                continue
            count = len(row["waiters"])
            doing = f"waits for {names.wait(holder)}" if holder["state"] == "waiting" else f"is {holder['state']}"
            yield Finding(
                "■",
                number,
                f"task {holder['name']!r} is in {names.resource(row)}, and {doing}: {_where(holder['stack'])};"
                f" {count} task{'s wait' if count != 1 else ' waits'} for the {row['kind']}, up to {span(waited)}",
                "cure: leave it before you await what is slow",
            )


def _queues(answer: Answer, names: Names) -> Iterator[Finding]:
    tasks = {task["id"]: task for task in answer["tasks"]}
    for row in answer["resources"]:
        full = row.get("maxsize", 0) > 0 and row["depth"] >= row["maxsize"]
        waited = _longest(tasks, row["waiters"])
        if not full or row["getters"] or not row["putters"] or waited < UNDRAINED:
            continue
        first = tasks[row["waiters"][0]]
        yield Finding(
            "≡",
            first["id"],
            f"{names.resource(row)} is full, {row['state']}, and nobody waits in its get(); {row['putters']} in put()"
            f" for up to {span(waited)}, as task {first['name']!r} at {place(first['stack'])}",
            "cure: see whether those who take from it still live",
        )


def _leaks(answer: Answer) -> Iterator[Finding]:
    leaked = set(answer.get("leaks", ()))
    for task in answer["tasks"]:
        if task["id"] in leaked:
            yield Finding(
                "∅", task["id"], f"task {task['name']!r} can never go on: {_where(task['stack'])}", "nobody can wake it"
            )


def _of_history(task: Task, history: TaskHistory) -> Iterator[Finding]:
    name = f"task {task['name']!r}"
    rate = history.rate
    if history.latest and len(history.latest) >= 20:
        mean = sum(step.ran for step in history.latest) / len(history.latest)
        again = sum(step.how == "scheduled" for step in history.latest) / len(history.latest)
        if rate > _AGAIN and again > 0.5:
            yield Finding(
                "⟲",
                task["id"],
                f"{name} makes itself ready again, {rate:,.0f} times a second: {_where(task['stack'])}",
                "cure: wait for what it waits for, and not with sleep(0)",
            )
        elif rate > _POLLS and mean < _POLL_STEP:
            yield Finding(
                "○",
                task["id"],
                f"{name} takes {rate:,.0f} steps a second of {span(mean)} each: {_where(task['stack'])}",
                "cure: wait for an event, not for a moment",
            )
    late = history.queued(0.99)
    if late > LATE:
        yield Finding(
            "◷",
            task["id"],
            f"{name} stood in line for {span(late)}: it pays for what others do",
            "see who blocks the loop",
        )


def _longest(tasks: dict[int, Task], waiters: list[int]) -> float:
    return max((tasks[waiter].get("since") or 0.0 for waiter in waiters if waiter in tasks), default=0.0)


def _where(stack: list[Any]) -> str:
    """Return the innermost places that are not asyncio's; if there are none, those that are."""
    return places([entry for entry in stack if not is_librarys(entry)][:_SHOWN] or stack[:_SHOWN])


def span(seconds: float) -> str:
    """Return a span of time as people say it: 412 ms, 41 s, 3 h 12 m."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = int(seconds) // 60
    if minutes < 60:
        return f"{minutes} m {int(seconds) % 60:02} s"
    hours = minutes // 60
    return f"{hours} h {minutes % 60:02} m" if hours < 48 else f"{hours // 24} d {hours % 24} h"
