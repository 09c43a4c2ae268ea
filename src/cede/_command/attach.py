"""Has another process describe its tasks where nothing was made ready for it: `sys.remote_exec`, Python 3.14 and newer.

A script is left in a folder that both processes see, the other one's main thread executes it when it next comes to
a point between two instructions, and the answer appears as a file beside it. A main thread that sleeps in its loop
comes to no such point by itself: `_nudge` interrupts its system call, the way a debugger does that attaches and goes
away. Calls that cannot be interrupted without harm go on by themselves; the kernel sees to that.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import tempfile
import time

from ..observe import processes

PATIENCE = 5.0
"""Seconds that the process gets to answer."""

PATIENCE_FOR_LEAKS = 120.0
"""The same, where it has to look through all its objects."""

_BEFORE_NUDGING = 0.1  # seconds; a main thread that is busy answers by itself

# A thread answers, so that the one that was interrupted goes on at once.
_SCRIPT = """
def answer(folder):
    import os, sys
    try:
        from cede.observe import leaked, snapshot
        text = snapshot.as_text(leaked.find_in_child() if {leaks!r} else None)
    except BaseException as exc:
        text = "null " + repr(exc)
    write(folder, text)
def write(folder, text):
    import os
    with open(folder + "/part", "w") as file:
        file.write(text)
    os.rename(folder + "/part", folder + "/answer")
def begin(folder):
    import sys, threading
    if "cede" not in sys.modules:
        write(folder, "null")
    else:
        threading.Thread(target=answer, args=(folder,), name="cede-inspect", daemon=True).start()
begin({folder!r})
"""

# Takes the place of the script if the process comes too late: then nobody is there to clear away.
_TOO_LATE = """
import os
for name in os.listdir({folder!r}):
    os.unlink({folder!r} + "/" + name)
os.rmdir({folder!r})
"""


def ask_by_script(pid: int, *, leaks: bool = False) -> str:
    """Return the answer of the process, "null" if it has not imported cede.

    TimeoutError if it does not answer, PermissionError, RuntimeError if it is not a Python that can be asked.
    """
    if sys.version_info < (3, 14):
        raise RuntimeError("sys.remote_exec is new in Python 3.14")
    owner = processes.owner_of(pid)
    root = processes.root_of(pid)  # a container's processes have another /tmp than ours
    folder = tempfile.mkdtemp(prefix=f"cede-ps-{pid}-", dir=f"{root}/tmp")
    script = f"{folder}/script.py"
    theirs = folder.removeprefix(root)
    try:
        _write(script, _SCRIPT.format(folder=theirs, leaks=leaks))
        if owner != os.geteuid():
            os.chown(script, owner, -1)
            os.chown(folder, owner, -1)
        sys.remote_exec(pid, script.removeprefix(root))
    except BaseException:
        shutil.rmtree(folder)
        raise
    try:
        answer = _wait_for(f"{folder}/answer", pid, PATIENCE_FOR_LEAKS if leaks else PATIENCE)
    except BaseException:
        _write(script, _TOO_LATE.format(folder=theirs))
        raise
    shutil.rmtree(folder)
    return answer


def _write(path: str, text: str) -> None:
    # Order: the process must not find half of it.
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(f"{path}.new", path)


def _wait_for(path: str, pid: int, patience: float) -> str:
    begun = time.monotonic()
    nudge_at = begun + _BEFORE_NUDGING
    while not os.path.exists(path):
        now = time.monotonic()
        if now - begun > patience:
            raise TimeoutError
        if now > nudge_at:
            _nudge(pid)
            nudge_at = now + 1
        time.sleep(0.005)
    with open(path, encoding="utf-8") as file:
        return file.read()


_PTRACE_SEIZE, _PTRACE_INTERRUPT, _PTRACE_DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000  # __WALL: of a thread that is no child as well


def _nudge(pid: int) -> None:
    """Stop the main thread of the process and let it go on at once; do nothing where that is not allowed, or not so."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    ptrace = libc.ptrace
    ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    ptrace.restype = ctypes.c_long
    if ptrace(_PTRACE_SEIZE, pid, None, None) != 0:
        return
    try:
        if ptrace(_PTRACE_INTERRUPT, pid, None, None) != 0:
            return
        give_up = time.monotonic() + 0.5  # then it is deep inside the kernel; it is let go when this process ends
        while os.waitpid(pid, _WALL | os.WNOHANG)[0] == 0 and time.monotonic() < give_up:
            time.sleep(0.001)
    except ChildProcessError:
        pass  # it has ended
    finally:
        ptrace(_PTRACE_DETACH, pid, None, None)
