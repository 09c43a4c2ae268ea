"""Which loop and which task is running in this thread, and which tasks are alive.

The standard library keeps all of it, and libraries ask it (`asyncio.get_running_loop()`,
`asyncio.current_task()`, `asyncio.all_tasks()`). So cede keeps no registry that they would not see: it
writes into the stdlib's, each the cheapest way that a version offers.

- *The running loop*: `asyncio._set_running_loop`, the same everywhere.
- *The current task*: a dictionary up to 3.13 (`current_tasks`), a field of the thread from 3.14 on
  (`swap_current_task`).
- *The thread's current loop* while none runs: a field of the event loop policy (`get_event_loop`).
- *The live tasks*: each loop holds its own strongly until they are done, so that no background task is collected
  half-way (`Loop._live`); `strays` are those on loops of another kind. For tasks that are not its own the stdlib has a
  weak set, which `all_tasks` iterates: that set counts ours, too.
"""

import asyncio
import gc
import sys
import threading
import weakref

from asyncio import _get_running_loop, _set_running_loop, all_tasks, current_task, get_running_loop  # noqa: F401  # isort: skip

from . import forks
from .assumptions import allows

# Since 3.14 they have an underscore, and the public names warn.
_get_policy = getattr(asyncio.events, "_get_event_loop_policy", None) or asyncio.events.get_event_loop_policy
_BasePolicy = getattr(asyncio.events, "_BaseDefaultEventLoopPolicy", None) or asyncio.events.BaseDefaultEventLoopPolicy

current_tasks = None  # {loop: task} up to 3.13; None from 3.14 on
swap_current_task = None  # from 3.14 on: makes a task (None: no task) a loop's current one, and returns the one before

strays = set()  # cede's tasks on loops that have a scheduling of their own


def live_tasks():
    """Return cede's tasks that are not done, of all loops: a new list."""
    found = list(strays)
    for loop in forks.loops():
        found += loop._live  # in one step, whatever other threads do
    return found


class _Counting(weakref.WeakSet):
    """What the stdlib's weak set of tasks becomes: whoever iterates it gets cede's as well."""

    def __iter__(self):
        return iter([*super().__iter__(), *live_tasks()])


def _count_ours():
    """Let the stdlib's weak set count cede's tasks, and return True, if it is found: by a mark put into it."""

    class Mark:
        pass

    mark = Mark()
    candidates = [getattr(asyncio.tasks, name, None) for name in ("_scheduled_tasks", "_all_tasks")]
    if sys.version_info >= (3, 14):
        # It is not exported any more. Order: no older module may be asked, for it answers with objects that have
        # been freed and that it keeps for the next ones; letting go of the answer would free them once more.
        candidates += gc.get_referents(sys.modules.get("_asyncio"))
    asyncio._register_task(mark)
    try:
        for found in candidates:
            if isinstance(found, weakref.WeakSet) and mark in found:
                if allows("counted tasks", True):
                    found.__class__ = _Counting
                    return True
                return False
    finally:
        asyncio._unregister_task(mark)
    return allows("counted tasks", False)


def _all_tasks_of_both(loop=None):
    """Return the tasks of a loop (default: the running one) that are not done: the stdlib's and cede's."""
    loop = get_running_loop() if loop is None else loop
    return _theirs(loop) | {task for task in live_tasks() if task._loop is loop and not task.done()}


_theirs = all_tasks
if not _count_ours():
    # By this way type checkers see the stdlib's, with its types.
    globals()["all_tasks"] = asyncio.all_tasks = asyncio.tasks.all_tasks = _all_tasks_of_both
if sys.version_info >= (3, 14):
    from _asyncio import _swap_current_task as swap_current_task
else:
    current_tasks = asyncio.tasks._current_tasks


def get_event_loop():
    """Return the running loop, else the one set with `set_event_loop`. RuntimeError if there is neither.

    As in Python 3.14 on every version: it never makes a loop, unless a policy of somebody's own does.
    """
    loop = _get_running_loop()
    if loop is not None:
        return loop
    policy = _get_policy()
    if type(policy).get_event_loop is not _BasePolicy.get_event_loop:
        return policy.get_event_loop()  # a rule of somebody's own
    loop = policy._local._loop
    if loop is None:
        raise RuntimeError(f"There is no current event loop in thread {threading.current_thread().name!r}.")
    return loop


def leave_task(loop):
    """Say that no task of `loop` is running."""
    if current_tasks is None:
        swap_current_task(loop, None)
    else:
        current_tasks.pop(loop, None)


def release(loop):
    """Let go of the strays of a loop that closes, and return them."""
    tasks = [task for task in strays if task._loop is loop]
    strays.difference_update(tasks)
    return tasks
