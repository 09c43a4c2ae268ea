"""`cede run`: make ready the program named on the command line, with asyncio on cede.

Options of ours stand before the program; from the program's name on, everything is the program's. A command
line that names nothing runnable (no such file or module) is answered with one line and the exit status that
python has for it, before any line of the program has run.
"""

from __future__ import annotations

import os
import sys
from types import CodeType
from typing import Any

from . import program
from .messages import complain, put_out

_HELP = """\
usage: cede run [options] -m uvicorn app:app       or any other module, with its arguments
       cede run [options] app.py [arguments]
       cede run [options] -c 'code' [arguments]

Run a program as python would, with every asyncio.run, asyncio.Runner and asyncio.new_event_loop in it on
cede; uvicorn, fastapi, gunicorn and what else prefers uvloop, too. Exit status, signals, tracebacks,
sys.argv and __main__ are what they are with python. The program may also be a directory or zip file with a
__main__.py, or - for standard input. If it ran on a loop of another kind, a line at its end says so.

options:
  --debug        asyncio's debug mode (slow callbacks, never-awaited coroutines with their origin, ...)
  --pure         cede's own Python source instead of its compiled engine: slower, and open to a debugger
  --inspect      let `cede ps` and `cede pstree` look into the program while it runs
  --watch[=S]    tell when a loop is blocked for S seconds (0.1; without the option 0.5; --no-watch: never)
  --record       record what its loops do, for `cede show` and `cede trace`: also after it died
  --keep-uvloop  what prefers uvloop runs on uvloop (so does what names it: uvicorn --loop uvloop)

examples:
  cede run -m uvicorn app:app              where you wrote: uvicorn app:app
  cede run --debug server.py --port 8080   where you wrote: python server.py --port 8080
  python -X dev -m cede run app.py         python's own options go to python
"""

_OURS = ("--debug", "--pure", "--inspect", "--watch", "--no-watch", "--record", "--keep-uvloop")

_BLOCKED = "0.5"  # seconds that a loop may be blocked without a word, where nobody says how many


class CommandLineError(Exception):
    """The command line cannot be carried out; the text is the line to print."""


def prepare_command(
    arguments: list[str], command: str = "cede run"
) -> tuple[int, tuple[CodeType, dict[str, Any]] | None]:
    """Carry out `cede run ARGUMENTS` up to the program's first line; `command` is what the user calls it.

    Return the exit status if all goes well, and the program's code and namespace, or None where none is to run.
    """
    try:
        options, kind, target, rest = split_arguments(arguments, command)
    except CommandLineError as error:
        return complain(command, str(error)), None
    if "--help" in options:
        return put_out([_HELP.rstrip()]), None
    if "--pure" in options and os.environ.get("CEDE_PURE", "") in ("", "0"):
        _start_again_pure()
    if "--debug" in options:
        os.environ["PYTHONASYNCIODEBUG"] = "1"
    if "--inspect" in options:
        from ..observe.listener import listen

        os.environ["CEDE_INSPECT"] = "1"  # for processes that the program starts
        listen()
    _watch(options)
    if "--record" in options:
        from ..observe.recorder import start_from_environment

        os.environ.setdefault("CEDE_RECORD", "16MiB")
        start_from_environment()
    try:
        return 0, program.prepare(kind, target, rest, "--keep-uvloop" in options)
    except program.NothingToRun as error:
        complain(command, str(error))
        return error.status, None


def _watch(options: set[str]) -> None:
    """Let the program's loops be watched, unless it is to be left alone."""
    from ..observe.asked import watch_when_there_is_a_loop

    asked = next((option for option in options if option.startswith("--watch")), None)
    if asked is not None:
        os.environ["CEDE_WATCH"] = asked.partition("=")[2] or "0.1"  # for processes that the program starts, too
        watch_when_there_is_a_loop(os.environ["CEDE_WATCH"])
    elif "CEDE_WATCH" not in os.environ and "--no-watch" not in options:
        watch_when_there_is_a_loop(_BLOCKED)


def split_arguments(arguments: list[str], command: str = "cede run") -> tuple[set[str], str, str, list[str]]:
    """Return our options, the kind of program ('file', '-m' or '-c'), its name or code, and its own arguments.

    Raise CommandLineError where an option is unknown or nothing to run is named. As with python, `-mname`
    is `-m name`.
    """
    options: set[str] = set()
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word in ("-h", "--help"):
            return {"--help"}, "", "", []
        if word in _OURS:
            options.add(word)
        elif word.startswith("--watch="):
            _check_seconds(word)
            options.add(word)
        elif word.startswith("--record="):
            raise CommandLineError(
                "--record takes no value; CEDE_RECORD=64MiB in the environment says how much to keep"
            )
        elif word in ("-m", "-c"):
            if not rest:
                raise CommandLineError(f"{word} needs {'a module name' if word == '-m' else 'code'} after it")
            return options, word, rest.pop(0), rest
        elif word.startswith(("-m", "-c")):
            return options, word[:2], word[2:], rest
        elif word == "--" and rest:
            return options, "file", rest.pop(0), rest
        elif word != "-" and word.startswith("-"):
            raise CommandLineError(_unknown_option(word))
        else:
            return options, "file", word, rest
    raise CommandLineError(
        f"no program named; try: {command} -m uvicorn app:app, or {command} app.py ({command} --help tells more)"
    )


def _check_seconds(word: str) -> None:
    from ..observe.asked import as_threshold

    if as_threshold(word.partition("=")[2]) is None:
        raise CommandLineError(f"{word} is no number of seconds (0.001 to 3600; --no-watch: never)")


def _unknown_option(word: str) -> str:
    if word[:2] in ("-b", "-B", "-d", "-E", "-i", "-I", "-O", "-P", "-q", "-s", "-S", "-u", "-v", "-W", "-x", "-X"):
        return f"unknown option {word}; python's own options go to python, as in: python -X dev -m cede run app.py"
    return f"unknown option {word} (cede run --help lists them)"


def _start_again_pure() -> None:
    """Replace this process by the same command with the compiled engine switched off."""
    # Order: the engine is chosen when the package is imported, which `python -m cede` has done already.
    os.environ["CEDE_PURE"] = "1"
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
