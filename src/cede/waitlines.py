"""What locks and queues do without suspending: who waits in which line, and who is next. Compiled.

The law of waiting, written once: **whoever wakes a waiter takes it out of the line**, and a waiter
that was woken and cannot use its turn passes it on. So a line holds only those who still wait, and
those who were cancelled and not yet cleared away; waking is O(1), and so is cancelling, however
long the line and in whatever order.

The classes people use derive from these, in `locks` and `queues`: there stand the coroutines, which
alone can wait.
"""

from __future__ import annotations

import threading
from asyncio.queues import QueueEmpty, QueueFull
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .engine import await_slots, native, waited
from .engine.awaitables import Done, Waiting
from .engine.futures import Future, new_future, number_of_current
from .engine.running import get_running_loop

try:
    from asyncio.queues import QueueShutDown  # type: ignore[attr-defined]  # Python 3.13 and later
except ImportError:

    class QueueShutDown(Exception):
        """Raised when putting on to or getting from a shut-down Queue."""


if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from asyncio import Future as Waiter
    from collections.abc import Coroutine

_binding = threading.Lock()
_PENDING = 0  # of `engine.futures`
_BITS = waited.BITS
_LOCK, _SEMAPHORE, _CONDITION = waited.LOCK, waited.SEMAPHORE, waited.CONDITION
_QUEUE_GET, _QUEUE_PUT = waited.QUEUE_GET, waited.QUEUE_PUT
_SPARSE = 32  # places that may stand empty at the head of a line before it moves up

# The states of a Lock.
_FREE = "unlocked"  # nobody holds it and nobody waits
_HELD = "locked"  # acquired and not yet released
_PROMISED = "promised"  # released, and its next holder is woken but has not run yet

# The storage of a plain Queue, without a search for the method each time.
_append: Any = deque.append
_popleft: Any = deque.popleft

_NOTHING: Any = object()  # what `_take_item` returns if there is no item
_nothing = _NOTHING  # the same, as a variable of C

_THERE: Any = Done(None)  # what awaiting gives when there is nothing to wait for; one for all


class WaitLine:
    """Those who wait, first come first served: futures, each awaited by one task.

    `append` puts one in line. A waiter that was cancelled calls `leave`; it may stay in the line
    for a while, where `wake_next` steps over it.
    """

    def __init__(self) -> None:
        """Begin with nobody in line."""
        self._places: list[Any] = []  # the futures in order; None where one was taken out
        self._head = 0  # where the first who waits stands; before it nobody does
        self._left = 0  # an upper bound of how many in the line have left

    def __len__(self) -> int:
        return len(self._places) - self._head

    def __iter__(self) -> Iterator[Waiter[Any]]:
        return iter([waiter for waiter in self._places if waiter is not None])

    def __getitem__(self, index: int) -> Waiter[Any]:
        return [*self][index]

    def append(self, waiter: Waiter[Any]) -> None:
        """Put a pending future of cede's at the end of the line."""
        if not isinstance(waiter, Future):
            raise TypeError(f"a future of cede's waits here (loop.create_future() makes one), not {waiter!r}")
        self._places.append(waiter)

    # asyncio: there lines are deques, and classes that people derive use them so.

    def popleft(self) -> Waiter[Any]:
        """Take out the first without waking it. IndexError if the line is empty."""
        while self._head < len(self._places):
            waiter: Any = native.take(self._places, self._head)
            self._head += 1
            if self._head == len(self._places) or (self._head >= _SPARSE and self._head * 2 > len(self._places)):
                del self._places[: self._head]
                self._head = 0
            if waiter is not None:
                return waiter
        raise IndexError("pop from an empty deque")

    def remove(self, waiter: Waiter[Any]) -> None:
        """Take out a waiter, wherever it stands. ValueError if it does not."""
        del self._places[self._places.index(waiter, self._head)]
        if self._head == len(self._places):
            self.clear()

    def clear(self) -> None:
        """Take out everyone, and wake nobody."""
        native.clear(self._places)
        self._head = 0
        self._left = 0

    def pending(self) -> int:
        """Return how many are neither woken nor cancelled."""
        return sum(waiter is not None and not waiter.done() for waiter in self._places)

    def wake_next(self) -> bool:
        """Take out and wake the first who still waits. Return False if nobody does."""
        return self._wake_next()

    def _wake_next(self) -> bool:
        while self._head < len(self._places):
            waiter = native.take(self._places, self._head)
            self._head += 1
            if self._head == len(self._places):
                native.clear(self._places)
                self._head = 0
            elif self._head >= _SPARSE and self._head * 2 > len(self._places):
                del self._places[: self._head]
                self._head = 0
            if waiter is not None and waiter._phase == _PENDING:
                waiter._resolve(None)
                return True
        return False

    def wake_all(self) -> None:
        """Take out and wake everyone who still waits."""
        places = self._places
        count = len(places)
        for waiter in places[self._head :]:
            if waiter is not None and waiter._phase == _PENDING:
                waiter._resolve(None)
        # Order: an interrupt before this leaves in the line whom it kept from being woken.
        del places[:count]
        self._head = 0
        self._left = 0

    def leave(self, waiter: Waiter[Any]) -> None:
        """Take out a waiter that will not use its turn. It may have been taken out already.

        Amortized O(1): one in the middle stays until half of the line has left.
        """
        self._leave(waiter)

    def _leave(self, waiter: Waiter[Any]) -> None:
        places = self._places
        if not places:
            return
        if places[-1] is waiter:
            places.pop()
        elif not waiter.done():
            # Its coroutine was closed, or got an exception thrown in by hand: nothing marks it as gone.
            for index in range(self._head, len(places)):
                if places[index] is waiter:
                    places[index] = None
        else:
            self._left += 1
        if self._left * 2 > len(places) - self._head:
            self._clear_away()

    def _clear_away(self) -> None:
        self._places = [waiter for waiter in self._places if waiter is not None and not waiter.done()]
        self._head = 0
        self._left = 0

    def waiting(self) -> int:
        """Return how many wait."""
        return sum(waiter is not None and not waiter.cancelled() for waiter in self._places)


