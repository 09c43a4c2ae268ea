"""Asks a running process what its tasks do: at its socket if it listens, else, from Python 3.14 on, by a script.

`ask` returns what `cede.observe.snapshot` describes, or raises NoAnswer, whose text is the line to print.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

from ..observe import processes
from ..observe.folders import folder_for
from ..observe.listener import LEAKS, socket_name
from ..observe.snapshot import FORMAT, joined
from .strangers import HOW, python_of, seen_from_outside, who_is

_NEXT_TIME = f"Next time, {HOW}; CEDE_RECORD=16MiB keeps what it did as well"

PATIENCE = 5.0
"""Seconds that the process gets to answer at its socket: less only if something keeps the interpreter's lock."""

PATIENCE_FOR_LEAKS = 120.0
"""The same, where it has to look through all its objects."""


class NoAnswer(Exception):
    """The process cannot be asked; the text says why, and what to do."""


def ask(pid: int, *, leaks: bool = False) -> dict[str, Any]:
    """Return the snapshot of a process, joined; `leaks` asks for those as well. NoAnswer if there is none to be had."""
    try:
        uid = processes.owner_of(pid)
    except OSError:
        raise NoAnswer(f"there is no process {pid}") from None
    text = _ask_at_socket(pid, uid, leaks)
    if text is None:
        text = _ask_by_script(pid, leaks)
    try:
        answer: dict[str, Any] = json.loads(text)
    except ValueError:
        raise NoAnswer(f"process {pid} gave an answer that makes no sense: {text[:60]!r}") from None
    if answer.get("format") != FORMAT:
        theirs = answer.get("cede")
        raise NoAnswer(f"process {pid} runs cede {theirs}, which answers in another form; use the cede of its own")
    return joined(answer)


def _ask_at_socket(pid: int, uid: int, leaks: bool) -> str | None:
    """Return the answer, or None where the process does not listen."""
    denied = False
    for folder in _folders_of(pid, uid):
        path = os.path.join(folder, socket_name(pid))
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            try:
                sock.connect(path)
            except ConnectionRefusedError:
                _remove(path)  # left by a process that was killed, or that has become another program
                continue
            except PermissionError:
                denied = True
                continue
            except OSError:
                continue
            peer = processes.peer_of(sock)
            if peer[0] != pid if peer is not None else os.stat(folder).st_uid != uid:
                continue  # somebody else pretends to be this process
            if leaks:
                sock.settimeout(PATIENCE_FOR_LEAKS)
                sock.sendall(LEAKS)
            sock.shutdown(socket.SHUT_WR)
            return _read_all(sock, pid)
    if denied:
        raise NoAnswer(f"process {pid} belongs to another user, who alone may ask it (try sudo)")
    return None


def _folders_of(pid: int, uid: int) -> list[str]:
    """Return where the socket of a user's process may be, the likeliest first."""
    theirs = processes.variable_of(pid, "XDG_RUNTIME_DIR")
    runtime_folders = [theirs, os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{uid}", None]
    return list(dict.fromkeys(folder_for(uid, folder) for folder in runtime_folders))


def why_silent(pid: int) -> str:
    """Return why a process that listens does not answer, as far as that can be seen from outside."""
    state = processes.state_of(pid)
    if state == "T":
        return "it is stopped (kill -CONT lets it go on)"
    if state == "R":
        return "it computes, and C code in it keeps Python's lock, as a regular expression does"
    return "C code in it keeps Python's lock"


def _read_all(sock: socket.socket, pid: int) -> str:
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
    except TimeoutError:
        raise NoAnswer(
            f"process {pid} did not answer within {sock.gettimeout():g} seconds: {why_silent(pid)}"
        ) from None
    except OSError as error:
        raise NoAnswer(f"process {pid} broke off its answer: {error.strerror}") from None
    if not parts:
        raise NoAnswer(f"process {pid} answers only its own user and root")
    return b"".join(parts).decode()


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _ask_by_script(pid: int, leaks: bool) -> str:
    from . import attach

    said = who_is(pid)
    if said:
        raise NoAnswer(said)
    if sys.version_info < (3, 14):
        newer = python_of(pid) not in ("3.11", "3.12", "3.13")
        raise NoAnswer(
            f"process {pid} does not listen, so all that can be seen is: {seen_from_outside(pid)}. {_NEXT_TIME}"
            + (" (or, if it runs on Python 3.14 or newer, ask with the Python that it runs on)" if newer else "")
        )
    try:
        text = attach.ask_by_script(pid, leaks=leaks)
    except PermissionError:
        raise NoAnswer(f"looking into process {pid} is not permitted: do it as root (sudo), or {HOW}") from None
    except (ProcessLookupError, FileNotFoundError):
        raise NoAnswer(f"there is no process {pid} any more") from None
    except TimeoutError:
        raise NoAnswer(
            f"process {pid} did not answer within {attach.PATIENCE:g} seconds:"
            f" its main thread is inside of a C function. A process that listens can be asked at any time: {HOW}"
        ) from None
    except (RuntimeError, OSError) as error:
        ours = "%d.%d" % sys.version_info[:2]
        raise NoAnswer(f"process {pid} cannot be asked by this Python {ours} ({error}): {HOW}") from None
    if text == "null":
        raise NoAnswer(f"process {pid} does not use cede; for asyncio's own tasks: python -m asyncio ps {pid}")
    return text
