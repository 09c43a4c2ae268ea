"""What a snapshot says, in words: names of tasks and resources, what waits for what, places in the program."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

Answer = dict[str, Any]
Task = dict[str, Any]


def list_of(names: Sequence[str], most: int = 3) -> str:
    """Return names with commas between; those above `most` are counted."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


class Names:
    """What tasks and resources of an answer are called."""

    def __init__(self, answer: Answer) -> None:
        self._tasks = {task["id"]: task for task in answer["tasks"]}
        self._resources = {row["id"]: row for row in answer["resources"]}
        self._labels: dict[int, str] = {}
        self._awaited: dict[int, list[int]] = {}  # of a task: those that it waits for
        for task in answer["tasks"]:
            for awaiter in task["awaited_by"]:
                self._awaited.setdefault(awaiter, []).append(task["id"])
        same = Counter((row["kind"], row["name"]) for row in answer["resources"])
        numbers: Counter[tuple[str, str]] = Counter()
        for row in answer["resources"]:
            key = row["kind"], row["name"]
            numbers[key] += 1
            number = f" #{numbers[key]}" if same[key] > 1 else ""  # two functions may call two locks the same
            self._labels[row["id"]] = f"{row['name']}{number}" if row["name"] else hex(row["id"])

    def task(self, number: int) -> str:
        """Return the name of a task, by its id."""
        task = self._tasks.get(number)
        return f"task {number:#x}" if task is None else str(task["name"])

    def tasks(self, numbers: list[int]) -> list[str]:
        """Return the names of tasks."""
        return [self.task(number) for number in numbers]

    def resource(self, row: dict[str, Any]) -> str:
        """Return the kind and the name of a resource; two of the same name are told apart by a number."""
        return f"{row['kind']} {self._labels[row['id']]}"

    def holders(self, row: dict[str, Any]) -> str:
        """Return who has a resource, in words; "" if nobody has, or it is not known."""
        return f"task {row['gone']}, which has ended" if row.get("gone") else list_of(self.tasks(row["holders"]))

    def wait(self, task: Task) -> str:
        """Return what a task waits for, in words."""
        resource = self._resources.get(task["resource"])
        if resource is not None:
            holders = self.holders(resource)
            held = f" (held by {holders})" if holders else ""
            return f"{task['waits']} {self._labels[resource['id']]}{held}"
        others = self._awaited.get(task["id"], [])
        if others and task["state"] == "waiting":
            kind = "task" if len(others) == 1 else f"{len(others)} tasks:"
            return f"{kind} {list_of(self.tasks(others))}"
        return str(task["waits"])

    def kind_of_wait(self, task: Task) -> str:
        """Return what tasks have in common that wait for the same: of other tasks, how many they are."""
        others = self._awaited.get(task["id"], [])
        return f"{len(others)} tasks" if others and not task["resource"] else self.wait(task)

    def awaited(self, task: Task) -> list[int]:
        """Return the tasks that a task waits for."""
        return self._awaited.get(task["id"], [])


# --- Places ----------------------------------------------------------------------------------


def chain(stack: list[Any]) -> str:
    """Return the functions of a stack, innermost first."""
    return " -> ".join(function for function, _, _ in stack)


def places(stack: list[Any]) -> str:
    """Return the functions of a stack with their places, innermost first."""
    return " <- ".join(f"{function} {short(file)}:{line}" for function, file, line in stack)


def place(stack: list[Any]) -> str:
    """Return the innermost place that is not asyncio's or cede's."""
    for entry in stack:
        if not is_librarys(entry):
            return f"{short(entry[1])}:{entry[2]}"
    return f"{short(stack[0][1])}:{stack[0][2]}" if stack else ""


def is_librarys(entry: Sequence[Any]) -> bool:
    """Tell whether a place is asyncio's or cede's."""
    return os.path.basename(os.path.dirname(entry[1])) in ("asyncio", "cede") or entry[1].startswith("<frozen")


def short(file: str) -> str:
    """Return a file's name; of an `__init__.py` also that of its folder."""
    folder, name = os.path.split(file)
    return os.path.join(os.path.basename(folder), name) if name in ("__init__.py", "__main__.py") else name
