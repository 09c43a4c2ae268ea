"""EventLoop: asyncio's loop, as a table of contents.

`TaskLoop` (the engine) runs callbacks and tasks; here asyncio's methods are put on top of it. What a method does stands
in a module of `cede.net`, whose functions take the loop as their first argument and so serve as methods
as they are: follow the name after the equals sign.

Importing cede does not import these modules: a method of theirs that is asked for does.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import warnings
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable

from .eager import makes_plain_tasks
from .engine.futures import isfuture
from .engine.tasks import TaskLoop
from .internals import Internals
from .net.awaiting import SideBySide, as_future, loop_of

TYPE_CHECKING = False  # not typing's: importing that takes as long as importing the engine
if TYPE_CHECKING:
    from typing import Any, TypeVar

    T = TypeVar("T")
    TaskFactory = Callable[..., Any]  # (loop, coro, **kwargs) -> a task


# --- What is imported when it is asked for


class _ModuleToCome:
    """Stands for a module of `net` in the class below; its attributes stand for the module's functions."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, function: str) -> _MethodToCome:
        return _MethodToCome(self._name, function)


class _MethodToCome:
    """A method of the loop whose module is not imported yet: asked for, it puts the module's function in its place."""

    def __init__(self, module: str, function: str) -> None:
        self._module = module
        self._function = function

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner = owner
        self._name = name

    def __get__(self, loop: Any, owner: type | None = None) -> Any:
        function = getattr(importlib.import_module(f".net.{self._module}", __package__), self._function)
        if vars(self._owner).get(self._name) is self:  # else somebody has put a method of their own there
            setattr(self._owner, self._name, function)
        return function.__get__(loop, owner)


if TYPE_CHECKING:
    from .net import children, connect, datagram, executor, pipes, resolve, sendfile, serve, signals, sockets, start_tls
else:
    children = _ModuleToCome("children")
    connect = _ModuleToCome("connect")
    datagram = _ModuleToCome("datagram")
    executor = _ModuleToCome("executor")
    pipes = _ModuleToCome("pipes")
    resolve = _ModuleToCome("resolve")
    sendfile = _ModuleToCome("sendfile")
    serve = _ModuleToCome("serve")
    signals = _ModuleToCome("signals")
    sockets = _ModuleToCome("sockets")
    start_tls = _ModuleToCome("start_tls")


# --- The loop


