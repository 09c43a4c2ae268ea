"""What can be seen from outside of a process that gives no answer: whose, whether a Python, what it does."""

from __future__ import annotations

import os
import re

from ..observe import processes

HOW = "start it with CEDE_INSPECT=1 in its environment, or with `cede run --inspect`"
"""What makes a process answer."""

_STATES = {
    "R": "its main thread runs",
    "S": "its main thread sleeps in the kernel",
    "D": "its main thread waits for a disk",
    "T": "it is stopped",
    "Z": "it has ended, and its parent has not asked how",
}


def who_is(pid: int) -> str:
    """Return why a process cannot be asked, if that can be seen from outside: another user's, no Python; else ""."""
    try:
        owner = processes.owner_of(pid)
    except OSError:
        return f"there is no process {pid}"
    if os.geteuid() not in (0, owner):
        return f"process {pid} belongs to another user, who alone may ask it (try sudo)"
    program = processes.program_of(pid)
    if not program:
        return ""  # nobody tells
    if python_of(pid) is None:
        return f"process {pid} is no Python: it runs {program}"
    return ""


def python_of(pid: int) -> str | None:
    """Return the version of the Python that a process is, "" if that is not told, None if it is none."""
    program = processes.program_of(pid)
    named = re.fullmatch(r"python(\d(?:\.\d+)?)?t?d?(?:-dbg)?", os.path.basename(program))
    if named:
        return named[1] or ""
    libraries = processes.files_of(pid, "libpython")
    if not libraries:
        return "" if not program else None
    found = re.search(r"libpython(\d\.\d+)", libraries[0])
    return found[1] if found else ""


def runs_cede(pid: int) -> bool:
    """Tell whether a process has cede's compiled engine loaded; of a plain one that cannot be seen."""
    return bool(processes.files_of(pid, "/cede/engine/"))


def seen_from_outside(pid: int) -> str:
    """Return what can be seen of a process that was not made ready: which Python, on cede or not, and what it does."""
    version = python_of(pid)
    words = [f"Python {version}" if version else "a Python"]
    if not runs_cede(pid):
        words.append("not on a compiled cede")
    state = _STATES.get(processes.state_of(pid), "")
    threads = processes.threads_of(pid)
    if state:
        words.append(state)
    if threads > 1:
        words.append(f"{threads} threads")
    return ", ".join(words)
