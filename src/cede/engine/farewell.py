"""What threads are told when a loop closes: a coroutine that they handed to it, and wait for, will not end.

`run_coroutine_threadsafe` gives a thread a future that nobody would ever resolve if the loop is closed before the
coroutine has ended. Programs have it from cede or from the standard library: of the latter's nothing can be seen but
the functions that it leaves with the loop.

Law: of what waits in a closed loop nothing is run but what tells a thread.
"""

import asyncio
import functools
from types import FunctionType

from .handles import ThreadSafeHandle

_ours = set()

tell_leaks = None  # `tell_leaks(loop)` warns of tasks that can never go on


def tell_leaks_by(teller):
    """Have `tell_leaks` be this function, which stands in a higher layer."""
    global tell_leaks
    tell_leaks = teller


def tell_threads(handles, tasks):
    """Resolve what threads wait for, by an error. The loop is closed; `handles` and `tasks` are what it let go."""
    for handle in handles:
        if type(handle) is ThreadSafeHandle and _begins_for_thread(handle._callback):
            _call(handle._callback, *handle._args)  # it finds the loop closed, and says so
    for task in tasks:
        for callback in _callbacks_of(task):
            if _ends_for_thread(callback):
                _call(callback, _Closed())


def _callbacks_of(task):
    try:
        return [callback for callback, _ in task._callbacks or ()]
    except AttributeError:
        return []  # somebody took its fields away


def tells_thread(function):
    """Mark a function of cede's as one that begins a coroutine for a thread, or tells it of the end."""
    _ours.add(function)
    return function


class _Closed:
    """Looks, to those who pass on how a task ended, like a task that ended by an error."""

    def done(self):
        return True

    def cancelled(self):
        return False

    def exception(self):
        return RuntimeError("Event loop is closed")


def _call(callback, *args):
    try:
        callback(*args)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException:
        pass  # raised for the loop, which is closed; the thread was told


def _made_in(function, callback):
    """Whether `callback` is a function that was made while `function`, one of the standard library's, ran."""
    return callback.__code__ in function.__code__.co_consts


def _begins_for_thread(callback):
    # Order: only of functions is anything asked, for other objects answer by running code of their own.
    return type(callback) is FunctionType and (
        callback in _ours or _made_in(asyncio.tasks.run_coroutine_threadsafe, callback)
    )


def _ends_for_thread(callback):
    if type(callback) is functools.partial:
        return type(callback.func) is FunctionType and callback.func in _ours and callback.args[1] is None
    if type(callback) is not FunctionType or not _made_in(asyncio.futures._chain_future, callback):
        return False
    cells = dict(zip(callback.__code__.co_freevars, callback.__closure__))
    return cells["dest_loop"].cell_contents is None
