"""Playing a program: every statement does what its kind says, and notes in a log what came of it.

The log is what is compared. It holds the virtual time, who acts and what was observed: results, exceptions with their
causes and messages, states, counts of cancellations, what the exception handler was told, deadlocks. What depends on
addresses or on the collector (the order of sets, names of tasks that were given none, exceptions never retrieved) is
kept out of it.
"""

from __future__ import annotations

import asyncio
import gc
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

from .programs import OBJECTS, Body, Statement
from .worlds import Deadlock

MOST_RUNS = 20  # how often a run may be stopped, interrupted or deadlocked before the rest is cancelled for good


class Boom(Exception):
    """An error of a program."""


class BaseBoom(BaseException):
    """An error of a program that `except Exception` lets through."""


ERRORS = {
    "Boom": Boom,
    "BaseBoom": BaseBoom,
    "CancelledError": asyncio.CancelledError,
    "KeyboardInterrupt": KeyboardInterrupt,
    "Exception": Exception,
    "BaseException": BaseException,
}


class Returned(BaseException):
    """Carries the value of a return statement out of the blocks around it."""


def body_name(target: Any) -> str:
    """The name of what a statement awaits."""
    return target[0] if isinstance(target, list) else str(target)


def describe(exc: BaseException) -> str:
    """Return what is comparable of an exception."""
    if isinstance(exc, BaseExceptionGroup):
        return f"Group[{', '.join(describe(part) for part in exc.exceptions)}]"
    text = type(exc).__name__
    if isinstance(exc, (Boom, BaseBoom, asyncio.CancelledError)) and exc.args:
        text += f"({', '.join(map(str, exc.args))})"
    if exc.__cause__ is not None:
        text += f" from {type(exc.__cause__).__name__}"
    return text


