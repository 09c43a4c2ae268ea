"""`subprocess.Popen`, whose own short wait is not taken for one of the program's.

Starting a child, the standard library reads from a pipe until the child runs its program or says why it cannot, and so
does asyncio, in the loop's thread. A tool that wraps `os.read` to find blocking calls knows that of asyncio only.
"""

from __future__ import annotations

import os
import subprocess
from types import FunctionType
from typing import Any

from ..engine import own_calls


class _System:
    """`os`, with the calls that are cede's own: what stands for them now, as a simulated world exchanges these, too."""

    def __getattr__(self, name: str) -> Any:
        return getattr(own_calls if name in ("read", "waitpid", "close") else os, name)


class _Popen(subprocess.Popen[bytes]):
    def _execute_child(self, *args: Any, **kwargs: Any) -> None:
        execute = getattr(subprocess.Popen, "_execute_child")  # noqa: B009  the stubs do not know it
        if isinstance(execute, FunctionType):  # else somebody's own
            names = {**execute.__globals__, "os": _System()}
            execute = FunctionType(execute.__code__, names, argdefs=execute.__defaults__, closure=execute.__closure__)
        execute(self, *args, **kwargs)


def popen(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
    """Start a child; all is as in `subprocess.Popen`."""
    if os.read is own_calls.read and os.waitpid is own_calls.waitpid:
        return subprocess.Popen(*args, **kwargs)
    return _Popen(*args, **kwargs)
