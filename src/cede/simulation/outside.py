"""Outside: what a world captures of the process it runs in, and gives back.

Time, chance and sockets are the world's for the threads that belong to it, and nobody else's: everything put in place
here asks `current.host()` first and does the real thing for other threads.

A function of C is exchanged *in place* where the build of CPython allows it (`inplace`): so a `from time import
monotonic` done long before sees it too. The module's attribute is exchanged where that fails; `uncaptured()` then says
what is missed.

Law: importing this changes nothing, and a world that ended, in whatever way, has put everything back.
"""

from __future__ import annotations

import asyncio
import datetime
import gc
import os
import queue
import random
import select
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, lru_cache
from types import ModuleType
from typing import Any

from ..engine import own_calls
from . import current, in_order, inplace, loops, other_loops, seeding, stand_ins, threads, waits
from .children import refusals
from .undo import Undo

_one_world = threading.Lock()

# What programs call to ask for the time: (name in `time`, is it the wall clock's, is it in nanoseconds).
_CLOCKS = (
    ("time", True, False),
    ("time_ns", True, True),
    ("monotonic", False, False),
    ("monotonic_ns", False, True),
    ("perf_counter", False, False),
    ("perf_counter_ns", False, True),
    ("process_time", False, False),
    ("process_time_ns", False, True),
    ("thread_time", False, False),
    ("thread_time_ns", False, True),
)


@contextmanager
def captured(seed: int) -> Iterator[None]:
    """Capture time, chance, sockets and the collector of cycles for a world; give all of it back at the end.

    RuntimeError if another world runs in this process.
    """
    from .captures import captured as of_sockets

    if not _one_world.acquire(blocking=False):
        raise RuntimeError("a world runs in this process already: one ends before the next begins")
    with ExitStack() as stack:
        stack.callback(_one_world.release)
        stack.callback(current.clear)  # an interrupt may have come just when a host had been entered
        stack.enter_context(seeding.generators_of_libraries(seed))  # Order: while they are not put aside
        stack.enter_context(_collector())
        places = _imported_by_name(len(sys.modules))
        in_place, as_attributes = _functions()
        undo = Undo()
        stack.callback(undo.all)
        for exchange in in_place:
            exchange.put()
            undo.callback(exchange.put_back)
        for owner, name, replacement in (
            *as_attributes,
            *_clocks_by_number(),
            *_names_of_uuid(),
            *threads.captured(),
            *in_order.captured(),
            *loops.captured(),
            *of_sockets(),
        ):
            _put(undo, owner, name, replacement, places)
        if not inplace.works():
            for owner, name, replacement in stand_ins.captured():
                _put(undo, owner, name, replacement, places)
        else:
            for owner, name, replacement in (*_methods_of_datetime(), *waits.methods()):
                undo.callback(inplace.exchange_in_type(owner, name, replacement))
        stack.enter_context(seeding.module_random())
        stack.enter_context(other_loops.refused())
        if "ssl" in sys.modules:
            from .tls import captured as of_tls

            stack.enter_context(seeding.openssl())
            for owner, name, replacement in of_tls():
                _put(undo, owner, name, replacement, places)
        yield


@cache
def _functions() -> tuple[list[inplace.Exchange], list[tuple[Any, str, Any]]]:
    """Return what is exchanged in place, and what is exchanged as an attribute of its module."""
    from .captures import on_paths

    wanted: list[tuple[Any, str, Callable[[Any], Any]]] = [
        (time, name, _clock_reader(wall, nanoseconds)) for name, wall, nanoseconds in _CLOCKS
    ]
    wanted += [(time, name, _calendar) for name in ("gmtime", "localtime", "ctime")]
    wanted += [(time, "strftime", _written_time), (time, "asctime", _written_time)]
    wanted += [(time, "sleep", _sleep), (os, "urandom", seeding.urandom)]
    wanted += [(random, name, seeding.of_shared(name)) for name in ("random", "getrandbits")]
    if hasattr(os, "getrandom"):
        wanted.append((os, "getrandom", seeding.getrandom))
    wanted += [(os, name, replacement) for name, replacement in (*on_paths(), *refusals())]
    in_place, as_attributes = [], []
    for module, name, replacement in wanted:
        function = getattr(module, name)
        if inplace.can_exchange(function):
            in_place.append(inplace.Exchange(function, replacement))
        else:
            as_attributes.append((module, name, replacement(function)))
    for name in ("sleep", "remove", "stat"):
        if not any(exchange.function is getattr(own_calls, name) for exchange in in_place):
            as_attributes += [(own_calls, name, ours) for _, taken, ours in as_attributes if taken == name]
    return in_place, as_attributes


def _names_of_uuid() -> list[tuple[Any, str, Any]]:
    # uuid1 would ask the machine for its address and libuuid for the time; without that, it asks `time` and `random`.
    return [(uuid, "_generate_time_safe", None), (uuid, "_last_timestamp", None), (uuid, "_node", 0x02_00_00_00_00_01)]


Places = dict[int, list[tuple[dict[str, Any], str]]]  # {id of a function: [(namespace of a module, name)]}


def _put(undo: Undo, owner: Any, name: str, replacement: Any, places: Places) -> None:
    """Put an attribute in place until all is undone, also where modules have imported it by name."""
    before = undo.put(owner, name, replacement)
    if callable(before) and type(owner) is ModuleType and owner is not own_calls:
        for namespace, other in places.get(id(before), ()):
            if namespace.get(other) is before:
                namespace[other] = replacement
                undo.callback(namespace.__setitem__, other, before)