class Play:
    """One run of one program against `lib`: asyncio or cede."""

    def __init__(self, lib: Any, loop: Any) -> None:
        self.lib = lib
        self.loop = loop
        self.log: list[str] = []
        self.tasks: dict[str, Any] = {}  # the tasks that spawn statements made, by the names of their bodies
        self.groups: list[Any] = []  # those entered and not left, the last one innermost
        self.timeouts: list[Any] = []
        self.ended = False  # True iff the log is closed: what is yet to die has nothing more to say
        self.waits: dict[str, list[str]] = {}  # for each body that awaits others, their names
        self.puts = 0
        self.rescues = 0

    def prepare(self) -> None:
        """Make the objects that tasks share."""
        lib, several = self.lib, range(OBJECTS)
        self.futures = [self.loop.create_future() for _ in several]
        self.events = [lib.Event() for _ in several]
        self.locks = [lib.Lock() for _ in several]
        self.semaphores = [lib.Semaphore(number) for number in several]
        self.conditions = [lib.Condition() for _ in several]
        self.barriers = [lib.Barrier(number + 1) for number in several]
        self.queues = [lib.Queue(0), lib.Queue(1), lib.PriorityQueue(2)]

    def note(self, who: str, what: str) -> None:
        if not self.ended:
            self.log.append(f"{self.loop.time():.9g} {who}: {what}")

    # -- bodies and blocks

    async def body(self, body: Body) -> Any:
        """The coroutine of a task, or a coroutine inside one."""
        name, block = body
        self.note(name, "begins")
        task = self.lib.current_task()
        if task.get_name().startswith("Task-"):
            task.set_name(name)
        try:
            await self.block(name, block)
        except Returned as returned:
            self.note(name, f"returns {returned.args[0]}")
            return returned.args[0]
        except BaseException as exc:
            self.note(name, f"ends with {describe(exc)}")
            raise
        self.note(name, "ends")
        return name

    async def block(self, name: str, block: list[Statement]) -> None:
        for kind, *arguments in block:
            run = getattr(self, f"await_{kind}", None)
            if run is None:
                self.do(name, [kind, *arguments])
            else:
                await run(name, *arguments)

    async def watch(self, name: str, what: str, awaitable: Awaitable[Any], *targets: Any) -> Any:
        """Await something, and note what came of it. `targets` are the bodies and tasks in it."""
        awaited = self.waits.setdefault(name, [])
        before = len(awaited)
        awaited += map(body_name, targets)
        try:
            value = await awaitable
        except BaseException as exc:
            self.note(name, f"{what} raises {describe(exc)}")
            raise
        finally:
            del awaited[before:]
        self.note(name, f"{what} gives {self.told(value)}")
        return value

    def is_circle(self, name: str, targets: list[Any]) -> bool:
        """True if `name` would await what awaits it: asyncio cancels such tasks in an endless recursion."""
        seen: set[str] = set()
        left = [body_name(target) for target in targets]
        while left:
            target = left.pop()
            if target == name:
                self.note(name, "does not wait in a circle")
                return True
            if target not in seen:
                seen.add(target)
                left += self.waits.get(target, ())
        return False

    def told(self, value: Any) -> str:
        if isinstance(value, BaseException):
            return describe(value)
        if isinstance(value, (list, tuple)):
            return f"[{', '.join(map(self.told, value))}]"
        if isinstance(value, (set, frozenset)):
            return f"{{{', '.join(sorted(map(self.told, value)))}}}"
        if hasattr(value, "get_coro"):
            return f"task {self.name_of(value)}"
        return str(value)

    def name_of(self, task: Any) -> str:
        name = task.get_name()
        return "?" if name.startswith("Task-") else name

    def exists(self, target: Any) -> bool:
        """False if `target` is the name of a task that was not made, or not yet."""
        return not isinstance(target, str) or target in self.tasks

    def target(self, target: Any) -> Any:
        """What there is to await."""
        if isinstance(target, list):
            return self.body(target)
        return self.futures[target] if isinstance(target, int) else self.tasks[target]

    def pause(self, pause: list[Any] | None) -> float | None:
        if pause is None:
            return None
        seconds, index = pause
        # Sums of different such delays are different, and exact: see `worlds`.
        return float(seconds) if index is None else seconds + 2.0**-index

    # -- statements that do not await; callbacks do them too

    def do(self, name: str, statement: Statement) -> None:
        kind, *arguments = statement
        try:
            getattr(self, f"do_{kind}")(name, *arguments)
        except Exception as exc:
            if isinstance(exc, Boom):
                raise
            self.note(name, f"{kind} fails: {describe(exc)}")

    def callback(self, name: str, action: Statement) -> Callable[..., None]:
        def call(*args: Any) -> None:
            current = self.lib.current_task(self.loop)
            self.note(name, f"is called back{'' if current is None else ' inside ' + self.name_of(current)}")
            self.do(name, action)

        return call

    def do_log(self, name: str) -> None:
        self.note(name, "is here")

    def do_raise(self, name: str, error: str) -> None:
        raise ERRORS[error](name)

    def do_return(self, name: str, value: int) -> None:
        raise Returned(value)

    def do_spawn(self, name: str, body: Body, eager: bool) -> None:
        kwargs = {"eager_start": True} if eager else {}
        self.tasks[body[0]] = self.lib.Task(self.body(body), loop=self.loop, name=body[0], **kwargs)
        self.note(name, f"spawned {body[0]}: {self.state_of(self.tasks[body[0]])}")

    def state_of(self, task: Any) -> str:
        if not task.done():
            return f"pending, {task.cancelling()} cancellations"
        if task.cancelled():
            return f"cancelled, {task.cancelling()} cancellations"
        return "done" if task.exception() is None else f"failed with {describe(task.exception())}"

    def do_cancel(self, name: str, task: str, message: str | None) -> None:
        if task in self.tasks:
            cancelled = self.tasks[task].cancel() if message is None else self.tasks[task].cancel(message)
            self.note(name, f"cancels {task}: {cancelled}, {self.state_of(self.tasks[task])}")

    def do_cancel_me(self, name: str) -> None:
        self.note(name, f"cancels itself: {self.lib.current_task().cancel()}")

    def do_uncancel(self, name: str) -> None:
        self.note(name, f"uncancels itself: {self.lib.current_task().uncancel()}")

    def do_state(self, name: str, task: str) -> None:
        if task in self.tasks:
            self.note(name, f"sees {task}: {self.state_of(self.tasks[task])}")

    def do_callback(self, name: str, task: str, action: Statement) -> None:
        if task in self.tasks:
            self.tasks[task].add_done_callback(self.callback(f"callback of {task} by {name}", action))

    def do_group_spawn(self, name: str, body: Body) -> None:
        if self.groups:
            try:
                self.tasks[body[0]] = self.groups[-1].create_task(self.body(body), name=body[0])
                self.groups[-1].awaited.append(body[0])
            except RuntimeError:
                self.note(name, "is refused by the group")

    def do_group_cancel(self, name: str) -> None:
        if self.groups:
            self.groups[-1].cancel()
            self.note(name, "cancelled the group")

    def do_reschedule(self, name: str, patience: list[Any] | None) -> None:
        if self.timeouts:
            delay = self.pause(patience)
            self.timeouts[-1].reschedule(None if delay is None else self.loop.time() + delay)

    def do_future_set(self, name: str, future: int) -> None:
        self.futures[future].set_result(f"{name}'s result")

    def do_future_fail(self, name: str, future: int) -> None:
        self.futures[future].set_exception(Boom(f"{name}'s error"))

    def do_future_cancel(self, name: str, future: int) -> None:
        self.note(name, f"cancels future {future}: {self.futures[future].cancel()}")
        self.futures[future] = self.loop.create_future()

    def do_future_callback(self, name: str, future: int, action: Statement) -> None:
        self.futures[future].add_done_callback(self.callback(f"callback of future {future} by {name}", action))

    def do_call_soon(self, name: str, action: Statement) -> None:
        self.loop.call_soon(self.callback(f"callback by {name}", action))

    def do_call_later(self, name: str, pause: list[int], action: Statement) -> None:
        self.loop.call_later(self.pause(pause), self.callback(f"timer by {name}", action))

    def do_ticks(self, name: str, number: int) -> None:
        self.note(name, f"ticks {number}")
        if number:
            self.loop.call_soon(self.do_ticks, name, number - 1)

    def do_stop(self, name: str) -> None:
        self.loop.stop()

    def do_event_set(self, name: str, event: int) -> None:
        self.events[event].set()

    def do_event_clear(self, name: str, event: int) -> None:
        self.events[event].clear()

    def do_put_nowait(self, name: str, queue: int) -> None:
        self.puts += 1
        self.queues[queue].put_nowait(self.puts)
        self.note(name, f"put {self.puts}")

    def do_get_nowait(self, name: str, queue: int) -> None:
        self.note(name, f"got {self.queues[queue].get_nowait()}")

    def do_task_done(self, name: str, queue: int) -> None:
        self.queues[queue].task_done()

    def do_queue_shutdown(self, name: str, queue: int, immediate: bool) -> None:
        self.queues[queue].shutdown(immediate)

    # -- statements that await

    async def await_yield(self, name: str) -> None:
        await self.watch(name, "yield", self.lib.sleep(0))

    async def await_sleep(self, name: str, pause: list[int]) -> None:
        await self.watch(name, "sleep", self.lib.sleep(self.pause(pause), "slept"))

    async def await_try(
        self, name: str, block: list[Statement], caught: str | None, handler: list[Statement], last: list[Statement]
    ) -> None:
        try:
            await self.block(name, block)
        except Returned:
            raise
        except ERRORS[caught] if caught else () as exc:  # noqa: B030  a table of classes
            self.note(name, f"caught {describe(exc)}")
            await self.block(name, handler)
        finally:
            await self.block(name, [statement for statement in last if statement[0] != "return"])

    async def await_cancelled_at(self, name: str, number: int, block: list[Statement]) -> None:
        """Cancel the task while it waits in the block, where it does so for the `number`th time, from 0 on."""
        task = self.lib.current_task()
        await suspended(self.block(name, block), number, lambda: self.loop.call_soon(task.cancel, "there"))

    async def await_join(self, name: str, task: str) -> None:
        if task in self.tasks and not self.is_circle(name, [task]):
            await self.watch(name, f"join {task}", self.tasks[task], task)

    async def await_shield(self, name: str, target: Any) -> None:
        if self.exists(target) and not self.is_circle(name, [target]):
            await self.watch(name, "shield", self.lib.shield(self.target(target)), target)

    async def await_gather(self, name: str, targets: list[Any], return_exceptions: bool) -> None:
        targets = [target for target in targets if self.exists(target)]
        if not self.is_circle(name, targets):
            gathered = self.lib.gather(*map(self.target, targets), return_exceptions=return_exceptions)
            await self.watch(name, "gather", gathered, *targets)

    async def await_wait(self, name: str, tasks: list[str], patience: list[int] | None, when: str) -> None:
        tasks = [task for task in tasks if task in self.tasks]
        if tasks and not self.is_circle(name, tasks):
            waited = [self.tasks[task] for task in tasks]
            waiting = self.lib.wait(waited, timeout=self.pause(patience), return_when=getattr(self.lib, when))
            await self.watch(name, "wait", waiting, *tasks)

    async def await_wait_for(self, name: str, target: Any, patience: list[Any] | None) -> None:
        if self.exists(target) and not self.is_circle(name, [target]):
            await self.watch(name, "wait_for", self.lib.wait_for(self.target(target), self.pause(patience)), target)

    async def await_as_completed(self, name: str, tasks: list[str], patience: list[int] | None) -> None:
        # Those that are done come in the order of a set, which is that of addresses.
        tasks = [task for task in tasks if task in self.tasks and not self.tasks[task].done()]
        if not self.is_circle(name, tasks):
            waited = [self.tasks[task] for task in tasks]
            for future in self.lib.as_completed(waited, timeout=self.pause(patience)):
                await self.watch(name, "as_completed", future, *tasks)

    async def await_group(self, name: str, bodies: list[Body], block: list[Statement]) -> None:
        group = ordered_group(self.lib)()
        group.awaited = self.waits.setdefault(name, [])
        before = len(group.awaited)
        try:
            async with group:
                self.groups.append(group)
                for body in bodies:
                    self.tasks[body[0]] = group.create_task(self.body(body), name=body[0])
                    group.awaited.append(body[0])
                await self.block(name, block)
        except BaseException as exc:
            self.note(name, f"group raises {describe(exc)}")
            raise
        finally:
            del group.awaited[before:]
            self.groups = [other for other in self.groups if other is not group]
            self.note(name, f"left the group, {self.lib.current_task().cancelling()} cancellations")

    async def await_timeout(self, name: str, patience: list[Any] | None, block: list[Statement]) -> None:
        timeout = self.lib.timeout(self.pause(patience))
        try:
            async with timeout:
                self.timeouts.append(timeout)
                await self.block(name, block)
        except BaseException as exc:
            self.note(name, f"timeout raises {describe(exc)}")
            raise
        finally:
            self.timeouts = [other for other in self.timeouts if other is not timeout]
            count = self.lib.current_task().cancelling()
            self.note(name, f"left the timeout, expired: {timeout.expired()}, {count} cancellations")

    async def await_future_wait(self, name: str, future: int) -> None:
        await self.watch(name, f"future {future}", self.futures[future])

    async def await_event_wait(self, name: str, event: int) -> None:
        await self.watch(name, f"event {event}", self.events[event].wait())

    async def await_lock(self, name: str, lock: int, block: list[Statement]) -> None:
        await self.holding(name, f"lock {lock}", self.locks[lock], block)

    async def await_semaphore(self, name: str, semaphore: int, block: list[Statement]) -> None:
        await self.holding(name, f"semaphore {semaphore}", self.semaphores[semaphore], block)

    async def holding(self, name: str, what: str, lock: Any, block: list[Statement]) -> None:
        await self.watch(name, what, lock.acquire())
        try:
            await self.block(name, block)
        finally:
            lock.release()
            self.note(name, f"released {what}")

    async def await_condition_wait(self, name: str, condition: int) -> None:
        lock = self.conditions[condition]
        await self.watch(name, f"condition {condition}", lock.acquire())
        try:
            await self.watch(name, f"waiting for condition {condition}", lock.wait())
        finally:
            lock.release()

    async def await_notify(self, name: str, condition: int, number: int) -> None:
        async with self.conditions[condition]:
            self.conditions[condition].notify(number)

    async def await_barrier(self, name: str, barrier: int) -> None:
        await self.watch(name, f"barrier {barrier}", self.barriers[barrier].wait())

    async def await_put(self, name: str, queue: int) -> None:
        self.puts += 1
        await self.watch(name, f"put {self.puts}", self.queues[queue].put(self.puts))

    async def await_get(self, name: str, queue: int) -> None:
        await self.watch(name, "get", self.queues[queue].get())

    async def await_queue_join(self, name: str, queue: int) -> None:
        await self.watch(name, "queue join", self.queues[queue].join())

    # -- from the beginning to the end

    def handle_error(self, loop: Any, context: dict[str, Any]) -> None:
        message = context["message"].split(" at ")[0].split(" <")[0]
        if "never retrieved" in message or "destroyed" in message:
            return
        self.note("handler", f"{message.split('.')[0]}: {describe(context['exception'])}")

    def run(self, program: Body) -> list[str]:
        """Play the program to its end; return the log."""
        self.loop.set_exception_handler(self.handle_error)

        async def main() -> Any:
            self.prepare()
            return await self.body(program)

        task = self.tasks["main"] = self.loop.create_task(main(), name="main")
        for _ in range(MOST_RUNS):
            if self.run_once(task):
                break
        else:
            self.note("driver", "gives up")
        self.finish()
        return self.log

    def run_once(self, main: Any) -> bool:
        """Run until all tasks are done, or something breaks the run off; return True if all are done."""
        try:
            if not main.done():
                self.note("driver", f"main gives {self.told(self.loop.run_until_complete(main))}")
            pending = self.pending()
            if not pending:
                return True
            self.loop.run_until_complete(self.loop.create_task(asyncio.wait(pending), name="driver"))
        except Deadlock:
            self.rescue()
        except BaseException as exc:
            if isinstance(exc, RuntimeError) and "never ends" in str(exc):
                raise
            self.note("driver", f"the run ends with {describe(exc)}")
        return False

    def rescue(self) -> None:
        """Give the tasks what they may be waiting for; if that does not help, cancel them, one first, then all."""
        pending = self.pending()
        self.note("driver", f"deadlock of {', '.join(map(self.name_of, pending))}")
        self.rescues += 1
        if self.rescues <= 3:
            rescue = ("future_set", "event_set", "put_nowait")[self.rescues - 1]
            for number in range(OBJECTS):
                self.do("driver", [rescue, number])
        else:
            for task in pending[: 1 if self.rescues < 8 else None]:
                task.cancel()

    def pending(self) -> list[Any]:
        tasks = [task for task in asyncio.all_tasks(self.loop) if self.name_of(task) != "driver"]
        return sorted(tasks, key=self.name_of)

    def finish(self) -> None:
        """Close the loop; what is left is noted, and its complaints are not."""
        left = self.pending()
        self.note("driver", f"left: {', '.join(map(self.name_of, left))}")
        self.loop.set_exception_handler(lambda loop, context: None)
        for task in asyncio.all_tasks(self.loop):
            task._log_destroy_pending = False
        self.ended = True
        self.loop.close()


