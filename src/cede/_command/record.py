"""`cede record` and `cede watch`: run a program and keep, or tell, what its loops do.

The program is run as by `cede run`. `cede show` makes a page of what was kept, by a process that runs, or that died.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from types import CodeType
from typing import Any

from .messages import complain, put_out
from .run import prepare_command

_HELP_RECORD = """\
usage: cede record [-o FILE] [--size SIZE] app.py [arguments]
       cede record [-o FILE] [--size SIZE] -m module [arguments]

Run a program as `cede run` does, record what its loops and tasks do, and write that to FILE when it ends.

options:
  -o FILE      what to write (default: recording.html): a page if it ends in .html, Chrome's trace format, which
               Perfetto opens, if it ends in .json, else the recording itself, for `cede show`
  --size SIZE  how much to keep, the newest of it (default: 16MiB, some 500,000 events)

It holds names, places, numbers and times; no arguments, results or data. For a process that must not end, or may die:
CEDE_RECORD=16MiB in its environment, then `cede show PID`.
"""
_HELP_WATCH = """\
usage: cede watch [-o FILE] app.py [arguments]
       cede watch [-o FILE] -m module [arguments]

Run a program as `cede run` does, and tell what its loop does: each turn a line, who ran, who woke whom, who waits.
The lines go to standard error, or to FILE.
"""
_PAUSE = 0.05  # seconds between two looks at the ring


def record_command(arguments: list[str]) -> tuple[int, tuple[CodeType, dict[str, Any]] | None]:
    """Carry out `cede record ARGUMENTS` up to the program's first line; what is returned is `prepare_command`'s."""
    # Order: what writes the recording is imported now. An import at the end, of a module with dataclasses (`exec` of a
    # text), lets the interpreter forget that a KeyboardInterrupt ended the program, and exit with 1.
    from ..observe import chrome, page, recorder, schema, turns  # noqa: F401

    options, rest = _options(arguments, ("-o", "--size"))
    if options is None:
        return complain("cede record", rest[0]), None
    if rest[:1] in (["-h"], ["--help"]):
        return put_out([_HELP_RECORD.rstrip()]), None
    path = os.path.abspath(options.get("-o", "recording.html"))
    if not os.path.isdir(os.path.dirname(path)):
        return complain("cede record", f"there is no folder {os.path.dirname(path)}"), None
    try:
        recorder.start(options.get("--size", "16MiB"))
    except (OSError, ValueError) as error:
        return complain("cede record", str(error)), None
    status, program = prepare_command(rest, "cede record")
    if program is None:
        recorder.stop()
    else:
        atexit.register(_write, path, os.getpid())
    return status, program


def _write(path: str, pid: int) -> None:
    from ..observe import recorder, schema, turns

    if os.getpid() != pid:
        return
    try:
        names = recorder.dump(path)
    except RuntimeError:
        sys.stderr.write("cede record: the program made no event loop: nothing was recorded\n")
        return
    except OSError as error:
        sys.stderr.write(f"cede record: cannot write {path}: {error.strerror}\n")
        return
    for (memory, _), name in zip(recorder.rings(), names, strict=False):
        sys.stderr.write(f"cede record: {name}: ")
        sys.stderr.writelines(f"{line}\n" for line in turns.summary(schema.decode(*schema.snapshot(memory))))


def watch_command(arguments: list[str]) -> tuple[int, tuple[CodeType, dict[str, Any]] | None]:
    """Carry out `cede watch ARGUMENTS` up to the program's first line; what is returned is `prepare_command`'s."""
    from ..observe import recorder, schema, turns  # noqa: F401  # Order: as for `cede record`

    options, rest = _options(arguments, ("-o",))
    if options is None:
        return complain("cede watch", rest[0]), None
    if rest[:1] in (["-h"], ["--help"]):
        return put_out([_HELP_WATCH.rstrip()]), None
    file: Any = sys.stderr
    try:
        if "-o" in options:
            file = open(options["-o"], "w", encoding="utf-8")  # noqa: SIM115  # until the process ends
        recorder.start("1MiB", file=False)
    except OSError as error:
        return complain("cede watch", str(error)), None
    status, program = prepare_command(rest, "cede watch")
    if program is None:
        recorder.stop()
    else:
        _Watch(file).begin()
    return status, program


class _Watch:
    """The thread that reads the rings and tells what is new."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._over = threading.Event()
        self._pid = os.getpid()
        self._told: dict[int, tuple[int, Any]] = {}  # by the id of a ring's memory: events told of, and the teller
        self._thread = threading.Thread(target=self._run, name="cede-watch", daemon=True)

    def begin(self) -> None:
        """Begin to tell; the end of the process ends it."""
        self._thread.start()
        atexit.register(self._end)

    def _run(self) -> None:
        while not self._over.wait(_PAUSE):
            self._tell()

    def _end(self) -> None:
        if os.getpid() != self._pid:
            return
        self._over.set()
        self._thread.join()
        self._tell()
        for _, teller in self._told.values():
            self._file.writelines(f"{line}\n" for line in teller.rest())
        self._file.flush()

    def _tell(self) -> None:
        from ..observe import recorder, schema, turns

        rings = recorder.rings()
        for memory, _ in rings:
            told, teller = self._told.get(id(memory), (0, None))
            copy, after = schema.snapshot(memoryview(memory))
            recording = schema.decode(copy, after, told)
            if recording.dropped > told:
                self._file.write(f"  ... {recording.dropped - told:,} events came too fast to be told\n")
            teller = turns.Teller() if teller is None else teller
            self._file.writelines(f"{line}\n" for line in teller.lines(recording))
            self._told[id(memory)] = (int(recording.header["head"]), teller)
            if memory is not rings[-1][0]:  # Order: the end of this loop comes before what the next one does
                self._file.writelines(f"{line}\n" for line in teller.rest())
        self._file.flush()


def _options(arguments: list[str], known: tuple[str, ...]) -> tuple[dict[str, str] | None, list[str]]:
    """Return our options and the rest, which is `cede run`'s; or None and a complaint."""
    options: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        name, equals, value = rest[0].partition("=")
        if name not in known:
            break
        rest.pop(0)
        if not equals:
            if not rest:
                return None, [f"{name} needs a value after it"]
            value = rest.pop(0)
        options[name] = value
    if len(rest) == 1 and rest[0].isdecimal() and not os.path.exists(rest[0]):
        instead = f"cede trace {rest[0]} (if it was started with CEDE_RECORD=16MiB)"
        return None, [f"runs a program; of a process that runs: {instead}"]
    return options, rest
