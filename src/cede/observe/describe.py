"""What a snapshot says, as lines: the head, the tasks as a table or in groups, the resources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from .layout import Column, table
from .words import Names, chain, list_of, place, places

Answer = dict[str, Any]
Task = dict[str, Any]

_TASKS = (
    Column("", 1),
    Column("TASK", 4, right=True),
    Column("NAME", 8),
    Column("STATE", 7),
    Column("WAITS FOR", 12),
    Column("AT", 10, tail=True),
    Column("AWAITED BY", 10),
    Column("STACK", 12),
)
_GROUPS = (
    Column("TASKS", 5, right=True),
    Column("STATE", 7),
    Column("WAITS FOR", 12),
    Column("AT", 10, tail=True),
    Column("STACK", 12),
    Column("NAMES", 10),
)
_RESOURCES = (
    Column("RESOURCE", 8),
    Column("STATE", 10),
    Column("HELD BY", 8),
    Column("WAITED FOR BY", 13),
    Column("BUSY WITH", 10),
)

RUNS = "▶"
"""The mark of the task that runs."""


# --- The parts ----------------------------------------------------------------------------------


def head(answer: Answer) -> str:
    """Return the line that says whose tasks these are, and how many."""
    states = Counter(task["state"] for task in answer["tasks"])
    counts = ", ".join(f"{states[state]} {state}" for state in ("running", "ready", "waiting") if states[state])
    count = len(answer["tasks"])
    tasks = f"{count} task{'' if count == 1 else 's'}" + (f" ({counts})" if counts else "")
    running = sum(loop["running"] for loop in answer["loops"])
    loops = f"{running} running loop{'' if running == 1 else 's'}"
    return f"process {answer['pid']}, cede {answer['cede']}, Python {answer['python']}: {loops}, {tasks}"


def task_table(answer: Answer, tasks: list[Task], width: int | None) -> Iterator[str]:
    """Yield a row for each of these tasks."""
    names = Names(answer)
    rows = [
        [
            RUNS if task["state"] == "running" else "",
            str(task["number"] or ""),
            task["name"],
            task["state"],
            names.wait(task),
            place(task["stack"]),
            list_of(names.tasks(task["awaited_by"])),
            chain(task["stack"]),
        ]
        for task in tasks
    ]
    yield from table(_TASKS, rows, width) if rows else ["no tasks"]


def group_table(answer: Answer, tasks: list[Task], width: int | None) -> Iterator[str]:
    """Yield a row for each stack that tasks have in common, the most frequent first."""
    names = Names(answer)
    groups: dict[Any, list[Task]] = {}
    for task in tasks:
        key = (task["state"], str(task["stack"]), names.kind_of_wait(task))
        groups.setdefault(key, []).append(task)
    rows = [
        [
            str(len(members)),
            state,
            waits,
            place(members[0]["stack"]),
            chain(members[0]["stack"]),
            list_of([member["name"] for member in members]),
        ]
        for (state, _, waits), members in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
    yield from table(_GROUPS, rows, width) if rows else ["no tasks"]


def resource_table(answer: Answer, width: int | None) -> Iterator[str]:
    """Yield a row for each lock, queue, executor, …; nothing if there is none."""
    names = Names(answer)
    rows = [
        [
            names.resource(row),
            row["state"],
            names.holders(row),
            list_of(names.tasks(row["waiters"])),
            list_of([" <- ".join(function for function, _, _ in stack) for stack in row.get("busy", ())], 2),
        ]
        for row in answer["resources"]
    ]
    if rows:
        yield from table(_RESOURCES, rows, width)


def busy_loops(answer: Answer) -> Iterator[str]:
    """Yield a line for each loop whose thread is in a callback of no task."""
    for loop in answer["loops"]:
        if loop["stack"]:
            yield f"{RUNS} the loop of thread {loop['tid']} runs a callback: {places(loop['stack'])}"


def matching(tasks: list[Task], text: str) -> list[Task]:
    """Return the tasks in whose name, state, stack or wait the text stands, whatever its case."""
    wanted = text.casefold()
    fields = ("name", "state", "waits")
    return [
        task
        for task in tasks
        if any(wanted in str(task[field]).casefold() for field in fields) or wanted in str(task["stack"]).casefold()
    ]
