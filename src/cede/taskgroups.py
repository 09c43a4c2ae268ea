"""TaskGroup: tasks that end before the block that started them does.

    life        it became so when                                  then
    new         it was made                                        cancel() takes effect on entering
    entered     `async with` entered it                            tasks may be created
    exiting     the body has ended                                 tasks may be created while some still run
    finished    the body has ended and the last task too           nothing may be created
    aborting    (beside entered and exiting) a task failed, the    every task was cancelled, and none
                body failed or was cancelled, or cancel() came     may be created

Whom a cancellation belongs to is counted, as in `timeouts`: the group cancels its parent task at
most once (`_parent_cancelled`), and takes exactly that one back on leaving. What is left then came
from outside, and goes on out.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from .engine.futures import note_wait
from .engine.joins import Crew
from .engine.running import current_task, get_running_loop
from .engine.waited import TASKS
from .exceptions import CancelledError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task

__all__ = ("TaskGroup",)

T = TypeVar("T")


def _each(tasks: set[Task[Any]]) -> Iterable[Task[Any]]:
    # In which order they are cancelled: none that a program may rely on. A simulation has one.
    return tasks


class TaskGroup:
    """An asynchronous context manager that waits for the tasks created in it.

    If a task or the body fails, the rest is cancelled, and what was raised comes out of the block as
    one ExceptionGroup. KeyboardInterrupt and SystemExit come out as they are.
    """

    def __init__(self) -> None:
        self._entered = False
        self._exiting = False  # True iff the body has ended
        self._aborting = False
        self._cancel_on_enter = False
        self._loop: AbstractEventLoop | None = None
        self._parent_task: Task[Any] | None = None  # the task in the block; None before and after
        self._parent_cancelled = False  # True iff the group has cancelled its parent: once at most
        self._crew: Crew | None = None  # the tasks, while the block is entered
        self._tasks: set[Task[Any]] = set()  # the crew's set: those whose end has not been heard of
        self._errors: list[BaseException] | None = []  # what goes into the ExceptionGroup; None after the block
        self._base_error: BaseException | None = None  # the first KeyboardInterrupt or SystemExit
        self._all_done: Future[None] | None = None  # what the exiting parent waits for

    def __repr__(self) -> str:
        info = ""
        if self._tasks:
            info += f" tasks={len(self._tasks)}"
        if self._errors:
            info += f" errors={len(self._errors)}"
        if self._aborting:
            info += " cancelling"
        elif self._entered:
            info += " entered"
        return f"<TaskGroup{info}>"

    # --- The block ------------------------------------------------------------------------------

    async def __aenter__(self) -> TaskGroup:
        if self._entered:
            raise RuntimeError(f"TaskGroup {self!r} has already been entered")
        self._loop = loop = get_running_loop()
        self._parent_task = current_task(loop)
        if self._parent_task is None:
            raise RuntimeError(f"TaskGroup {self!r} cannot determine the parent task")
        self._crew = Crew(self._parent_task, self._task_failed, self._tasks_gone)
        self._tasks = self._crew.tasks
        self._entered = True
        if self._cancel_on_enter:
            self.cancel()
        return self

    async def __aexit__(
        self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:  # Type checkers would take a bool to mean that it swallows what the body raises.
        try:
            await self._aexit(exc)
            return True
        finally:
            # Exceptions hold the frames of their tracebacks: leave no way from there back to them.
            self._parent_task = None
            self._crew = None
            self._errors = None
            self._base_error = None
            exc = None

    async def _aexit(self, exc: BaseException | None) -> None:
        """Wait for the tasks, then raise what has to leave the block; `exc` left its body."""
        self._exiting = True
        outside = exc if isinstance(exc, CancelledError) else None  # it goes on out, unless it is the group's own
        late = None  # the last CancelledError that came while waiting for the tasks
        try:
            if exc is not None:
                if isinstance(exc, (SystemExit, KeyboardInterrupt)) and self._base_error is None:
                    self._base_error = exc
                if not self._aborting:
                    self._abort()
            while self._tasks:
                self._all_done = self._loop.create_future()
                note_wait(self._all_done, TASKS)
                try:
                    await self._all_done
                except CancelledError as cancelled:
                    late = cancelled
                    if not self._aborting:
                        outside = cancelled
                        self._abort()
                self._all_done = None
            self._conclude(exc, outside, late)
        finally:
            exc = outside = late = None

    def _conclude(self, exc: BaseException | None, outside: BaseException | None, late: BaseException | None) -> None:
        """Raise what has to leave the block, if anything."""
        parent = self._parent_task
        errors = self._errors
        assert parent is not None and errors is not None
        try:
            if self._base_error is not None:
                raise self._base_error
            if self._parent_cancelled:
                if parent.uncancel() == 0:
                    outside = None  # it was the group's own
                elif outside is None:
                    outside = late
            if outside is not None and not errors:
                raise outside
            if exc is not None and not isinstance(exc, CancelledError):
                errors.append(exc)
            if not errors:
                return
            if parent.cancelling():
                # The errors go out, and the cancellation comes at the next suspension; the count stays.
                parent.uncancel()
                parent.cancel()
            if isinstance(exc, GeneratorExit) and len(errors) == 1:
                raise exc  # an async generator is being closed, and must end with just that
            raise BaseExceptionGroup("unhandled errors in a TaskGroup", errors) from None
        finally:
            parent = errors = exc = outside = late = None

    # --- The tasks ------------------------------------------------------------------------------

    def create_task(self, coro: Coroutine[Any, Any, T], **kwargs: Any) -> Task[T]:
        """Start a coroutine in a task of the group and return the task; keywords as for `create_task`.

        RuntimeError, and the coroutine is closed, unless the group is entered and neither finished
        nor shutting down.
        """
        if not self._entered or self._aborting or (self._exiting and not self._tasks):
            coro.close()
            raise RuntimeError(f"TaskGroup {self!r} {self._refusal()}")
        loop = self._loop
        task = loop.create_task(coro, **kwargs) if kwargs else loop.create_task(coro)
        # An eager task may be done already. The crew hears of it in a later turn all the same: an error
        # must not cancel the parent before it has the task in hand.
        self._crew.add(task)
        if self._aborting and not task.done():
            task.cancel()  # an eager task cancelled the group before it belonged to it
        try:
            return task
        finally:
            del task  # an eager task's exception holds this frame

    def _refusal(self) -> str:
        if not self._entered:
            return "has not been entered"
        if self._exiting and not self._tasks:
            return "is finished"
        return "is shutting down"

    def _tasks_gone(self) -> None:
        if self._all_done is not None and not self._all_done.done():
            self._all_done.set_result(None)

    def _task_failed(self, task: Task[Any], exc: BaseException) -> None:
        parent = self._parent_task
        assert parent is not None and self._errors is not None
        self._errors.append(exc)
        if isinstance(exc, (SystemExit, KeyboardInterrupt)) and self._base_error is None:
            self._base_error = exc
        if parent.done():
            self._loop.call_exception_handler(
                {
                    "message": f"Task {task!r} has errored out but its parent task {parent} is already completed",
                    "exception": exc,
                    "task": task,
                }
            )
        elif not self._aborting and not self._parent_cancelled:
            self._abort()
            self._cancel_parent()

    # --- Ending early ---------------------------------------------------------------------------

    def cancel(self) -> None:
        """Cancel the tasks and the body; the block then ends, without CancelledError coming out of it.

        Before the block is entered: as soon as it is. After it, or a second time: nothing happens.
        """
        if not self._entered:
            self._cancel_on_enter = True
        elif not self._aborting and (self._tasks or not self._exiting):
            self._abort()
            if not self._parent_cancelled:
                self._cancel_parent()

    def _abort(self) -> None:
        """Cancel every task, and create no more."""
        self._aborting = True
        for task in _each(self._tasks):
            if not task.done():
                task.cancel()

    def _cancel_parent(self) -> None:
        assert self._parent_task is not None
        self._parent_cancelled = True
        self._parent_task.cancel()