class LoopBound:
    """An object that belongs to the loop in which it first had to wait."""

    _engine: Any  # that loop, if it is one of cede's and somebody had to wait; else None

    def _get_loop(self) -> AbstractEventLoop:
        """Return the running loop. RuntimeError if there is none, or if this object belongs to another."""
        loop = get_running_loop()
        if loop is not self._loop:
            self._bind(loop)
        return loop

    def _bind(self, loop: AbstractEventLoop) -> None:
        with _binding:  # two threads with a loop each may come at the same time
            if self._loop is None:
                self._loop = loop
        if loop is not self._loop:
            raise RuntimeError(f"{self!r} is bound to a different event loop")

    def _stand_in(self, line: WaitLine, what: int) -> Waiter[Any]:
        """Return a new future of the running loop, which stands in `line`; the errors are those of `_get_loop`."""
        return self._new_place(line, what)

    def _new_place(self, line: WaitLine, what: int) -> Waiter[Any]:
        loop = get_running_loop()
        if loop is not self._loop:
            self._bind(loop)
        waiter: Any = new_future(loop)
        self._engine = waiter._engine
        if self._resource == 0:
            self._resource = waited.next_resource()
        waiter._noted = what << _BITS | self._resource
        line._places.append(waiter)
        return waiter


# The loop, or None until somebody has to wait; and the number that it has in recordings, 0 until then.
native.declare(LoopBound, {"_loop": None, "_engine": None, "_resource": 0})


def _is_recorded(thing: LoopBound) -> bool:
    """Whether somebody waited on a loop that records what it does."""
    return thing._engine is not None and thing._engine._ring is not None


