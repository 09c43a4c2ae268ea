"""The calls that are C when the engine is compiled: one plain-Python body each.

This module has a twin, `native.pxd`, with functions of the same names and arguments whose bodies
are inlined C. A module says `from . import native` and calls `native.resume(...)`; its own `.pxd`
says `from . cimport native`. Compiled, that is a C call; interpreted, the function below.

Law: nothing here decides anything. A function does one call of the interpreter and says what came of it.
The calls of the system stand in `syscalls`. This module itself is never compiled.
"""

import contextvars
import itertools
import sys
import threading

COMPILED = False  # true in the twin; for what has nothing to do interpreted, and would be asked all the time

# --- Coroutines and contexts ------------------------------------------------------------------
#
# A step of a coroutine never raises: it answers. What it yielded stands for itself; its end is a pair,
# (StopIteration, value) if it returned and (BaseException, exception) if it raised, because raising
# StopIteration costs an exception a task, and because a raised exception would take our frames into
# the user's traceback. No awaitable yields such a pair.


def resume(context, coro):
    """Run `coro` inside `context` to its next suspension: what it yielded, or the pair of its end.

    A context that is entered already answers with RuntimeError.
    """
    try:
        return context.run(coro.send, None)
    except StopIteration as stop:
        return (StopIteration, stop.value)
    except BaseException as exc:
        return (BaseException, _without_our_frame(exc))


def throw(context, coro, exc):
    """Raise `exc` where `coro` is suspended, inside `context`; the answer is `resume`'s."""
    try:
        return context.run(coro.throw, exc)
    except StopIteration as stop:
        return (StopIteration, stop.value)
    except BaseException as raised:
        return (BaseException, _without_our_frame(raised))
    finally:
        exc = None  # the frames of its traceback lead back to this one


# What the class of an exception has of its own under these names says nothing: they are the interpreter's.
_traceback_of = BaseException.__traceback__.__get__
_with_traceback = BaseException.with_traceback


def traceback_of(exc):
    """Return the traceback of an exception, or None."""
    return _traceback_of(exc)


def with_traceback(exc, traceback):
    """Set the traceback of an exception, and return the exception."""
    return _with_traceback(exc, traceback)


def _without_our_frame(exc):
    traceback = _traceback_of(exc)
    return exc if traceback is None or traceback.tb_next is None else _with_traceback(exc, traceback.tb_next)


def is_exception(obj):
    """Whether `obj` can be raised, whatever it says of its class."""
    return issubclass(type(obj), BaseException)


def result_of(future):
    """The outcome of a future of whatever kind: one of the pairs."""
    try:
        return (StopIteration, future.result())
    except BaseException as exc:
        return (BaseException, _without_our_frame(exc))


def cancel(future, msg):
    """Cancel a future of whatever kind. RecursionError if that is in a chain of calls too deep."""
    return future.cancel(msg=msg)


def call(context, callback, args):
    """Call `callback(*args)` inside `context`."""
    return context.run(callback, *args)


def attempt(context, callback, args):
    """Call `callback(*args)` inside `context`; return None, or the exception it raised."""
    try:
        context.run(callback, *args)
    except BaseException as exc:
        return _without_our_frame(exc)
    finally:
        callback = args = None  # as in `throw`


def call_one(context, callback, arg):
    """Call `callback(arg)` inside `context`."""
    return context.run(callback, arg)


copy_context = contextvars.copy_context


# A context with the variables as they are now, for `private_copy`: nobody may run anything in it. Compiled, all who ask
# while no variable changes get the same one. Interpreted, each gets one of its own.
snapshot = contextvars.copy_context


def private_copy(snapshot):
    """A context with the variables of a snapshot, in which one may run; in use as long as anybody holds it."""
    return snapshot


def share_contexts():
    """Let `snapshot` and `private_copy` give the same context to several, from now on. Interpreted, they do not."""


def forget_contexts():
    """Let go of the last snapshot and private copy, if they keep the value of any variable alive."""


def call_method(context, target, name, arg):
    """Call `target.name(arg)` inside `context`."""
    return context.run(getattr(target, name), arg)


# --- The collector of cycles ------------------------------------------------------------------
#
# Interpreted, everything stays visible to it.


def untrack(obj):
    """Hide `obj`, which nobody else holds, from the cycle collector."""


def track(obj):
    """Show `obj` to the collector again. None is left alone."""


