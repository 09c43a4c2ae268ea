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
    chance              faults that the program offers to a simulation
    simulation/         whole programs in a world of their own
    observe/            looking into a running program from outside

The engine is plain Python that compiles to C. `cede.compiled` says which of the two is running;
CEDE_PURE=1 in the environment chooses plain Python. Both do the same.

Exceptions, abstract classes and the running loop are asyncio's own objects: a library that knows
only asyncio works on cede's loop, with cede's tasks.

PYTEST_DONT_REWRITE: cede has plugins for pytest, which would warn where cede was imported before it.
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
from types import ModuleType as _ModuleType

from . import policy as _policy
from ._version import __version__
from .engine import farewell as _farewell
from .engine import loop as _engine
from .event_loop import EventLoop
from .policy import install, new_event_loop, uninstall

TYPE_CHECKING = False  # not typing's: importing that takes as long as importing the engine
if TYPE_CHECKING:
    from typing import Any

    from . import locks, protocols, queues, streams, subprocess, threads, transports  # noqa: F401
    from .chance import buggify
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

if _os.environ.get("CEDE_WATCH", "") not in ("", "0"):
    from .observe.asked import watch_when_there_is_a_loop as _watch

    _watch(_os.environ["CEDE_WATCH"])

if _os.environ.get("CEDE_RECORD", "") not in ("", "0"):
    from .observe.recorder import start_from_environment as _start_recording

    _start_recording()


def _tell_leaks(loop: _asyncio.AbstractEventLoop) -> None:
    from .observe.leaked import tell

    tell(loop)


_farewell.tell_leaks_by(_tell_leaks)

# True iff the engine that runs is compiled.
compiled: bool = not (_engine.__file__ or "").endswith(".py")

# asyncio: one class stands for all three; on Unix asyncio's own do too.
BaseEventLoop = SelectorEventLoop = EventLoop

# --- The library --------------------------------------------------------------------------------
#
# So far only the loop is here, which is all that a program which imports asyncio needs of cede. Whoever asks for any
# other name writes for `import cede as asyncio`.

_HOMES = {
    "chance": "buggify",
    "coroutines": "iscoroutine iscoroutinefunction",
    "events": "AbstractEventLoop AbstractServer Handle TimerHandle get_event_loop_policy set_event_loop_policy "
    "get_event_loop set_event_loop get_running_loop _get_running_loop _set_running_loop",
    "exceptions": "BrokenBarrierError CancelledError IncompleteReadError InvalidStateError LimitOverrunError "
    "SendfileNotAvailableError TimeoutError",
    "futures": "Future wrap_future isfuture future_add_to_awaited_by future_discard_from_awaited_by",
    "graph": "capture_call_graph format_call_graph print_call_graph FrameCallGraphEntry FutureCallGraph",
    "locks": "Lock Event Condition Semaphore BoundedSemaphore Barrier",
    "net.server": "Server",
    "protocols": "BaseProtocol BufferedProtocol DatagramProtocol Protocol SubprocessProtocol",
    "queues": "Queue PriorityQueue LifoQueue QueueFull QueueEmpty QueueShutDown",
    "runners": "Runner run",
    "streams": "StreamReader StreamReaderProtocol StreamWriter open_connection start_server open_unix_connection "
    "start_unix_server",
    "subprocess": "create_subprocess_exec create_subprocess_shell",
    "taskgroups": "TaskGroup",
    "tasks": "Task create_task FIRST_COMPLETED FIRST_EXCEPTION ALL_COMPLETED wait wait_for as_completed sleep gather "
    "shield ensure_future run_coroutine_threadsafe current_task all_tasks create_eager_task_factory eager_task_factory "
    "_register_task _unregister_task _enter_task _leave_task",
    "threads": "to_thread",
    "timeouts": "Timeout timeout timeout_at",
    "transports": "BaseTransport DatagramTransport ReadTransport SubprocessTransport Transport WriteTransport",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

# Further modules, under the names of asyncio's.
_RARE = (
    "base_events",
    "base_futures",
    "base_subprocess",
    "base_tasks",
    "constants",
    "format_helpers",
    "log",
    "mixins",
    "selector_events",
    "sslproto",
    "staggered",
    "trsock",
    "unix_events",
)
_LIBRARY = (*(home for home in _HOMES if "." not in home), *_RARE)

# Deprecated names, and what they are in `policy`.
_DEPRECATED = {
    "AbstractEventLoopPolicy": "_AbstractEventLoopPolicy",
    "DefaultEventLoopPolicy": "EventLoopPolicy",
    "EventLoopPolicy": "EventLoopPolicy",
}


def _import_from(home: str) -> _ModuleType:
    """Import a module of the library, and put its names here."""
    # Some put cede into the standard library's place, but its modules ask that for asyncio.
    placed = _sys.modules.get("asyncio", _asyncio)
    _sys.modules["asyncio"] = _asyncio
    try:
        module = _importlib.import_module(f".{home}", __name__)
    finally:
        _sys.modules["asyncio"] = placed
    globals().update({name: getattr(module, name) for name in _HOMES.get(home, "").split()})
    return module


class _ModuleToCome(_ModuleType):
    """Stands for a rare module until something is asked of it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_import_from(self.__name__), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_import_from(self.__name__), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_import_from(self.__name__), name)

    def __dir__(self) -> list[str]:
        return dir(_import_from(self.__name__))


def _import_library() -> None:
    """Have every name stand here from now on.

    A module with a `__getattr__` is one whose attributes Python searches for anew each time, before 3.14: that would be
    a sixth of `await cede.sleep(0)`. Later ones mind less (3.14) or not at all.
    """
    for home in _HOMES:
        _import_from(home)
    if _hides_deprecations():
        here = globals()
        here.update({name: _ModuleToCome(name) for name in _RARE if name not in here})
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
        if name in _RARE:
            return _import_from(name)
        if name in _HOME or name in _LIBRARY:
            home = _HOME.get(name, name)
            # `run` is all that programs ask for which otherwise keep to asyncio's own names.
            if _sys.version_info < (3, 14) and home != "runners":
                _import_library()
            else:
                _import_from(home)
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
    "buggify",
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
