"""Blocking waits of threads in a world: locks, re-entrant locks and simple queues, whose classes are C's.

Everything else that threads wait for (conditions, events, semaphores, `queue.Queue`, `Future.result`) is made of these
in Python. The methods are exchanged in the classes themselves, so locks made long before the world are captured as
well.

A lock that was taken outside of the world, by a thread of the real machine, is waited for in real time, a few seconds.
"""

from __future__ import annotations

from _queue import Empty, SimpleQueue
from _thread import LockType, RLock
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from . import current, inplace
from .errors import SimulationError
from .threads import PATIENCE


@cache
def methods() -> list[tuple[type, str, Any]]:
    """Return (class, name, replacement) of all that is to be exchanged; nothing where that is not possible."""
    if not inplace.works():
        return []
    return [*_of_lock(LockType), *_of_lock(RLock), *_of_condition(), *_of_queue()]


def acquire_in_world(lock: Any, real_acquire: Callable[..., bool], blocking: bool, timeout: float) -> bool:
    """Take a lock, as its `acquire` does, and wait for it in the world if need be."""
    host = current.host()
    if host is None or not blocking or (timeout < 0 and timeout != -1):
        return real_acquire(lock, blocking, timeout)
    threads = host.world.threads
    if not real_acquire(lock, False):
        if id(lock) not in threads.held:
            return _wait_for_real(lock, real_acquire, timeout)
        if not threads.wait_for(lock, lambda: real_acquire(lock, False), None if timeout == -1 else timeout):
            return False
    threads.held.add(id(lock))
    return True


def release_in_world(lock: Any, real_release: Callable[..., None]) -> None:
    """Let go of a lock, and let who waits for it in the world go on."""
    real_release(lock)
    host = current.host()
    if host is not None:
        threads = host.world.threads
        threads.held.discard(id(lock))
        threads.is_free(lock)


def _of_lock(kind: type) -> Iterator[tuple[type, str, Any]]:
    real_acquire: Callable[..., bool] = vars(kind)["acquire"]
    real_release: Callable[..., None] = vars(kind)["release"]

    def acquire(self: Any, blocking: bool = True, timeout: float = -1) -> bool:
        return acquire_in_world(self, real_acquire, blocking, timeout)

    def release(self: Any) -> None:
        release_in_world(self, real_release)

    def enter(self: Any) -> bool:
        return acquire(self)

    def leave(self: Any, *exc_info: object) -> None:
        release(self)

    replacements = {
        "acquire": acquire,
        "acquire_lock": acquire,
        "__enter__": enter,
        "release": release,
        "release_lock": release,
        "__exit__": leave,
    }
    for name, replacement in replacements.items():
        if name in vars(kind):
            yield kind, name, replacement


def _wait_for_real(lock: Any, real_acquire: Callable[..., bool], timeout: float) -> bool:
    patience = PATIENCE if timeout == -1 else min(timeout, PATIENCE)
    if real_acquire(lock, True, patience):
        return True
    if timeout != -1:
        return False
    raise SimulationError(
        f"a thread of the world has waited for {PATIENCE:g} real seconds for {lock!r}, which was taken before the "
        "world began or by a thread outside of it: nobody in the world can release it"
    )


def _of_condition() -> Iterator[tuple[type, str, Any]]:
    """What a Condition does with its re-entrant lock: let go of it however often it is taken, and take it as often."""
    real_acquire, real_release = vars(RLock)["acquire"], vars(RLock)["release"]
    real_save, real_restore = vars(RLock)["_release_save"], vars(RLock)["_acquire_restore"]

    def save(self: Any) -> Any:
        state = real_save(self)
        host = current.host()
        if host is not None:
            host.world.threads.held.discard(id(self))
            host.world.threads.is_free(self)
        return state

    def restore(self: Any, state: Any) -> None:
        host = current.host()
        if host is not None:
            threads = host.world.threads
            if not real_acquire(self, False):
                threads.wait_for(self, lambda: real_acquire(self, False), None)
            real_release(self)
            threads.held.add(id(self))
        real_restore(self, state)

    yield RLock, "_release_save", save
    yield RLock, "_acquire_restore", restore


def _of_queue() -> Iterator[tuple[type, str, Any]]:
    real_put, real_get = vars(SimpleQueue)["put"], vars(SimpleQueue)["get"]

    def put(self: Any, item: Any, block: bool = True, timeout: float | None = None) -> None:
        real_put(self, item, block, timeout)
        host = current.host()
        if host is not None:
            host.world.threads.is_free(self)

    def get(self: Any, block: bool = True, timeout: float | None = None) -> Any:
        host = current.host()
        if host is None or not block or (timeout is not None and timeout < 0):
            return real_get(self, block, timeout)
        try:
            return real_get(self, False)
        except Empty:
            pass
        if not host.world.threads.wait_for(self, lambda: not self.empty(), timeout):
            raise Empty
        return real_get(self, False)

    yield SimpleQueue, "put", put
    yield SimpleQueue, "put_nowait", lambda self, item: put(self, item)
    yield SimpleQueue, "get", get
