"""`cede ps` and `cede pstree`: the tasks of a running process, as a table and as a tree.

A stack reads from the inside out; in the tree a task stands above what it waits for, and between them the coroutines
through which it does.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..observe import describe, graph, leaked, lints, waits
from ..observe.layout import Column, fill, table, terminal_width
from .ask import NoAnswer, ask
from .messages import complain, put_out
from .processes import can_be_looked_at
from .tree import tree

_HELP = """\
usage: cede ps                       the processes that can be looked at
       cede ps [options] PID         the tasks of one of them, and the locks, queues and executors that they wait for
       cede pstree [options] PID     the tasks as a tree: who waits for whom

options:
  --filter TEXT     only tasks in whose name, state, stack or wait the text stands
  --group           one row for all tasks with the same stack
  --wide            lines as long as they are, also in a terminal
  --watch [SECONDS] again and again, each second or so many, until Ctrl-C
  --json            what was found, as JSON
  --deadlocks       only tasks that wait for each other in a circle, each with its stack
  --leaks           only tasks that can never go on, because nobody is left who could end what they wait for
  --graph FILE      a picture of who waits for whom: FILE.html, .svg (by Graphviz's dot), .dot or .mmd (Mermaid)

On Python 3.14 and newer this works for any process on cede that you may debug. Otherwise, and for a process whose main
thread hangs, start it with CEDE_INSPECT=1 in its environment, or with `cede run --inspect`.
"""

_PAUSE = 0.1  # seconds between the two looks that a deadlock must be seen in
_CLEAR = "\x1b[H\x1b[2J"


class _Wrong(Exception):
    """The command line cannot be carried out; the text is the line to print."""


class Options(NamedTuple):
    """What the command line asks for."""

    pid: int | None = None  # None: a list of processes
    filter: str = ""
    group: bool = False
    wide: bool = False
    watch: float | None = None  # seconds between two looks
    json: bool = False
    deadlocks: bool = False
    leaks: bool = False
    graph: str = ""  # the file to write


_SWITCHES: dict[str, Callable[[Options], Options]] = {
    "--group": lambda options: options._replace(group=True),
    "--wide": lambda options: options._replace(wide=True),
    "--deadlocks": lambda options: options._replace(deadlocks=True),
    "--leaks": lambda options: options._replace(leaks=True),
    "--json": lambda options: options._replace(json=True),
}


def ps_command(name: str, arguments: list[str]) -> int:
    """Carry out `cede ps ARGUMENTS` or `cede pstree ARGUMENTS`; return the exit status: 1 if there is no answer."""
    command = f"cede {name}"
    if arguments in (["-h"], ["--help"]):
        return put_out([_HELP.rstrip()])
    try:
        options = _options(command, arguments)
    except _Wrong as error:
        return complain(command, str(error))
    if options.pid is None:
        return put_out(_list(options))
    if options.watch is None:
        return _show(name, options)
    return _watch(name, options)


def _options(command: str, arguments: list[str]) -> Options:
    options = Options()
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word in _SWITCHES:
            options = _SWITCHES[word](options)
        elif word in ("--filter", "--graph"):
            if not rest:
                raise _Wrong(f"{word} needs a value after it")
            value = rest.pop(0)
            options = options._replace(filter=value) if word == "--filter" else options._replace(graph=value)
        elif word == "--watch":
            # A number after it is a time only if another one follows, or came before: that is the process.
            has_time = rest and _is_time(rest[0]) and (options.pid is not None or _names_process(rest[1:]))
            options = options._replace(watch=float(rest.pop(0)) if has_time else 1.0)
        elif word.isdecimal() and options.pid is None:
            options = options._replace(pid=int(word))
        elif word.startswith("--"):
            raise _Wrong(f"unknown option {word} ({command} --help lists them)")
        else:
            raise _Wrong(f"takes options and the number of a process, as in: {command} 1234 ({command} --help)")
    if options.pid is None and (command == "cede pstree" or options.watch is not None):
        raise _Wrong(f"takes the number of a process, as in: {command} 1234; `cede ps` lists them")
    return options


def _is_time(word: str) -> bool:
    return word.replace(".", "", 1).isdecimal() and float(word) > 0


def _names_process(words: list[str]) -> bool:
    return any(word.isdecimal() for word in words)


def _show(name: str, options: Options) -> int:
    assert options.pid is not None
    try:
        if options.leaks:
            return put_out(_leaks(options, ask(options.pid, leaks=True)))
        answer = ask(options.pid)
        if options.deadlocks:
            return put_out(_deadlocks(options, answer))
        if options.graph:
            return _draw(f"cede {name}", options.graph, answer)
    except NoAnswer as error:
        complain(f"cede {name}", str(error))
        return 1
    return put_out(_lines(name, options, answer))


def _deadlocks(options: Options, first: dict[str, Any]) -> list[str]:
    """Return the lines about tasks that wait for each other in a circle: those that still do a moment later."""
    found = waits.find(first)
    if found:
        time.sleep(_PAUSE)
        found = waits.confirmed(first, ask(first["pid"]))
    if options.json:
        return [json.dumps([circle.tasks for circle in found], indent=2)]
    return [str(circle) for circle in found] or ["no deadlock"]


def _leaks(options: Options, answer: dict[str, Any]) -> list[str]:
    found = leaked.described(answer, set(answer["leaks"]))
    if options.json:
        return [json.dumps([leak.task for leak in found], indent=2)]
    return [str(leak) for leak in found] or ["no leaked task"]


def _draw(command: str, path: str, answer: dict[str, Any]) -> int:
    kind = path.rpartition(".")[2]
    if kind == "svg":
        dot = shutil.which("dot")
        if dot is None:
            return complain(command, "an .svg needs Graphviz's `dot`, which is not there; .html needs nothing")
        return subprocess.run([dot, "-Tsvg", "-o", path], input=graph.as_dot(answer), text=True, check=False).returncode
    drawn = {"html": graph.as_page, "dot": graph.as_dot, "mmd": graph.as_mermaid}.get(kind)
    if drawn is None:
        return complain(command, f"cannot tell the form of a picture from {path!r}: .html, .svg, .dot or .mmd")
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(drawn(answer))
    except OSError as error:
        return complain(command, f"cannot write {path}: {error.strerror}")
    return 0


def _watch(name: str, options: Options) -> int:
    assert options.watch is not None
    status = 0
    try:
        while status == 0:
            sys.stdout.write(_CLEAR)
            status = _show(name, options)
            time.sleep(options.watch)
    except KeyboardInterrupt:
        return 0
    return status


def _lines(name: str, options: Options, answer: dict[str, Any]) -> Iterator[str]:
    if options.json:
        yield json.dumps(answer, indent=2)
        return
    tasks = describe.matching(answer["tasks"], options.filter) if options.filter else answer["tasks"]
    width = None if options.wide else terminal_width()
    if name == "pstree":
        yield from tree(tasks)
        return
    yield describe.head(answer)
    yield from describe.busy_loops(answer)
    yield ""
    yield from (describe.group_table if options.group else describe.task_table)(answer, tasks, width)
    resources = list(describe.resource_table(answer, width))
    if resources:
        yield ""
        yield from resources
    found = lints.find(answer)
    if found:
        yield ""
        yield from (line for finding in found for line in fill(str(finding), width))


_PROCESSES = (Column("PID", 5, right=True), Column("HOW", 12), Column("COMMAND", 20))


def _list(options: Options) -> Iterator[str]:
    found = can_be_looked_at()
    if options.json:
        yield json.dumps([process._asdict() for process in found], indent=2)
    elif found:
        rows = [[str(process.pid), process.how, process.command] for process in found]
        yield from table(_PROCESSES, rows, None if options.wide else terminal_width())
    else:
        yield "no process on cede that you may look at; start one with CEDE_INSPECT=1, or with `cede run --inspect`"