class TurnCore(LoopBound):
    """What people take and give back, one after the other, but for the waiting of `acquire`."""

    _waiters: WaitLine | None  # made when somebody has to wait
    _what: int  # of `engine.waited`: what it is that one waits for
    _plain: bool  # whether the class has the `release` that is here
    _wakes: bool  # whether it has a way of its own to wake the next
    _taken_by: int  # the number of the task that took it last by `acquire`, or had to wait; 0: not known

    def _take(self) -> bool:
        """Take it if that needs no waiting."""
        if not self._take_now():
            return False
        self._taken_by = number_of_current()
        return True

    def _take_now(self) -> bool:
        raise NotImplementedError

    def _take_place(self) -> Waiter[Any]:
        if self._waiters is None:
            self._waiters = WaitLine()
        return self._new_place(self._waiters, self._what)

    def _note_holding(self, lets_go: bool) -> None:
        """Let the recording, which there is, know that a task has it after all, or gives it to one who waits."""
        self._engine._ring._hold(lets_go, self._what, self._number_of_current(), self._resource)

    def _number_of_current(self) -> int:
        """The number of the task that takes a step on the loop where somebody had to wait; 0 on one of another kind."""
        if self._engine is None or self._engine._entered is None:
            return 0
        return self._engine._entered._identity()

    def _arrive(self) -> None:
        """Take what was promised to the waiter."""
        raise NotImplementedError

    def _give_up(self, waiter: Waiter[Any]) -> None:
        """The one who waited will not take it."""
        raise NotImplementedError

    def _release(self) -> None:
        """What `release` does."""
        raise NotImplementedError

    # Compiled, these make no coroutine; `locks` says where they are not used.

    def _turn(self) -> Coroutine[Any, Any, None]:
        """Return a coroutine that waits for one's turn and takes it."""
        return self._new_turn()

    def _new_turn(self) -> Turn:
        turn = native.fresh(Turn)
        turn._core = self
        return turn

    def __aenter__(self) -> Any:
        if not self._take_now():
            return self._new_turn()
        self._taken_by = 0  # who is in an `async with` is seen by its coroutine
        return _THERE

    def __aexit__(self, exc_type: Any, exc: Any, tb: Any) -> Any:
        if self._plain:
            self._release()
        else:
            self.release()
        return _THERE


native.declare(TurnCore, {"_taken_by": 0})


class Turn(Waiting):
    """Waits until one can take what a TurnCore gives, and takes it."""

    _core: TurnCore

    def _begin(self) -> Waiter[Any] | None:
        return None if self._core._take_now() else self._core._take_place()

    def _end(self) -> None:
        self._core._arrive()
        self._core._taken_by = self._core._number_of_current()

    def _give_up(self, future: Waiter[Any]) -> None:
        self._core._give_up(future)

    def __del__(self) -> None:
        if self._future is not None:
            self.close()  # as a coroutine is that is dropped


native.keep_memory(Turn)
await_slots.install_end(Turn)


class LockCore(TurnCore):
    """A Lock but for the waiting."""

    def __init__(self) -> None:
        """Begin unlocked."""
        self._what = _LOCK
        self._plain = bool(self._is_plain)
        self._wakes = not self._plain and bool(self._is_waking)
        self._state = _FREE
        self._waiters: WaitLine | None = None  # Invariant: nobody waits while the state is _FREE

    def locked(self) -> bool:
        """Return True if the lock is held."""
        return self._state is _HELD

    def release(self) -> None:
        """Let the next who waits have the lock. RuntimeError if it is not held."""
        self._release()

    def _release(self) -> None:
        if self._state is not _HELD:
            raise RuntimeError("Lock is not acquired.")
        self._hand_over()

    def _hand_over(self) -> None:
        if self._wakes:
            self._hand_over_by_name()
        else:
            self._state = _PROMISED if self._waiters is not None and self._waiters._wake_next() else _FREE
        if self._state is _PROMISED and _is_recorded(self):
            self._note_holding(True)

    def _hand_over_by_name(self) -> None:
        line = self._waiters
        waiting = 0 if line is None else line.pending()
        self._state = _FREE
        self._wake_up_first()
        if line is not None and line.pending() < waiting:
            self._state = _PROMISED

    # asyncio: what `release` calls there; subclasses call it, or have their own.
    def _wake_up_first(self) -> None:
        """Promise a lock that nobody holds to the first who waits."""
        if self._state is _FREE and self._waiters is not None and self._waiters._wake_next():
            self._state = _PROMISED

    def _be_held(self, held: bool) -> None:
        """Hold the lock, or hold it no longer, without a look at who waits."""
        self._state = _HELD if held else _FREE
        self._taken_by = 0

    def _take_now(self) -> bool:
        if self._state is not _FREE:
            return False
        self._state = _HELD
        return True

    def _arrive(self) -> None:
        assert self._state is _PROMISED or self._wakes
        self._state = _HELD
        if _is_recorded(self):
            self._note_holding(False)

    def _give_up(self, waiter: Waiter[Any]) -> None:
        if waiter.done() and not waiter.cancelled():
            self._hand_over()
        else:
            self._waiters._leave(waiter)


