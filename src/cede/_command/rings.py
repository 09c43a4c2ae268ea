"""Where the recordings of a process are."""

from __future__ import annotations

import glob
import os
import stat

from ..observe import processes
from ..observe.folders import folder_for


def rings_of(pid: int) -> list[str]:
    """Return the rings of a process, which may be dead. A file that another user made is not believed."""
    try:
        uid = processes.owner_of(pid)
    except OSError:
        uid = os.geteuid()
    theirs = processes.variable_of(pid, "XDG_RUNTIME_DIR")
    folders = [theirs, os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{uid}", None]
    found = []
    for folder in dict.fromkeys(folder_for(uid, folder) for folder in folders):
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), f"{pid}-*.ring"))):
            state = os.lstat(path)
            if stat.S_ISREG(state.st_mode) and state.st_uid == uid:
                found.append(path)
    return found
