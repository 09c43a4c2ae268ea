"""The command `cede`: a program cannot tell `cede run program` from `python program`, but for its loop.

Most tests run the same program both ways and compare what can be seen from outside: output, exit status, the
traceback. The rest is about what is ours: the options, the answer to a mistake, and the prompt.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cede

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
SOURCE = str(Path(cede.__file__).parent.parent)
TIMEOUT = 110

Run = Callable[..., subprocess.CompletedProcess[str]]


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment, with the cede under test importable from anywhere.

    Nothing is told of loops that are blocked: on a busy machine all are, now and then.
    """
    path = os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "CEDE_WATCH": "0", "PYTHONPATH": path, "PYTHONASYNCIODEBUG": "", **changes}


@pytest.fixture
def python(tmp_path: Path) -> Run:
    """Return `run(*args, input=None, **environment)`, which runs python in an otherwise empty folder."""

    def run(*args: str, input: str | None = None, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *args],
            cwd=tmp_path,
            env=environment(**changes),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )

    return run


@pytest.fixture
def command(python: Run) -> Run:
    """Return `run(*args, …)`, which runs the command in the same folder."""
    return lambda *args, **more: python("-m", "cede", *args, **more)


def write(path: Path, source: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(source))


def outcome(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


# -- a program is what it is with python -------------------------------------------------------------------------------

PROBE = """
import sys
for name, value in sorted(globals().copy().items()):
    print(name, type(value), getattr(value, '__name__', None) if name == '__loader__' else value)
print(sys.argv, sys.path[:3], sys.modules['__main__'].__dict__ is globals())
print(__spec__ and (__spec__.name, __spec__.origin, __spec__.parent))
"""


def probe(text: str) -> str:
    """Return the probe's output without the addresses of objects."""
    return re.sub(r" at 0x[0-9a-f]+", "", text)


@pytest.mark.parametrize(
    "arguments",
    [
        ("probe.py", "--debug", "-m", "x"),
        ("./folder/inner.py", "a b"),
        ("link.py",),
        ("-m", "probe", "--pure"),
        ("-mprobe", "-c"),
        ("-m", "folder.inner"),
        ("-m", "folder"),
        ("-c", PROBE, "-m", "--help"),
        ("folder", "1"),
        ("probe.zip", "2"),
        ("-", "3"),
    ],
    ids=lambda arguments: " ".join(arguments).replace(PROBE, "CODE"),
)
@pytest.mark.parametrize("safe", ["", "1"], ids=["", "safe path"])
def test_the_world_of_a_program(
    python: Run, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], safe: str
) -> None:
    """Whatever names the program: __main__, sys.argv and sys.path are python's own."""
    for name in ("probe.py", "folder/__init__.py", "folder/__main__.py", "folder/inner.py"):
        write(tmp_path / name, PROBE if "__init__" not in name else "")
    (tmp_path / "link.py").symlink_to(tmp_path / "folder" / "inner.py")
    with zipfile.ZipFile(tmp_path / "probe.zip", "w") as archive:
        archive.writestr("__main__.py", PROBE)
    given = PROBE if arguments[0] == "-" else None
    if safe:
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    expected = python(*arguments, input=given, PYTHONSAFEPATH=safe)
    found = command("run", *arguments, input=given, PYTHONSAFEPATH=safe)
    assert expected.returncode == 0
    assert found.returncode == 0, found.stderr
    assert probe(found.stdout) == probe(expected.stdout)


def test_compiled_program(python: Run, command: Run, tmp_path: Path) -> None:
    """A .pyc file runs as with python."""
    write(tmp_path / "app.py", "import sys; print(sys.argv, __file__)")
    python("-c", "import py_compile; py_compile.compile('app.py', 'app.pyc')")
    assert outcome(command("run", "app.pyc", "x")) == outcome(python("app.pyc", "x"))


