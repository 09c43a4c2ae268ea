"""Call graphs: what a task is doing, who waits for it, and who waits for them.

A graph is a tree of three plain objects. `FutureCallGraph` is a future or task with its stack and
the graphs of those that wait for it; a stack is a tuple of `FrameCallGraphEntry`, innermost first.
Whether a frame belongs to a coroutine is read off its code's flags, so it works on every Python.
"""

from __future__ import annotations

import inspect
import sys
from types import FrameType
from typing import IO, TYPE_CHECKING, Any

from .engine.running import _get_running_loop, current_task
from .futures import isfuture

if TYPE_CHECKING:
    from asyncio import Future

__all__ = ("capture_call_graph", "format_call_graph", "print_call_graph", "FrameCallGraphEntry", "FutureCallGraph")

# What runs in steps, and how it is called in a formatted graph.
_KINDS = (
    (inspect.CO_COROUTINE, "async "),
    (inspect.CO_ASYNC_GENERATOR, "async generator "),
    (inspect.CO_GENERATOR, "generator "),
)
_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_RESUMABLE = _ASYNC | inspect.CO_GENERATOR


if sys.version_info >= (3, 14):
    from asyncio.graph import FrameCallGraphEntry, FutureCallGraph
else:

    class _Frozen:
        """What `dataclasses.dataclass(frozen=True, slots=True)` makes; importing that takes longer than the rest."""

        __slots__: tuple[str, ...] = ()
        __match_args__: tuple[str, ...] = ()

        def _values(self) -> tuple[Any, ...]:
            return tuple(getattr(self, name) for name in self.__slots__)

        def __repr__(self) -> str:
            fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
            return f"{type(self).__qualname__}({fields})"

        def __eq__(self, other: object) -> bool:
            return self._values() == other._values() if type(other) is type(self) else NotImplemented

        def __hash__(self) -> int:
            return hash(self._values())

        def __setattr__(self, name: str, value: Any) -> None:
            raise AttributeError(f"cannot assign to field {name!r}")

        def __delattr__(self, name: str) -> None:
            raise AttributeError(f"cannot delete field {name!r}")

    class FrameCallGraphEntry(_Frozen):
        """A frame of a call stack."""

        __slots__ = __match_args__ = ("frame",)
        frame: FrameType

        def __init__(self, frame: FrameType) -> None:
            object.__setattr__(self, "frame", frame)

    class FutureCallGraph(_Frozen):
        """A future or task, its call stack (innermost first; empty for a plain future), and who waits for it."""

        __slots__ = __match_args__ = ("future", "call_stack", "awaited_by")
        future: Future[Any]
        call_stack: tuple[FrameCallGraphEntry, ...]
        awaited_by: tuple[FutureCallGraph, ...]

        def __init__(
            self,
            future: Future[Any],
            call_stack: tuple[FrameCallGraphEntry, ...],
            awaited_by: tuple[FutureCallGraph, ...],
        ) -> None:
            object.__setattr__(self, "future", future)
            object.__setattr__(self, "call_stack", call_stack)
            object.__setattr__(self, "awaited_by", awaited_by)


def capture_call_graph(
    future: Future[Any] | None = None, /, *, depth: int = 1, limit: int | None = None
) -> FutureCallGraph | None:
    """Return the call graph of a future, or of the current task; None if there is no current task.

    `depth` leaves out that many of the innermost frames of the current task. `limit` keeps at most
    that many entries of each stack: the ones nearest to where it began if positive, the innermost if
    negative; 0 keeps none. RuntimeError without a future and without a running loop, TypeError for
    what is no future.
    """
    loop = _get_running_loop()
    running: Future[Any] | None = None if loop is None else current_task(loop)
    if future is None:
        if loop is None:
            raise RuntimeError(
                "capture_call_graph() is called outside of a running event loop "
                "and no *future* to introspect was provided"
            )
        if running is None:
            return None
        future = running
    if future is not running:
        return _graph_of(future, limit)
    stack = _running_stack(sys._getframe(depth)) if limit != 0 else []
    return FutureCallGraph(future, _cut(stack, limit), _awaiters_of(future, limit))