class ConditionCore(LoopBound):
    """A Condition but for the waiting."""

    def __init__(self, plain: LockCore | None) -> None:
        """Begin with nobody waiting; `plain` is the lock, if it is a Lock and no more."""
        self._plain = plain  # the lock, if it is a Lock and no more; else None
        self._waiters = WaitLine()

    def _step_back(self) -> Waiter[Any]:
        """Release the lock and stand in line. RuntimeError if it is not held."""
        plain = self._plain
        if not (self.locked() if plain is None else plain._state is _HELD):
            raise RuntimeError("cannot wait on un-acquired lock")
        self._get_loop()  # before anything is released
        if plain is None:
            self.release()
        else:
            plain._hand_over()
        return self._new_place(self._waiters, _CONDITION)

    def _retake(self) -> bool:
        """Take the lock again, if that needs no waiting."""
        return self._plain is not None and self._plain._take()

    def _turn_with_lock(self) -> Coroutine[Any, Any, Any]:
        """Return a coroutine that waits for the lock and takes it."""
        return self.acquire() if self._plain is None else self._plain._turn()


class SemaphoreCore(TurnCore):
    """A Semaphore but for the waiting."""

    def __init__(self, value: Any) -> None:
        """Begin with `value` free places. ValueError if it is negative."""
        self._what = _SEMAPHORE
        self._plain = bool(self._is_plain)
        self._wakes = not self._plain and bool(self._is_waking)
        self._value = value
        self._promised = 0  # how many were woken, with a share of their own, and have not run yet
        # Invariant: while `_value` is above zero somebody waits only if `_promised` is too.
        self._waiters: WaitLine | None = None

    def locked(self) -> bool:
        """Return True if `acquire` would have to wait."""
        return self._promised > 0 or self._value == 0

    def release(self) -> None:
        """Raise the counter, and wake the first who waits."""
        self._release()

    def _release(self) -> None:
        if self._wakes:
            self._value += 1
            self._wake_by_name()
        elif self._waiters is not None and self._waiters._wake_next():
            self._promised += 1
            if _is_recorded(self):
                self._note_holding(True)
        else:
            self._value += 1

    def _wake_by_name(self) -> bool:
        line = self._waiters
        waiting = 0 if line is None else line.pending()
        promised = self._promised
        woken: bool = self._wake_up_next()
        if line is not None:
            self._promised = promised + max(waiting - line.pending(), 0)
        return woken

    # asyncio: what `release` calls there; subclasses call it, or have their own.
    def _wake_up_next(self) -> bool:
        """Give the first who waits a share, of which there is one. Return False if nobody waits."""
        if self._waiters is None or not self._waiters._wake_next():
            return False
        self._value -= 1
        self._promised += 1
        return True

    def _take_now(self) -> bool:
        if self._promised or self._value <= 0:
            return False
        self._value -= 1
        return True

    def _arrive(self) -> None:
        if self._promised > 0:  # else a class of somebody's woke it behind our back
            self._promised -= 1
        if _is_recorded(self):
            self._note_holding(False)
        if self._value > 0:
            self._share_out()  # to those who had to queue behind this task

    def _give_up(self, waiter: Waiter[Any]) -> None:
        if waiter.done() and not waiter.cancelled():
            if self._promised > 0:
                self._promised -= 1
            self._value += 1
            self._share_out()
        else:
            self._waiters._leave(waiter)

    def _share_out(self) -> None:
        """Wake as many as the counter allows."""
        if self._wakes:
            while self._value > 0 and self._wake_by_name():
                pass
            return
        while self._value > 0 and self._waiters is not None and self._waiters._wake_next():
            self._value -= 1
            self._promised += 1


