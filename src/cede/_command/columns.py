"""The tables of `cede top`: which columns there is room for, what stands in them, and how they are sorted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..observe.history import TaskHistory
from ..observe.layout import Column, cut, fit
from ..observe.lints import span
from ..observe.words import list_of, place
from .looking import Task, View

PADDING = 2
"""Characters between two columns."""

_SCROLLBAR = 2

MOST = 500
"""Rows of a table: more nobody reads, and drawing them takes long."""

_NO_HISTORY = TaskHistory()
_RANK = {"running": 0, "ready": 1, "waiting": 2}


class Field(NamedTuple):
    """A column of a table."""

    title: str
    least: int  # characters that it needs at least
    most: int  # and that it may have
    goes: int  # where there is no room the column with the highest number goes first; 0: never
    right: bool = False
    tail: bool = False


class Table(NamedTuple):
    """What is to be drawn: titles, how wide they are, and rows, each with a key that it keeps from look to look."""

    titles: list[str]
    widths: list[int]
    rows: list[tuple[str, list[str]]]


_TASKS = (
    Field("!", 1, 1, 0),
    Field("TASK", 4, 10, 4, right=True),
    Field("NAME", 12, 40, 0),
    Field("STATE", 7, 7, 1),
    Field("SINCE", 7, 9, 2, right=True),
    Field("STEPS", 5, 10, 9, right=True),
    Field("STEPS/S", 7, 9, 6, right=True),
    Field("BUSY", 7, 9, 5, right=True),
    Field("QUEUED", 7, 9, 7, right=True),
    Field("WAITS FOR", 18, 80, 0),
    Field("AT", 10, 40, 3, tail=True),
    Field("BY", 6, 20, 8),
)
_GROUPS = (
    Field("TASKS", 5, 8, 0, right=True),
    Field("STATE", 7, 7, 0),
    Field("SINCE", 7, 9, 1, right=True),
    Field("WAITS FOR", 12, 80, 0),
    Field("AT", 10, 40, 0, tail=True),
    Field("NAMES", 10, 60, 2),
)
_RESOURCES = (
    Field("RESOURCE", 10, 40, 0),
    Field("STATE", 10, 40, 0),
    Field("HELD BY", 8, 40, 0),
    Field("WAITERS", 7, 8, 1, right=True),
    Field("LONGEST", 7, 9, 2, right=True),
    Field("WAITED FOR BY", 13, 60, 3),
    Field("BUSY WITH", 10, 60, 4),
)
_CANCELS = (
    Field("AT", 8, 8, 0),
    Field("TASK", 4, 10, 2, right=True),
    Field("NAME", 12, 40, 0),
    Field("BY", 10, 40, 0),
    Field("IN", 10, 60, 1, tail=True),
)
_PROCESSES = (
    Field("PID", 5, 10, 0, right=True),
    Field("HOW", 8, 40, 0),
    Field("COMMAND", 20, 400, 0),
)


def tabled(fields: Sequence[Field], rows: Sequence[tuple[str, Sequence[str]]], width: int) -> Table:
    """Return a table that fits into a width: columns that are empty or have no room are left out, cells are cut."""
    width -= _SCROLLBAR
    kept = [n for n, field in enumerate(fields) if field.goes == 0 or any(cells[n] for _, cells in rows)]
    while sum(fields[n].least + PADDING for n in kept) > width:
        last = max(kept, key=lambda n: fields[n].goes)
        if fields[last].goes == 0:
            break
        kept.remove(last)
    columns = [Column(field.title, field.least, field.right, field.tail) for field in fields]
    widths = {
        n: min(max(len(fields[n].title), *(len(cells[n]) for _, cells in rows), fields[n].least), fields[n].most)
        if rows
        else max(len(fields[n].title), fields[n].least)
        for n in kept
    }
    fit(columns, widths, width - PADDING * len(kept))
    drawn = [(key, [_cell(cells[n], widths[n], fields[n]) for n in kept]) for key, cells in rows]
    return Table([_cell(fields[n].title, widths[n], fields[n]) for n in kept], [widths[n] for n in kept], drawn)


def _cell(text: str, width: int, field: Field) -> str:
    shown = cut(text, width, field.tail)
    return shown.rjust(width) if field.right else shown


# --- Tasks --------------------------------------------------------------------------------------


SORTS: dict[str, Callable[[Task, View], Any]] = {
    "number": lambda task, view: task["number"],
    "name": lambda task, view: task["name"],
    "since": lambda task, view: (-round(task.get("since") or 0.0, 1), task["number"]),
    "steps a second": lambda task, view: -view.rates.get(task["id"], 0.0),
    "busy": lambda task, view: -view.history.get(task["number"], _NO_HISTORY).busy,
    "queued": lambda task, view: -view.history.get(task["number"], _NO_HISTORY).queued(0.99),
    "waits for": lambda task, view: view.names.wait(task),
}
"""What tasks may be sorted by, but for WORST."""

WORST = "what is wrong"
"""The order in which they come first: what is wrong, then what runs, then what is busy, then what waits longest."""


def tasks_of(view: View, tasks: list[Task], sort: str, backwards: bool, width: int) -> Table:
    """Return the table of these tasks."""
    marks = view.marks()
    order = {number: n for n, number in enumerate(marks)}

    def worst(task: Task, view: View) -> Any:
        busy = view.history.get(task["number"], _NO_HISTORY).busy
        rank = _RANK[task["state"]]
        waited = round(task.get("since") or 0.0)  # to a second, else rows would change places for nothing
        return order.get(task["id"], len(order)), rank, -round(busy, 1), -waited, task["number"]

    key = worst if sort == WORST else SORTS[sort]
    ordered = sorted(tasks, key=lambda task: key(task, view), reverse=backwards)[:MOST]
    makers = {task["number"]: task["name"] for task in view.answer["tasks"] if task["number"]}
    return tabled(_TASKS, [(str(task["id"]), _cells(task, view, marks, makers)) for task in ordered], width)


def _cells(task: Task, view: View, marks: dict[int, str], makers: dict[int, str]) -> list[str]:
    since = task.get("since")
    history = view.history.get(task["number"])
    rate = view.rates.get(task["id"], 0.0)
    return [
        marks.get(task["id"], "▶" if task["state"] == "running" else ""),
        str(task["number"] or ""),
        task["name"],
        task["state"],
        "" if since is None else span(since),
        "" if task["steps"] is None else str(task["steps"]),
        f"{rate:,.0f}" if rate >= 1 else f"{rate:.1f}" if rate > 0 else "",
        "" if history is None else span(history.busy),
        "" if history is None else span(history.queued(0.99)),
        view.names.wait(task),
        place(task["stack"]),
        makers.get(task["parent"], f"task {task['parent']}" if task["parent"] else ""),
    ]


def groups_of(view: View, tasks: list[Task], width: int) -> Table:
    """Return the table of the stacks that tasks have in common, the most frequent first."""
    groups: dict[Any, list[Task]] = {}
    for task in tasks:
        key = (task["state"], str(task["stack"]), view.names.kind_of_wait(task))
        groups.setdefault(key, []).append(task)
    rows = [
        (
            str(members[0]["id"]),
            [
                str(len(members)),
                state,
                span(max(member.get("since") or 0.0 for member in members)),
                waits,
                place(members[0]["stack"]),
                list_of([member["name"] for member in members], 5),
            ],
        )
        for (state, _, waits), members in sorted(groups.items(), key=lambda item: -len(item[1]))[:MOST]
    ]
    return tabled(_GROUPS, rows, width)


# --- The others ---------------------------------------------------------------------------------


def resources_of(view: View, width: int) -> Table:
    """Return the table of locks, queues, executors, …; those for which somebody waits longest first."""
    tasks = {task["id"]: task for task in view.answer["tasks"]}

    def longest(row: dict[str, Any]) -> float:
        return max((tasks[number].get("since") or 0.0 for number in row["waiters"] if number in tasks), default=0.0)

    rows = [
        (
            str(row["id"]),
            [
                view.names.resource(row),
                row["state"],
                list_of(view.names.tasks(row["holders"])),
                str(len(row["waiters"]) or ""),
                span(longest(row)) if row["waiters"] else "",
                list_of(view.names.tasks(row["waiters"])),
                list_of([" <- ".join(function for function, _, _ in stack) for stack in row.get("busy", ())], 2),
            ],
        )
        for row in sorted(view.answer["resources"], key=longest, reverse=True)[:MOST]
    ]
    return tabled(_RESOURCES, rows, width)


def cancels_of(view: View, width: int) -> Table:
    """Return the table of who was cancelled lately, the newest first; a row's key begins with its task's number."""
    rows = {
        f"{cancel.task} {cancel.when}": (clock(cancel.when), str(cancel.task), cancel.name, cancel.by, cancel.place)
        for cancel in reversed(view.cancels)
    }
    return tabled(_CANCELS, list(rows.items())[:MOST], width)


def clock(when: float) -> str:
    """Return the time of the day."""
    return time.strftime("%H:%M:%S", time.localtime(when))


def processes_of(found: Sequence[tuple[int, str, str]], width: int) -> Table:
    """Return the table of processes."""
    return tabled(_PROCESSES, [(str(pid), [str(pid), how, command]) for pid, how, command in found], width)
