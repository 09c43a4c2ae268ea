"""Which rows there are, in the order of the tables, and how a row gets the asyncio under test.

A row's file says `import asyncio` at its top like any program. Executing that file while
`sys.modules["asyncio"]` holds another package makes it exactly the program that says
`import cede as asyncio`, and leaves every other module of the process alone.
"""

from __future__ import annotations

import fnmatch
import importlib
import sys
from collections.abc import Iterable
from types import ModuleType

from . import clients, row  # noqa: F401  (before any row: a row must find these imported)
from .row import Row

SECTIONS: dict[str, tuple[str, ...]] = {
    "Scheduling": ("sleep", "tasks", "futures", "callbacks", "timers"),
    "Library": ("timeouts", "queues", "locks", "combinators", "generators", "executor", "startup"),
    "Sockets": ("tcp", "streams", "sock_methods", "tls", "unix", "udp", "closing", "bulk", "pipes", "subprocesses"),
    "HTTP": ("http",),
    "Simulation": ("worlds",),
    "Memory": ("memory", "idle"),
}


def section_of(module: str) -> str:
    """Return the heading under which the rows of a file stand."""
    return next(section for section, modules in SECTIONS.items() if module in modules)


def load(module: str, package: ModuleType | None = None) -> list[Row]:
    """Execute a file of rows with `package` as its asyncio and return its rows.

    Only the first load of a file in a process counts: give the package in a fresh one.
    """
    import asyncio

    sys.modules["asyncio"] = package or asyncio
    try:
        importlib.import_module(f"benchmarks.rows.{module}")
    finally:
        sys.modules["asyncio"] = asyncio
    return row.declared[module]


def all_rows() -> list[Row]:
    """Return every row, in the order of the tables."""
    return [each for modules in SECTIONS.values() for module in modules for each in load(module)]


def select(patterns: Iterable[str]) -> list[Row]:
    """Return the rows whose name, file or section matches one of the globs; all without a glob."""
    patterns = list(patterns)

    def wanted(row: Row) -> bool:
        names = (row.name, row.module, section_of(row.module).lower())
        return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)

    return [row for row in all_rows() if not patterns or wanted(row)]
