"""`cede show` and `cede trace`: make a page of a recording, of a process that runs, or that died."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterable

from ..observe import processes, schema
from ..observe.export import write
from ..observe.last_words import failures, last_words
from ..observe.turns import summary
from .ask import NoAnswer, ask
from .messages import complain, put_out
from .rings import rings_of
from .strangers import runs_cede, who_is

_HELP_SHOW = """\
usage: cede show FILE [-o OUT]     a recording that was kept
       cede show PID [-o OUT]      what a process recorded: one that runs, or one that died

Write a page to look at with a browser: OUT, or else the name of the recording with .html at its end. If OUT ends in
.json it is Chrome's trace format, which Perfetto opens.
"""
_HELP_TRACE = """\
usage: cede trace PID [--seconds N] [-o OUT]

Wait N seconds (default: 5) or until Ctrl-C, then write what the process did meanwhile, as `cede show` does; OUT is
PID.html by default.
"""
_HOW = "start it with CEDE_RECORD=16MiB in its environment, or with `cede run --record`"


class _Mistake(Exception):
    """It cannot be done; the text is the line to print."""


def show_command(name: str, arguments: list[str]) -> int:
    """Carry out `cede show ARGUMENTS` or `cede trace ARGUMENTS`; return the exit status."""
    command = f"cede {name}"
    if arguments[:1] in (["-h"], ["--help"]):
        return put_out([(_HELP_SHOW if name == "show" else _HELP_TRACE).rstrip()])
    try:
        target, out, seconds = _parse(name, arguments)
        made = _trace(target, out, seconds) if name == "trace" else _show(target, out)
    except _Mistake as mistake:
        return complain(command, str(mistake))
    return put_out(made)


def _parse(name: str, arguments: list[str]) -> tuple[str, str, float]:
    rest, out, seconds = list(arguments), "", 5.0
    targets = []
    while rest:
        word = rest.pop(0)
        if word == "-o" or (word == "--seconds" and name == "trace"):
            if not rest:
                raise _Mistake(f"{word} needs a value after it")
            value = rest.pop(0)
            if word == "-o":
                out = value
                continue
            try:
                seconds = float(value)
            except ValueError:
                seconds = -1.0
            if not 0 < seconds <= 3600:
                raise _Mistake(f"{value!r} is no number of seconds from 0 to 3600")
        elif word.startswith("-"):
            raise _Mistake(f"unknown option {word} (cede {name} --help lists them)")
        else:
            targets.append(word)
    if not targets:
        what = "the number of a process" if name == "trace" else "a recording or the number of a process"
        raise _Mistake(f"takes {what}, as in: cede {name} 1234 (cede {name} --help)")
    if len(targets) != 1:
        raise _Mistake(f"one {'process' if name == 'trace' else 'file or process'} at a time, not {len(targets)}")
    return targets[0], out, seconds


def _show(target: str, out: str) -> list[str]:
    paths = _rings_of(int(target)) if target.isdecimal() and not os.path.exists(target) else [target]
    lines = []
    for index, path in enumerate(paths):
        name = out or (os.path.basename(path) if target.isdecimal() else path) + ".html"
        recording = _read(path)
        pid = int(recording.header["pid"])
        if path.endswith(".ring") and not processes.exists(pid):
            lines += _written(recording, name if index == 0 else f"{index + 1}-{name}", last_words(recording))
            continue
        if target.isdecimal():
            _name_tasks(recording, _tasks_that_live(pid))
        lines += _written(recording, name if index == 0 else f"{index + 1}-{name}")
    return lines


def _trace(target: str, out: str, seconds: float) -> list[str]:
    if not target.isdecimal():
        raise _Mistake(f"{target!r} is no process id")
    pid = int(target)
    paths = _rings_of(pid)
    if not processes.exists(pid):
        raise _Mistake(f"process {pid} has ended; `cede show {pid}` shows what it recorded")
    before = {path: _read(path) for path in paths}
    began = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        time.sleep(seconds)
    seconds = round(min(seconds, time.monotonic() - began), 3)
    living = _tasks_that_live(pid)
    lines = []
    for index, path in enumerate(paths):
        name = out or f"{pid}.html"
        recording = _read(path, int(before[path].header["head"]))
        _name_tasks(recording, before[path].tasks)
        _name_tasks(recording, living)
        silence = [] if recording.events else [_silence(pid, seconds)]
        lines += _written(recording, name if index == 0 else f"{index + 1}-{name}", silence)
    return lines


def _silence(pid: int, seconds: float) -> str:
    """Say why nothing was recorded, as far as that can be seen."""
    if processes.state_of(pid) == "R":
        return f"  it computes: one step has lasted all {seconds:g} s, and is recorded when it ends (`cede show {pid}`)"
    return f"  its loop slept all {seconds:g} s, or one step waits for what is not awaited: see `cede ps {pid}`"


def _tasks_that_live(pid: int) -> dict[int, schema.Task]:
    """Return what a process calls its tasks, by their numbers; nothing if it does not answer."""
    try:
        answer = ask(pid)
    except NoAnswer:
        return {}
    return {
        task["number"]: schema.Task(task["number"], task["name"], schema.Name(*task["stack"][-1]), task["parent"])
        for task in answer["tasks"]
        if task["number"] and task["stack"]
    }


def _name_tasks(recording: schema.Recording, known: dict[int, schema.Task]) -> None:
    """Say of the tasks that were born before the recording what is known of them from elsewhere."""
    for number, task in recording.tasks.items():
        other = known.get(number)
        if other is not None and task.coroutine is schema.UNKNOWN:
            task.name = task.name or other.name
            task.coroutine, task.parent = other.coroutine, task.parent or other.parent


def _written(recording: schema.Recording, path: str, more: Iterable[str] = ()) -> list[str]:
    try:
        write(recording, path)
    except OSError as error:
        raise _Mistake(f"cannot write {path}: {error.strerror}") from None
    first, *rest = summary(recording)
    return [f"{path}: {first}", *more, *failures(recording), *rest]


def _read(path: str, since: int = 0) -> schema.Recording:
    try:
        recording = schema.read(path, since)
    except schema.NotARing as error:
        raise _Mistake(f"{path}: {error}") from None
    except IsADirectoryError:
        raise _Mistake(f"{path} is a folder") from None
    except OSError as error:
        raise _Mistake(f"cannot read {path}: {error.strerror}") from None
    return dataclasses.replace(recording, dropped=max(0, recording.dropped - since))


def _rings_of(pid: int) -> list[str]:
    """Return the rings of a process, which may be dead; _Mistake if there is none."""
    found = rings_of(pid)
    if found:
        return found
    if not processes.exists(pid):
        raise _Mistake(f"there is no process {pid}, and none of that number left a recording")
    said = who_is(pid)
    if said:
        raise _Mistake(said)
    maybe = "" if runs_cede(pid) else " (and it may not run on cede at all)"
    raise _Mistake(f"process {pid} records nothing: {_HOW}{maybe}")
