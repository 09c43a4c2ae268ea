"""Where a task is, what it waits for and what it holds: read off its coroutines, from any thread.

Only what the interpreter, asyncio and cede wrote is called or read by name; of the program's own objects nothing but
their type and their place. Whatever is touched goes into `things`, which the caller holds until the loop's thread can
let go of it (see `snapshot`).
"""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import sys
from collections.abc import Iterator
from contextvars import Context
from types import (
    AsyncGeneratorType,
    BuiltinMethodType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodDescriptorType,
    MethodType,
)
from typing import Any

from ..locks import Barrier, Event, Lock
from ..timeouts import Timeout
from ..waitlines import ConditionCore, LockCore, QueueCore, SemaphoreCore, Turn

Entry = tuple[str, str, int]  # qualified name of the function, its file, line

DEEPEST = 1000
"""Frames of one stack."""

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_OWN = (_PACKAGE, os.path.dirname(asyncio.__file__) + os.sep)
# Not shown: how a future is awaited, and how one looks at it. (A compiled module's frames name its file relative to
# where it was built.)
_ENGINE = os.path.join("cede", "engine", "")
_OBSERVE = os.path.dirname(__file__) + os.sep

LOCKS = (LockCore, asyncio.Lock)
SEMAPHORES = (SemaphoreCore, asyncio.Semaphore)
CONDITIONS = (ConditionCore, asyncio.Condition)
QUEUES = (QueueCore, asyncio.Queue)
EVENTS = (Event, asyncio.Event)
BARRIERS = (Barrier, asyncio.Barrier)
TIMEOUTS = (Timeout, asyncio.Timeout)
RESOURCES = LOCKS + SEMAPHORES + CONDITIONS + QUEUES + EVENTS + BARRIERS

_PREFIXES = {CoroutineType: "cr_", AsyncGeneratorType: "ag_", GeneratorType: "gi_"}
# What stands between a coroutine and the one that it awaits, and tells of neither but to the collector.
_WRAPPERS = ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper", "anext_awaitable")
_ACQUIRE = Lock.acquire.__code__
_FUNCTIONS = (FunctionType, MethodDescriptorType, BuiltinMethodType)


class Look:
    """What was seen of one task."""

    def __init__(self) -> None:
        self.stack: list[Entry] = []  # innermost first
        self.running = False  # True iff its coroutine is on a thread's stack
        self.what = ""  # what it waits for, in a word or two; "" while it does not wait
        self.resource: Any = None  # the lock, queue, … that it waits for
        self.name = ""  # what the program calls that resource, if it can be seen
        self.held: list[Any] = []  # the locks in whose `async with` it is
        self.limited = False  # whether a timeout will end the wait


def look_at(task: Any, top: FrameType | None, things: list[Any]) -> Look:
    """Return what a task does; `top` is the innermost frame of the thread that runs its loop."""
    look = Look()
    coro = task.get_coro()
    things.append(coro)
    look.running = is_running(coro) and top is not None
    links = list(_chain(coro, things))
    if look.running:
        assert top is not None
        look.stack = _running_stack(_attribute(coro, "frame"), top, things)
        look.held = [lock for link, _ in links for lock in _held_in(link, things, look)]
        return look
    frames = [frame for _, frame in links if frame is not None and _ENGINE not in frame.f_code.co_filename]
    turn = links[-1][0] if links and isinstance(links[-1][0], Turn) else None
    look.stack = [entry(frame) for frame in reversed(frames)]
    own = _own_part(frames)
    if turn is not None:
        look.stack.insert(0, _entry_of_turn(turn))
        look.resource = turn._core
        look.what = type(look.resource).__name__
    else:
        _read_wait(look, own)
    things.append(look.resource)
    if look.resource is not None and len(frames) > len(own):
        look.name = _name_of(look.resource, frames[len(frames) - len(own) - 1])
    look.held = _without_the_wanted([lock for link, _ in links for lock in _held_in(link, things, look)], look, own)
    return look


def entry(frame: FrameType) -> Entry:
    """Describe a frame."""
    code = frame.f_code
    return code.co_qualname, code.co_filename, frame.f_lineno or 0


# --- The coroutines, from the outermost in ------------------------------------------------------