class EventLoop(Internals, TaskLoop, asyncio.AbstractEventLoop):  # type: ignore[misc]
    """An event loop with all that asyncio asks of one.

    `selector` is one of `selectors`, to be used in place of epoll. `clock` (an object with `time()` in
    seconds) and `poller` replace the machine's clock and the kernel's readiness, as simulations do.
    """

    # With its fields in slots the loop needs no dictionary until somebody sets another attribute on it, and as long as
    # there is none the interpreter finds `loop.call_soon` without looking there.
    __slots__ = (
        "_asyncgens",
        "_asyncgens_shutdown_called",
        "_children",
        "_default_executor",
        "_executor_shutdown_called",
        "_face",
        "_factory_takes_name",
        "_lookups",
        "_signal_handlers",
    )

    _machine: Any = None  # who looks up names for a loop of a simulated machine; None: the real one does

    def __init__(self, selector: Any = None, *, clock: Any = None, poller: Any = None) -> None:
        if selector is not None:
            from .engine.pollers.select import SelectorPoller  # here, for hardly any program gives a selector

            poller = SelectorPoller(selector)
        super().__init__(clock, poller)
        self._factory_takes_name = True  # True iff the task factory has a parameter for the task's name
        self._default_executor: Any = None  # made when first needed
        self._executor_shutdown_called = False  # True iff the default executor takes no more calls
        self._face: Any = None  # the `_selector`, once somebody asked for it
        self._lookups: resolve.LookupThreads | None = None  # made when first needed
        # Asynchronous generators begun here and not gone; each reference takes itself out when its generator goes.
        self._asyncgens: set[weakref.ref[Any]] = set()
        self._asyncgens_shutdown_called = False
        self._children: weakref.WeakSet[Any] | None = None  # the transports of subprocesses, once there was one
        self._signal_handlers: dict[int, Any] = {}  # signal number: (callback, args, context)

    def _forked(self) -> None:
        super()._forked()
        self._lookups = None  # its threads are the parent's

    def __repr__(self) -> str:
        return f"<{type(self).__name__} running={self.is_running()} closed={self.is_closed()} debug={self.get_debug()}>"

    # --- Running and ending

    def run_until_complete(self, future: Awaitable[T]) -> T:
        """Run until `future`, or the task made of it, is done; return its result or raise its exception."""
        self._check_closed()
        self._check_running()
        is_new = not isfuture(future)
        task = as_future(self, future)
        if is_new:
            task._log_destroy_pending = False  # if it does not complete, the RuntimeError below tells
        task.add_done_callback(_stop_its_loop)
        try:
            try:
                self.run_forever()
            except BaseException:
                if is_new and task.done() and not task.cancelled():
                    task.exception()  # retrieved: nobody else can reach the task
                raise
            finally:
                task.remove_done_callback(_stop_its_loop)
            if not task.done():
                raise RuntimeError("Event loop stopped before Future completed.")
            return task.result()
        finally:
            del future, task  # a cycle: an exception, its traceback, this frame, the task, the exception

    def close(self) -> None:
        """Close the loop: forget what waits, let go of its threads and descriptors. It must not run."""
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self.is_closed():
            return
        self._forget_signals()  # Order: while the waker, into which signals are written, is still open
        super().close()
        for child in list(self._children or ()):
            child._loop_closed()
        self._executor_shutdown_called = True
        pool, self._default_executor = self._default_executor, None
        if pool is not None:
            pool.shutdown(wait=False)
        if self._lookups is not None:
            self._lookups.close()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if hasattr(self, "_signal_handlers") and not self.is_closed():
            _warn(f"unclosed event loop {self!r}", ResourceWarning, source=self)
            if not self.is_running():
                self.close()

    # --- Futures and tasks

    def _task_of_factory(self, coro: Any, name: Any, context: Any, kwargs: dict[str, Any]) -> Any:
        """Have the task factory make the task."""
        factory = self._task_factory
        assert factory is not None
        # asyncio: before 3.14 asyncio.create_task() gives name=None and context=None also when nobody asked.
        if context is not None:
            kwargs["context"] = context
        if name is None:
            return factory(self, coro, **kwargs)
        if self._factory_takes_name:
            return factory(self, coro, name=name, **kwargs)
        task = factory(self, coro, **kwargs)
        if hasattr(task, "set_name"):
            task.set_name(name)
        return task

    def set_task_factory(self, factory: TaskFactory | None) -> None:
        """Let `factory(loop, coro, **kwargs)` make the tasks; None: `Task`."""
        if factory is not None and not callable(factory):
            raise TypeError("task factory must be a callable or None")
        self._task_factory = factory
        self._eager = makes_plain_tasks(factory)
        self._factory_takes_name = factory is None or _takes_name(factory)

    def get_task_factory(self) -> TaskFactory | None:
        """Return the task factory, or None if there is none."""
        return self._task_factory

    # --- Asynchronous generators

    def _asyncgen_hooks(self) -> tuple[Any, Any]:
        return self._asyncgen_begins, self._asyncgen_is_dropped

    def _asyncgen_begins(self, generator: AsyncGenerator[Any, Any]) -> None:
        if self._asyncgens_shutdown_called:
            warnings.warn(
                f"asynchronous generator {generator!r} was scheduled after loop.shutdown_asyncgens() call",
                ResourceWarning,
                source=self,
            )
        references = self._asyncgens
        references.add(weakref.ref(generator, references.discard))

    def _asyncgen_is_dropped(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self.is_closed():
            self.call_soon_threadsafe(self.create_task, generator.aclose())

    async def shutdown_asyncgens(self) -> None:
        """Close the asynchronous generators that were begun on this loop and not ended."""
        self._asyncgens_shutdown_called = True
        generators = [generator for reference in list(self._asyncgens) if (generator := reference()) is not None]
        self._asyncgens.clear()
        outcomes = await SideBySide(self, [generator.aclose() for generator in generators]).wait()
        for generator, outcome in zip(generators, outcomes):
            if isinstance(outcome, Exception):
                message = f"an error occurred during closing of asynchronous generator {generator!r}"
                self.call_exception_handler({"message": message, "exception": outcome, "asyncgen": generator})

    # --- Threads

    run_in_executor = executor.run_in_executor
    set_default_executor = executor.set_default_executor
    shutdown_default_executor = executor.shutdown_default_executor

    # --- Names

    getaddrinfo = resolve.getaddrinfo
    getnameinfo = resolve.getnameinfo

    # --- Connections and servers

    create_connection = connect.create_connection
    create_unix_connection = connect.create_unix_connection
    connect_accepted_socket = connect.connect_accepted_socket
    create_server = serve.create_server
    create_unix_server = serve.create_unix_server
    create_datagram_endpoint = datagram.create_datagram_endpoint
    connect_read_pipe = pipes.connect_read_pipe
    connect_write_pipe = pipes.connect_write_pipe
    start_tls = start_tls.start_tls
    sendfile = sendfile.sendfile

    # --- Subprocesses

    subprocess_exec = children.subprocess_exec
    subprocess_shell = children.subprocess_shell

    # --- Plain sockets

    sock_recv = sockets.sock_recv
    sock_recv_into = sockets.sock_recv_into
    sock_recvfrom = sockets.sock_recvfrom
    sock_recvfrom_into = sockets.sock_recvfrom_into
    sock_sendall = sockets.sock_sendall
    sock_sendto = sockets.sock_sendto
    sock_connect = sockets.sock_connect
    sock_accept = sockets.sock_accept
    sock_sendfile = sockets.sock_sendfile

    # --- Signals

    add_signal_handler = signals.add_signal_handler
    remove_signal_handler = signals.remove_signal_handler
    _handle_signals = signals.handle_signals

    def _forget_signals(self) -> None:
        if not sys.is_finalizing():
            for number in list(self._signal_handlers):
                self.remove_signal_handler(number)
        elif self._signal_handlers:
            warnings.warn(
                f"Closing the loop {self!r} on interpreter shutdown stage, skipping signal handlers removal",
                ResourceWarning,
                source=self,
            )
            self._signal_handlers.clear()


def _stop_its_loop(task: Any) -> None:
    if not task.cancelled() and isinstance(task.exception(), (SystemExit, KeyboardInterrupt)):
        return  # it left the loop already; stopping would end the next run before it began
    loop_of(task).stop()


def _takes_name(factory: TaskFactory) -> bool:
    """True if a task factory has a parameter `name`. Those written for Python 3.13 or older often have none."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.name == "name" or p.kind is p.VAR_KEYWORD for p in parameters)
