"""cede: asyncio's API on an engine of its own.

Import it instead of asyncio (`import cede as asyncio`), or let a program that uses asyncio run on it
(`cede.install()`, `cede run app.py`, or `loop_factory=cede.new_event_loop`).

The map of the house, from the ground up; each part imports only what stands before it:

    engine/             callbacks and deadlines: `loop` (the turn), `handles`, `futures`, `tasks`; compiled
    io/                 moves bytes between a protocol and a descriptor: transports, TLS; compiled
    net/                coroutines that build those: resolve, connect, serve, sockets, subprocesses
    event_loop          EventLoop: asyncio's methods of a loop, each a line or two
    policy              which loop a program gets: new_event_loop, install
    futures coroutines  the smallest pieces
    locks queues        what tasks share
    timeouts taskgroups what bounds them
    tasks               create_task, sleep, gather, wait, … (in `spawning`, `gathering`, `waiting`)
    runners threads     the door to code that is not async
    streams subprocess  reading and writing without protocols
    graph               who waits for whom
    observe/            looking into a running program from outside

The engine is plain Python that compiles to C. `cede.compiled` says which of the two is running;
CEDE_PURE=1 in the environment chooses plain Python. Both do the same.

Exceptions, abstract classes and the running loop are asyncio's own objects: a library that knows
only asyncio works on cede's loop, with cede's tasks.
"""

from __future__ import annotations

import os as _os

from . import _pure

if _os.environ.get("CEDE_PURE", "") not in ("", "0") or _pure.is_subinterpreter():
    # Order: before anything that may be compiled is imported.
    _pure.install()

if _os.environ.get("CEDE_PORTABLE", "") not in ("", "0"):
    # Order: before anything of cede looks at what the system has.
    from . import _portable

    _portable.install()

import asyncio as _asyncio
import importlib as _importlib
import sys as _sys
import warnings as _warnings

from . import policy as _policy
from ._version import __version__
from .engine import loop as _engine
from .event_loop import EventLoop
from .policy import install, new_event_loop, uninstall

TYPE_CHECKING = False  # not typing's: importing that takes as long as importing the engine
if TYPE_CHECKING:
    from typing import Any

    from . import locks, protocols, queues, streams, subprocess, threads, transports  # noqa: F401
    from .coroutines import iscoroutine, iscoroutinefunction
    from .events import (
        AbstractEventLoop,
        AbstractServer,
        Handle,
        TimerHandle,
        _get_running_loop,
        _set_running_loop,
        get_event_loop,
        get_event_loop_policy,
        get_running_loop,
        set_event_loop,
        set_event_loop_policy,
    )
    from .exceptions import (
        BrokenBarrierError,
        CancelledError,
        IncompleteReadError,
        InvalidStateError,
        LimitOverrunError,
        SendfileNotAvailableError,
        TimeoutError,
    )
    from .futures import (
        Future,
        future_add_to_awaited_by,
        future_discard_from_awaited_by,
        isfuture,
        wrap_future,
    )
    from .graph import FrameCallGraphEntry, FutureCallGraph, capture_call_graph, format_call_graph, print_call_graph
    from .locks import Barrier, BoundedSemaphore, Condition, Event, Lock, Semaphore
    from .net.server import Server
    from .protocols import BaseProtocol, BufferedProtocol, DatagramProtocol, Protocol, SubprocessProtocol
    from .queues import LifoQueue, PriorityQueue, Queue, QueueEmpty, QueueFull, QueueShutDown
    from .runners import Runner, run
    from .streams import (
        StreamReader,
        StreamReaderProtocol,
        StreamWriter,
        open_connection,
        open_unix_connection,
        start_server,
        start_unix_server,
    )
    from .subprocess import create_subprocess_exec, create_subprocess_shell
    from .taskgroups import TaskGroup
    from .tasks import (
        ALL_COMPLETED,
        FIRST_COMPLETED,
        FIRST_EXCEPTION,
        Task,
        _enter_task,
        _leave_task,
        _register_task,
        _unregister_task,
        all_tasks,
        as_completed,
        create_eager_task_factory,
        create_task,
        current_task,
        eager_task_factory,
        ensure_future,
        gather,
        run_coroutine_threadsafe,
        shield,
        sleep,
        wait,
        wait_for,
    )
    from .threads import to_thread
    from .timeouts import Timeout, timeout, timeout_at
    from .transports import (
        BaseTransport,
        DatagramTransport,
        ReadTransport,
        SubprocessTransport,
        Transport,
        WriteTransport,
    )

if _os.environ.get("CEDE_INSPECT", "") not in ("", "0"):
    from .observe.listener import listen as _listen

    _listen()

# True iff the engine that runs is compiled.
compiled: bool = not (_engine.__file__ or "").endswith(".py")

# asyncio: one class stands for all three; on Unix asyncio's own do too.
BaseEventLoop = SelectorEventLoop = EventLoop

