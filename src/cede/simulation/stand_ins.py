"""Stand-ins: locks and queues of Python's own, where those of C cannot be exchanged.

On builds of CPython that `inplace` does not know, free-threaded ones among them, a world puts these in place of
`threading.Lock`, `threading.RLock` and `queue.SimpleQueue`. So what is made in a world is captured, and everything that
`threading` and `queue` make of it; locks that were made before a world began are waited for in real time.
"""

from __future__ import annotations

import queue
import threading
from _thread import allocate_lock, get_ident
from typing import Any

from . import current
from .waits import acquire_in_world, release_in_world


class WorldLock:
    """`threading.Lock`, in a world."""

    __slots__ = ("__weakref__", "_real")

    def __init__(self) -> None:
        self._real = allocate_lock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return acquire_in_world(self._real, type(self._real).acquire, blocking, timeout)

    def release(self) -> None:
        release_in_world(self._real, type(self._real).release)

    def locked(self) -> bool:
        return self._real.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._real = allocate_lock()


class WorldRLock(WorldLock):
    """`threading.RLock`, in a world."""

    __slots__ = ("_count", "_owner")

    def __init__(self) -> None:
        super().__init__()
        self._owner: int | None = None
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self._owner == get_ident():
            self._count += 1
            return True
        got = super().acquire(blocking, timeout)
        if got:
            self._owner, self._count = get_ident(), 1
        return got

    def release(self) -> None:
        if self._owner != get_ident():
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if not self._count:
            self._owner = None
            super().release()

    # What a Condition does with it.

    def _is_owned(self) -> bool:
        return self._owner == get_ident()

    def _release_save(self) -> Any:
        state, self._count, self._owner = (self._count, self._owner), 0, None
        super().release()
        return state

    def _acquire_restore(self, state: Any) -> None:
        super().acquire()
        self._count, self._owner = state


def captured() -> list[tuple[Any, str, Any]]:
    """Return what is to be put in place of the real machine's: (owner, attribute, replacement)."""

    def by_host(real: Any, ours: Any) -> Any:
        return lambda *args, **kwargs: real(*args, **kwargs) if current.host() is None else ours(*args, **kwargs)

    in_python = vars(queue)["_PySimpleQueue"]
    lock, r_lock = by_host(threading.Lock, WorldLock), by_host(threading.RLock, WorldRLock)
    return [
        (threading, "Lock", lock),
        (threading, "_allocate_lock", lock),
        (threading, "RLock", r_lock),
        (queue, "SimpleQueue", by_host(queue.SimpleQueue, in_python)),
    ]