ENDINGS = {
    "end": "print('done')",
    "status": "import sys; sys.exit(3)",
    "text": "import sys; sys.exit('that is all')",
    "error": "def f():\n    raise ValueError('no')\nf()",
    "chain": "def f(): 1 / 0\ntry:\n    f()\nexcept ZeroDivisionError as error:\n    raise KeyError('x') from error",
    "group": "raise ExceptionGroup('two', [ValueError('one'), OSError('two')])",
    "import": "import broken",
    "syntax error elsewhere": "import unparsable",
    "keyboard": "raise KeyboardInterrupt",
    "hook": """
        import sys, traceback
        def hook(kind, error, tb):
            print(kind, error, [frame.name for frame in traceback.extract_tb(tb)], error.__traceback__ is tb)
        sys.excepthook = hook
        def f(): 1 / 0
        f()
    """,
    "last words": """
        import atexit, sys, threading, time
        def late():
            time.sleep(0.1)
            print('thread')
        atexit.register(lambda: print('exit', sys.modules['__main__'].x, type(sys.last_value), sys.excepthook))
        x = 5
        threading.Thread(target=late).start()
        1 / 0
    """,
    "signal": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nimport time; time.sleep(9)",
    "warning": "import warnings\nwarnings.warn('mind the gap')\nassert (1, 'x')",
}


@pytest.mark.parametrize("name", ENDINGS)
def test_how_a_program_ends(python: Run, command: Run, tmp_path: Path, name: str) -> None:
    """Output, traceback and exit status are python's own, to the letter."""
    write(tmp_path / "app.py", ENDINGS[name])
    write(tmp_path / "broken.py", "import json\n\njson.loads('{')\n")
    write(tmp_path / "unparsable.py", "x = (\n")
    expected, found = outcome(python("app.py")), outcome(command("run", "app.py"))
    assert re.sub(r"0x[0-9a-f]+", "", str(found)) == re.sub(r"0x[0-9a-f]+", "", str(expected))


@pytest.mark.parametrize("name", ["error", "import", "status", "keyboard"])
def test_how_a_module_ends(python: Run, command: Run, tmp_path: Path, name: str) -> None:
    """With -m the traceback is python's less the frames of runpy, also where a package around the module fails."""
    write(tmp_path / "inner/__init__.py", ENDINGS[name])
    write(tmp_path / "inner/app.py", "print('never here')")
    write(tmp_path / "app.py", ENDINGS[name])
    write(tmp_path / "broken.py", "import json\n\njson.loads('{')\n")
    for module in ("app", "inner.app"):
        expected, found = python("-m", module), command("run", "-m", module)
        runpy = re.compile(r'  File "<frozen runpy>", .*\n')
        assert outcome(found) == (expected.returncode, expected.stdout, runpy.sub("", expected.stderr))


def test_error_in_code_argument(python: Run, command: Run) -> None:
    """The traceback of -c is python's, which shows the source from 3.13 on; indented code is 3.14's."""
    code = "def f():\n  1 / 0\nf()"
    assert outcome(command("run", "-c", code)) == outcome(python("-c", code))
    indented = "\n   x = 1\n   print(x)"
    if sys.version_info >= (3, 14):
        assert outcome(command("run", "-c", indented)) == (0, "1\n", "")
    else:
        assert outcome(command("run", "-c", indented)) == outcome(python("-c", indented))


def test_traceback_through_asyncio(command: Run, tmp_path: Path) -> None:
    """Between the frames of the program stand only those of the runner and the loop."""
    write(
        tmp_path / "app.py",
        """
        import asyncio
        async def main():
            await asyncio.sleep(0)
            raise ValueError("no")
        asyncio.run(main())
        """,
    )
    done = command("run", "app.py")
    assert done.returncode == 1
    frames = re.findall(r'File "([^"]*)", line \d+, in (\S+)', done.stderr)
    assert [name for path, name in frames if path == str(tmp_path / "app.py")] == ["<module>", "main"]
    ours = {name.rpartition(".")[2] for path, name in frames[1:-1]}
    assert ours <= {"run", "run_until_complete", "result", "_outcome"}
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith("ValueError: no\n")


