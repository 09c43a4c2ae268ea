"""Tasks that can never go on: those that the garbage collector would take, if the set of live tasks did not hold them.

Nobody else refers to such a task, to what it awaits, or to anything that could end the wait. It is found by trial
deletion: of every object that the collector knows, take the number of references less those that come from other such
objects; what is left over has a holder outside (a thread's stack, a timer, the poller). Mark from there, passing by the
sets of live tasks. Live tasks without a mark are leaked.

The collector itself must not be asked: it would run finalizers and close coroutines. The work is done in a forked
child, so that the program goes on; the child runs no hooks of anybody's, has only this one thread, lets nobody have the
interpreter's lock, and ends without a word.

A blind spot: what C keeps alive without telling the collector is missed, and never wrongly reported.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import logging
import os
import select
import signal
import sys
import time
from typing import IO, Any

from ..engine import forks, running
from . import processes, snapshot
from .stacks import is_own
from .words import Names, Task, short

logger = logging.getLogger("asyncio")

_TRIES = 10  # children
_HELD = 0.05  # seconds, at least, that the other threads wait for the lock before they ask for it
_LET_GO = 0.001  # seconds, before the fork
_BEGUN = b"."  # what a child says first
_PART = 1 << 20  # bytes that are written at once
_LOOK_AGAIN = 0.2  # seconds
_ASLEEP = 1.0  # seconds that a child may sleep which has not begun; ten times that where it is not told what it does
_asyncio = sys.modules.get("_asyncio")


class Leak:
    """A task that can never go on: `task` is its description, as a snapshot gives it. `str()` tells the rest."""

    def __init__(self, task: Task, text: str) -> None:
        self.task = task
        self._text = text

    def __repr__(self) -> str:
        return f"<Leak of {self.task['name']!r}>"

    def __str__(self) -> str:
        return self._text


def leaks(*, fork: bool = True) -> list[Leak]:
    """Return the tasks of this process that can never go on.

    It takes about 1.5 seconds per million objects. That is done in a forked child while this thread waits: call it from
    a thread (`to_thread`), not on a loop. With fork=False it is done here, and nothing else of the process runs.
    """
    found = set(find_in_child() if fork else _find())
    if not found:
        return []
    answer = snapshot.capture()
    return described(answer, found)


def tell(loop: Any) -> None:
    """Warn of each task of a loop that can never go on. The loop does not run; it takes as long as `leaks` in place."""
    number = id(loop)
    del loop  # here and there only for its number
    for leak in leaks(fork=False):
        if leak.task["loop"] == number:
            logger.warning("%s", leak)


def described(answer: dict[str, Any], found: set[int]) -> list[Leak]:
    """Return the leaked tasks with these ids, as a snapshot describes them."""
    names = Names(answer)
    makers = {task["number"]: task["name"] for task in answer["tasks"] if task["number"]}
    return [
        Leak(task, _words(names, task, makers.get(task["parent"], "")))
        for task in answer["tasks"]
        if task["id"] in found and task["state"] == "waiting"
    ]


def _words(names: Names, task: Task, maker: str) -> str:
    what = names.wait(task)
    if what == "future":
        what = "a future"
    if not names.awaited(task):
        what += " that only it knows" if not task["resource"] else " that only such tasks know"
    function, file, line = next((entry for entry in task["stack"] if not is_own(entry[1])), ("", "", 0))
    where = f", {function} {short(file)}:{line}" if function else ""
    made = f"; made by {maker!r}" if maker else ""
    return f"task {task['name']!r} can never go on: it waits for {what}{where}{made}"


# --- In a child ---------------------------------------------------------------------------------


def find_in_child() -> list[int]:
    """Return the ids of leaked tasks, which are the same in a child."""
    for _ in range(_TRIES):
        text = _answer_of_child()
        if text is not None:
            found: list[int] = json.loads(text)
            return found
    raise RuntimeError("the children that looked for leaks stood still, each of them")


def _answer_of_child() -> bytes | None:
    """Return what a forked child writes; None if it stood still before it began.

    The child must not let go of the interpreter's lock, nor be asked to: the threads that would take it are not there,
    and what guards it may have been in one's hands. So it does nothing that waits, and is forked at a moment when no
    other thread can have waited for long: just after this one got the lock, with the patience of the others prolonged.
    """
    reading, writing = os.pipe()
    libc = ctypes.PyDLL(None)  # keeps the lock in a call
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    patience = sys.getswitchinterval()
    sys.setswitchinterval(max(patience, _HELD))
    time.sleep(_LET_GO)
    # Not os.fork: the hooks of the program, and of cede, make a process of the child that goes on by itself. With the
    # interpreter's lock held there is no other thread that could be in the midst of something of Python's.
    child = libc.fork()
    if child == 0:
        try:
            libc.write(writing, _BEGUN, ctypes.c_size_t(len(_BEGUN)))
            text = json.dumps(_find()).encode()
            place = 0
            while place < len(text):
                written = libc.write(writing, text[place:], ctypes.c_size_t(min(len(text) - place, _PART)))
                if written <= 0:
                    break  # nobody reads any more
                place += written
        finally:
            os._exit(0)
    sys.setswitchinterval(patience)
    signal.pthread_sigmask(signal.SIG_SETMASK, signals)
    os.close(writing)
    with open(reading, "rb", buffering=0) as file:
        if child < 0:
            raise OSError("the process cannot be forked: leaks(fork=False) looks in place")
        begun = _has_begun(child, file)
        if not begun:
            os.kill(child, signal.SIGKILL)
        text = file.read()
    try:
        os.waitpid(child, 0)
    except ChildProcessError:
        pass  # somebody waits for all children
    if not begun:
        return None
    if len(text) <= len(_BEGUN):
        raise RuntimeError("the child that looked for leaks has died")
    return text[len(_BEGUN) :]


def _has_begun(child: int, file: IO[bytes]) -> bool:
    """Wait until a child has written, or ended; False if it sleeps, for it should compute."""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    asleep = 0.0
    while not poll.poll(_LOOK_AGAIN * 1000):
        state = processes.state_of(child)
        asleep = asleep + _LOOK_AGAIN if state == "S" else asleep + _LOOK_AGAIN / 10 if not state else 0.0
        if asleep >= _ASLEEP:
            return False
    return True


def _find() -> list[int]:
    """Return the ids of the live tasks that only the sets of live tasks hold."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        tasks = [task for task in running.live_tasks() if not task.done()]
        numbers = [id(task) for task in tasks]
        del tasks[:]
        marked = _marked(_sets_of_tasks())
        return [number for number in numbers if number not in marked]
    finally:
        if enabled:
            gc.enable()


