"""What the tasks of this process are doing, as plain data that can be sent away.

It is taken by a thread of its own, or wherever the caller is just now: beside loops that run on, or that hang. So
nothing here waits for a loop, takes a lock of the program's, or calls what the program wrote, but for `get_name` of a
task class of its own.

The law of slices: after each millisecond of work the thread sleeps, so that no loop waits longer for Python's lock than
two. Each task is described and encoded in one go, and what is kept is text: thousands of dictionaries would call the
collector, which stops everybody.

The law of letting go: what was looked at may end while it is looked at, and then ours would be the last reference to
it. A task's destructor belongs into its loop's thread. So everything is held until the end, and handed over to
the loop to be forgotten there, a part a turn.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from .._version import __version__
from ..engine.forks import loops
from ..engine.running import live_tasks
from ..engine.watch import thread_frames
from . import callbacks, counters, resources, stacks, stalls
from .ages import moment, seconds_busy
from .handing_over import hand_over

FORMAT = 2
"""What the answer looks like; another number for every change that readers must know."""

_TRIES = 1000  # to copy a weak set that other threads change
_SLICE = 0.001  # seconds of work
_REST = 0.0005  # seconds of sleep between two slices


def as_text(leaked: list[int] | None = None) -> str:
    """Return the snapshot as JSON.

    An object with `format`, `pid`, `cede` and `python` (versions), `taken` (seconds since 1970), what `Snapshot` yields
    as `tasks`, `loops` and `resources`, the latest `stalls`, if there is a watcher, and `cost`: the seconds of
    processor time that all this took. `leaks`, if they are given, are ids of tasks that can never go on.
    """
    return "".join(as_parts(leaked))


def as_parts(leaked: list[int] | None = None) -> list[str]:
    """Return the same in parts, one for each task."""
    begun = time.thread_time()
    snapshot = Snapshot()
    try:
        head = {"format": FORMAT, "pid": os.getpid(), "cede": __version__, "python": sys.version.split()[0]}
        parts = [json.dumps({**head, "taken": time.time()})[:-1], ', "tasks": [']
        parts += _listed(snapshot.tasks())
        parts.append('], "loops": [')
        parts += _listed(snapshot.loops())
        parts.append('], "resources": [')
        parts += _listed(snapshot.resources())
        rest: dict[str, Any] = {"stalls": [stall.as_dict() for stall in stalls.recent()]}
        if leaked is not None:
            rest["leaks"] = leaked
        rest["cost"] = time.thread_time() - begun
        parts.append("], " + json.dumps(rest)[1:])
        return parts
    finally:
        snapshot.let_go()


def _listed(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    separator = ""
    for row in rows:
        yield separator + json.dumps(row)
        separator = ",\n"


def capture() -> dict[str, Any]:
    """Return the snapshot as the object that `as_text` describes, joined."""
    answer: dict[str, Any] = json.loads(as_text())
    return joined(answer)


def joined(answer: dict[str, Any]) -> dict[str, Any]:
    """Bring together what a snapshot says in different places; it does not take that time itself.

    The tasks come in order, each with `awaited_by`: the ids of all tasks that wait for it. The resources get `waiters`
    and `holders` (ids of tasks), and `name`, if a task that waits can see it. `loose` is true of a lock that its holder
    has by `acquire` and not by `async with`: then others may release it, and `gone` is the holder's number if it has
    ended meanwhile.
    """
    tasks = {row["id"]: row for row in answer["tasks"]}
    targets: dict[int, list[int]] = {}  # of a future: who awaits it
    for row in answer["tasks"]:
        targets.setdefault(row["target"], []).append(row["id"])
    for row in answer["tasks"]:
        found = {*row["awaited_by"], *targets.get(row["id"], ())}
        for lead in row.pop("leads"):
            found.update([lead] if lead in tasks else targets.get(lead, ()))
        row["awaited_by"] = sorted(found)
    answer["tasks"].sort(key=lambda row: (row["tid"], _in_order(row["name"]), row["id"]))
    resources = {row["id"]: row for row in answer["resources"]}
    for row in answer["resources"]:
        row.update(name=row.get("name", ""), waiters=[], holders=[])
    for row in answer["tasks"]:
        for number in row["holds"]:
            if number in resources:
                resources[number]["holders"].append(row["id"])
        name = row.pop("called")
        if row["resource"] in resources:
            resource = resources[row["resource"]]
            resource["waiters"].append(row["id"])
            resource["name"] = resource["name"] or name
    _name_takers(answer)
    return answer


def _name_takers(answer: dict[str, Any]) -> None:
    """Let locks have a holder that are in nobody's `async with`: who took it last, as the lock itself has noted."""
    numbers = {row["number"]: row["id"] for row in answer["tasks"] if row["number"]}
    for row in answer["resources"]:
        taker = row.get("taken_by", 0)
        row["loose"] = bool(taker) and not row["holders"]
        row["gone"] = taker if row["loose"] and taker not in numbers else 0
        if row["loose"] and not row["gone"]:
            row["holders"].append(numbers[taker])