def _graph_of(future: Future[Any], limit: int | None) -> FutureCallGraph:
    """Return the graph of a future that is not the current task."""
    if not isfuture(future):
        raise TypeError(f"{future!r} object does not appear to be compatible with asyncio.Future")
    stack = [] if limit == 0 else _suspended_stack(future)
    return FutureCallGraph(future, _cut(stack, limit), _awaiters_of(future, limit))


def _awaiters_of(future: Any, limit: int | None) -> tuple[FutureCallGraph, ...]:
    awaiters = getattr(future, "_asyncio_awaited_by", None) or ()
    return tuple(_graph_of(awaiter, limit) for awaiter in awaiters)


def _cut(stack: list[FrameCallGraphEntry], limit: int | None) -> tuple[FrameCallGraphEntry, ...]:
    """Keep what `limit` allows of a stack that is innermost first."""
    if limit is not None and limit != 0:
        stack = stack[-limit:] if limit > 0 else stack[:-limit]
    return tuple(stack)


def _running_stack(frame: FrameType | None) -> list[FrameCallGraphEntry]:
    """Return the frames from `frame` out to the coroutine that the task runs."""
    stack = []
    while frame is not None:
        stack.append(FrameCallGraphEntry(frame))
        outer = frame.f_back
        if frame.f_code.co_flags & _ASYNC and outer is not None and not outer.f_code.co_flags & _RESUMABLE:
            break
        frame = outer
    return stack


def _suspended_stack(future: Any) -> list[FrameCallGraphEntry]:
    """Return the frames of a task's coroutine and of what it awaits; nothing for a plain future."""
    get_coro = getattr(future, "get_coro", None)
    coro = None if get_coro is None else get_coro()
    stack = []
    while coro is not None:
        if hasattr(coro, "cr_await"):
            frame, coro = coro.cr_frame, coro.cr_await
        elif hasattr(coro, "ag_await"):
            frame, coro = coro.ag_frame, coro.ag_await
        else:
            break
        if frame is not None:
            stack.append(FrameCallGraphEntry(frame))
    stack.reverse()
    return stack


# --- As text ------------------------------------------------------------------------------------


def format_call_graph(future: Future[Any] | None = None, /, *, depth: int = 1, limit: int | None = None) -> str:
    """Return the call graph of a future, or of the current task, as text; '' if there is none.

    The arguments are those of `capture_call_graph`.
    """
    graph = capture_call_graph(future, depth=depth + 1, limit=limit)
    return "" if graph is None else "\n".join(_lines(graph, ""))


def print_call_graph(
    future: Future[Any] | None = None,
    /,
    *,
    file: IO[str] | None = None,
    depth: int = 1,
    limit: int | None = None,
) -> None:
    """Print what `format_call_graph` returns to `file` (default: standard output)."""
    print(format_call_graph(future, depth=depth, limit=limit), file=file)


def _lines(graph: FutureCallGraph, indent: str) -> list[str]:
    future: Any = graph.future
    if hasattr(future, "get_coro"):
        lines = [f"{indent}* Task(name={future.get_name()!r}, id={id(future):#x})"]
    else:
        lines = [f"{indent}* Future(id={id(future):#x})"]
    if graph.call_stack:
        lines.append(f"{indent}  + Call stack:")
        lines.extend(f"{indent}  |   {_place(entry.frame)}" for entry in graph.call_stack)
    if graph.awaited_by:
        lines.append(f"{indent}  + Awaited by:")
        for awaiter in graph.awaited_by:
            lines.extend(_lines(awaiter, indent + "    "))
    return lines


def _place(frame: FrameType) -> str:
    code = frame.f_code
    kind = next((name for flag, name in _KINDS if code.co_flags & flag), "")
    return f"File {code.co_filename!r}, line {frame.f_lineno}, in {kind}{code.co_qualname}()"
