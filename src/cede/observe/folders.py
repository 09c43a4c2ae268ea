"""The folder where the processes of a user leave what others of theirs may look at: sockets and recordings."""

from __future__ import annotations

import os
import stat
import sys

_LONGEST_PATH = 107 if sys.platform == "linux" else 103  # bytes, of a socket's


def folder_for(uid: int, runtime_folder: str | None) -> str:
    """Return where the sockets of a user's processes are; `runtime_folder` is what XDG_RUNTIME_DIR says."""
    if runtime_folder and len(os.fsencode(runtime_folder)) + len("/cede/4194304.sock") <= _LONGEST_PATH:
        return os.path.join(runtime_folder, "cede")
    return f"/tmp/cede-{uid}"


def own_folder() -> str:
    """Return this user's, which is made if it is not there. PermissionError if it is somebody else's."""
    uid = os.geteuid()
    folder = folder_for(uid, os.environ.get("XDG_RUNTIME_DIR"))
    os.makedirs(folder, 0o700, exist_ok=True)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid:
        raise PermissionError(f"{folder} belongs to somebody else")
    os.chmod(folder, 0o700)
    return folder