# --- The library --------------------------------------------------------------------------------
#
# So far only the loop is here, which is all that a program which imports asyncio needs of cede. Whoever asks for any
# other name writes for `import cede as asyncio`, and gets all of it at once.

_LIBRARY = (
    "base_events",
    "base_futures",
    "base_subprocess",
    "base_tasks",
    "constants",
    "coroutines",
    "events",
    "exceptions",
    "format_helpers",
    "futures",
    "graph",
    "locks",
    "log",
    "mixins",
    "protocols",
    "queues",
    "runners",
    "selector_events",
    "sslproto",
    "staggered",
    "streams",
    "subprocess",
    "taskgroups",
    "tasks",
    "threads",
    "timeouts",
    "transports",
    "trsock",
    "unix_events",
)

# Deprecated names, and what they are in `policy`.
_DEPRECATED = {
    "AbstractEventLoopPolicy": "_AbstractEventLoopPolicy",
    "DefaultEventLoopPolicy": "EventLoopPolicy",
    "EventLoopPolicy": "EventLoopPolicy",
}


def _import_library() -> None:
    here = globals()
    # Some put cede into the standard library's place, but its modules ask that for asyncio.
    placed = _sys.modules.get("asyncio", _asyncio)
    _sys.modules["asyncio"] = _asyncio
    try:
        for module in _LIBRARY:
            names = vars(_importlib.import_module(f".{module}", __name__))
            here.update({name: names[name] for name in __all__ if name in names})
    finally:
        _sys.modules["asyncio"] = placed
    if _sys.version_info < (3, 14) and _hides_deprecations():
        # A module with a `__getattr__` is one whose attributes these interpreters search for anew each time: that would
        # be a sixth of `await cede.sleep(0)`. Later ones mind less (3.14) or not at all; there asyncio has one too.
        here.update({name: getattr(_policy, ours) for name, ours in _DEPRECATED.items()})
        here.pop("__getattr__", None)


def _hides_deprecations() -> bool:
    """Whether nobody would see a DeprecationWarning, except those that the main module causes."""
    for action, message, category, module, _line in _warnings.filters:
        if message is None and module is None and issubclass(DeprecationWarning, category):
            return action == "ignore"
    return False


if not TYPE_CHECKING:  # else a type checker believes that any name is here

    def __getattr__(name: str) -> Any:
        if name in _DEPRECATED:
            _policy._deprecated(name)
            return getattr(_policy, _DEPRECATED[name])
        if name in _LIBRARY or name in __all__:
            _import_library()
            return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_LIBRARY})


__all__ = (
    # cede's own
    "__version__",
    "compiled",
    "install",
    "uninstall",
    # loops
    "AbstractEventLoop",
    "AbstractServer",
    "BaseEventLoop",
    "EventLoop",
    "SelectorEventLoop",
    "Server",
    "Handle",
    "TimerHandle",
    "get_event_loop_policy",
    "set_event_loop_policy",
    "get_event_loop",
    "set_event_loop",
    "new_event_loop",
    "get_running_loop",
    "_get_running_loop",
    "_set_running_loop",
    # coroutines, futures, tasks
    "iscoroutine",
    "iscoroutinefunction",
    "Future",
    "wrap_future",
    "isfuture",
    "future_add_to_awaited_by",
    "future_discard_from_awaited_by",
    "Task",
    "create_task",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "ALL_COMPLETED",
    "wait",
    "wait_for",
    "as_completed",
    "sleep",
    "gather",
    "shield",
    "ensure_future",
    "run_coroutine_threadsafe",
    "current_task",
    "all_tasks",
    "create_eager_task_factory",
    "eager_task_factory",
    "_register_task",
    "_unregister_task",
    "_enter_task",
    "_leave_task",
    "TaskGroup",
    "Timeout",
    "timeout",
    "timeout_at",
    "to_thread",
    # what tasks share
    "Lock",
    "Event",
    "Condition",
    "Semaphore",
    "BoundedSemaphore",
    "Barrier",
    "Queue",
    "PriorityQueue",
    "LifoQueue",
    "QueueFull",
    "QueueEmpty",
    "QueueShutDown",
    # running
    "Runner",
    "run",
    # exceptions
    "BrokenBarrierError",
    "CancelledError",
    "IncompleteReadError",
    "InvalidStateError",
    "LimitOverrunError",
    "SendfileNotAvailableError",
    "TimeoutError",
    # protocols and transports
    "BaseProtocol",
    "BufferedProtocol",
    "DatagramProtocol",
    "Protocol",
    "SubprocessProtocol",
    "BaseTransport",
    "DatagramTransport",
    "ReadTransport",
    "SubprocessTransport",
    "Transport",
    "WriteTransport",
    # streams and subprocesses
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "open_connection",
    "start_server",
    "open_unix_connection",
    "start_unix_server",
    "create_subprocess_exec",
    "create_subprocess_shell",
    # call graphs
    "capture_call_graph",
    "format_call_graph",
    "print_call_graph",
    "FrameCallGraphEntry",
    "FutureCallGraph",
)