@types.coroutine
def suspended(coro: Coroutine[Any, Any, Any], number: int, tell: Callable[[], Any]) -> Generator[Any, Any, Any]:
    """Run a coroutine; `tell` when it suspends for the `number`th time, from 0 on."""
    answer, error = None, None
    while True:
        try:
            awaited = coro.send(answer) if error is None else coro.throw(error)
        except StopIteration as end:
            return end.value
        if number == 0:
            tell()
        number -= 1
        answer, error = None, None
        try:
            answer = yield awaited
        except BaseException as exc:
            error = exc


_GROUPS: dict[str, Any] = {}


def ordered_group(lib: Any) -> Any:
    """A TaskGroup that cancels its tasks by name: the stdlib's, and cede's, go through a set."""
    if lib.__name__ not in _GROUPS:

        class OrderedGroup(lib.TaskGroup):  # type: ignore[misc]
            def _abort(self) -> None:
                self._aborting = True
                for task in sorted(self._tasks, key=lambda task: task.get_name()):
                    if not task.done():
                        task.cancel()

        _GROUPS[lib.__name__] = OrderedGroup
    return _GROUPS[lib.__name__]


def play(program: Body, lib: Any, loop: Any) -> list[str]:
    """Return the log of `program`, run with the names of `lib` on `loop`."""
    gc.disable()
    try:
        return Play(lib, loop).run(program)
    finally:
        gc.enable()
