"""A stall in words: which task keeps a loop from going on, where, who pays for it, and whose fault it is."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from types import FrameType
from typing import Any, NamedTuple

from ..engine.running import live_tasks
from ..engine.watch import thread_frames
from . import callbacks, stacks
from .stacks import Entry
from .words import list_of, short

_SHOWN = 12  # lines of the stack
_ENOUGH = 0.9  # of the threshold, that it would have lasted without other programs: what is measured is rough
_MOST_WAITERS = 10  # in the chain of those who wait
SINCE_UNIT = 24  # bits of ticks: of a task's `_since`, which has 32
SINCE_MASK = 0xFFFFFFFF
_KEPT = 20  # stalls, for whoever looks at the process later


_recent: deque[Stall] = deque(maxlen=_KEPT)


def recent() -> list[Stall]:
    """Return the latest stalls that a watcher told of, the oldest first."""
    return list(_recent)


def keep(stall: Stall) -> None:
    """Keep a stall for `recent`."""
    _recent.append(stall)


def forget() -> None:
    """Forget them, in a forked child: they were the parent's."""
    _recent.clear()


class Blame(NamedTuple):
    """What the seconds of a stall went to."""

    on_processor: float
    waiting: float  # for a processor: the machine was busy with other things
    collecting: float  # garbage, in the loop's thread


class Stall:
    """A loop that has been busy for longer than it should. `str()` tells all of it.

    `seconds` is how long so far, `task` the name of the task that runs ("" if a callback does), `stack` where it is,
    innermost first (function, file, line), `waited_for_by` who waits for it, nearest first (name, function, file,
    line). `over` is true if it had ended when it was told of, `crowded` if no step was long and the turn had very many.
    `blame` says where the time went, None where the system does not tell; `descheduled` is true if it would not have
    been too long but for the waiting for a processor. `missed` is true if it was over before it could be looked at, as
    other threads had Python's lock: then there is no stack, and `task` is the only one that ran in that turn and still
    lives, "" if that is not just one.
    """

    def __init__(
        self, seconds: float, threshold: float, seen: Seen, blame: Blame | None, crowded: bool, over: bool
    ) -> None:
        self.seconds = seconds
        self.began = time.monotonic() - seconds
        self.lasted: float | None = seconds if over else None  # seconds, once it is over
        self.task = seen.task
        self.stack = seen.stack
        self.waited_for_by = seen.waiters
        self.crowded = crowded
        self.over = over
        self.blame = blame
        self.descheduled = blame is not None and seconds - blame.waiting < threshold * _ENOUGH
        self.missed = seen.missed
        self._detail = seen.detail

    def __repr__(self) -> str:
        by = "what was not seen" if self.missed else "a callback"
        return f"<Stall of {self.seconds:.2f} s by {self.task or by!r}>"

    def as_dict(self) -> dict[str, Any]:
        """Return what is told of it from outside, as plain data; `ago` is how many seconds ago it began."""
        ago = time.monotonic() - self.began
        return {
            "ago": ago,
            "seconds": ago if self.lasted is None else self.lasted,
            "over": self.lasted is not None,
            "task": self.task,
            "crowded": self.crowded,
            "missed": self.missed,
            "stack": self.stack[:_SHOWN],
            "waited_for_by": self.waited_for_by,
        }

    @property
    def place(self) -> tuple[str, int]:
        """The innermost place that is the program's: file and line."""
        for _, file, line in self.stack:
            if not stacks.is_own(file):
                return file, line
        return self.stack[0][1:] if self.stack else ("", 0)

    def __str__(self) -> str:
        lines = [self._head()]
        width = max((len(_at(entry)) for entry in self.stack[:_SHOWN]), default=0)
        lines += [f"  {_at(entry):<{width}}  {entry[0]}" for entry in self.stack[:_SHOWN]]
        if len(self.stack) > _SHOWN:
            lines.append(f"  and {len(self.stack) - _SHOWN} more")
        if self.waited_for_by:
            waiters = [f"{name!r} {short(file)}:{line} {function}" for name, function, file, line in self.waited_for_by]
            chain = " <- ".join(waiters)
            lines.append(f"  waited for by: {chain}")
        if self.blame is not None:
            lines.append(
                f"  processor {self.blame.on_processor:.2f} s, waiting for a processor {self.blame.waiting:.2f} s,"
                f" garbage collector {self.blame.collecting:.2f} s"
            )
        return "\n".join(lines)

    def _head(self) -> str:
        if self.crowded:
            head = f"Event loop has been in one turn of many short steps for {self.seconds:.2f} s"
            return f"{head}; just now in task {self.task!r}:" if self.task else f"{head}; just now here:"
        if self.descheduled:
            return f"Event loop has been waiting for a processor: the machine is busy. Late by {self.seconds:.2f} s in:"
        if self.missed:
            head = f"Event loop was blocked for {self.seconds:.2f} s, and went on before it could be looked at"
            return f"{head}; what ran in that turn, and still lives: {self._detail or 'nothing'}"
        by = f"by task {self.task!r}{self._detail}" if self.task else "by a callback" + ("" if self.stack else " in C")
        if self.over:
            return f"Event loop was blocked for {self.seconds:.2f} s {by}:"
        return f"Event loop blocked for {self.seconds:.2f} s {by}, and still is:"