# Modules whose functions programs import by name, and which may be exchanged as attributes.
_OWNERS = (time, os, socket, select, signal, asyncio, random, threading, queue)
# Who has the real ones: the engine and we, and the interpreter where it imports.
_APART = ("cede.engine.", "cede.simulation.", "cede._", "posix", "importlib.", "_frozen_importlib")


@lru_cache(maxsize=1)
def _imported_by_name(modules: int) -> Places:
    """Return where functions are that were imported from such modules: {id: [(namespace of a module, name)]}.

    Looked for again only when there are more `modules`, as it takes long.
    """
    wanted = {id(value) for owner in _OWNERS for value in vars(owner).values() if callable(value)}
    found: Places = {}
    for module in list(sys.modules.values()):
        if type(module) is not ModuleType or module.__name__.startswith(_APART):
            continue
        namespace = vars(module)
        for name, value in list(namespace.items()):
            if id(value) in wanted and not name.startswith("__"):
                found.setdefault(id(value), []).append((namespace, name))
    return found


def uncaptured() -> list[str]:
    """Return, in words, what this build of the interpreter does not let be captured; empty where all is."""
    if inplace.works():
        return []
    return [
        "functions of `time`, `os` and `random` kept by other means than a name of a module (in a class, in a default)",
        "datetime.datetime.now and utcnow, datetime.date.today",
        "locks and simple queues made before the world began: threads wait for these in real time",
    ]


# --- Time ------------------------------------------------------------------------------------------


def _clock_reader(wall: bool, nanoseconds: bool) -> Callable[[Any], Callable[[], Any]]:
    host_of = current.host

    def for_real(real: Callable[[], Any]) -> Callable[[], Any]:
        def read() -> Any:
            host = host_of()
            if host is None:
                return real()
            seconds = host.wall() if wall else host.clock.time()
            return int(seconds * 1e9) if nanoseconds else seconds

        return read

    return for_real


def _calendar(real: Callable[..., Any]) -> Callable[..., Any]:
    """What `gmtime` and its like are: without an argument they take the time that it is."""

    def calendar(seconds: float | None = None, /) -> Any:
        host = current.host()
        return real(seconds) if host is None or seconds is not None else real(host.wall())

    return calendar


def _written_time(real: Callable[..., str]) -> Callable[..., str]:
    def written(*args: Any) -> str:
        host = current.host()
        if host is not None and len(args) == (1 if real.__name__ == "strftime" else 0):
            args = (*args, time.localtime(host.wall()))
        return real(*args)

    return written


@cache
def _clocks_by_number() -> list[tuple[Any, str, Any]]:
    # Not in place: the engine measures itself by one of them.
    names = [name for name in ("clock_gettime", "clock_gettime_ns") if hasattr(time, name)]
    return [(time, name, _clock_by_number(getattr(time, name))) for name in names]


def _clock_by_number(real: Callable[[int], Any]) -> Callable[[int], Any]:
    def read(clock: int, /) -> Any:
        host = current.host()
        if host is None:
            return real(clock)
        seconds = host.wall() if clock == time.CLOCK_REALTIME else host.clock.time()
        return int(seconds * 1e9) if real.__name__ == "clock_gettime_ns" else seconds

    return read


def _sleep(real: Callable[[float], None]) -> Callable[[float], None]:
    def sleep(seconds: float, /) -> None:
        host = current.host()
        if host is None or not seconds >= 0:  # the real one says what is wrong
            real(seconds)
        else:
            host.sleep(float(seconds))

    return sleep


@cache
def _methods_of_datetime() -> list[tuple[type, str, Any]]:
    real_now, real_utcnow = vars(datetime.datetime)["now"], vars(datetime.datetime)["utcnow"]
    real_today = vars(datetime.date)["today"]

    def now(cls: Any, tz: Any = None) -> Any:
        host = current.host()
        return real_now.__get__(None, cls)(tz) if host is None else cls.fromtimestamp(host.wall(), tz)

    def utcnow(cls: Any) -> Any:
        host = current.host()
        if host is None:
            return real_utcnow.__get__(None, cls)()
        return cls.fromtimestamp(host.wall(), datetime.UTC).replace(tzinfo=None)

    def today(cls: Any) -> Any:
        host = current.host()
        return real_today.__get__(None, cls)() if host is None else cls.fromtimestamp(host.wall())

    return [
        (datetime.datetime, "now", classmethod(now)),
        (datetime.datetime, "utcnow", classmethod(utcnow)),
        (datetime.date, "today", classmethod(today)),
    ]


# --- The collector of cycles -----------------------------------------------------------------------


@contextmanager
def _collector() -> Iterator[None]:
    """Let cycles be collected when the world says so only: finalizers are events too.

    What is there already is put aside meanwhile, so garbage of before does not end in this world, and collecting what
    the world made takes no time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        with put_aside():
            yield
    finally:
        if enabled:
            gc.enable()


_is_put_aside = False


@contextmanager
def put_aside() -> Iterator[None]:
    """Have nothing of what is there looked through by the collector meanwhile. Inside of another one: collect only.

    Around many worlds: then what one of them leaves is collected before the next one begins.
    """
    global _is_put_aside
    # What the program has frozen itself is no longer so afterwards. (Python 3.12 begins with something frozen.)
    outermost, _is_put_aside = not _is_put_aside, True
    if outermost:
        gc.freeze()
    else:
        gc.collect()
    try:
        yield
    finally:
        gc.collect()
        if outermost:
            gc.unfreeze()
            _is_put_aside = False
