"""`cede top`: what the tasks of a process do, live on a screen, which is Textual's: the extra `top` installs that."""

from __future__ import annotations

import sys

from .messages import complain, put_out

_HELP = """\
usage: cede top [options] [PID]

Look at the tasks of a running process, live: what each waits for and since when, who holds what, what is wrong. Without
PID it lists the processes that can be looked at. ? on the screen lists its keys.

options:
  --interval SECONDS  between two looks (default: 1; never so often that it costs the process more than 2 % of a
                      processor)
  --theme NAME        light or dark (default: dark); NO_COLOR=1 in the environment: neither

It needs Textual: pip install cede[top]. Without, `cede ps --watch PID` shows the same tasks as a table. The process
needs what it needs for `cede ps`: CEDE_INSPECT=1, or Python 3.14. With CEDE_RECORD=16MiB tasks have busy times, too.
"""


def top_command(arguments: list[str]) -> int:
    """Carry out `cede top ARGUMENTS`; return the exit status."""
    if arguments in (["-h"], ["--help"]):
        return put_out([_HELP.rstrip()])
    pid: int | None = None
    interval, theme = 1.0, "dark"
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--interval" and rest and _is_interval(rest[0]):
            interval = float(rest.pop(0))
        elif word == "--theme" and rest and rest[0] in ("light", "dark"):
            theme = rest.pop(0)
        elif word.isdecimal() and pid is None:
            pid = int(word)
        else:
            said = "takes the number of a process, --interval SECONDS and --theme light or dark (cede top --help)"
            return complain("cede top", said)
    try:
        import textual  # noqa: F401
    except ImportError:
        instead = f"`cede ps --watch {pid}`" if pid is not None else "`cede ps --watch PID`"
        complain("cede top", f"needs Textual: pip install cede[top]; {instead} does without")
        return 1
    if pid is not None:
        from .ask import NoAnswer, ask

        try:
            ask(pid)  # Order: what cannot be looked at is said in a line, and not on a screen
        except NoAnswer as error:
            complain("cede top", str(error))
            return 1
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        complain("cede top", "needs a terminal; `cede ps` writes to files and pipes")
        return 1
    from .console import Console

    return Console(pid, interval, theme).show()


def _is_interval(word: str) -> bool:
    return word.replace(".", "", 1).isdecimal() and 0.1 <= float(word) <= 3600
