"""The command `cede` (also `python -m cede`): run a program on cede, or try things out.

Each subcommand lives in `_command/` and is imported only when it is asked for. A subcommand takes the
arguments after its name and returns the exit status. Mistakes of the user's command line end as one clear
line on standard error and exit status 2; everything a program does stays the program's own.

There is no argument parser: nearly all of a command line of ours belongs to the program being run, and may
not be looked at.
"""

from __future__ import annotations

import os
import sys

from ._command.messages import complain, describe_installation, describe_tricks, put_out, tell_once_if_not_compiled

TYPE_CHECKING = False  # not typing's: importing that takes as long as importing the engine
if TYPE_CHECKING:
    from typing import Any

_HELP = """\
usage: cede run -m uvicorn app:app         run a program, with its asyncio on cede: a module,
       cede run app.py [arguments]         a file,
       cede run -c 'code' [arguments]      or a line of code
       cede repl                           a Python prompt where `await` works
       cede ps [PID]                       what the tasks of a running process do, as a table; which there are
       cede top [PID]                      the same live, on a screen (pip install cede[top])
       cede pstree PID                     as a tree: who waits for whom
       cede record app.py                  run a program and keep what its tasks did, as a page to look at
       cede show PID                       what a process recorded, one that runs or one that died, as a page
       cede trace PID                      what it does in the next seconds
       cede watch app.py                   run a program and tell each turn of its loop in a line
       cede simulate app.py                a thousand runs in simulated worlds, failures made small
       cede --version [--verbose]          which cede, at which speed, on which Python; what it lacks

The program needs no change: asyncio.run, asyncio.Runner and asyncio.new_event_loop in it run on cede. So do
uvicorn, fastapi, gunicorn and what else prefers uvloop.

examples:
  cede run -m uvicorn app:app              where you wrote: uvicorn app:app
  cede run -m fastapi run app.py           where you wrote: fastapi run app.py
  cede run -m pytest tests                 where you wrote: pytest tests
  cede run server.py --port 8080           where you wrote: python server.py --port 8080

`cede run --help` tells more. Without arguments, cede starts the prompt.
"""


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command line (default: the process's own) and return its exit status."""
    if arguments is None:
        arguments = sys.argv[1:]
    if arguments[:1] not in (["-V"], ["--version"]):  # which say it themselves
        tell_once_if_not_compiled()
    if not arguments:
        return _repl([])
    name, *rest = arguments
    if name in ("run", "record", "watch"):
        from ._command.program import reported_as_its_own

        status, program = _preparer(name)(rest)
        if program is not None:
            with reported_as_its_own():
                exec(*program)
        return status
    if name == "repl":
        return _repl(rest)
    if name in ("ps", "pstree"):
        from ._command.ps import ps_command

        return ps_command(name, rest)
    if name == "top":
        from ._command.top import top_command

        return top_command(rest)
    if name in ("show", "trace"):
        from ._command.show import show_command

        return show_command(name, rest)
    if name == "simulate":
        from .simulation.command import simulate_command

        return simulate_command(rest)
    if name in ("-h", "--help", "help"):
        return put_out([_HELP.rstrip()])
    if name in ("-V", "--version") and rest in ([], ["--verbose"]):
        return put_out([describe_installation(), *(describe_tricks() if rest else ())])
    return _unknown(name, rest)


def _preparer(name: str) -> Any:
    """Return what makes a program ready to run, by the name of the command."""
    if name == "run":
        from ._command.run import prepare_command

        return prepare_command
    from ._command import record

    return record.record_command if name == "record" else record.watch_command


def _repl(arguments: list[str]) -> int:
    from ._command.repl import repl_command

    return repl_command(arguments)


def _unknown(name: str, rest: list[str]) -> int:
    if name.startswith("-"):
        return complain("cede", f"unknown option {name} (cede --help lists them)")
    if name.endswith(".py") or os.path.exists(name):
        return complain("cede", f"unknown command {name!r}; to run a program: cede run {' '.join([name, *rest])}")
    return complain("cede", f"unknown command {name!r} (cede --help lists them)")


if __name__ == "__main__":
    sys.exit(main())
