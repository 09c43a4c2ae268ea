"""`cede simulate`: an unmodified program in worlds of its own, a run a seed.

The program runs as `__main__`, on a host called "main"; each run has fresh copies of the modules that stand beside it.
A first run, with nothing wild, imports what the program needs and is not counted. What the program prints is shown
where one run is replayed, and left out where many are had.
"""

from __future__ import annotations

import argparse
import io
import os
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from types import ModuleType
from typing import Any

from .._command.messages import complain, put_out
from .._command.program import NothingToRun, Program, find, install_here
from .choices import Replay, Strategy
from .errors import NotDeterministic
from .exploring import Exploration, Explorer, Outcome
from .lookout import Lookout
from .picture import write
from .report import counted, headline
from .token import Token, parse

_USAGE = "cede simulate [options] (app.py | -m module) [arguments]"
_TELL = 0.5  # seconds between two words about how many runs there were
_EXAMPLES = """\
The program needs no change. What fails in one of the runs is shrunk to the choices that it needs, and told.

examples:
  cede simulate app.py                        1000 runs
  cede simulate --faults chunks,resets app.py  with reads and writes that are cut, and connections that break
  cede simulate --seeds 50 -m app --port 80   what stands behind the program's name is the program's
  cede simulate --replay TOKEN app.py         one run again, with what it prints
"""


def simulate_command(arguments: list[str]) -> int:
    """Carry out `cede simulate ARGUMENTS`; return 0 if no run failed, 1 if one did, 2 if the command line is wrong."""
    options = _parser().parse_args(arguments)
    if options.seeds < 1:
        return complain("cede simulate", f"--seeds {options.seeds}: at least one run is needed")
    if options.replay:
        try:
            options.replay = parse(options.replay)
        except ValueError as exc:
            return complain("cede simulate", str(exc))
    if os.environ.get("PYTHONHASHSEED") is None:
        os.environ["PYTHONHASHSEED"] = "0"  # sets of strings are to have the same order in every process
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    kind, target, rest = ("-m", options.module, options.program) if options.module else _file(options.program)
    if not target:
        return complain("cede simulate", f"which program? {_USAGE}")
    install_here(True)
    try:
        program = find(kind, target)
    except NothingToRun as exc:
        complain("cede simulate", str(exc))
        return exc.status
    return _Simulation(program, [program.argv0, *rest], options).carry_out()


def _file(words: list[str]) -> tuple[str, str, list[str]]:
    return ("file", words[0], words[1:]) if words else ("file", "", [])


_FAULTS = ("chunks", "drift", "jumps", "lookups", "loss", "oneway", "partitions", "resets")
_KNOWN = ", ".join(_FAULTS)