def _in_order(name: str) -> tuple[str, int]:
    """Return what sorts Task-10 behind Task-2."""
    head = name.rstrip("0123456789")
    return head, int(name[len(head) :] or 0) if len(name) - len(head) < 20 else 0


class Snapshot:
    """One look at all tasks of all loops in this process. `let_go` must be called at its end, in the same thread."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[Any, list[Any]]] = {}  # by id of a loop: the loop, and what was looked at of it
        self._common: list[Any] = []  # what was looked at of no loop
        self._resources: dict[int, Any] = {}  # by id: those that a task waits for
        self._until = time.perf_counter() + _SLICE
        self._tops: dict[int, FrameType] = {}
        self._threads = {thread.ident: thread.native_id or 0 for thread in threading.enumerate()}
        self._look_at_threads()

    # --- Slices and letting go ------------------------------------------------------------------

    def _breathe(self) -> None:
        """Let the loops run, if they had to wait for a while. What threads do is then looked at anew."""
        if time.perf_counter() >= self._until:
            self._tops.clear()
            time.sleep(_REST)
            self._until = time.perf_counter() + _SLICE
            self._look_at_threads()

    def _look_at_threads(self) -> None:
        here = threading.get_ident()
        self._tops = {ident: frame for ident, frame in thread_frames().items() if frame is not None and ident != here}
        if asyncio._get_running_loop() is not None:
            self._tops[here] = sys._getframe(1)

    def _things_of(self, loop: Any) -> list[Any]:
        return self._held.setdefault(id(loop), (loop, []))[1]

    def let_go(self) -> None:
        """Hand over what was held to the loops' threads."""
        self._resources.clear()
        self._tops.clear()
        while self._held:
            _, (loop, things) = self._held.popitem()
            things += self._common  # also of others; who drops it last is in no loop's power to know
            hand_over(loop, things)

    # --- Tasks ----------------------------------------------------------------------------------

    def tasks(self) -> Iterator[dict[str, Any]]:
        """Yield a description of every task that is not done.

        `id`, `number` (cede's own tasks) and `parent` (the number of who made it; 0: none), `name`, `tid` (of the
        thread that runs its loop; 0: none does), `loop` (an id), `state` ("running", "ready", "waiting"), `steps`,
        `since` (seconds since the last of them began, to a turn; None if that is not known),
        `stack` (innermost first, each entry function, file and line), `waits` (what for, in words), `limited` (whether
        it is in a timeout), `resource` and `holds` (ids), `called` (how the one who waits calls the resource), `target`
        (the id of the future that it awaits), `awaited_by` (the ids of tasks) and `leads` (ids of tasks, or of futures,
        that hear of its end through callbacks).
        """
        for task in self._all_tasks():
            loop = task.get_loop()
            things = self._things_of(loop)
            things.append(task)
            if not task.done():
                yield self._row(task, loop, things)
            self._breathe()

    def _row(self, task: Any, loop: Any, things: list[Any]) -> dict[str, Any]:
        ident: Any = getattr(loop, "_thread_id", None)
        awaiters = getattr(task, "_asyncio_awaited_by", None) or ()
        target = getattr(task, "_fut_waiter", None)
        things += [target, awaiters, self._tops.get(ident)]
        look = stacks.look_at(task, self._tops.get(ident), things)
        waits = look.what
        if not look.running and not waits and target is not None:
            waits = "task" if hasattr(target, "get_coro") else "future"
        state = "running" if look.running else "ready" if target is None or target.done() else "waiting"
        resource = look.resource if state == "waiting" else None
        if resource is not None:
            self._resources[id(resource)] = resource
        return {
            "id": id(task),
            "number": getattr(task, "_id", 0),
            "parent": getattr(task, "_parent", 0),
            "name": _name_of(task),
            "tid": self._threads.get(ident) or 0,
            "loop": id(loop),
            "state": state,
            "steps": getattr(task, "_steps", None),
            "since": _seconds_since_step(task, loop),
            "stack": look.stack,
            "waits": waits if state == "waiting" else "",
            "resource": 0 if resource is None else id(resource),
            "called": look.name,
            "limited": look.limited,
            "holds": [id(lock) for lock in look.held],
            "target": 0 if target is None else id(target),
            "awaited_by": [id(awaiter) for awaiter in awaiters if hasattr(awaiter, "get_coro")],
            "leads": [] if awaiters else callbacks.leads_to(task, things),
        }

    def _all_tasks(self) -> list[Any]:
        """Return the tasks, cede's and the stdlib's; some may be done."""
        found: set[Any] = set(live_tasks())
        if sys.version_info >= (3, 14):
            known = {id(loop): loop for loop in (task.get_loop() for task in found)}
            for ident, top in list(self._tops.items()):
                seen = _looked_at(top)
                mine = [thing for thing in seen if issubclass(type(thing), asyncio.AbstractEventLoop)]
                known.update((id(loop), loop) for loop in mine)
                owner = next((loop for loop in known.values() if getattr(loop, "_thread_id", None) == ident), None)
                (self._common if owner is None else self._things_of(owner)).extend(seen)
            for loop in known.values():
                found |= asyncio.all_tasks(loop)
        else:
            for name in "_all_tasks", "_scheduled_tasks", "_eager_tasks":
                found.update(_copied(getattr(asyncio.tasks, name, ())))
        return list(found)

    # --- What is beside them --------------------------------------------------------------------

    def loops(self) -> Iterator[dict[str, Any]]:
        """Yield a description of each loop.

        `id`, `tid`, `running`, `up` (seconds since it was made), `busy` (seconds since it last looked at the kernel;
        0 if it does just now), `stats` (see `counters.LoopStats`), `current` (the id of the task that runs) and
        `stack`: what a callback does that keeps the loop's thread just now.
        """
        for loop in loops():
            ident: Any = getattr(loop, "_thread_id", None)
            things = self._things_of(loop)
            top = self._tops.get(ident) if ident is not None else None
            entered = self._current_task(loop, things) if top is not None else None
            busy = top is not None and entered is None and not _is_asleep(loop)
            yield {
                "id": id(loop),
                "tid": self._threads.get(ident) or 0,
                "running": ident is not None,
                "up": (loop._moment()[1] - loop._made_at) / 1e9,
                "busy": _seconds_busy(loop),
                "stats": counters.of_loop(loop).as_dict(),
                "current": 0 if entered is None else id(entered),
                "stack": stacks.stack_outside_tasks(top, things) if busy else [],
            }
            self._breathe()

    def _current_task(self, loop: Any, things: list[Any]) -> Any:
        """Return the task whose coroutine is on the stack of the loop's thread; what the registry names may be done."""
        task = asyncio.current_task(loop)
        things.append(task)
        return task

    def resources(self) -> Iterator[dict[str, Any]]:
        """Yield what tasks wait for (after `tasks` has yielded those), and the loops' executors."""
        for thing in list(self._resources.values()):
            yield resources.describe(thing, self._common)
            self._breathe()
        for loop in loops():
            executor = getattr(loop, "_default_executor", None)
            row = resources.describe_executor(executor, "executor", self._tops, self._things_of(loop))
            if row is not None:
                yield {**row, "name": "default"}
            self._breathe()


