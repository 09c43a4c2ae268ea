"""`cede repl`: a Python prompt on a running loop, where `await` works at top level.

Two threads share the work. The main thread runs the loop and executes every statement, so that signals,
child processes and Ctrl-C behave as in a program, and background tasks go on while the prompt waits. A
second thread reads the lines, hands each complete statement to the loop and waits for its end.

Ctrl-C stops a statement: code that is running gets KeyboardInterrupt, a statement that awaits is cancelled.
At the prompt it drops the line. `Session` keeps the statement of the moment, `Prompt` the lines.

Input that comes from a pipe or file is read without banner or prompts. A statement that fails does not end it, but
the exit status tells: 1.
"""

from __future__ import annotations

import ast
import asyncio
import code
import concurrent.futures
import contextvars
import inspect
import linecache
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import cede

from .messages import complain, describe_installation, put_out

_HELP = """\
usage: cede repl

A Python prompt on a running cede loop: write `await` directly, without asyncio.run.
Ctrl-C stops what is running, Ctrl-D or exit() leaves. Statements can also come through a pipe:
  echo 'print(await asyncio.sleep(1, "done"))' | cede repl
"""

_HINT = 'Use "await" directly instead of "asyncio.run()"; exit() leaves.'
_CONTINUES_BLOCK = ("else", "elif", "except", "finally")


def repl_command(arguments: list[str]) -> int:
    """Carry out `cede repl ARGUMENTS` and return the exit status."""
    if arguments in (["-h"], ["--help"]):
        return put_out([_HELP.rstrip()])
    if arguments:
        return complain("cede repl", f"takes no arguments, but there is {arguments[0]!r} (cede repl --help)")
    cede.install()
    with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
        session = Session(runner.get_loop(), _new_namespace())
        return session.run()


def _new_namespace() -> dict[str, Any]:
    """Return what the prompt's statements see: a fresh `__main__` with asyncio and cede in it."""
    # Order: pickle and multiprocessing look classes up in sys.modules['__main__'].
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    if not sys.flags.safe_path:
        sys.path[0] = ""
    sys.argv = [""]
    namespace = main.__dict__
    namespace.update(__builtins__=__builtins__, asyncio=asyncio, cede=cede)
    return namespace


