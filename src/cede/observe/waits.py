"""Who waits for whom, and which tasks wait for each other: read off a snapshot, of this process or of another.

A task that awaits others goes on when all of them are done, one that waits for a lock when its holder gives it back.
Everything else (a queue, an event, a future, a semaphore with several places, `wait` for the first of many) can be
ended by whoever comes along. So: call every task stuck that waits for a task or a lock; then free those that wait for
nobody who is stuck, and again, until none is left to be freed. Those that remain can never go on: circles, and
who waits for them.

Law: no false report. A circle counts if it is seen twice, a tenth of a second apart, and no member has moved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from . import snapshot
from .words import Answer, Names, Task, places

_PAUSE = 0.1  # seconds between two looks
_FIRST_OF_MANY = {"wait", "_wait", "_wait_for_one"}  # functions that may wait for the first of many


class Edge(NamedTuple):
    """One task that waits for another."""

    waiter: int
    owing: int  # the task that it waits for
    label: str  # the resource between them; "" where it awaits the task itself
    loose: bool = False  # whether another task might release it


class Deadlock:
    """Tasks that wait for each other in a circle.

    `tasks` are their descriptions, each waiting for the next and the last for the first, as a snapshot gives them;
    `behind` counts the tasks that wait for one of them, `limited` is true if a timeout will end it. `loose` names the
    locks that were taken by `acquire` and not by `async with`: others might release them. `str()` tells all.
    """

    def __init__(self, tasks: list[Task], labels: list[str], behind: int, loose: list[str] | None = None) -> None:
        self.tasks = tasks
        self.behind = behind
        self.loose = loose or []
        self.limited = any(task["limited"] for task in tasks)
        self._labels = labels

    def __repr__(self) -> str:
        return f"<Deadlock of {', '.join(repr(task['name']) for task in self.tasks)}>"

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def lines_of_tasks(self) -> Iterator[str]:
        """Yield for each of the tasks what it waits for."""
        for place, task in enumerate(self.tasks):
            following = self.tasks[(place + 1) % len(self.tasks)]["name"]
            label = self._labels[place]
            yield f"task {task['name']!r} waits for " + (
                f"{label}, held by {following!r}" if label else f"task {following!r}"
            )

    def _lines(self) -> Iterator[str]:
        count = len(self.tasks)
        head = f"deadlock: {count} tasks wait for each other" if count > 1 else "deadlock: a task waits for itself"
        others = f", unless another releases {' or '.join(self.loose)}" if self.loose else ""
        yield head + (", until a timeout ends it" if self.limited else "") + others
        for task, line in zip(self.tasks, self.lines_of_tasks(), strict=True):
            yield f"  {line}"
            yield from (f"      {places([entry])}" for entry in task["stack"])
        if self.behind:
            yield f"  {self.behind} more {'tasks wait' if self.behind > 1 else 'task waits'} for them"


def deadlocks() -> list[Deadlock]:
    """Return the circles of tasks that wait for each other, of all loops in this process.

    It looks twice, with a tenth of a second between, in which it sleeps: call it from a thread. On the thread of a
    running loop, where nothing can move while it looks, it looks once.
    """
    first = snapshot.capture()
    if asyncio._get_running_loop() is not None:
        return find(first)
    if not find(first):
        return []
    time.sleep(_PAUSE)
    return confirmed(first, snapshot.capture())


def confirmed(first: Answer, second: Answer) -> list[Deadlock]:
    """Return the circles of the second snapshot of which no member has moved since the first."""
    before = {task["id"]: _position(task) for task in first["tasks"]}
    return [
        circle for circle in find(second) if all(before.get(task["id"]) == _position(task) for task in circle.tasks)
    ]


def _position(task: Task) -> tuple[Any, ...]:
    return task["target"], task["resource"], task["steps"], str(task["stack"])


def find(answer: Answer) -> list[Deadlock]:
    """Return the circles in one snapshot."""
    tasks = {task["id"]: task for task in answer["tasks"]}
    owing: dict[int, list[Edge]] = {}
    for edge in edges(answer):
        owing.setdefault(edge.waiter, []).append(edge)
    stuck = _stuck(owing)
    circles = []
    members: set[int] = set()  # of circles that were found
    for start in (number for number in tasks if number in stuck):
        circle = _circle_from(start, owing, stuck)
        if not members.intersection(edge.waiter for edge in circle):
            members.update(edge.waiter for edge in circle)
            circles.append(circle)
    behind = len(stuck) - len(members)
    return [
        Deadlock(
            [tasks[edge.waiter] for edge in circle],
            [edge.label for edge in circle],
            behind,
            sorted({edge.label for edge in circle if edge.loose}),
        )
        for circle in circles
    ]


def _stuck(owing: dict[int, list[Edge]]) -> set[int]:
    """Return the tasks that can never go on: each waits for one of them."""
    stuck = set(owing)
    waiters: dict[int, list[int]] = {}  # of a task: who waits for it
    count: dict[int, int] = {}  # of a task: for how many stuck ones it waits
    for waiter, needed in owing.items():
        for edge in needed:
            waiters.setdefault(edge.owing, []).append(waiter)
        count[waiter] = sum(edge.owing in stuck for edge in needed)
    free = [task for task in stuck if count[task] == 0]
    stuck.difference_update(free)
    while free:
        for waiter in waiters.get(free.pop(), ()):
            count[waiter] -= 1
            if count[waiter] == 0:
                stuck.discard(waiter)
                free.append(waiter)
    return stuck


def _circle_from(start: int, owing: dict[int, list[Edge]], stuck: set[int]) -> list[Edge]:
    """Go from a stuck task to one that it waits for, until one comes again; return the edges between."""
    path: list[Edge] = []
    places_of: dict[int, int] = {}
    task = start
    while task not in places_of:
        places_of[task] = len(path)
        edge = next(edge for edge in owing[task] if edge.owing in stuck)
        path.append(edge)
        task = edge.owing
    return path[places_of[task] :]


def edges(answer: Answer) -> Iterator[Edge]:
    """Yield who has to wait for whom: a task for all that it awaits, or for the holder of its lock."""
    names = Names(answer)
    resources = {row["id"]: row for row in answer["resources"]}
    for task in answer["tasks"]:
        if task["state"] != "waiting":
            continue
        resource = resources.get(task["resource"])
        if resource is not None:
            if resource["exclusive"] and len(resource["holders"]) == 1:
                yield Edge(task["id"], resource["holders"][0], names.resource(resource), bool(resource.get("loose")))
            continue
        awaited = names.awaited(task)
        if len(awaited) > 1 and any(function.rpartition(".")[2] in _FIRST_OF_MANY for function, _, _ in task["stack"]):
            continue
        for other in awaited:
            yield Edge(task["id"], other, "")
