"""Makes a program ready to run in this process, so that it cannot tell the difference from `python program`.

`find` turns a name into code, `prepare` puts a new `__main__` module in place for it. The code is executed in
`main` itself, because every frame of ours below the program's shows wherever a program shows its whole stack.
What the interpreter does at the end of a program (report the exception, wait for threads, run atexit functions,
die of SIGINT after a KeyboardInterrupt) is left to the interpreter: an exception simply goes on through us. Only
the frames that are ours are taken out of its traceback, by a `sys.excepthook` that is put in place when the
program is over already and calls the program's own.

Worker processes that the program starts through `multiprocessing` run on cede too: `InstallInWorkers` travels
to them.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.machinery
import importlib.util
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import CodeType, ModuleType, TracebackType
from typing import Any, NamedTuple

from ..policy import install
from . import other_loops


class NothingToRun(Exception):
    """No program can be made of what was named; the text is the line to print, the status that of the process."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


class Program(NamedTuple):
    """A program ready to run."""

    code: CodeType
    argv0: str  # what becomes sys.argv[0]
    attributes: dict[str, Any]  # of its __main__ module, beyond what all have


def prepare(kind: str, target: str, arguments: list[str], keep_uvloop: bool) -> tuple[CodeType, dict[str, Any]]:
    """Put asyncio on cede and a new `__main__` in place; return the program's code and that module's namespace.

    `kind` is 'file', '-m' or '-c'. Raise NothingToRun where there is no such program. A syntax error in it, and
    exceptions of packages that are imported on the way, pass through, reported as the program's own.
    """
    # Order: finding a module imports the packages around it, which may look at sys.argv and __main__. As with
    # python they see '-m' and a module that is the later one. multiprocessing keeps the __main__ it first saw.
    sys.argv = ["-m" if kind == "-m" else target, *arguments]
    main = sys.modules["__main__"] = _new_main_module()
    insists = other_loops.names_uvloop(arguments)
    _install(stand_in=not keep_uvloop and not insists)
    _install_in_workers(stand_in=not keep_uvloop and not insists)
    other_loops.tell_at_the_end(kept=keep_uvloop)
    with reported_as_its_own():
        program = find(kind, target)
    sys.argv[0] = program.argv0
    main.__dict__.update(program.attributes)
    return program.code, main.__dict__


# Finding the program


def find(kind: str, target: str) -> Program:
    """Return the program, with sys.path[0] set as python sets it for this kind of program."""
    if kind == "-c":
        _set_first_path("")
        return _find_code(target)
    if kind == "-m":
        _set_first_path(os.getcwd())
        return _find_module(target)
    if target == "-":
        _set_first_path("")
        code = _compile(sys.stdin.buffer.read(), "<stdin>")
        return Program(code, "-", {**_BUILTIN, **_file_attributes("<stdin>")})
    if os.path.isdir(target) or _is_zip(target):
        return _find_in_container(target)
    return _find_file(target)


def _find_code(text: str) -> Program:
    if sys.version_info >= (3, 14):
        import textwrap

        text = textwrap.dedent(text)
    if sys.version_info >= (3, 13):
        import linecache

        linecache.cache["<string>"] = (len(text), None, text.splitlines(True), "<string>")
    return Program(_compile(text.encode("utf-8", "surrogateescape"), "<string>"), "-c", _BUILTIN)


def _find_file(target: str) -> Program:
    path = os.path.join(os.getcwd(), target)
    try:
        with io.open_code(path) as file:
            data = file.read()
    except OSError as error:
        hint = f"; there is a module of that name: cede run -m {target}" if _is_module(target) else ""
        raise NothingToRun(f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}{hint}", 2) from None
    _set_first_path(os.path.dirname(os.path.realpath(path)))
    loader: Any
    if data[:4] == importlib.util.MAGIC_NUMBER:
        loader = importlib.machinery.SourcelessFileLoader("__main__", path)
        code = loader.get_code("__main__")
    else:
        loader = importlib.machinery.SourceFileLoader("__main__", path)
        code = _compile(data, path)
    return Program(code, target, {**_file_attributes(path), "__loader__": loader})


def _find_module(name: str) -> Program:
    spec = _find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = _find_spec(f"{name}.__main__")
        if spec is None:
            inner = f"{name}.__main__"
            raise NothingToRun(f"No module named {inner}; {name!r} is a package and cannot be directly executed")
    if spec is None:
        raise NothingToRun(f"No module named {name}")
    return _from_spec(spec, name)


def _find_spec(name: str) -> importlib.machinery.ModuleSpec | None:
    """Import the package around a module and look the module up in it; None where there is none."""
    package = name.rpartition(".")[0]
    try:
        if package:
            importlib.import_module(package)
    except ModuleNotFoundError as error:
        # Something else that the package wants to import and cannot is the program's own trouble.
        if error.name is None or not f"{package}.".startswith(f"{error.name}."):
            raise
        return None
    try:
        return importlib.util.find_spec(name)
    except (ValueError, ModuleNotFoundError):  # an empty name; what is around it is no package
        return None