def _sets_of_tasks() -> set[int]:
    """Return the ids of the sets that hold tasks until they are done."""
    found = {id(loop._live) for loop in forks.loops()}
    found.update(
        id(getattr(owner, name, None)) for owner, name in ((running, "strays"), (asyncio.tasks, "_eager_tasks"))
    )
    return found


def _marked(barriers: set[int]) -> set[int]:
    """Return the ids of all objects to which a way leads from outside, other than through one of the barriers."""
    probe: list[Any] = [[]]
    ours = _references(probe)[0]  # how many an object has that only our list holds
    # Order: `_asyncio` is not asked what it refers to. Up to 3.13 freed objects are among it; asking damages them.
    objects = [thing for thing in gc.get_objects() if thing is not _asyncio]
    inside = dict.fromkeys(map(id, objects), 0)
    for thing in objects:
        for referent in gc.get_referents(thing):
            if id(referent) in inside:
                inside[id(referent)] += 1
    del thing, referent
    waiting = [
        thing for thing, count in zip(objects, _references(objects), strict=True) if count - ours > inside[id(thing)]
    ]
    marked = set(map(id, waiting))
    while waiting:
        thing = waiting.pop()
        if id(thing) in barriers:
            continue
        for referent in gc.get_referents(thing):
            # Order: of what the collector does not know all referents are marked, as held from outside. And what is
            # made here, as `marked` with its numbers, would never come to an end.
            if id(referent) in inside and id(referent) not in marked:
                marked.add(id(referent))
                waiting.append(referent)
    return marked


def _references(things: list[Any]) -> list[int]:
    return [sys.getrefcount(thing) for thing in things]
