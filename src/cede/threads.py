"""to_thread: call a function in a thread, and await what it returns."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .engine.running import get_running_loop

__all__ = ("to_thread",)

P = ParamSpec("P")
T = TypeVar("T")


async def to_thread(func: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `func(*args, **kwargs)` in a thread of the loop's default executor and return its result.

    It sees a copy of this task's context variables. Cancelling does not stop a call that runs: it
    goes on in its thread, and its result is dropped.
    """
    call = functools.partial(contextvars.copy_context().run, func, *args, **kwargs)
    return await get_running_loop().run_in_executor(None, call)