def test_frames_below_the_program(command: Run) -> None:
    """Where a program shows its whole stack, `main` and the line that calls it are all there is below it."""
    code = "import inspect; print(*[frame.filename for frame in inspect.stack() if 'runpy' not in frame.filename])"
    main = str(Path(SOURCE, "cede", "__main__.py"))
    assert command("run", "-c", code).stdout.split() == ["<string>", main, main]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("arguments", [("app.py",), ("-m", "app")], ids=["file", "module"])
def test_killed_by_a_signal(tmp_path: Path, number: signal.Signals, arguments: tuple[str, ...]) -> None:
    """A program that a signal ends in the middle of an await dies of that signal, as with python."""
    write(
        tmp_path / "app.py",
        """
        import asyncio
        async def main():
            try:
                print("ready", flush=True)
                await asyncio.sleep(20)
            finally:
                print("cleaned up")
        asyncio.run(main())
        """,
    )
    ends = []
    for prefix in ([], ["-m", "cede", "run"]):
        process = subprocess.Popen(
            [sys.executable, *prefix, *arguments], cwd=tmp_path, env=environment(), stdout=-1, stderr=-1, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=TIMEOUT)
        ends.append((process.returncode, out, err.splitlines()[-1:]))
    assert ends[1] == ends[0]
    assert ends[1][0] == -number


# -- on cede -----------------------------------------------------------------------------------------------------------

LOOPS = """
import asyncio
async def kind():
    return type(asyncio.get_running_loop()).__module__.partition('.')[0]
print(asyncio.run(kind()))
with asyncio.Runner() as runner:
    print(runner.run(kind()))
loop = asyncio.new_event_loop()
print(loop.run_until_complete(kind()))
loop.close()
"""


@pytest.mark.parametrize("arguments", [("app.py",), ("-m", "app"), ("-c", LOOPS)], ids=["file", "module", "code"])
def test_loops_are_of_cede(command: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """asyncio.run, asyncio.Runner and asyncio.new_event_loop run on cede."""
    write(tmp_path / "app.py", LOOPS)
    assert outcome(command("run", *arguments)) == (0, "cede\n" * 3, "")


def test_debug(command: Run) -> None:
    """--debug is asyncio's debug mode; without it debug is off."""
    code = "import asyncio\nasync def main(): return asyncio.get_running_loop().get_debug()\nprint(asyncio.run(main()))"
    assert command("run", "-c", code).stdout == "False\n"
    assert command("run", "--debug", "-c", code).stdout == "True\n"


def test_pure(command: Run) -> None:
    """--pure runs the Python source, whatever was compiled; the arguments survive the change."""
    code = "import cede, sys; print(cede.compiled, sys.argv)"
    expected = "False ['-c', 'a', '--b']\n"
    assert outcome(command("run", "--pure", "-c", code, "a", "--b", CEDE_PURE="")) == (0, expected, "")
    assert outcome(command("run", "--pure", "-c", code, "a", "--b", CEDE_PURE="1")) == (0, expected, "")


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(command: Run, tmp_path: Path, method: str) -> None:
    """Classes of __main__ travel to worker processes and back, and the workers run on cede too."""
    write(
        tmp_path / "app.py",
        f"""
        import asyncio, concurrent.futures, multiprocessing, pickle
        class Answer:
            def __init__(self, text): self.text = text
        async def kind():
            return type(asyncio.get_running_loop()).__module__.partition('.')[0]
        def work(question):
            return Answer(f"{{question.text}}: {{asyncio.run(kind())}}")
        async def main():
            context = multiprocessing.get_context({method!r})
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                return await asyncio.get_running_loop().run_in_executor(pool, work, Answer("loop"))
        if __name__ == "__main__":
            print(asyncio.run(main()).text, pickle.loads(pickle.dumps(Answer("here"))).text)
        """,
    )
    done = command("run", "app.py")
    assert (done.returncode, done.stdout) == (0, "loop: cede here\n"), done.stderr


def test_nothing_needless_is_imported(command: Run) -> None:
    """The command's own imports stay few: a program starts as fast as the package allows."""
    code = "import sys; print([n for n in ('argparse', 'code', 'cede._command.repl', 'zipfile') if n in sys.modules])"
    assert command("run", "-c", code).stdout == "[]\n"


# -- what the command says itself --------------------------------------------------------------------------------------


def test_version(command: Run) -> None:
    """--version tells version, speed and Python in a line."""
    speed = "compiled" if cede.compiled else "pure Python, by CEDE_PURE"
    python = ".".join(map(str, sys.version_info[:3]))
    expected = f"cede {cede.__version__} ({speed}), Python {python}\n"
    assert outcome(command("--version")) == (0, expected, "")
    assert outcome(command("-V")) == (0, expected, "")


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("run", "--help"), ("run", "-h"), ("repl", "--help")])
def test_help(command: Run, arguments: tuple[str, ...]) -> None:
    """Help fits a screen, has examples, and goes to standard output."""
    done = command(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("usage: cede")
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 110
    assert "cede repl" in done.stdout or "cede run" in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["repl", "--help"], ["ps", "--help"], ["-V"]])
