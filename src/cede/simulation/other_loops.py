"""Loops of other libraries, whose sockets and timers are of C: a world cannot have them, and says so where one is made.

asyncio's own loops, and loops written in Python, stand on `selectors`, `socket` and `time`: these are simulated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..event_loop import EventLoop
from . import current
from .undo import Undo


@contextmanager
def refused() -> Iterator[None]:
    """Let no program in a world make such a loop; also not of a library that is imported meanwhile."""
    undo = Undo()

    def init_subclass(cls: Any, /, **options: Any) -> None:
        super(asyncio.AbstractEventLoop, cls).__init_subclass__(**options)
        _refuse(undo, cls)

    try:
        for cls in _subclasses(asyncio.AbstractEventLoop):
            _refuse(undo, cls)
        undo.put(asyncio.AbstractEventLoop, "__init_subclass__", classmethod(init_subclass))
        yield
    finally:
        undo.all()


def _subclasses(cls: Any) -> Iterator[Any]:
    for found in cls.__subclasses__():
        yield found
        yield from _subclasses(found)


def _refuse(undo: Undo, cls: Any) -> None:
    real = cls.__new__
    if issubclass(cls, (EventLoop, asyncio.BaseEventLoop)) or hasattr(real, "__code__") or real is object.__new__:
        return

    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if current.host() is not None:
            name = f"{cls.__module__}.{cls.__qualname__}"
            raise RuntimeError(
                f"{name} has sockets and timers of its own, in C, which no world can simulate: let the program run on "
                "the loop that asyncio.run() and asyncio.new_event_loop() give it, which is cede's"
            )
        return real(cls, *args, **kwargs)

    undo.put(cls, "__new__", new)