def _find_in_container(target: str) -> Program:
    """Find `__main__` in a directory or zip file."""
    path = os.path.join(os.getcwd(), target)
    sys.path[: not sys.flags.safe_path] = [path]
    spec = importlib.machinery.PathFinder.find_spec("__main__", [path])
    if spec is None:
        raise NothingToRun(f"can't find '__main__' module in {path!r}")
    return _from_spec(spec, target)._replace(argv0=target)


def _from_spec(spec: importlib.machinery.ModuleSpec, name: str) -> Program:
    loader: Any = spec.loader
    code = loader.get_code(spec.name) if hasattr(loader, "get_code") else None
    if code is None:
        raise NothingToRun(f"No code object available for {name}")
    origin = spec.origin or spec.name
    attributes = {
        **_file_attributes(origin, spec.cached),
        "__loader__": loader,
        "__spec__": spec,
        "__package__": spec.parent,
    }
    return Program(code, origin, attributes)


def _compile(source: bytes, path: str) -> CodeType:
    return compile(source, path, "exec", dont_inherit=True)


def _is_module(name: str) -> bool:
    """Tell whether a module that stands in no package has this name."""
    try:
        return name.isidentifier() and importlib.util.find_spec(name) is not None
    except (ValueError, ImportError):
        return False


def _is_zip(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    with io.open_code(os.path.abspath(path)) as file:
        if file.read(4) == b"PK\x03\x04":
            return True
    if path.endswith((".py", ".pyc")):
        return False
    import zipfile  # a zip file may have a `#!` line before it, and is known by its end

    return zipfile.is_zipfile(path)


# Putting it in place


_BUILTIN = {"__loader__": importlib.machinery.BuiltinImporter}


def _new_main_module() -> ModuleType:
    """Return a new `__main__` with what every one has."""
    main = ModuleType("__main__")
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    main.__dict__["__builtins__"] = builtins
    return main


def _file_attributes(path: str, cached: str | None = None) -> dict[str, Any]:
    if sys.version_info >= (3, 15):
        return {"__file__": path}
    return {"__file__": path, "__cached__": cached}


def _set_first_path(path: str) -> None:
    """Put `path` where python puts a program's own directory, in place of that of this command."""
    if not sys.flags.safe_path:
        sys.path[0] = path


# When it fails


@contextmanager
def reported_as_its_own() -> Iterator[None]:
    """Make the interpreter report the exception that ends the block, and then the process, without our frames."""
    try:
        yield
    except (NothingToRun, SystemExit):
        raise
    except BaseException as error:
        sys.excepthook = _report_with(_their_part(error.__traceback__), sys.excepthook)
        raise


def _report_with(theirs: TracebackType | None, original: Callable[..., Any]) -> Callable[..., None]:
    """Return an excepthook that puts the program's own back in place and calls it with this traceback."""

    def report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        sys.excepthook = original
        sys.last_traceback = theirs
        original(kind, error.with_traceback(theirs), theirs)

    return report


def _their_part(traceback: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the program's first frame on."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(_NOT_THEIRS):
        traceback = traceback.tb_next
    return traceback


_PACKAGE = os.path.dirname(os.path.dirname(__file__))
_NOT_THEIRS = (
    os.path.join(_PACKAGE, "__main__.py"),
    os.path.join(_PACKAGE, "_command"),
    importlib.__file__,
    importlib.util.__file__,
    "<frozen importlib",
)


# Putting asyncio on cede, here and in worker processes


def _install(stand_in: bool) -> None:
    install()
    if stand_in:
        other_loops.stand_in()


class InstallInWorkers:
    """Puts asyncio on cede wherever it is unpickled."""

    def __init__(self, stand_in: bool) -> None:
        self._stand_in = stand_in  # also where the program prefers uvloop

    def __reduce__(self) -> tuple[Any, tuple[bool]]:
        return install_here, (self._stand_in,)


def install_here(stand_in: bool) -> InstallInWorkers:
    """Put asyncio on cede in this process, and uvloop too if cede is to `stand_in` for it."""
    _install(stand_in)
    return InstallInWorkers(stand_in)


def _install_in_workers(stand_in: bool) -> None:
    """Let every process started through multiprocessing run on cede, by whatever start method."""
    if _MULTIPROCESSING in sys.modules:
        _mark_children(sys.modules[_MULTIPROCESSING], stand_in)
    else:
        sys.meta_path.insert(0, _MultiprocessingFinder(stand_in))


_MULTIPROCESSING = "multiprocessing.process"


def _mark_children(process: ModuleType, stand_in: bool) -> None:
    # The settings a process hands to its children, which are pickled where the child does not simply inherit.
    config: dict[str, Any] | None = getattr(process.current_process(), "_config", None)
    if config is not None:
        config["cede"] = InstallInWorkers(stand_in)


class _MultiprocessingFinder:
    """Waits until the program imports multiprocessing, which most never do and which takes its time."""

    def __init__(self, stand_in: bool) -> None:
        self._stand_in = stand_in

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the module's own spec, which marks the children's settings once the module is there; else None."""
        if fullname != _MULTIPROCESSING:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _mark_children(module, self._stand_in)

            loader.exec_module = exec_module
        return spec