def _seconds_since_step(task: Any, loop: Any) -> float | None:
    """Return how long ago the last step of a task began."""
    if not getattr(task, "_steps", 0) or not hasattr(loop, "_moment"):
        return None
    ticks, tick = moment(loop)
    since = ((ticks >> stalls.SINCE_UNIT) - task._since) & stalls.SINCE_MASK
    return round((since << stalls.SINCE_UNIT) * tick, 3)


def _seconds_busy(loop: Any) -> float:
    """Return how long ago a loop last looked at the kernel; 0 if it does just now, or does not run."""
    return 0.0 if _is_asleep(loop) else round(seconds_busy(loop), 3)


def _is_asleep(loop: Any) -> bool:
    """Tell whether a loop waits in its poller."""
    return bool(getattr(loop, "_looks", 1) & 1)


def _name_of(task: Any) -> str:
    try:
        return str(task.get_name())
    except Exception as exc:
        return f"<{type(exc).__name__} in get_name>"


def _copied(registry: Any) -> list[Any]:
    """Return what is in a weak set, which may change while it is read."""
    found: list[Any] = []  # Lifetime: what was found stays held when a try fails; it dies with the rest
    for _ in range(_TRIES):
        try:
            for task in registry:
                found.append(task)
            break
        except RuntimeError:
            pass
    return found


def _looked_at(top: FrameType) -> list[Any]:
    """Return the functions on a thread's stack and what they hold: 3.14 tells the stdlib's tasks by loop only."""
    things: list[Any] = []  # Lifetime: a function may end, or drop a variable, while it is looked at
    frame: FrameType | None = top
    while frame is not None:
        things.append(frame)
        things += frame.f_locals.values()
        frame = frame.f_back
    return things
