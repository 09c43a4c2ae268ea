"""The tasks of a snapshot as a tree: a task stands above what it waits for, between them the coroutines that do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..observe.describe import RUNS

Task = dict[str, Any]


class _Node:
    """A task or, between two tasks, a coroutine; what it waits for stands below it."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.below: dict[Any, _Node] = {}  # in the order in which they were found

    def lines(self, head: str = "", rest: str = "", above: tuple[_Node, ...] = ()) -> Iterator[str]:
        if self in above:
            yield f"{head}{self.label} (a circle)"
            return
        yield head + self.label
        for number, node in enumerate(self.below.values(), 1):
            last = number == len(self.below)
            yield from node.lines(
                rest + ("└── " if last else "├── "), rest + ("    " if last else "│   "), (*above, self)
            )


def tree(tasks: list[Task]) -> Iterator[str]:
    """Yield the lines of the trees: one below each task that no other awaits."""
    nodes = {task["id"]: _Node(_label(task)) for task in tasks}
    by_id = {task["id"]: task for task in tasks}
    awaiting = {awaiter for task in tasks for awaiter in task["awaited_by"]}
    for task in tasks:
        if task["id"] not in awaiting:
            _below(nodes[task["id"]], task)
        for awaiter in task["awaited_by"]:
            if awaiter in nodes:
                _below(nodes[awaiter], by_id[awaiter]).below[task["id"]] = nodes[task["id"]]
    roots = [task["id"] for task in tasks if not any(awaiter in nodes for awaiter in task["awaited_by"])]
    reached: set[int] = set()
    # Tasks that wait for each other in a circle hang below no root: each circle gets one of its own.
    for root in [*roots, *nodes]:
        if root not in reached:
            reached |= _reached_from(root, nodes)
            yield from nodes[root].lines("└── ", "    ")


def _label(task: Task) -> str:
    return f"(T) {task['name']}" + (f" {RUNS} running" if task["state"] == "running" else "")


def _below(node: _Node, task: Task) -> _Node:
    """Put the coroutines of a task below it, outermost first; return the node of the innermost."""
    for function, file, line in reversed(task["stack"]):
        label = f" {function} {file}:{line}"
        node = node.below.setdefault(label, _Node(label))
    return node


def _reached_from(root: int, nodes: dict[int, _Node]) -> set[int]:
    numbers = {id(node): number for number, node in nodes.items()}
    found: set[int] = set()
    waiting = [nodes[root]]
    while waiting:
        node = waiting.pop()
        number = numbers.get(id(node))
        if number is not None:
            if number in found:
                continue
            found.add(number)
        waiting.extend(node.below.values())
    return found