def _faults(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in _FAULTS:
            raise argparse.ArgumentTypeError(f"there is no fault {name!r}: there are {_KNOWN}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "cede simulate",
        usage=_USAGE,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # `--seed 17` would be 17 runs, and not the run of that seed
    )
    parser.add_argument("--seeds", type=int, default=1000, metavar="N", help="how many runs (default: 1000)")
    parser.add_argument("--strategy", default="uniform", help='"uniform", "pct", "pos" or "bounded" (default: uniform)')
    parser.add_argument(
        "--faults", type=_faults, default=(), metavar="LIST", help=f"such as resets,chunks: of {_KNOWN}"
    )
    parser.add_argument("--punctual", action="store_true", help="no loop is ever late")
    parser.add_argument("--replay", metavar="TOKEN", help="have one run again: the token of a failure, or its file")
    parser.add_argument("--trace", metavar="DIR", help="write the event log of what failed, or was replayed, there")
    parser.add_argument("-m", dest="module", metavar="MODULE", help="the program is a module")
    parser.add_argument("program", nargs=argparse.REMAINDER, help="the program's file, and its arguments")
    return parser


class _Simulation:
    """A program, and how it is run again and again."""

    def __init__(self, program: Program, argv: list[str], options: argparse.Namespace) -> None:
        self._program = program
        self._argv = argv
        self._options = options
        self._runs = 0  # that have ended
        self._world: Any = None  # the latest
        self._folder = os.path.join(os.path.realpath(sys.path[0] or os.getcwd()), "")
        settings = {"late": not options.punctual}
        self._explorer = Explorer(self._run, settings, how_to_replay=self._how_to_replay)

    def carry_out(self) -> int:
        with Lookout(self._turn, self._tell_of_stillness):
            return self._carry_out()

    def _carry_out(self) -> int:
        token: Token | None = self._options.replay
        if token is not None:
            try:
                return self._told(self._explorer.once(token.seed, Replay(token.kept), log=True))
            except KeyboardInterrupt as exc:
                return _interrupted(exc, "")
        with _silence():
            error: BaseException | None = None
            try:
                self._explorer.once(0, Strategy())
                self._explorer.explore(self._seeds(), self._options.strategy, first=False)
            except (NotDeterministic, ValueError, KeyboardInterrupt) as exc:
                error = exc
        _tell_terminal("\r\x1b[K")
        found = self._explorer.found
        for failure in found.failures:
            _print_error(failure.error)
            if self._options.trace:
                failure.write(self._options.trace, self._name)
        if isinstance(error, KeyboardInterrupt):
            so_far = f", {_ways(found)}" if found.failures else ""
            return _interrupted(error, f" after {self._runs} of {self._options.seeds} runs{so_far}")
        if error is not None:
            return complain("cede simulate", str(error))
        runs = f"{counted(found.runs, 'run')} in {found.seconds:.1f} s"
        put_out([f"{runs}: {_ways(found) if found.failures else 'none failed'}"])
        put_out([f"never seen: {', '.join(found.unseen)}"] if found.unseen else [])
        return 1 if found.failures else 0

    def _turn(self) -> object:
        world = self._world
        return None if world is None else (id(world), world.turns)

    def _tell_of_stillness(self, text: str) -> None:
        which = f"run {self._runs} of {self._options.seeds}: " if self._options.replay is None else ""
        _tell(f"\ncede simulate: {which}{text}\n      Ctrl-C ends it\n")

    def _seeds(self) -> Iterator[int]:
        """Yield a seed a run, and tell a terminal how many runs there were."""
        told = time.perf_counter()
        for seed in range(self._options.seeds):
            self._runs = seed
            if time.perf_counter() - told > _TELL:
                _tell_terminal(f"\r{seed} of {self._options.seeds} runs")
                told = time.perf_counter()
            yield seed

    def _told(self, outcome: Outcome) -> int:
        if self._options.trace:
            error = "" if outcome.error is None else headline(outcome.error)
            write(outcome.events, self._options.trace, self._name, error=error)
        if outcome.error is None:
            return put_out([f"the run passed; {outcome.now:.3f} s went by in its world"])
        _print_error(outcome.error)
        return 1

    def _how_to_replay(self, token: Token) -> str:
        module = f"-m {self._options.module}" if self._options.module else self._argv[0]
        faults = f" --faults {','.join(self._options.faults)}" if self._options.faults else ""
        return f"replay: cede simulate --replay '{token}'{faults} {module} {shlex.join(self._argv[1:])}".rstrip()

    @property
    def _name(self) -> str:
        """What the files of the event log are called."""
        return os.path.basename(self._argv[0]).removesuffix(".py") or "program"

    def _run(self, world: Any) -> None:
        self._world = world
        world.faults(**dict.fromkeys(self._options.faults, True))
        with world.host("main").entered(), self._fresh_modules() as main:
            try:
                exec(self._program.code, vars(main))
            except SystemExit as exc:
                if exc.code not in (None, 0):
                    raise

    @contextmanager
    def _fresh_modules(self) -> Iterator[ModuleType]:
        """Put a new `__main__` in place, and forget the program's own modules at the end."""
        argv, outer = sys.argv, sys.modules["__main__"]
        main = sys.modules["__main__"] = ModuleType("__main__")
        vars(main).update(self._program.attributes)
        sys.argv = list(self._argv)
        try:
            yield main
        finally:
            sys.argv = argv
            sys.modules["__main__"] = outer
            for name, module in list(sys.modules.items()):
                file = getattr(module, "__file__", None) or ""
                if os.path.realpath(file).startswith(self._folder) and "site-packages" not in file:
                    del sys.modules[name]


def _ways(found: Exploration) -> str:
    return f"{sum(failure.count for failure in found.failures)} failed, in {counted(len(found.failures), 'way')}"


@contextmanager
def _silence() -> Iterator[None]:
    with redirect_stdout(_Nowhere()), redirect_stderr(_Nowhere()):
        yield


class _Nowhere(io.StringIO):
    """What the runs print to."""

    def write(self, text: str, /) -> int:
        return len(text)


def _tell(text: str) -> None:
    """Write to standard error, also where the runs' own is silenced."""
    if sys.__stderr__ is not None:
        sys.__stderr__.write(text)
        sys.__stderr__.flush()


def _tell_terminal(text: str) -> None:
    """The same, but only to a person."""
    if sys.__stderr__ is not None and sys.__stderr__.isatty():
        _tell(text)


def _interrupted(error: KeyboardInterrupt, when: str) -> int:
    """Show where a person has interrupted a run; return the exit status."""
    _print_error(error)
    complain("cede simulate", f"stopped by Ctrl-C{when}")
    return 128 + signal.SIGINT


def _print_error(error: BaseException) -> None:
    """Print an exception, with its notes, from the program's first frame on."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(here):
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)