def _chain(coro: Any, things: list[Any]) -> Iterator[tuple[Any, FrameType | None]]:
    """Yield each coroutine, or what else is awaited on the way, with its frame if it has one."""
    for _ in range(DEEPEST):
        if coro is None:
            return
        frame = _attribute(coro, "frame")
        inner = _attribute(coro, "await") or _attribute(coro, "yieldfrom")
        things += (frame, inner)
        yield coro, frame
        if inner is None and type(coro).__name__ in _WRAPPERS:
            inner = _wrapped(coro, things)
        coro = inner


def _attribute(coro: Any, name: str) -> Any:
    """Return `cr_name`, `ag_name` or `gi_name` of a coroutine, an asynchronous generator or a generator, else None."""
    prefix = _PREFIXES.get(type(coro))
    if prefix is not None:
        return getattr(coro, prefix + name, None)
    # Compiled coroutines, of Cython's.
    return getattr(coro, f"cr_{name}", None) if type(coro).__name__ == "coroutine" else None


def _wrapped(wrapper: Any, things: list[Any]) -> Any:
    found = gc.get_referents(wrapper)
    things += found
    return next((thing for thing in found if type(thing) in _PREFIXES or type(thing).__name__ in _WRAPPERS), None)


def _running_stack(outermost: FrameType | None, top: FrameType, things: list[Any]) -> list[Entry]:
    """Return the frames from `top` out to the coroutine's own; none but that one if `top` is not inside it."""
    things.append(outermost)
    stack: list[Entry] = []
    for frame in frames_from(top, things):
        if _is_shown(frame.f_code):
            stack.append(entry(frame))
        if frame is outermost:
            return stack
    return [] if outermost is None else [entry(outermost)]


def is_own(file: str) -> bool:
    """Tell whether a file is one of cede's or of asyncio's."""
    return file.startswith(_OWN) or _ENGINE in file


def entered_in(coro: Any, manager: Any) -> FrameType | None:
    """Return the frame of a suspended coroutine in whose `async with` of `manager` it is; else its innermost, or None.

    To be called in the thread of the coroutine's loop.
    """
    found = None
    for link, frame in _chain(coro, []):
        if frame is None or is_own(frame.f_code.co_filename):
            continue
        found = frame
        for thing in gc.get_referents(link) if type(link) in _PREFIXES else ():
            if getattr(thing, "__self__", None) is manager and type(thing) in (MethodType, BuiltinMethodType):
                return frame
    return found


def frames_from(top: FrameType | None, things: list[Any]) -> Iterator[FrameType]:
    """Yield the frames of a thread, innermost first."""
    frame = top
    for _ in range(DEEPEST):
        if frame is None:
            return
        things.append(frame)
        yield frame
        frame = frame.f_back


def stack_outside_tasks(top: FrameType | None, things: list[Any]) -> list[Entry]:
    """Return what a loop's thread does where no task runs: the frames from `top` out to those that run the loop."""
    stack: list[Entry] = []
    for frame in frames_from(top, things):
        if runs_loop(frame.f_code):
            return stack
        if _is_shown(frame.f_code):
            stack.append(entry(frame))
    return stack


def runs_loop(code: CodeType) -> bool:
    """Tell whether a function is one of those that run a loop: beyond it is the program that called `run`."""
    return code.co_name in _RUNNERS and is_own(code.co_filename)


def is_running(coro: Any) -> bool:
    """Tell whether a coroutine is on a thread's stack."""
    return bool(_attribute(coro, "running"))


_RUNNERS = ("run", "run_until_complete", "run_forever", "_run_once", "_turn")


def _is_shown(code: CodeType) -> bool:
    return _ENGINE not in code.co_filename and not code.co_filename.startswith(_OBSERVE)


# --- What it waits for --------------------------------------------------------------------------


def _own_part(frames: list[FrameType]) -> list[FrameType]:
    """Return the innermost frames that are cede's or asyncio's: those behind what the program called."""
    count = 0
    while count < len(frames) and frames[-1 - count].f_code.co_filename.startswith(_OWN):
        count += 1
    return frames[len(frames) - count :]


