"""Which loop and which task is running in this thread, and which tasks are alive.

The standard library keeps all of it, and libraries ask it (`asyncio.get_running_loop()`,
`asyncio.current_task()`, `asyncio.all_tasks()`). So cede keeps no registry of its own: it writes
into the stdlib's, each the cheapest way that a version offers.

- *The running loop*: `asyncio._set_running_loop`, the same everywhere.
- *The current task*: a dictionary up to 3.13 (`current_tasks`), a field of the thread from 3.14 on
  (`swap_current_task`).
- *The thread's current loop* while none runs: a field of the event loop policy (`get_event_loop`).
- *The live tasks*: `live`, a plain set that holds them strongly until they are done, so that no
  background task is collected half-way. From 3.12 on it is the stdlib's own set of eager tasks; 3.14
  keeps that set inside `_asyncio`, where it is found once by putting a mark into it. 3.11 has only
  a weak set, whose place is taken by one that also counts ours.
"""

import asyncio
import gc
import sys
import threading
import weakref

from asyncio import _get_running_loop, _set_running_loop, all_tasks, current_task, get_running_loop  # noqa: F401  # isort: skip

# Since 3.14 they have an underscore, and the public names warn.
_get_policy = getattr(asyncio.events, "_get_event_loop_policy", None) or asyncio.events.get_event_loop_policy
_BasePolicy = getattr(asyncio.events, "_BaseDefaultEventLoopPolicy", None) or asyncio.events.BaseDefaultEventLoopPolicy

current_tasks = None  # {loop: task} up to 3.13; None from 3.14 on
swap_current_task = None  # from 3.14 on: makes a task (None: no task) a loop's current one, and returns the one before


def _hidden_set():
    """Find 3.14's set of eager tasks: the one set of `_asyncio` in which a mark can be put."""
    import _asyncio

    class Mark:
        pass

    mark = Mark()
    _asyncio._register_eager_task(mark)
    try:
        for found in gc.get_referents(_asyncio):
            if type(found) is set and mark in found:
                return found
    finally:
        _asyncio._unregister_eager_task(mark)
    raise ImportError("cede: this Python's _asyncio keeps its tasks where cede cannot find them")


def _count_in(ours):
    """3.11: let `asyncio.all_tasks()` see the set `ours` beside the stdlib's weak set."""

    stock = asyncio.tasks._all_tasks

    class AllTasks(weakref.WeakSet):
        def __iter__(self):
            yield from stock
            yield from list(ours)

    both = AllTasks()
    both.data = stock.data  # the very same references: the stdlib's C code goes on using `stock`
    asyncio.tasks._all_tasks = both


if sys.version_info >= (3, 14):
    from _asyncio import _swap_current_task as swap_current_task

    live = _hidden_set()
elif sys.version_info >= (3, 12):
    current_tasks = asyncio.tasks._current_tasks
    live = asyncio.tasks._eager_tasks
else:
    current_tasks = asyncio.tasks._current_tasks
    live = set()
    _count_in(live)


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


def register(task):
    """Hold `task` until it is done, and let `all_tasks` see it."""
    live.add(task)


def unregister(task):
    """Let go of `task`."""
    live.discard(task)


def release(loop):
    """Let go of the tasks of a loop that closes, and return them: nothing will ever run them."""
    tasks = [task for task in list(live) if getattr(task, "_loop", None) is loop]
    live.difference_update(tasks)
    return tasks
