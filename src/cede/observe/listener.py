"""The socket at which a process can be asked what its tasks do, and the thread that answers.

Law: the program does not notice. The thread sleeps until somebody connects, takes no signals, and no loop has a part in
it: it answers while they hang. Whatever goes wrong here ends in no answer, and at most in one line on standard error.

The socket is `PID.sock` in a folder of the user's own, `$XDG_RUNTIME_DIR/cede` or else `/tmp/cede-UID`, which nobody
else may enter; where the kernel says who connects, only the process's user and root get an answer. The file goes
when the process ends; if it is killed, the next process that listens, or the next one that asks, removes it.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import stat
import sys
import threading

from . import processes
from .folders import own_folder
from .leaked import find_in_child
from .mirror import show_tasks
from .snapshot import as_parts
from .takers import note_takers

LEAKS = b"leaks"
"""What one asks who wants to know the tasks that can never go on, too; who asks nothing gets the rest."""

_PATIENCE = 2  # seconds for one who asked to take the answer
_PARTS = 500  # of an answer that are sent at once

_listener: socket.socket | None = None
_thread: threading.Thread | None = None
_path = ""  # of the socket; "" while there is none


def listen() -> None:
    """Begin to answer, in this process and in every one forked off it. Doing it twice changes nothing.

    From now on the interpreter's own tools see the tasks, too (`mirror`), and asyncio's locks have a holder (`takers`).
    """
    if _listener is not None:
        return
    show_tasks()
    note_takers()
    _open()
    atexit.register(close)
    os.register_at_fork(after_in_child=_open_in_child)


def close() -> None:
    """Stop answering and remove the socket."""
    global _listener, _path
    if _listener is None:
        return
    listener, _listener = _listener, None
    _remove(_path)
    _path = ""
    try:
        listener.shutdown(socket.SHUT_RDWR)  # wakes the thread, which `close` would not
    except OSError:
        pass
    assert _thread is not None
    _thread.join(timeout=1)
    listener.close()


def socket_name(pid: int) -> str:
    """Return the name of a process's socket in that folder."""
    return f"{pid}.sock"


def _open() -> None:
    global _listener, _path, _thread
    try:
        _path, _listener = _bind()
        _thread = threading.Thread(target=_serve, args=(_listener,), name="cede-inspect", daemon=True)
        _thread.start()
    except (OSError, RuntimeError) as error:
        sys.stderr.write(f"cede: this process cannot be inspected: {error}\n")
        _remove(_path)
        _listener, _path = None, ""


def _open_in_child() -> None:
    global _listener, _path
    if _listener is not None:
        _listener.close()
        _listener, _path = None, ""
        _open()


def _bind() -> tuple[str, socket.socket]:
    folder = own_folder()
    _remove_stale(folder)
    path = os.path.join(folder, socket_name(os.getpid()))
    _remove(path)
    listener = socket.socket(socket.AF_UNIX)
    try:
        # Order: nobody else can reach into the folder, so the file's mode may come second.
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return path, listener


def _remove_stale(folder: str) -> None:
    """Remove the sockets of processes that were killed."""
    for name in os.listdir(folder):
        pid, dot, kind = name.partition(".")
        if kind == "sock" and pid.isdecimal() and not processes.exists(int(pid)):
            _remove(os.path.join(folder, name))


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _serve(listener: socket.socket) -> None:
    """Answer those who connect, one after the other, until the listener is shut down."""
    faults = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}  # these come to the thread that made them
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - faults)
    while True:
        try:
            connection, _ = listener.accept()
        except ConnectionAbortedError:
            continue
        except OSError:
            return  # shut down; or there are no descriptors left, and then this is not the time to want one
        with connection:
            try:
                _answer(connection)
            except Exception:
                pass  # whoever asked went away, or something is in a state that cannot be described


def _answer(connection: socket.socket) -> None:
    connection.settimeout(_PATIENCE)
    peer = processes.peer_of(connection)
    if (peer[1] in (0, os.geteuid())) if peer is not None else _is_closed(os.path.dirname(_path)):
        parts = as_parts(find_in_child() if _question(connection) == LEAKS else None)
        for place in range(0, len(parts), _PARTS):  # not all at once: encoding holds the interpreter's lock
            connection.sendall("".join(parts[place : place + _PARTS]).encode())


def _question(connection: socket.socket) -> bytes:
    """Return what is asked; who has asked sends no more."""
    try:
        return connection.recv(len(LEAKS))
    except TimeoutError:
        return b""


def _is_closed(folder: str) -> bool:
    return not stat.S_IMODE(os.stat(folder).st_mode) & 0o077