def _read_wait(look: Look, own: list[FrameType]) -> None:
    """Note what a task waits for, by the functions of asyncio's API that it is in."""
    for frame in own:
        code = frame.f_code
        # Up to 3.12 these references stay with the frame; it is ours, and keeps the same objects itself.
        owner = frame.f_locals.get("self") if code.co_varnames[:1] == ("self",) else None
        if owner is None or not issubclass(type(owner), RESOURCES):
            continue
        look.resource = owner
        verb = "" if issubclass(type(owner), LOCKS + SEMAPHORES) else f".{code.co_name}"
        look.what = f"{type(owner).__name__}{verb}"
        if issubclass(type(owner), QUEUES + BARRIERS):
            return  # what these are made of is nobody's business
    if own and look.resource is None:
        look.what = _words_of(own[0])


def _words_of(frame: FrameType) -> str:
    name = frame.f_code.co_qualname
    if name == "sleep":
        delay = frame.f_locals.get("delay")
        return f"sleep({delay:g})" if type(delay) in (int, float) else name
    if name == "to_thread":
        return f"to_thread({callable_name(frame.f_locals.get('func'))})"
    return name


def callable_name(func: Any) -> str:
    """Return what a callable is called, without asking it; of a partial, or one run in a context, the inner one."""
    while type(func) is functools.partial:
        runs_it = type(getattr(func.func, "__self__", None)) is Context and func.args
        func = func.args[0] if runs_it else func.func
    if type(func) is MethodType:
        func = func.__func__
    if type(func) in _FUNCTIONS:
        return str(func.__qualname__)
    return func.__qualname__ if isinstance(func, type) else type(func).__qualname__


def _entry_of_turn(turn: Any) -> Entry:
    """Describe a wait that makes no coroutine where cede is compiled as the one that is made where it is not."""
    return f"{type(turn._core).__name__}.acquire", _ACQUIRE.co_filename, _ACQUIRE.co_firstlineno


def _name_of(resource: Any, frame: FrameType) -> str:
    """Return how the function that waits may call a resource: `LOCK`, `self.lock`; "" if that cannot be seen."""
    for name, value in list(frame.f_globals.items()):
        if value is resource:
            return str(name)
    if sys.version_info < (3, 13):
        return ""  # asking would make the frame keep what its variables hold now
    owner = None
    for name, value in frame.f_locals.items():
        if value is resource:
            return str(name)
        if name == "self":
            owner = value
    try:
        attributes = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return ""
    if type(attributes) is not dict:  # a property of the program's own
        return ""
    return next((f"self.{name}" for name, value in list(attributes.items()) if value is resource), "")


# --- What it holds ------------------------------------------------------------------------------


def _held_in(coro: Any, things: list[Any], look: Look) -> Iterator[Any]:
    """Yield the locks whose `async with` a coroutine is in: their `__aexit__` lies on its stack, for when it leaves.

    One that it is about to enter is among them. Of a timeout it is noted that there is one.
    """
    if type(coro) not in _PREFIXES:
        return
    found = gc.get_referents(coro)
    things += found
    for place, thing in enumerate(found):
        owner: Any = None
        if type(thing) is MethodType and type(thing.__func__) in _FUNCTIONS and thing.__name__ == "__aexit__":
            owner = thing.__self__
        elif type(thing) in _FUNCTIONS and thing.__name__ == "__aexit__":
            # Compiled it is bound to the lock; since Python 3.14 the two lie there one after the other.
            owner = getattr(thing, "__self__", None) or found[min(place + 1, len(found) - 1)]
        if issubclass(type(owner), TIMEOUTS):
            look.limited = look.limited or owner._when is not None
        if issubclass(type(owner), CONDITIONS):
            owner = owner._lock
            things.append(owner)
        if issubclass(type(owner), LOCKS + SEMAPHORES):
            yield owner


def _without_the_wanted(held: list[Any], look: Look, own: list[FrameType]) -> list[Any]:
    """Leave out once what the task is only about to enter, and what it gives back while it waits for a condition."""
    wanted = look.resource
    if issubclass(type(wanted), CONDITIONS):
        wanted = wanted._lock
    else:
        names = [frame.f_code.co_name for frame in own]
        if "acquire" in names and "__aenter__" not in names:
            return held
    for place, lock in enumerate(held):
        if lock is wanted:
            return held[:place] + held[place + 1 :]
    return held
