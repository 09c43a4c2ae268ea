"""run and Runner: make a loop, run coroutines on it, and put everything away.

Ctrl-C: while a coroutine runs in the main thread, the first one cancels its task, so that its
`finally` blocks run, and becomes KeyboardInterrupt when that has ended; the second one raises
KeyboardInterrupt on the spot. A SIGINT handler that the program has set itself is left alone.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import signal
import threading

from .coroutines import await_it, iscoroutine
from .engine import farewell
from .engine.running import _get_running_loop, all_tasks
from .events import new_event_loop, set_event_loop
from .exceptions import CancelledError

TYPE_CHECKING = False  # not typing's: importing that takes as long as importing the engine
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Awaitable, Callable
    from types import FrameType, TracebackType
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = ("Runner", "run")

# Seconds that the threads of the default executor get to end (asyncio's THREAD_JOIN_TIMEOUT).
_THREADS_TIMEOUT = 300

# A Runner's states.
_NEW = "created"  # its loop is made when it is first needed
_READY = "initialized"  # it has a loop
_CLOSED = "closed"


class Runner:
    """A context manager that keeps one loop for several runs, and closes it at the end.

    `loop_factory` makes the loop (None: `cede.new_event_loop`, and the loop becomes this thread's
    current one); `debug` turns debug mode on or off (None: leave it as the environment says).
    """

    def __init__(self, *, debug: bool | None = None, loop_factory: Callable[[], AbstractEventLoop] | None = None):
        self._state = _NEW
        self._debug = debug
        self._loop_factory = loop_factory
        self._loop: AbstractEventLoop | None = None  # Invariant: a loop iff the state is _READY
        self._context: contextvars.Context | None = None  # what the coroutines run in, one after the other
        self._interrupts = 0  # how many Ctrl-C came in this run
        self._is_current = False  # True iff the loop was made this thread's current one

    def __enter__(self) -> Runner:
        self._make_ready()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.close()

    def get_loop(self) -> AbstractEventLoop:
        """Return the loop, making it if need be. RuntimeError if the runner is closed."""
        self._make_ready()
        return self._loop

    def _make_ready(self) -> None:
        if self._state is _CLOSED:
            raise RuntimeError("Runner is closed")
        if self._state is _READY:
            return
        if self._loop_factory is None:
            self._loop = new_event_loop()
            set_event_loop(self._loop)
            self._is_current = True
        else:
            self._loop = self._loop_factory()
        if self._debug is not None:
            self._loop.set_debug(self._debug)
        self._context = contextvars.copy_context()
        self._state = _READY

    def close(self) -> None:
        """Cancel the tasks that are left, end async generators and executor threads, close the loop.

        In debug mode a task among them that could never have gone on is warned of, on logger `asyncio`.
        """
        if self._state is not _READY:
            return
        loop = self._loop
        assert loop is not None
        try:
            if loop.get_debug() and farewell.tell_leaks is not None and all_tasks(loop):
                farewell.tell_leaks(loop)
            _cancel_all_tasks(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(_end_of_threads(loop))
        finally:
            if self._is_current:
                set_event_loop(None)
            loop.close()
            self._loop = None
            self._state = _CLOSED

    def run(self, coro: Awaitable[T], *, context: contextvars.Context | None = None) -> T:
        """Run an awaitable until it is done and return its result.

        It runs in `context`; without one, in the runner's own, so that what one run sets in context
        variables the next one sees. RuntimeError inside a running loop.
        """
        if _get_running_loop() is not None:
            raise RuntimeError("Runner.run() cannot be called from a running event loop")
        self._make_ready()
        if not iscoroutine(coro):
            if not inspect.isawaitable(coro):
                cure = ": call it" if inspect.iscoroutinefunction(coro) else ""
                raise TypeError(f"An asyncio.Future, a coroutine or an awaitable is required, not {coro!r}{cure}")
            coro = await_it(coro)
        loop = self._loop
        assert loop is not None
        task: Task[T] = loop.create_task(coro, context=self._context if context is None else context)
        handler = self._take_over_sigint(task)
        try:
            return loop.run_until_complete(task)
        except CancelledError:
            if self._interrupts > 0:
                uncancel = getattr(task, "uncancel", None)  # a task factory may make tasks without it
                if uncancel is not None and uncancel() == 0:
                    raise KeyboardInterrupt()
            raise
        finally:
            if handler is not None and signal.getsignal(signal.SIGINT) is handler:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            del task, handler  # an exception's traceback refers to this frame, and the task to the exception

    def _take_over_sigint(self, task: Task[Any]) -> Callable[..., None] | None:
        """Let Ctrl-C cancel `task`; return the handler, or None where Ctrl-C is not ours to handle."""
        self._interrupts = 0
        if threading.current_thread() is not threading.main_thread():
            return None
        if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            return None
        handler = functools.partial(self._on_sigint, main_task=task)
        try:
            signal.signal(signal.SIGINT, handler)
        except ValueError:
            return None  # an embedded interpreter, whose main thread cannot handle signals
        return handler

    def _on_sigint(self, signum: int, frame: FrameType | None, main_task: Task[Any]) -> None:
        self._interrupts += 1
        if self._interrupts == 1 and not main_task.done():
            main_task.cancel()
            # The loop may sleep in its poller.
            self._loop.call_soon_threadsafe(_nothing)
            return
        raise KeyboardInterrupt()


def _end_of_threads(loop: AbstractEventLoop) -> Any:
    try:
        return loop.shutdown_default_executor(_THREADS_TIMEOUT)
    except TypeError:
        return loop.shutdown_default_executor()  # a loop for Python 3.11, where it takes no timeout


def _nothing() -> None:
    pass


def run(
    main: Awaitable[T], *, debug: bool | None = None, loop_factory: Callable[[], AbstractEventLoop] | None = None
) -> T:
    """Run an awaitable on a new loop and return its result: the main entry point of a program.

    Then cancel what tasks are left, end async generators and executor threads, and close the loop.
    `debug` and `loop_factory` are those of `Runner`. RuntimeError inside a running loop.
    """
    if _get_running_loop() is not None:
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")
    with Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(main)


def _cancel_all_tasks(loop: AbstractEventLoop) -> None:
    """Cancel every task of a loop that does not run, let them end, and report those that failed."""
    tasks = all_tasks(loop)
    if not tasks:
        return
    from .gathering import gather  # most programs leave none

    for task in tasks:
        task.cancel()
    loop.run_until_complete(gather(*tasks, return_exceptions=True))
    while tasks:  # emptied: the tracebacks of what was raised refer to this frame, and the tasks to what was raised
        task = tasks.pop()
        if not task.cancelled() and task.exception() is not None:
            loop.call_exception_handler(
                {
                    "message": "unhandled exception during asyncio.run() shutdown",
                    "exception": task.exception(),
                    "task": task,
                }
            )
        del task