def test_a_reader_that_leaves(arguments: list[str]) -> None:
    """`cede --help | head -0` and its like end without a traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed:
        words = [sys.executable, "-m", "cede", *arguments]
        done = subprocess.run(words, env=environment(), stdout=closed, stderr=-1, text=True, timeout=TIMEOUT)
    assert (done.returncode, done.stderr) == (1, "")


FULL = "cede: cannot write to standard output: No space left on device\n"


@pytest.mark.linux("/dev/full")
@pytest.mark.parametrize(("redirection", "said"), [(">&-", ""), (">/dev/full", FULL)])
def test_nowhere_to_write(redirection: str, said: str) -> None:
    """A standard output that is closed, or full, is no traceback."""
    words = ["sh", "-c", f'"$0" -m cede --help {redirection}', sys.executable]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=TIMEOUT)
    assert outcome(done) == (1, "", said)


def test_what_the_encoding_does_not_have(python: Run) -> None:
    """Names of tasks, and the lines of a tree, are printed as far as the terminal can show them."""
    code = "import sys; from cede._command.messages import put_out; sys.exit(put_out(['└── (T) é ⇒ 1']))"
    assert outcome(python("-c", code, PYTHONIOENCODING="ascii")) == (0, "??? (T) ? ? 1\n", "")
    assert outcome(python("-c", code, PYTHONIOENCODING="utf-8", PYTHONUTF8="1")) == (0, "└── (T) é ⇒ 1\n", "")


@pytest.fixture
def not_compiled(tmp_path: Path) -> Path:
    """A copy of the package as a build without a compiler leaves it; returns the folder it is in."""
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(Path(SOURCE, "cede"), tmp_path / "copy" / "cede", ignore=ignored)
    (tmp_path / "copy" / "cede" / "not_compiled.txt").write_text("there is no C compiler cc\n")
    return tmp_path / "copy"


def test_not_compiled(python: Run, not_compiled: Path, tmp_path: Path) -> None:
    """The first command says why this is plain Python, in a line and once; --version says it always."""
    where = {"PYTHONPATH": str(not_compiled), "XDG_CACHE_HOME": str(tmp_path / "cache"), "CEDE_PURE": ""}
    code = ["-m", "cede", "run", "-c", "print('runs')"]
    for _ in range(2):
        status, out, err = outcome(python("-m", "cede", "--version", **where))
        assert (status, err) == (0, "")
        assert "(pure Python, not compiled: there is no C compiler cc)" in out
    assert outcome(python(*code, CEDE_PURE="1", PYTHONPATH=where["PYTHONPATH"])) == (0, "runs\n", "")  # as was asked
    status, out, err = outcome(python(*code, **where))
    assert (status, out, err.count("\n")) == (0, "runs\n", 1)
    assert err.startswith("cede: not compiled when it was installed (there is no C compiler cc): this is plain Python")
    assert outcome(python(*code, **where)) == (0, "runs\n", "")


def test_not_compiled_and_nowhere_to_keep_that(python: Run, not_compiled: Path) -> None:
    """Where it cannot be kept that it was said, it is said again."""
    where = {"PYTHONPATH": str(not_compiled), "XDG_CACHE_HOME": "/dev/null", "CEDE_PURE": ""}
    for _ in range(2):
        assert "there is no C compiler" in python("-m", "cede", "run", "-c", "pass", **where).stderr


NO_PROGRAM = (
    "cede run: no program named; try: cede run -m uvicorn app:app, or cede run app.py (cede run --help tells more)"
)
MISTAKES = {
    ("run",): NO_PROGRAM,
    ("run", "--debug"): NO_PROGRAM,
    ("run", "--fast", "good.py"): "cede run: unknown option --fast (cede run --help lists them)",
    ("run", "-X", "dev", "good.py"): "cede run: unknown option -X; python's own options go to python, as in: "
    "python -X dev -m cede run app.py",
    ("run", "-m"): "cede run: -m needs a module name after it",
    ("run", "-c"): "cede run: -c needs code after it",
    ("run", "good", "x"): "cede run: can't open file '{folder}/good': [Errno 2] No such file or directory; "
    "there is a module of that name: cede run -m good",
    (
        "run",
        "--watch=soon",
        "good.py",
    ): "cede run: --watch=soon is no number of seconds (0.001 to 3600; --no-watch: never)",
    (
        "run",
        "--record=1",
        "good.py",
    ): "cede run: --record takes no value; CEDE_RECORD=64MiB in the environment says how much to keep",
    ("record",): NO_PROGRAM.replace("cede run", "cede record"),
    ("watch",): NO_PROGRAM.replace("cede run", "cede watch"),
    ("watch", "missing.py"): "cede watch: can't open file '{folder}/missing.py': [Errno 2] No such file or directory",
    ("show",): "cede show: takes a recording or the number of a process, as in: cede show 1234 (cede show --help)",
    ("trace",): "cede trace: takes the number of a process, as in: cede trace 1234 (cede trace --help)",
    ("walk",): "cede: unknown command 'walk' (cede --help lists them)",
    ("good.py", "x"): "cede: unknown command 'good.py'; to run a program: cede run good.py x",
    ("--fast",): "cede: unknown option --fast (cede --help lists them)",
    ("repl", "x"): "cede repl: takes no arguments, but there is 'x' (cede repl --help)",
}


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with a program, and with what is none."""
    write(tmp_path / "good.py", "print('running')")
    write(tmp_path / "bad.py", "print('running')\n\ndef f()\n    pass\n")
    write(tmp_path / "tabs.py", "if x:\ny = 2\n")
    write(tmp_path / "folder/__init__.py", "")
    (tmp_path / "null.py").write_bytes(b"x = 1\n\0")
    (tmp_path / "latin.py").write_bytes(b"x = '\xff'\n")
    return tmp_path


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_mistakes(command: Run, sources: Path, arguments: tuple[str, ...]) -> None:
    """A command line that cannot be carried out ends in one clear line and exit status 2; nothing has run."""
    expected = MISTAKES[arguments].format(folder=sources)
    assert outcome(command(*arguments)) == (2, "", expected + "\n")


