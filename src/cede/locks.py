"""Lock, Event, Condition, Semaphore and Barrier for tasks. Not for threads.

The road without contention makes no future and suspends nothing; it is `waitlines`, compiled. Here is the
waiting: first come first served, in a `WaitLine`. A release hands over to the first in line, and
who comes later cannot overtake, even in the turn between the handing over and the waking up.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .copying import Copied
from .engine.waited import BARRIER, EVENT
from .exceptions import BrokenBarrierError, CancelledError
from .waitlines import ConditionCore, LockCore, LoopBound, SemaphoreCore, WaitLine

__all__ = ("Lock", "Event", "Condition", "Semaphore", "BoundedSemaphore", "Barrier")

T = TypeVar("T")

# Compiled, the cores wait, enter and leave without making a coroutine; interpreted, one is quicker.
_INTERPRETED = isinstance(LockCore.release, FunctionType)

# The states of a Barrier.
_FILLING = "filling"  # tasks arrive and wait
_DRAINING = "draining"  # all have arrived and are leaving; newcomers wait for the next round
_RESETTING = "resetting"  # reset() was called; those who waited are leaving with BrokenBarrierError
_BROKEN = "broken"  # abort() was called; everyone gets BrokenBarrierError until reset()


class _ContextManagerMixin:
    """Enters and leaves by whatever `acquire` and `release` the class has."""

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.release()


def _describe(obj: object, state: str, waiters: WaitLine | None) -> str:
    waiting = waiters.waiting() if waiters else 0
    return f"<{object.__repr__(obj)[1:-1]} [{state}{f', waiters:{waiting}' if waiting else ''}]>"


class _Acquirable:
    """The waiting that Lock and Semaphore share."""

    _is_plain = True  # True iff the class has its core's `release`, and its way to wake the next
    _is_waking = False  # True iff it has a way of its own to wake the next

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if _Acquirable in cls.__bases__:
            return  # Lock and Semaphore themselves
        # What a class has of its own, or of another that it derives from, is what `async with` goes by.
        cls._is_waking = _wakes(cls) not in (LockCore._wake_up_first, SemaphoreCore._wake_up_next)
        cls._is_plain = not cls._is_waking and cls.release in (LockCore.release, SemaphoreCore.release)
        if cls.acquire not in (Lock.acquire, Semaphore.acquire) and cls.__aenter__ in _SHORT_CUTS:
            cls.__aenter__ = _ContextManagerMixin.__aenter__  # type: ignore

    if _INTERPRETED or TYPE_CHECKING:

        async def __aenter__(self) -> None:
            if not self._take():
                await self._turn()

        async def __aexit__(
            self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
        ) -> None:
            self.release()

        async def _turn(self: Any) -> None:
            if self._take():
                return
            waiter = self._take_place()
            try:
                await waiter
            except BaseException:
                self._give_up(waiter)
                raise
            self._arrive()
            self._taken_by = self._number_of_current()


def _wakes(cls: Any) -> Any:
    """What a class of locks or semaphores wakes the next by."""
    return cls._wake_up_first if issubclass(cls, LockCore) else cls._wake_up_next


class Lock(Copied, _Acquirable, LockCore):
    """A mutual exclusion lock for tasks. Any task may release it.

    Fair: those who wait get it in the order in which they asked.
    """

    _TOLD = ("_loop", "_locked")

    def __init__(self) -> None:
        super().__init__()

    def _begin_again(self, told: dict[str, Any]) -> None:
        Lock.__init__(self)

    def __repr__(self) -> str:
        return _describe(self, "locked" if self.locked() else "unlocked", self._waiters)

    # asyncio: subclasses with an `acquire` or a `release` of their own read it and set it.
    @property
    def _locked(self) -> bool:
        return self.locked()

    @_locked.setter
    def _locked(self, held: bool) -> None:
        self._be_held(held)

    async def acquire(self) -> bool:
        """Wait until the lock is free, take it and return True."""
        if not self._take():
            await self._turn()
        return True


class Event(Copied, LoopBound):
    """A flag that tasks wait for."""

    def __init__(self) -> None:
        self._value = False
        self._waiters: WaitLine | None = None  # made when somebody has to wait

    def _begin_again(self, told: dict[str, Any]) -> None:
        Event.__init__(self)

    def __repr__(self) -> str:
        return _describe(self, "set" if self._value else "unset", self._waiters)

    def is_set(self) -> bool:
        """Return True if the flag is set."""
        return self._value

    def set(self) -> None:
        """Set the flag and wake everyone who waits for it, even if it is cleared before they run."""
        self._value = True
        if self._waiters is not None:
            self._waiters.wake_all()

    def clear(self) -> None:
        """Clear the flag: from now on `wait` waits."""
        self._value = False

    async def wait(self) -> bool:
        """Wait until the flag is set; return True."""
        if self._value:
            return True
        if self._waiters is None:
            self._waiters = WaitLine()
        waiter = self._stand_in(self._waiters, EVENT)
        try:
            await waiter
        except BaseException:
            self._waiters.leave(waiter)
            raise
        return True


class _LockLike(Protocol):
    def locked(self) -> bool: ...
    async def acquire(self) -> bool: ...
    def release(self) -> None: ...


class Condition(Copied, _ContextManagerMixin, ConditionCore):
    """A condition variable: tasks that hold a lock wait for what other tasks do under the same lock.

    `lock` is a Lock (or behaves like one); without it the condition makes its own.
    """

    def __init__(self, lock: _LockLike | None = None) -> None:
        self._lock: _LockLike = Lock() if lock is None else lock
        # The lock's own methods are the condition's.
        self.locked = self._lock.locked
        self.acquire = self._lock.acquire
        self.release = self._lock.release
        super().__init__(self._lock if type(self._lock) is Lock else None)

    _TOLD = ("_loop", "_lock")

    def _begin_again(self, told: dict[str, Any]) -> None:
        Condition.__init__(self, told["_lock"])

    def __repr__(self) -> str:
        return _describe(self, "locked" if self.locked() else "unlocked", self._waiters)

    async def wait(self) -> bool:
        """Release the lock, wait until notified, take the lock again and return True.

        RuntimeError if the lock is not held. It may return without a `notify`: test again what you
        wait for. The lock is held when this ends, however it ends; cancelled or not.
        """
        waiter = self._step_back()
        try:
            try:
                await waiter
            finally:
                if not self._retake():
                    await self._take_again()
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self._waiters.wake_next()  # this task was notified and cannot act on it
            else:
                self._waiters.leave(waiter)
            raise
        return True

    async def _take_again(self) -> None:
        """Acquire the lock in spite of being cancelled, then raise the last CancelledError."""
        cancelled = None
        while True:
            try:
                await self._turn_with_lock()
                break
            except CancelledError as exc:
                cancelled = exc
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                cancelled = None  # break the cycle with its traceback

    async def wait_for(self, predicate: Callable[[], T]) -> T:
        """Wait until `predicate()` is true; return its value. It is called with the lock held."""
        while not (result := predicate()):
            await self.wait()
        return result

    def notify(self, n: int = 1) -> None:
        """Wake `n` of those who wait, or all if they are fewer. RuntimeError if the lock is not held.

        They run on when they get the lock, which the caller still has to release.
        """
        if not self.locked():
            raise RuntimeError("cannot notify on un-acquired lock")
        while n > 0 and self._waiters.wake_next():
            n -= 1

    def notify_all(self) -> None:
        """Wake everyone who waits. RuntimeError if the lock is not held."""
        self.notify(len(self._waiters))


class Semaphore(Copied, _Acquirable, SemaphoreCore):
    """A counter that `acquire` lowers, waiting while it is zero, and `release` raises.

    `value` is where it starts; ValueError if that is negative. Fair, as Lock is.
    """

    def __init__(self, value: int = 1) -> None:
        if value < 0:
            raise ValueError("Semaphore initial value must be >= 0")
        super().__init__(value)

    _TOLD = ("_loop", "_value")

    def _begin_again(self, told: dict[str, Any]) -> None:
        Semaphore.__init__(self, told["_value"])

    def __repr__(self) -> str:
        state = "locked" if self.locked() else f"unlocked, value:{self._value}"
        return _describe(self, state, self._waiters)

    async def acquire(self) -> bool:
        """Lower the counter, waiting while it is zero; return True."""
        if not self._take():
            await self._turn()
        return True


_SHORT_CUTS = (Lock.__aenter__, Semaphore.__aenter__)  # what enters without calling `acquire`


class BoundedSemaphore(Semaphore):
    """A semaphore that cannot be released more often than it was acquired: ValueError."""

    def __init__(self, value: int = 1) -> None:
        self._bound_value = value
        super().__init__(value)

    def release(self) -> None:
        """Raise the counter. ValueError if that lifts it above where it started."""
        if self._value >= self._bound_value:
            raise ValueError("BoundedSemaphore released too many times")
        super().release()


class Barrier(Copied, LoopBound):
    """Lets tasks wait for each other: `wait` returns when `parties` tasks have called it, then starts anew."""

    def __init__(self, parties: int) -> None:
        if parties < 1:
            raise ValueError("parties must be >= 1")
        self._parties = parties
        self._state = _FILLING
        self._count = 0  # tasks inside: arrived in this round and not yet gone
        self._arrived = WaitLine()  # those who wait for the round to be full
        self._outside = WaitLine()  # those who wait for the last round to be gone

    _TOLD = ("_loop", "_parties", "_state")

    def _begin_again(self, told: dict[str, Any]) -> None:
        Barrier.__init__(self, told["_parties"])

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
        super().__setstate__(state)
        # They are told apart by identity, which a pickle does not keep.
        self._state = _BROKEN if self._state == _BROKEN else _FILLING

    def __repr__(self) -> str:
        state = self._state if self.broken else f"{self._state}, waiters:{self.n_waiting}/{self.parties}"
        return _describe(self, state, None)

    async def __aenter__(self) -> int:
        return await self.wait()

    async def __aexit__(self, *args: object) -> None:
        pass

    async def wait(self) -> int:
        """Wait until all parties have arrived; return this task's number, from 0 on in order of arrival.

        BrokenBarrierError if the barrier is aborted, or reset while this task waits.
        """
        while self._state in (_DRAINING, _RESETTING):
            await self._wait_in(self._outside)
        if self._state is _BROKEN:
            raise BrokenBarrierError("Barrier aborted")
        index = self._count
        self._count += 1
        try:
            if self._count == self._parties:
                self._state = _DRAINING
                self._arrived.wake_all()
                return index
            while self._state is _FILLING:
                await self._wait_in(self._arrived)
            if self._state is not _DRAINING:
                raise BrokenBarrierError("Abort or reset of barrier")
            return index
        finally:
            self._count -= 1
            if self._count == 0:
                self._open_again()

    async def _wait_in(self, line: WaitLine) -> None:
        waiter = self._stand_in(line, BARRIER)
        try:
            await waiter
        except BaseException:
            line.leave(waiter)
            raise

    def _open_again(self) -> None:
        """Begin the next round when the last task of this one is gone."""
        if self._state is not _BROKEN:
            self._state = _FILLING
        self._outside.wake_all()

    async def reset(self) -> None:
        """Begin anew: those who wait get BrokenBarrierError. Mends a broken barrier."""
        if self._count > 0:
            self._state = _RESETTING
            self._arrived.wake_all()
        else:
            self._state = _FILLING
            self._outside.wake_all()

    async def abort(self) -> None:
        """Break the barrier: those who wait, and whoever comes until `reset`, get BrokenBarrierError."""
        self._state = _BROKEN
        self._arrived.wake_all()
        self._outside.wake_all()

    @property
    def parties(self) -> int:
        """How many tasks it takes."""
        return self._parties

    @property
    def n_waiting(self) -> int:
        """How many tasks wait for the rest."""
        return self._count if self._state is _FILLING else 0

    @property
    def broken(self) -> bool:
        """True if it was aborted and not reset."""
        return self._state is _BROKEN
