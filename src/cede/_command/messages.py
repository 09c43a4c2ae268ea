"""What the command says of itself: complaints about a command line, which cede this is, and why it is not compiled."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable

USAGE_ERROR = 2
"""Exit status of a command line that cannot be carried out, as of most Unix commands."""


def complain(command: str, message: str) -> int:
    """Print one line on standard error and return the exit status that goes with it."""
    sys.stderr.write(f"{command}: {message}\n")
    return USAGE_ERROR


def put_out(lines: Iterable[str]) -> int:
    """Print lines on standard output and return the exit status: 1 if they cannot be written.

    That the reader has gone, as `head` does, or that there is no standard output, goes without saying. A character that
    its encoding does not have is printed as "?".
    """
    if sys.stdout is None:  # closed by the shell: cede ps >&-
        return 1
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()
    except OSError as error:
        # Order: the interpreter flushes standard output once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            complain("cede", f"cannot write to standard output: {error.strerror}")
        return 1
    return 0


def describe_installation() -> str:
    """Return version, speed and Python in one line, such as "cede 0.1.0 (compiled), Python 3.13.0"."""
    import cede

    if cede.compiled:
        speed = "compiled"
    elif _is_asked_for():
        speed = "pure Python, by CEDE_PURE"
    else:
        reason = _why_not_compiled()
        speed = f"pure Python, not compiled: {reason}" if reason else "pure Python, not compiled"
    python = ".".join(map(str, sys.version_info[:3]))
    return f"cede {cede.__version__} ({speed}), Python {python}"


def describe_tricks() -> list[str]:
    """Return a line for each trick: whether this interpreter is as it assumes."""
    import cede
    import cede.io.channel  # which looks at sockets
    from cede.engine.assumptions import TRICKS, off

    if not cede.compiled:
        return [f"  {trick}: compiled only" if trick != "counted tasks" else _told(trick, off) for trick in TRICKS]
    return [_told(trick, off) for trick in TRICKS]


def _told(trick: str, off: dict[str, str]) -> str:
    return f"  {trick}: off, {off[trick]}" if trick in off else f"  {trick}: on"


def tell_once_if_not_compiled() -> None:
    """Say, at the first command of an installation, that it could not be compiled, and why: installers hide that."""
    import cede

    if cede.compiled or _is_asked_for():
        return
    reason = _why_not_compiled()
    if reason and _is_first():
        sys.stderr.write(
            f"cede: not compiled when it was installed ({reason}): this is plain Python, which does the same more"
            " slowly. To compile it: CEDE_EXT=require pip install --force-reinstall --no-cache-dir. (Said once.)\n"
        )


def _is_asked_for() -> bool:
    return os.environ.get("CEDE_PURE", "") not in ("", "0")


def _reason_file() -> str:
    return os.path.join(os.path.dirname(os.path.dirname(__file__)), "not_compiled.txt")


def _why_not_compiled() -> str:
    """Return what the build left in the package, "" if it was not even asked to compile."""
    try:
        with open(_reason_file(), encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return ""


def _is_first() -> bool:
    """Tell whether this user has not been told yet of this installation; where that cannot be kept, always."""
    import zlib

    folder = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "cede")
    try:
        installation = f"{_reason_file()} {os.stat(_reason_file()).st_mtime_ns}"
        os.makedirs(folder, exist_ok=True)
        name = f"told-{zlib.crc32(installation.encode('utf-8', 'surrogateescape')):08x}"
        os.close(os.open(os.path.join(folder, name), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    except OSError:
        pass
    return True
