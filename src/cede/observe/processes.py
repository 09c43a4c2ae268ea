"""What can be learned of other processes: from /proc and the kernel's word on Linux, and less of it elsewhere."""

from __future__ import annotations

import os
import socket
import struct
import sys

from .. import _portable

_PROC = "/proc" if sys.platform == "linux" and not _portable.installed else ""
_CREDENTIALS = "3i"  # of who is at the other end of a unix socket, on Linux: process, user, group


def exists(pid: int) -> bool:
    """Return True if there is such a process."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return pid > 0


def owner_of(pid: int) -> int:
    """Return the user of a process; without /proc, the own one. ProcessLookupError if there is no such process."""
    if not exists(pid):
        raise ProcessLookupError(pid)
    try:
        return os.stat(f"{_PROC}/{pid}").st_uid if _PROC else os.geteuid()
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None


def variable_of(pid: int, name: str) -> str | None:
    """Return what a process was started with in its environment; None if that is nothing, or is not told."""
    try:
        with open(f"{_PROC}/{pid}/environ", "rb") as file:
            variables = dict(line.partition(b"=")[::2] for line in file.read().split(b"\0"))
    except OSError:
        return None  # of another user, or without /proc
    value = variables.get(os.fsencode(name))
    return None if value is None else os.fsdecode(value)


def state_of(pid: int) -> str:
    """Return what a process's main thread does, in Linux's letters: R runs, S sleeps, T is stopped; "" if not told."""
    try:
        with open(f"{_PROC}/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def program_of(pid: int) -> str:
    """Return the path of the program that a process runs; "" where it is not told."""
    try:
        return os.readlink(f"{_PROC}/{pid}/exe").removesuffix(" (deleted)") if _PROC else ""
    except OSError:
        return ""


def threads_of(pid: int) -> int:
    """Return how many threads a process has; 0 where it is not told."""
    try:
        return len(os.listdir(f"{_PROC}/{pid}/task")) if _PROC else 0
    except OSError:
        return 0


def files_of(pid: int, part: str) -> list[str]:
    """Return the files that are mapped into a process, and whose path has this part; none where it is not told."""
    try:
        with open(f"{_PROC}/{pid}/maps", encoding="utf-8", errors="replace") as file:
            return [line.split(maxsplit=5)[-1].strip() for line in file if part in line]
    except OSError:
        return []


def root_of(pid: int) -> str:
    """Return the path to the root of a process's files, which are others than ours in a container; "" for the same."""
    return f"{_PROC}/{pid}/root" if _PROC else ""


def peer_of(sock: socket.socket) -> tuple[int, int] | None:
    """Return the process and the user at the other end of a unix socket, None where the kernel does not tell."""
    if not _PROC or not hasattr(socket, "SO_PEERCRED"):
        return None
    told = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(_CREDENTIALS))
    pid, uid, _ = struct.unpack(_CREDENTIALS, told)
    return pid, uid


def command_of(pid: int) -> str:
    """Return the command line of a process; "" where it is not told."""
    try:
        with open(f"{_PROC}/{pid}/cmdline", "rb") as file:
            return os.fsdecode(file.read()).rstrip("\0").replace("\0", " ")
    except OSError:
        return ""


def with_file(part: str) -> list[int]:
    """Return the processes, of those that may be asked, into which a file is mapped whose path has this part."""
    found = []
    for name in os.listdir(_PROC) if _PROC else ():
        if not name.isdecimal():
            continue
        if files_of(int(name), part):
            found.append(int(name))
    return found
