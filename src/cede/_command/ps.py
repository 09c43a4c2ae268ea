"""`cede ps` and `cede pstree`: the tasks of a running process, as a table and as a tree.

Both look as those of `python -m asyncio ps` do. A stack reads from the inside out; in the tree a task stands above what
it waits for, and between them the coroutines through which it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .ask import NoAnswer, ask
from .messages import complain, put_out

Task = dict[str, Any]

_HELP = """\
usage: cede ps PID         a table of the tasks of a running process
       cede pstree PID     a tree of them: who waits for whom

On Python 3.14 and newer this works for any process on cede that you may debug. Otherwise, and for a process whose main
thread hangs, start it with CEDE_INSPECT=1 in its environment, or with `cede run --inspect`.
"""

_COLUMNS = (
    ("tid", 10),
    ("task id", 20),
    ("task name", 20),
    ("coroutine stack", 50),
    ("awaiter chain", 50),
    ("awaiter name", 15),
    ("awaiter id", 15),
)


def ps_command(name: str, arguments: list[str]) -> int:
    """Carry out `cede ps ARGUMENTS` or `cede pstree ARGUMENTS`; return the exit status: 1 if there is no answer."""
    command = f"cede {name}"
    if arguments in (["-h"], ["--help"]):
        return put_out([_HELP.rstrip()])
    if len(arguments) != 1 or not arguments[0].isdecimal():
        return complain(command, f"takes the number of a process, as in: {command} 1234")
    try:
        tasks: list[Task] = ask(int(arguments[0]))["tasks"]
    except NoAnswer as error:
        complain(command, str(error))
        return 1
    lines = table(tasks) if name == "ps" else tree(tasks)
    return put_out(lines)


# --- The table ----------------------------------------------------------------------------------


def table(tasks: list[Task]) -> Iterator[str]:
    """Yield the lines of the table: a row for each task and each task that awaits it."""
    by_id = {task["id"]: task for task in tasks}
    yield _row(name for name, _ in _COLUMNS)
    yield "-" * sum(width for _, width in _COLUMNS)
    for task in tasks:
        own = [str(task["tid"]), hex(task["id"]), task["name"], _chain(task)]
        for awaiter in task["awaited_by"] or [0]:
            known = by_id.get(awaiter)
            if known is not None:
                yield _row([*own, _chain(known), known["name"], hex(awaiter)])
            else:
                yield _row([*own, "", "Unknown" if awaiter else "", hex(awaiter)])


def _row(cells: Any) -> str:
    return " ".join(f"{cell:<{width}}" for cell, (_, width) in zip(cells, _COLUMNS, strict=True)).rstrip()


def _chain(task: Task) -> str:
    return " -> ".join(function for function, _, _ in task["stack"])


# --- The tree -----------------------------------------------------------------------------------


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
    nodes = {task["id"]: _Node(f"(T) {task['name']}") for task in tasks}
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