class QueueCore(LoopBound):
    """A Queue but for the waiting and the storing."""

    def __init__(self, maxsize: int = 0) -> None:
        """Begin empty; `maxsize` items are room for, any number if it is not above zero."""
        self._maxsize = maxsize
        self._getters = WaitLine()
        self._putters = WaitLine()
        self._unfinished_tasks = 0  # items put and not yet reported done
        self._all_done: Any = None  # the Event that join() waits for until the next time the count is zero
        self._is_shutdown = False
        self._plain = bool(self._is_plain)  # whether the class has the policy of Queue
        self._fifo = bool(self._is_fifo)  # whether it also has its storage, and its way to wake the next
        self._wakes = not self._fifo and bool(self._is_waking)  # whether it has another way to wake the next
        self._init(maxsize)

    def qsize(self) -> int:
        """Return how many items are in the queue."""
        return len(self._queue)

    def empty(self) -> bool:
        """Return True if there is no item."""
        return not self._queue

    def full(self) -> bool:
        """Return True if there is no room; never if the size is not limited."""
        return 0 < self._maxsize <= self.qsize()

    def put_nowait(self, item: Any) -> None:
        """Put an item into the queue. QueueFull if there is no room, QueueShutDown if it is shut down."""
        if self._is_shutdown:
            raise QueueShutDown
        if self.full():
            raise QueueFull
        self._store(item)

    def get_nowait(self) -> Any:
        """Take out an item and return it. QueueEmpty if there is none, QueueShutDown if none will come."""
        if self.empty():
            if self._is_shutdown:
                raise QueueShutDown
            raise QueueEmpty
        return self._fetch()

    def _put_item(self, item: Any) -> bool:
        """Put an item if there is room; the errors are those of `put`."""
        if not self._plain:
            if self.full():
                if self._is_shutdown:
                    raise QueueShutDown
                return False
            self.put_nowait(item)
            return True
        if self._is_shutdown:
            raise QueueShutDown
        if 0 < self._maxsize <= len(self._queue):
            return False
        self._store(item)
        return True

    def _take_item(self) -> Any:
        """Take out an item and return it, _NOTHING if there is none; the errors are those of `get`."""
        if not self._plain:
            if not self.empty():
                return self.get_nowait()
        elif self._queue:
            return self._fetch()
        if self._is_shutdown:
            raise QueueShutDown
        return _nothing

    def _store(self, item: Any) -> None:
        if self._fifo:
            _append(self._queue, item)
        else:
            self._put(item)
        self._unfinished_tasks += 1
        if self._wakes:
            self._wakeup_next(self._getters)
        elif self._getters._places:
            self._getters._wake_next()

    def _fetch(self) -> Any:
        item = _popleft(self._queue) if self._fifo else self._get()
        if self._wakes:
            self._wakeup_next(self._putters)
        elif self._putters._places:
            self._putters._wake_next()
        return item

    # asyncio: what wakes a getter or a putter there; subclasses call it, or have their own.
    def _wakeup_next(self, waiters: Any) -> None:
        """Wake the first who waits in a line: `_getters`, `_putters`, or a deque of the caller's own."""
        if isinstance(waiters, WaitLine):
            waiters.wake_next()
            return
        while waiters:
            waiter = waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break

    def _wait_for_room(self) -> Waiter[Any]:
        return self._new_place(self._putters, _QUEUE_PUT)

    def _wait_for_item(self) -> Waiter[Any]:
        return self._new_place(self._getters, _QUEUE_GET)

    def _give_up_putting(self, waiter: Waiter[Any]) -> None:
        if not waiter.done() or waiter.cancelled():
            self._putters._leave(waiter)
        elif not self.full():
            self._wakeup_next(self._putters)

    def _give_up_getting(self, waiter: Waiter[Any]) -> None:
        if not waiter.done() or waiter.cancelled():
            self._getters._leave(waiter)
        elif not self.empty():
            self._wakeup_next(self._getters)

    def task_done(self) -> None:
        """Report that the work on an item that was taken out is done.

        ValueError if more are reported than were put in.
        """
        if self._unfinished_tasks <= 0:
            raise ValueError("task_done() called too many times")
        self._unfinished_tasks -= 1
        if self._unfinished_tasks == 0:
            self._finish()

    def _finish(self) -> None:
        if self._all_done is not None:
            self._all_done.set()
            self._all_done = None

    def shutdown(self, immediate: bool = False) -> None:
        """Let the queue take no more items: `put` raises QueueShutDown, and so does `get` when it is empty.

        With `immediate` what is in it is dropped, and counts as done. Everyone who waits is woken.
        """
        self._is_shutdown = True
        if immediate:
            while not self.empty():
                self._get()
                if self._unfinished_tasks > 0:
                    self._unfinished_tasks -= 1
            if self._unfinished_tasks == 0:
                self._finish()
        self._getters.wake_all()
        self._putters.wake_all()


native.sign(globals())
