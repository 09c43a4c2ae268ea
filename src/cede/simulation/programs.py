"""Programs: scripts as hosts, each with modules, arguments and an environment of its own.

    world.program("node1", "node.py", ["--port", "80"])

The script runs as `__main__`, unmodified, `asyncio.run` and all, on a thread of its own: two scripts that each run a
loop on one stack could not end in either order. What stands beside it (modules of its folder) it has as copies, fresh
in each life; everything else is shared by the process.

A host's belongings lie in place (`sys.modules`, `sys.argv`, `sys.path[0]`, `os.environ`) while its code runs, and until
a host with others has its turn.
"""

from __future__ import annotations

import builtins
import errno
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from .errors import SimulationError
from .hosts import Host


class Belongings:
    """What a host has for itself of what Python keeps once a process."""

    def __init__(
        self, environ: Mapping[str, str] | None = None, argv: list[str] | None = None, folder: str | None = None
    ) -> None:
        self._environ = None if environ is None else {os.fsencode(k): os.fsencode(v) for k, v in environ.items()}
        self._argv = argv
        self._folder = folder  # whose modules are its own; None: it has none
        self._path: list[str] | None = None  # its sys.path; None: it has not run yet
        self.modules: dict[str, ModuleType] = {}  # those of its folder, and __main__
        self._others: dict[str, ModuleType] = {}  # the process's own of these, which are out of the way meanwhile
        self._outside = -1  # so many modules the process had when these were looked for
        self._inside = -1  # so many there were when these lay in place
        self._before: tuple[Any, ...] = ()

    def put_on(self) -> None:
        """Lay them in place."""
        self._before = sys.argv, sys.path[:], vars(os.environ)["_data"]
        if self._environ is not None:
            _set_environment(self._environ)
        if self._argv is None or self._folder is None:
            return
        sys.argv = self._argv
        sys.path[:] = [self._folder, *sys.path] if self._path is None else self._path
        if len(sys.modules) != self._outside:
            self._outside = len(sys.modules)
            self._others = self._own_modules()
        for name in self._others:
            sys.modules.pop(name, None)
        sys.modules.update(self.modules)
        self._inside = len(sys.modules)

    def take_off(self) -> None:
        """Lay in place again what was there before."""
        argv, path, environment = self._before
        if self._environ is not None:
            _set_environment(environment)
        if self._argv is None:
            return
        self._argv, sys.argv = sys.argv, argv
        self._path, sys.path[:] = sys.path[:], path
        if len(sys.modules) != self._inside:
            self.modules = self._own_modules()
        for name in self.modules:
            sys.modules.pop(name, None)
        sys.modules.update(self._others)

    def _own_modules(self) -> dict[str, ModuleType]:
        return {name: each for name, each in list(sys.modules.items()) if name == "__main__" or self._is_own(each)}

    def _is_own(self, module: Any) -> bool:
        file = getattr(module, "__file__", None)
        return (
            isinstance(file, str)
            and self._folder is not None
            and file.startswith(self._folder + os.sep)
            and f"{os.sep}site-packages{os.sep}" not in file
        )


def _set_environment(data: Any) -> None:
    vars(os.environ)["_data"] = data
    vars(os.environb)["_data"] = data


class ProgramHost(Host):
    """A host whose main is a script. `World.program` makes them."""

    def __init__(self, world: Any, name: str, path: Any, argv: Sequence[str], **options: Any) -> None:
        self._path = os.path.realpath(os.fspath(path))
        self._code = _code_of(self._path)
        self._argv = [os.fspath(path), *argv]
        self._given_environ: Mapping[str, str] | None = options.pop("environ")
        self.status: int | None = None  # its exit status; None while it runs, and if it was killed
        super().__init__(world, name, **options)

    def begin(self) -> None:
        """Run the script, from its first line."""
        environ = os.environ if self._given_environ is None else self._given_environ
        self.belongings = Belongings(dict(environ), list(self._argv), os.path.dirname(self._path))
        main = self.belongings.modules["__main__"] = ModuleType("__main__")
        vars(main).update(__file__=self._path, __builtins__=builtins, __spec__=None, __cached__=None)
        self.status = None
        self.main_thread = threading.Thread(target=self._life, args=(main,), name="MainThread", daemon=True)
        with self.entered():
            self.main_thread.start()

    def _life(self, main: ModuleType) -> None:
        error: BaseException | None = None
        status = 0
        try:
            exec(self._code, vars(main))
            for thread in self.world.threads.of(self):
                if thread is not self.main_thread and not thread.daemon:
                    thread.join()
        except SystemExit as exc:
            if self.world.threads.ends(threading.get_ident()):
                raise
            if exc.code is not None:
                status = exc.code if isinstance(exc.code, int) else 1
                error = SimulationError(f"the program of host {self.name} ended with {exc!r}") if status else None
        except KeyboardInterrupt:
            status = 130  # a signal's doing, which the test has sent
        except BaseException as exc:
            error, status = exc, 1
        if error is not None:
            self.world.fail(error)
        self.status = status
        self._tell(f"its program ends with exit status {status}")
        self.world.at(self.now, self._end)


def _code_of(path: str) -> CodeType:
    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, "there is no program to be run on a host", path)
    return compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
