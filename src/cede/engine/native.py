"""The calls that are C when the engine is compiled: one plain-Python body each.

This module has a twin, `native.pxd`, with functions of the same names and arguments whose bodies
are inlined C. A module says `from . import native` and calls `native.resume(...)`; its own `.pxd`
says `from . cimport native`. Compiled, that is a C call; interpreted, the function below.

Law: nothing here decides anything. A function does one call of the interpreter or of the system
and says what came of it. This module itself is never compiled.
"""

import contextvars
import time

# --- Coroutines and contexts ------------------------------------------------------------------
#
# A step of a coroutine never raises: it answers. What it yielded stands for itself; its end is a pair,
# (StopIteration, value) if it returned and (BaseException, exception) if it raised, because raising
# StopIteration costs an exception a task, and because a raised exception would take our frames into
# the user's traceback. No awaitable yields such a pair.


def send(coro):
    """Run `coro` to its next suspension: what it yielded, or the pair of its end."""
    try:
        return coro.send(None)
    except StopIteration as stop:
        return (StopIteration, stop.value)
    except BaseException as exc:
        return (BaseException, _without_our_frame(exc))


def resume(context, coro):
    """`send(coro)` inside `context`. A context that is entered already answers with RuntimeError."""
    try:
        return context.run(coro.send, None)
    except StopIteration as stop:
        return (StopIteration, stop.value)
    except BaseException as exc:
        return (BaseException, _without_our_frame(exc))


def throw(context, coro, exc):
    """Raise `exc` where `coro` is suspended, inside `context`; the answer is `send`'s."""
    try:
        return context.run(coro.throw, exc)
    except StopIteration as stop:
        return (StopIteration, stop.value)
    except BaseException as raised:
        return (BaseException, _without_our_frame(raised))


def _without_our_frame(exc):
    if exc.__traceback__ is not None and exc.__traceback__.tb_next is not None:
        exc.__traceback__ = exc.__traceback__.tb_next
    return exc


def call(context, callback, args):
    """Call `callback(*args)` inside `context`."""
    return context.run(callback, *args)


def call_one(context, callback, arg):
    """Call `callback(arg)` inside `context`."""
    return context.run(callback, arg)


copy_context = contextvars.copy_context


# --- Time ---------------------------------------------------------------------------------------

monotonic = time.monotonic


# --- The kernel's readiness ---------------------------------------------------------------------


def event_buffer():
    """Memory for what one wait brings."""
    return []


def precise_waits(enable):
    """Ask the kernel not to round this thread's timeouts (50 us by default); interpreted, leave it."""
    return enable


def epoll_wait(epoll, fd, buffer, timeout):
    """Wait on `epoll` (its descriptor is `fd`) for at most `timeout` seconds (negative: for ever).

    Returns how many events came. An interrupted wait runs the signal handlers and returns 0.
    """
    if 0 < timeout < 0.5 and fd < 1024:
        # epoll_wait rounds up to whole milliseconds; select does not, and an epoll descriptor can
        # itself be selected on.
        readable, _, _ = _select([fd], (), (), timeout)
        if not readable:
            return 0
        timeout = 0
    buffer[:] = epoll.poll(timeout if timeout >= 0 else None)
    return len(buffer)


def event_fd(buffer, index):
    """The descriptor of the event at `index`."""
    return buffer[index][0]


def event_bits(buffer, index):
    """The kernel's event bits of the event at `index`."""
    return buffer[index][1]


try:
    from select import select as _select
except ImportError:  # a platform without select has no epoll either
    _select = None