class Session:
    """The main thread's side: the loop, and the statement being executed on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, namespace: dict[str, Any]) -> None:
        self._loop = loop
        self._context = contextvars.copy_context()  # kept from one statement to the next
        self._prompt = Prompt(namespace, self.execute)
        self._executing = False  # True iff code of a statement is on the main thread's stack
        self._task: asyncio.Task[Any] | None = None  # of the statement that awaits; None between statements
        self._interrupted: asyncio.Task[Any] | None = None  # the last statement's task that Ctrl-C cancelled
        self._exit_status: Any = 0
        self._ended = False  # True iff the input has ended or the loop has been left for good

    def run(self) -> int:
        """Run the loop until the input ends; return the exit status."""
        thread = threading.Thread(target=self._read_statements, name="prompt", daemon=True)
        previous = signal.signal(signal.SIGINT, self._on_interrupt)
        restore_terminal = _remember_terminal()
        thread.start()
        try:
            while not self._ended:
                self._run_loop()
        finally:
            self._ended = True
            signal.signal(signal.SIGINT, previous)
            restore_terminal()
        if self._exit_status is None or isinstance(self._exit_status, int):
            return self._exit_status or 0
        raise SystemExit(self._exit_status)

    def execute(self, statement: CodeType) -> BaseException | None:
        """Have the loop execute a statement; wait for its end and return what it raised, or None.

        Called by the prompt's thread. Raise SystemExit where the session ended meanwhile.
        """
        end: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._loop.call_soon_threadsafe(self._start, statement, end, context=self._context)
        error = end.exception()
        if self._ended:
            raise SystemExit
        return error

    def _run_loop(self) -> None:
        """Run the loop once more after what a statement raised; leave for the SystemExit of a background task."""
        try:
            self._loop.run_forever()
        except KeyboardInterrupt:
            self._cancel_task()
        except SystemExit:
            if self._task is None or not self._task.done():
                raise

    def _start(self, statement: CodeType, end: concurrent.futures.Future[None]) -> None:
        function = FunctionType(statement, self._prompt.locals)
        self._executing = True
        try:
            result = function()
        except BaseException as error:
            end.set_exception(error)
            return
        finally:
            self._executing = False
        if not statement.co_flags & inspect.CO_COROUTINE:
            end.set_result(None)
            return
        self._task = self._loop.create_task(result, context=self._context)
        self._task.add_done_callback(lambda task: self._finish(task, end))

    def _finish(self, task: asyncio.Task[Any], end: concurrent.futures.Future[None]) -> None:
        self._task = None
        if task.cancelled():
            end.set_exception(KeyboardInterrupt() if task is self._interrupted else asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            end.set_exception(error)
        else:
            end.set_result(None)

    def _read_statements(self) -> None:
        """Read until the input ends (the body of the prompt's thread)."""
        try:
            self._prompt.interact()
            self._exit_status = self._prompt.status
        except SystemExit as error:
            self._exit_status = error.code
        finally:
            if not self._ended:
                self._ended = True
                self._loop.call_soon_threadsafe(self._loop.stop)

    def _on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        if self._executing or asyncio.current_task(self._loop) is not None:
            raise KeyboardInterrupt
        self._loop.call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        if self._task is None:
            self._prompt.drop_line()
        else:
            self._cancel_task()

    def _cancel_task(self) -> None:
        self._interrupted = self._task
        if self._task is not None:
            self._task.cancel()


class Prompt(code.InteractiveConsole):
    """The prompt's side: lines become statements, their exceptions become text."""

    def __init__(self, namespace: dict[str, Any], execute: Callable[[CodeType], BaseException | None]) -> None:
        super().__init__(namespace)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._execute = execute
        self._terminal = sys.stdin.isatty() and sys.stdout.isatty()
        self.status = 0  # at the end of the input: 1 iff that is no terminal, and a statement has failed
        self._statements = 0  # completed so far; each has a file name of its own, for tracebacks
        self._dropped: str | None = None  # what stood on the line when Ctrl-C dropped it; None if it did not
        if self._terminal:
            _set_up_editing(namespace)

    def interact(self, banner: str | None = None, exitmsg: str | None = None) -> None:
        """Read and execute statements until the end of the input; raise SystemExit where one asks for it."""
        if not self._terminal:
            for line in sys.stdin:
                self.push(line.rstrip("\n"))
            self.push("")
            return
        if banner is None:
            banner = f"{describe_installation()}\n{_HINT}\n{_primary_prompt()}import asyncio, cede"
        super().interact(banner, "")

    def raw_input(self, prompt: str = "") -> str:
        """Return the next line; raise EOFError where there is none."""
        self._dropped = None
        line = input(prompt)
        if self._dropped is not None:
            self.resetbuffer()
            line = line.removeprefix(self._dropped)
            _correct_history(line)
        return line

    def drop_line(self) -> None:
        """Start afresh, for a Ctrl-C at the prompt. (Called by the main thread while this one reads.)"""
        # The editor in the other thread still holds the dropped text; raw_input takes it off the next line.
        self._dropped = _text_being_edited()
        self.write(f"\nKeyboardInterrupt\n{_primary_prompt()}")

    def push(self, line: str, *args: Any, **kwargs: Any) -> bool:
        """Take a line; return True iff the statement needs more of them."""
        if self._ends_block(line):
            super().push("")
        return super().push(line, *args, **kwargs)

    def _ends_block(self, line: str) -> bool:
        """Tell whether a line begins a new statement after a block, as in a file (a prompt wants an empty line)."""
        if not self.buffer or not line or line[0] in " \t#)]}" or line.split(":")[0].split()[0] in _CONTINUES_BLOCK:
            return False
        try:
            return self.compile("\n".join([*self.buffer, ""]), self.filename, "single") is not None
        except (SyntaxError, ValueError, OverflowError):
            return False

    def runsource(self, source: str, filename: str = "", symbol: str = "single") -> bool:
        """Compile and execute a statement; return True iff it needs more lines."""
        filename = f"<input {self._statements + 1}>"
        linecache.cache[filename] = (len(source), None, f"{source}\n".splitlines(True), filename)
        incomplete = super().runsource(source, filename, symbol)
        self._statements += bool(not incomplete and source.strip())
        return incomplete

    def runcode(self, code: CodeType) -> None:
        """Execute a statement and wait for its end."""
        error = self._execute(code)
        if error is None:
            return
        if isinstance(error, SystemExit):
            raise error
        self._fail()
        if isinstance(error, KeyboardInterrupt):
            self.write("\nKeyboardInterrupt\n")
            return
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_frame.f_code is not code:
            traceback = traceback.tb_next
        sys.last_type, sys.last_value, sys.last_traceback = type(error), error, traceback
        sys.excepthook(type(error), error.with_traceback(traceback), traceback)

    def showsyntaxerror(self, *args: Any, **kwargs: Any) -> None:
        """Tell of a statement that does not compile."""
        self._fail()
        super().showsyntaxerror(*args, **kwargs)

    def _fail(self) -> None:
        self.status = int(not self._terminal)


# The terminal


def _primary_prompt() -> str:
    return str(getattr(sys, "ps1", ">>> "))


def _remember_terminal() -> Callable[[], None]:
    """Return a function that gives the terminal the settings it has now."""
    try:
        import termios

        settings = termios.tcgetattr(0)
    except (ImportError, OSError, termios.error):
        return lambda: None
    return lambda: termios.tcsetattr(0, termios.TCSADRAIN, settings)


def _text_being_edited() -> str:
    readline = sys.modules.get("readline")
    return readline.get_line_buffer() if readline is not None else ""


def _correct_history(line: str) -> None:
    """Put `line` in the place of the last line of the history."""
    readline = sys.modules.get("readline")
    if readline is not None and (length := readline.get_current_history_length()):
        readline.replace_history_item(length - 1, line)


def _set_up_editing(namespace: dict[str, Any]) -> None:
    """Give the prompt line editing, completion and the history that python's own prompt keeps."""
    try:
        import readline
        import rlcompleter
    except ImportError:
        return
    import atexit

    readline.set_completer(rlcompleter.Completer(namespace).complete)
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
    path = os.environ.get("PYTHON_HISTORY") or str(Path("~/.python_history").expanduser())
    try:
        readline.read_history_file(path)
    except OSError:
        pass
    before = readline.get_current_history_length()
    atexit.register(_save_history, path, before)


def _save_history(path: str, before: int) -> None:
    """Append to the file what was typed since there were `before` lines."""
    import readline

    new = readline.get_current_history_length() - before
    try:
        if not os.path.exists(path):
            readline.write_history_file(path)
        elif new > 0 and hasattr(readline, "append_history_file"):
            readline.append_history_file(new, path)
    except OSError:
        pass