@pytest.mark.parametrize("name", ["missing.py", "folder", "bad.py", "tabs.py"])
def test_what_is_no_program(python: Run, command: Run, sources: Path, name: str) -> None:
    """A file that is not there or does not compile ends as with python: status, line and caret."""
    expected = python(name)
    assert expected.returncode == (2 if name == "missing.py" else 1)
    said = expected.stderr.replace(f"{sys.executable}: ", "cede run: ")
    assert outcome(command("run", name)) == (expected.returncode, "", said)


@pytest.mark.parametrize("name", ["null.py", "latin.py"])
def test_what_is_no_text(python: Run, command: Run, sources: Path, name: str) -> None:
    """Bytes that are no Python source are a syntax error like any other. (Python words it differently for a file.)"""
    done = command("run", name)
    assert (done.returncode, done.stdout) == (python(name).returncode, "")
    assert done.stderr.splitlines()[-1].startswith(("SyntaxError: ", "ValueError: source code string cannot contain"))
    assert "_command" not in done.stderr


@pytest.mark.parametrize("name", ["missing", "sys", "folder"])
def test_what_is_no_module(python: Run, command: Run, sources: Path, name: str) -> None:
    """A module that is not there or has no code ends as with python."""
    expected = python("-m", name)
    assert expected.returncode == 1
    said = expected.stderr.replace(f"{sys.executable}: ", "cede run: ")
    assert outcome(command("run", "-m", name)) == (1, "", said)


