"""`cede run` and programs that choose a loop for themselves: those that only prefer one get cede's, others are named.

The commonest servers take uvloop where it is installed, without having been asked to. `stand_in` puts a finder of
modules in front that answers `import uvloop` with `as_uvloop.py`, and `uvicorn.loops.auto`, where uvicorn looks what
there is, with `as_uvicorn_auto.py`. It is not called if the program's own command line names uvloop: that is a wish.

`tell_at_the_end` keeps an eye on which loops run. One of another kind is named in a line when the process ends.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ..event_loop import EventLoop

# What a program finds in the place of these modules.
_STAND_INS = {"uvloop": "as_uvloop.py", "uvicorn.loops.auto": "as_uvicorn_auto.py"}


def names_uvloop(arguments: list[str]) -> bool:
    """Tell whether a program's command line asks for uvloop: `--loop uvloop`, `--loop=uvloop`, or by UVICORN_LOOP."""
    words = [*arguments, os.environ.get("UVICORN_LOOP", "")]
    return any(word == "uvloop" or word.endswith("=uvloop") for word in words)


def stand_in() -> None:
    """Let `import uvloop`, where it is installed, and uvicorn's choice of a loop lead to cede, from now on."""
    if not any(isinstance(finder, StandInFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, StandInFinder())


class StandInFinder:
    """Finds our modules under the names of those whose place they take."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a stand-in; None for any other module, and where there is nothing to stand in for."""
        file = _STAND_INS.get(fullname)
        if file is None or not self._exists(fullname, path):
            return None
        return importlib.util.spec_from_file_location(fullname, os.path.join(os.path.dirname(__file__), file))

    def _exists(self, fullname: str, path: Sequence[str] | None) -> bool:
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        return any(finder.find_spec(fullname, path) is not None for finder in others)


# --- Telling of it ------------------------------------------------------------------------------

_NAME_BYTES = 200


def tell_at_the_end(kept: bool) -> None:
    """Have a line printed at the end of this process, or of one it forks, if a loop that is not cede's has run.

    `kept` leaves out uvloop's, which was asked for.
    """
    import mmap

    package: Any = sys.modules["asyncio"]
    events = package.events

    # Order: made before any fork. The processes share it, so that a server with eight workers prints one line.
    seen = mmap.mmap(-1, _NAME_BYTES)
    original = events._set_running_loop

    # Every loop says so when it begins to run. (Cede's own call the original.)
    def _set_running_loop(loop: Any) -> None:
        original(loop)
        if loop is not None and not isinstance(loop, EventLoop) and not seen[0]:
            name = f"{type(loop).__module__}.{type(loop).__qualname__}"
            if not (kept and name.startswith("uvloop.")):
                seen[:] = name.encode()[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0")

    def tell() -> None:
        name = seen[:].rstrip(b"\0").decode(errors="replace")
        if name not in ("", _TOLD):
            seen[:] = _TOLD.encode().ljust(_NAME_BYTES, b"\0")
            sys.stderr.write(f"cede run: not all of this ran on cede: {_advice(name)}\n")

    package._set_running_loop = events._set_running_loop = _set_running_loop
    atexit.register(tell)

    # A process that ends itself by a signal runs nothing at its exit. (uvicorn: the one that it was asked to end by.)
    raise_signal = signal.raise_signal

    @functools.wraps(raise_signal)
    def _raise_signal(signalnum: int, /) -> None:
        if signal.getsignal(signalnum) is signal.SIG_DFL:
            tell()
        raise_signal(signalnum)

    signal.raise_signal = _raise_signal


_TOLD = "-"


def _advice(name: str) -> str:
    """Return what ran instead, and how that is changed."""
    if name.startswith("uvloop."):
        return f"{name} did, which the command line names; leave that out, or say cede:new_event_loop (uvicorn 0.36 on)"
    return f"the program chose {name}; where it can be told which loop to make, name cede:new_event_loop"
