"""Signals as callbacks of the loop: `add_signal_handler`, `remove_signal_handler`.

The interpreter writes each signal's number into the loop's waker (`signal.set_wakeup_fd`), the loop
wakes, reads it, and the callback runs in the loop's next turn: nothing runs inside the signal.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import inspect
import logging
import signal
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

logger = logging.getLogger("asyncio")


def _handler(loop: Any) -> Callable[[int, FrameType | None], None]:
    """The interpreter's own handler: with it in place the number is written to the waker, if that has room."""
    reference = weakref.ref(loop)

    def note(signum: int, frame: FrameType | None) -> None:
        loop = reference()
        if loop is not None:
            loop._waker.signal_came(signum)

    return note


def _check_signal(sig: Any) -> None:
    if not isinstance(sig, int):
        raise TypeError(f"sig must be an int, not {sig!r}")
    if sig not in signal.valid_signals():
        raise ValueError(f"invalid signal number {sig}")


def add_signal_handler(loop: Any, sig: int, callback: Callable[..., Any], *args: Any) -> None:
    """Call `callback(*args)` in the loop each time the signal comes; it replaces an earlier callback.

    ValueError for a number that is no signal, RuntimeError for one that cannot be caught and
    outside of the main thread.
    """
    if asyncio.iscoroutine(callback) or inspect.iscoroutinefunction(callback):
        raise TypeError("coroutines cannot be used with add_signal_handler()")
    _check_signal(sig)
    loop._check_closed()
    if loop._machine is not None:  # a simulated one: its signals come from the world
        loop._signal_handlers[sig] = (callback, args, contextvars.copy_context())
        return
    try:
        # Order: first the descriptor, since this refuses every thread but the main one.
        signal.set_wakeup_fd(loop._waker.fileno(), warn_on_full_buffer=False)
    except (ValueError, OSError) as exc:
        raise RuntimeError(str(exc)) from None
    loop._wants_signals = True
    loop._signal_handlers[sig] = (callback, args, contextvars.copy_context())
    try:
        signal.signal(sig, _handler(loop))
        signal.siginterrupt(sig, False)  # system calls go on instead of failing with EINTR
    except OSError as exc:
        del loop._signal_handlers[sig]
        _release_wakeup_fd(loop)
        if exc.errno == errno.EINVAL:
            raise RuntimeError(f"sig {sig} cannot be caught") from None
        raise


def remove_signal_handler(loop: Any, sig: int) -> bool:
    """Give the signal its default action back. Return False if the loop had no callback for it."""
    _check_signal(sig)
    if loop._signal_handlers.pop(sig, None) is None:
        return False
    if loop._machine is not None:
        return True
    default = signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL
    try:
        signal.signal(sig, default)
    except OSError as exc:
        if exc.errno == errno.EINVAL:
            raise RuntimeError(f"sig {sig} cannot be caught") from None
        raise
    _release_wakeup_fd(loop)
    return True


def _release_wakeup_fd(loop: Any) -> None:
    """Once the loop handles no signal, let none be written to it; another loop's descriptor is kept."""
    if loop._signal_handlers:
        return
    loop._wants_signals = False
    if loop.is_running():
        return  # it does so itself when it stops
    try:
        last = signal.set_wakeup_fd(-1)
        if last not in (-1, loop._waker.fileno()):
            signal.set_wakeup_fd(last)
    except (ValueError, OSError) as exc:
        logger.info("set_wakeup_fd(-1) failed: %s", exc)


def handle_signals(loop: Any, numbers: bytes) -> None:
    """Schedule the callbacks of the signals that came."""
    for number in numbers:
        found = loop._signal_handlers.get(number)
        if found is not None:  # else it was removed after the signal came
            callback, args, context = found
            loop.call_soon(callback, *args, context=context)