@pytest.mark.parametrize("name", ["missing.inner", "good.inner", "bad", "bad.inner"])
def test_what_is_no_module_in_a_package(python: Run, command: Run, sources: Path, name: str) -> None:
    """The same for one in a package, and for one that does not compile, without python's own frames."""
    expected, found = python("-m", name), command("run", "-m", name)
    assert (found.returncode, found.stdout) == (1, expected.stdout)
    if name.startswith("bad"):
        assert found.stderr == expected.stderr[expected.stderr.index(f'  File "{sources}') :]
    else:
        assert found.stderr == f"cede run: No module named {name}\n"


# -- the prompt --------------------------------------------------------------------------------------------------------


def test_prompt_through_a_pipe(command: Run) -> None:
    """Statements from a pipe are executed in turn, with top-level await and without banner and prompts."""
    source = """
        async def double(x):
            await asyncio.sleep(0.001)
            return 2 * x
        await double(21)
        if True:
            answer = 1
        else:
            answer = 2
        answer
        type(asyncio.get_running_loop()).__module__.partition('.')[0], __name__
        import contextvars, pickle
        var = contextvars.ContextVar('var'); _ = var.set('kept')
        await asyncio.sleep(0, var.get())
        class Thing: pass
        type(pickle.loads(pickle.dumps(Thing()))) is Thing
        cede.compiled
        async with asyncio.timeout(5):
            _ = await asyncio.sleep(0)
        background = asyncio.create_task(asyncio.sleep(60))
    """
    expected = f"42\n1\n('cede', '__main__')\n'kept'\nTrue\n{cede.compiled}\n"
    assert outcome(command("repl", input=textwrap.dedent(source))) == (0, expected, "")
    assert outcome(command(input=textwrap.dedent(source))) == (0, expected, "")


def test_prompt_reports_errors(command: Run) -> None:
    """An error shows the frames of what was typed and nothing of ours; the prompt goes on."""
    source = """
        async def fail():
            raise ValueError("no")
        await fail()
        1 / 0
        def (
        asyncio.run(fail())
        await asyncio.sleep(0, "still here")
    """
    done = command("repl", input=textwrap.dedent(source), PYTHONWARNINGS="ignore")
    assert (done.returncode, done.stdout) == (1, "'still here'\n")
    assert "_command" not in done.stderr
    assert re.findall(r'File "<input (\d+)>", line (\d+)(?:, in (\S+))?', done.stderr) == [
        ("2", "1", "<module>"),
        ("1", "2", "fail"),
        ("3", "1", "<module>"),
        ("4", "1", ""),
        ("5", "1", "<module>"),
    ]
    assert re.findall(r"^\w+Error: ", done.stderr, re.M) == [
        "ValueError: ", "ZeroDivisionError: ", "SyntaxError: ", "RuntimeError: "
    ]  # fmt: skip


@pytest.mark.parametrize("source", ["1/0", "x =", "await asyncio.wait_for(asyncio.Event().wait(), 0.01)"])
def test_what_fails_in_a_pipe_is_told_by_the_status(command: Run, source: str) -> None:
    """An error or a syntax error in the input ends with 1; who leaves by exit() has the status he names."""
    done = command("repl", input=f"{source}\nprint('on')\n")
    assert (done.returncode, done.stdout) == (1, "on\n")
    assert command("repl", input=f"{source}\nexit()\n").returncode == 0