def _at(entry: Entry) -> str:
    return f"{short(entry[1])}:{entry[2]}"


class Seen:
    """What a loop's thread was seen at."""

    def __init__(self) -> None:
        self.task = ""
        self.detail = ""  # what else is known of the task
        self.stack: list[Entry] = []
        self.waiters: list[tuple[str, str, str, int]] = []
        self.key: tuple[Any, ...] = ()  # another one if it was another step, or another callback
        self.missed = False  # whether it was over by then


def look(loop: Any, things: list[Any]) -> Seen | None:
    """Return what the thread of a loop does just now; None if it has none. What is touched goes into `things`."""
    top = thread_frames().get(loop._thread_id)
    if top is None or loop._thread_id == threading.get_ident():
        return None
    things.append(top)
    seen = Seen()
    task = asyncio.current_task(loop)
    things.append(task)
    coro: Any = None if task is None else task.get_coro()
    if task is None or not stacks.is_running(coro):
        seen.stack = stacks.stack_outside_tasks(top, things)
        seen.key = (_outermost(top),)
        return seen
    seen.task = str(task.get_name())
    seen.stack = stacks.look_at(task, top, things).stack
    seen.key = (id(task), getattr(task, "_steps", 0))
    seen.detail = _detail(task, things)
    seen.waiters = _waiters(task, things)
    return seen


def look_back(loop: Any, began: int, things: list[Any]) -> Seen:
    """Return what is still known of a turn of a loop that began at so many ticks, and is over."""
    seen = Seen()
    seen.missed = True
    tasks = [task for task in live_tasks() if task.get_loop() is loop]
    things += tasks
    turn = began >> SINCE_UNIT & SINCE_MASK
    ran = [task for task in tasks if task._steps and task._since & SINCE_MASK == turn]
    if len(ran) == 1:
        seen.task = str(ran[0].get_name())
        seen.waiters = _waiters(ran[0], things)
    names = [f"task {str(task.get_name())!r}{_detail(task, things)}" for task in ran]
    seen.detail = list_of(names)
    return seen


def _outermost(top: FrameType) -> int:
    """Return what tells one callback from the next: the id of its outermost frame."""
    outermost, frame = top, top.f_back
    while frame is not None and not stacks.runs_loop(frame.f_code):
        outermost, frame = frame, frame.f_back
    return id(outermost)


def _detail(task: Any, things: list[Any]) -> str:
    words = []
    number, steps, parent = (getattr(task, name, 0) for name in ("_id", "_steps", "_parent"))
    if number:
        words += [f"task {number}", f"step {steps}"]
    if parent:
        maker = next((other for other in live_tasks() if getattr(other, "_id", 0) == parent), None)
        things.append(maker)
        if maker is not None:
            words.append(f"of {str(maker.get_name())!r}")
    return f" ({', '.join(words)})" if words else ""


def _waiters(task: Any, things: list[Any]) -> list[tuple[str, str, str, int]]:
    """Return one chain of those who wait for a task: each with the innermost place that is the program's."""
    chain: list[tuple[str, str, str, int]] = []
    seen = {id(task)}
    for _ in range(_MOST_WAITERS):
        known = getattr(task, "_asyncio_awaited_by", None) or ()
        awaiters = [awaiter for awaiter in known if hasattr(awaiter, "get_coro")] or callbacks.awaiting_tasks(
            task, things
        )
        things += awaiters
        task = next((awaiter for awaiter in awaiters if id(awaiter) not in seen), None)
        if task is None:
            break
        seen.add(id(task))
        stack = stacks.look_at(task, None, things).stack
        place = next((entry for entry in stack if not stacks.is_own(entry[1])), ("?", "?", 0))
        chain.append((str(task.get_name()), *place))
    return chain
