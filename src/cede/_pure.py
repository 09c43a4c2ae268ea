"""Run cede as plain Python although compiled modules are installed.

`CEDE_PURE=1`, or a subinterpreter, makes
`cede/__init__.py` call `install()` before it imports anything else. From then on a finder stands
first on `sys.meta_path` that knows `.py` files only, so `cede.engine.loop` comes from `loop.py` and the extension
module beside it is never looked at. Sub-processes inherit the variable, and with it the speed.

The law of this file: it imports nothing of cede, and it touches no name outside `cede.*`.
"""

from __future__ import annotations

import _thread
import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

PACKAGE = "cede"


def is_subinterpreter() -> bool:
    """Whether this is not the process's first interpreter, the only one that compiled modules run in."""
    if hasattr(_thread, "_is_main_interpreter"):
        return not _thread._is_main_interpreter()
    try:
        import _xxsubinterpreters as interpreters  # type: ignore[import-not-found]  # before 3.13
    except ImportError:
        return False
    here: bool = interpreters.get_current() != interpreters.get_main()
    return here


class SourceFinder:
    """Finds the modules of cede among the `.py` files of its folders, and nothing else."""

    def __init__(self) -> None:
        self._finders: dict[str, FileFinder] = {}  # one a folder: each caches its folder's listing

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of cede, or None to leave it to the finders behind this one."""
        if path is None or not fullname.startswith(PACKAGE + "."):
            return None
        for folder in path:
            finder = self._finders.get(folder)
            if finder is None:
                finder = self._finders[folder] = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))
            spec = finder.find_spec(fullname)
            if spec is not None:
                return spec
        return None

    def invalidate_caches(self) -> None:
        """Forget the folders' listings (`importlib.invalidate_caches` calls this)."""
        for finder in self._finders.values():
            finder.invalidate_caches()


def install() -> None:
    """Put a SourceFinder first among the finders; doing it twice changes nothing.

    RuntimeError if a compiled module of cede is already imported: half of each would run.
    """
    if any(isinstance(finder, SourceFinder) for finder in sys.meta_path):
        return
    early = compiled_modules()
    if early:
        raise RuntimeError(f"cede: too late to run as plain Python: {early[0]} is imported and compiled")
    sys.meta_path.insert(0, SourceFinder())


def compiled_modules() -> list[str]:
    """Return the names of cede's modules that are imported from extension modules, sorted."""
    suffixes = tuple(EXTENSION_SUFFIXES)
    return sorted(
        name
        for name, module in sys.modules.items()
        if name.startswith(PACKAGE + ".") and (getattr(module, "__file__", None) or "").endswith(suffixes)
    )