def is_shared(obj):
    """Whether anybody but the caller's variable holds `obj`, and it may have to be shown. Interpreted: False."""
    return False


# --- Memory ---------------------------------------------------------------------------------------


def keep_memory(kind, hidden=False):
    """Let the class `kind` keep the memory of objects that went for those that come; its subclasses do not.

    If `hidden`, the collector of cycles sees a new object only after `track`. Interpreted, and without the global
    lock, nothing is kept or hidden.
    """


def fresh(kind):
    """Return a new, uninitialized object of the class `kind`; it has no attribute dictionary until it needs one."""
    return kind.__new__(kind)


def end_one_by_one(kind):
    """Let objects of a class that hold one another in a long chain be freed one after the other, not each inside
    of the last, for which the stack might not do. At most three classes of a module. Interpreted, it is so by nature.
    """


def drop_empty_dict(obj):
    """Do away with an attribute dictionary in which nothing is; one is made when an attribute is set."""


def has_own(obj, name):
    """Whether an attribute `name` was set on the object itself, in the place of what its class has."""
    return name in obj.__dict__


# --- What tools read ----------------------------------------------------------------------------
#
# Tools of 3.14 and newer read a process's memory from outside. They find its tasks in a list of the thread's, and take
# each for one of C's asyncio.Task. Compiled, `Future` and `Task` have those of their fields that are read in the same
# places, and what is NULL there is something harmless here. Interpreted, there is nothing to be seen that way.


def nobody():
    """Return what stands for the awaiter of a future that has none."""
    return None


def unnamed():
    """Return what stands for the name of a task that was given none."""
    return None


def list_tasks(head, place):
    """Have the two functions below act; `head` and `place` are offsets in a thread's state and in a task.

    Return False where there is no such list.
    """
    return False


def enlist(task):
    """Put a task into this thread's list, if it is in none."""


def delist(task):
    """Take a task out of the list that it is in, if it is in one."""


def declare(kind, fields):
    """Let fields of the class `kind` be None, False or zero to begin with; compiled, those of C are so by nature."""
    for name, value in fields.items():
        setattr(kind, name, value)


def publish(kind, name, method):
    """Let a C method of the class `kind` be called by its name; interpreted, all can be."""


def class_version(kind):
    """A number that is another one after an attribute of the class `kind` was set; 0 where nobody can tell."""
    return 0


def trust_versions():
    """Let `class_version` give such numbers, from now on. Interpreted, nobody can tell."""


def sign(names):
    """Let the classes of a module, whose `names` these are, tell `inspect` the signature of their `__init__`."""


# --- Lists --------------------------------------------------------------------------------------


def take(entries, index):
    """Return `entries[index]`, and leave None in its place."""
    entry = entries[index]
    entries[index] = None
    return entry


# Empty a list; compiled, it keeps its memory for what comes next.
clear = list.clear


# --- Threads, numbers, references ---------------------------------------------------------------

get_ident = threading.get_ident


def thread_frames():
    """Return the innermost frames of this interpreter's threads by their numbers, of no other interpreter's.

    Interpreted, None stands for a frame where the process has other interpreters: `sys._current_frames` tells of
    theirs, too, and CPython dies of that while another thread makes one (seen on 3.13).
    """
    for name in _MAKES_INTERPRETERS:
        if name in sys.modules and len(sys.modules[name].list_all()) > 1:  # one that is just made counts
            return {**dict.fromkeys(list(threading._active)), threading.get_ident(): sys._getframe()}
    return sys._current_frames()


_MAKES_INTERPRETERS = ("_interpreters", "_xxsubinterpreters")

# Return 1, then 2, and so on: to each who asks another number, whatever the thread.
next_number = itertools.count(1).__next__


def seconds(number):
    """Return a number as a float. TypeError for what cannot be added to one."""
    return 0.0 + number


def size(number):
    """Return a whole number for counting bytes; compiled, the greatest that C has stands for one above it."""
    return number


def is_unshared(obj):
    """Whether the caller's variable is the only reference there is to `obj`. Interpreted, nobody can tell: False."""
    return False


# --- Bytes ----------------------------------------------------------------------------------------


def find(data, part, start):
    """Where `part` (bytes, not empty) stands in `data` (bytes or bytearray) at or after `start`; -1 if nowhere."""
    return data.find(part, start)


def cut(data, start, end):
    """The bytes of `data` (bytes or bytearray) from `start` to before `end`, as a new bytes."""
    return bytes(data[start:end])