@pytest.mark.parametrize(
    ("source", "status", "message"),
    [
        ("exit()", 0, ""),
        ("exit(3)", 3, ""),
        ("import sys; sys.exit('bye')", 1, "bye\n"),
        ("async def f(): exit(4)\nawait f()", 4, ""),
        ("_ = asyncio.get_running_loop().call_soon(exit, 5)\nawait asyncio.sleep(5)", 5, ""),
    ],
)
def test_leaving_the_prompt(command: Run, source: str, status: int, message: str) -> None:
    """exit() leaves at once, from wherever it is called, with the status it was given."""
    assert outcome(command("repl", input=f"{source}\nprint('not reached')\n")) == (status, "", message)


class Terminal:
    """`cede repl` on a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        try:
            self._fd, inner = os.openpty()
        except OSError as error:
            pytest.skip(f"no terminals here: {error}")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cede"],
            cwd=folder,
            env=environment(HOME=str(folder), TERM="dumb", PYTHON_HISTORY=str(folder / "history")),
            stdin=inner,
            stdout=inner,
            stderr=inner,
            preexec_fn=_own_terminal,
        )
        os.close(inner)
        os.set_blocking(self._fd, False)
        self._seen = ""

    def expect(self, text: str) -> str:
        """Wait until `text` appears; return what came before it and was not returned yet."""
        deadline = time.monotonic() + 10
        while text not in self._seen:
            assert time.monotonic() < deadline, f"no {text!r} in {self._seen!r}"
            try:
                self._seen += os.read(self._fd, 65536).decode().replace("\r\n", "\n")
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:  # the other side is gone
                assert text in self._seen, f"ended with {self._seen!r}, without {text!r}"
        before, _, self._seen = self._seen.partition(text)
        return before

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def end(self) -> int:
        """Wait for the end; return the exit status."""
        return self._process.wait(10)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._fd)


def _own_terminal() -> None:
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Any]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.close()


def test_prompt_on_a_terminal(terminal: Any, tmp_path: Path) -> None:
    """Banner and prompt are shown, background tasks run while the prompt waits, and what was typed is remembered."""
    banner = terminal.expect(">>> import asyncio, cede")
    assert banner.startswith(f"cede {cede.__version__} (")
    terminal.expect(">>> ")
    terminal.type("def later(): print('back' + 'ground')\n")
    terminal.expect("... ")
    terminal.type("loop = asyncio.get_running_loop()\n_ = loop.call_later(0.1, later)\n")
    terminal.expect("\n>>> background\n")
    terminal.type("await asyncio.sleep(0, 6 * 7)\n")
    terminal.expect("\n42\n>>> ")
    terminal.type("\x04")
    assert terminal.end() == 0
    pytest.importorskip("readline")
    assert (tmp_path / "history").read_text().splitlines()[-1] == "await asyncio.sleep(0, 6 * 7)"


def test_interrupt_at_the_prompt(terminal: Any) -> None:
    """Ctrl-C drops what was typed so far, also in the middle of a block."""
    terminal.expect("cede\n>>> ")
    terminal.type("nonsense")
    terminal.expect("nonsense")
    terminal.type("\x03")
    terminal.expect("KeyboardInterrupt\n>>> ")
    terminal.type("def f():\n")
    terminal.expect("... ")
    terminal.type("  x")
    terminal.expect("x")
    terminal.type("\x03")
    terminal.expect("KeyboardInterrupt\n>>> ")
    terminal.type("6 * 7\n")
    assert "Error" not in terminal.expect("\n42\n>>> ")


@pytest.mark.parametrize(
    "statement",
    ["await asyncio.sleep(60)", "import time; time.sleep(60)", "while True: pass\n", "await asyncio.Event().wait()"],
)
def test_interrupt_of_a_statement(terminal: Any, statement: str) -> None:
    """Ctrl-C ends a statement that awaits, sleeps or computes; the prompt comes back at once."""
    terminal.expect("cede\n>>> ")
    terminal.type(f"{statement}\n")
    terminal.expect("\n")
    time.sleep(0.3)
    terminal.type("\x03")
    terminal.expect("KeyboardInterrupt\n>>> ")
    terminal.type("6 * 7\n")
    terminal.expect("\n42\n>>> ")
