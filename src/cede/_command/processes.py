"""Which processes `cede ps` can look at: those that listen, and on Linux those that have cede's engine loaded."""

from __future__ import annotations

import glob
import os
import sys
from typing import NamedTuple

from ..observe import processes
from ..observe.folders import folder_for


class Process(NamedTuple):
    """A process on cede."""

    pid: int
    how: str  # it can be looked at, in words
    command: str


def can_be_looked_at() -> list[Process]:
    """Return the processes on cede that this user may look at, or could if they had been started for it."""
    listening = _listening()
    found = [Process(pid, "listens", processes.command_of(pid)) for pid in listening]
    how = "by attaching" if sys.version_info >= (3, 14) else "not: start it with CEDE_INSPECT=1"
    others = [pid for pid in processes.with_file("/cede/engine/") if pid not in listening and pid != os.getpid()]
    found += [Process(pid, how, processes.command_of(pid)) for pid in others]
    return sorted(found)


def _listening() -> set[int]:
    """Return the processes that have a socket in one of the folders that can be read."""
    runtime_folder = os.environ.get("XDG_RUNTIME_DIR")
    folders = {folder_for(os.geteuid(), folder) for folder in (runtime_folder, f"/run/user/{os.geteuid()}", None)}
    if os.geteuid() == 0:
        folders.update(glob.glob("/tmp/cede-*") + glob.glob("/run/user/*/cede"))
    found: set[int] = set()
    for folder in folders:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        pids = {int(name[:-5]) for name in names if name.endswith(".sock") and name[:-5].isdecimal()}
        found.update(pid for pid in pids if processes.exists(pid))
    return found
