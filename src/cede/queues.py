"""Queue, PriorityQueue, LifoQueue: items that tasks hand to each other. Not for threads.

Putting where there is room and getting where there is an item make no future and suspend nothing.
A woken getter does not own the item yet: whoever comes first takes it, and the other waits again.
"""

from __future__ import annotations

import heapq
from asyncio.queues import QueueEmpty, QueueFull
from collections import deque
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .locks import Event
from .mixins import WaitLine, _LoopBoundMixin

try:
    from asyncio.queues import QueueShutDown  # type: ignore[attr-defined]  # Python 3.13 and later
except ImportError:

    class QueueShutDown(Exception):  # type: ignore[no-redef]
        """Raised when putting on to or getting from a shut-down Queue."""


__all__ = ("Queue", "PriorityQueue", "LifoQueue", "QueueFull", "QueueEmpty", "QueueShutDown")

T = TypeVar("T")

# What a subclass may change beyond its storage; one that does takes the road through its own methods.
_POLICY = {"empty", "full", "qsize", "get_nowait", "put_nowait"}

if TYPE_CHECKING:

    class _Base(_LoopBoundMixin, Generic[T]): ...

else:

    class _Base(_LoopBoundMixin):
        __class_getitem__ = classmethod(GenericAlias)


class Queue(_Base[T]):
    """A first in, first out queue of at most `maxsize` items; without limit if that is zero or less.

    Subclasses may store the items differently by overriding `_init`, `_put` and `_get`.
    """

    _plain = True  # True iff the class overrides none of _POLICY

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if _POLICY & cls.__dict__.keys():
            cls._plain = False

    def __init__(self, maxsize: int = 0) -> None:
        self._maxsize = maxsize
        self._getters = WaitLine()
        self._putters = WaitLine()
        self._unfinished_tasks = 0  # items put and not yet reported done
        self._all_done: Event | None = None  # what join() waits for until the next time the count is zero
        self._is_shutdown = False
        self._init(maxsize)

    # --- The storage: for subclasses ------------------------------------------------------------

    def _init(self, maxsize: int) -> None:
        self._queue: Any = deque()

    def _get(self) -> T:
        return self._queue.popleft()  # type: ignore[no-any-return]

    def _put(self, item: T) -> None:
        self._queue.append(item)

    # --- What it is -----------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} {self._format()}>"

    def __str__(self) -> str:
        return f"<{type(self).__name__} {self._format()}>"

    def _format(self) -> str:
        words = [f"maxsize={self._maxsize!r}"]
        if getattr(self, "_queue", None):
            words.append(f"_queue={list(self._queue)!r}")
        if self._getters:
            words.append(f"_getters[{len(self._getters)}]")
        if self._putters:
            words.append(f"_putters[{len(self._putters)}]")
        if self._unfinished_tasks:
            words.append(f"tasks={self._unfinished_tasks}")
        if self._is_shutdown:
            words.append("shutdown")
        return " ".join(words)

    def qsize(self) -> int:
        """Return how many items are in the queue."""
        return len(self._queue)

    @property
    def maxsize(self) -> int:
        """How many items may be in the queue; no limit if zero or less."""
        return self._maxsize

    def empty(self) -> bool:
        """Return True if there is no item."""
        return not self._queue

    def full(self) -> bool:
        """Return True if there is no room; never if the size is not limited."""
        return 0 < self._maxsize <= self.qsize()

    # --- Putting --------------------------------------------------------------------------------

    async def put(self, item: T) -> None:
        """Put an item into the queue, waiting for room. QueueShutDown once the queue is shut down."""
        plain = self._plain
        maxsize = self._maxsize
        while (0 < maxsize <= len(self._queue)) if plain else self.full():
            if self._is_shutdown:
                raise QueueShutDown
            putter = self._new_waiter()
            self._putters.append(putter)
            try:
                await putter
            except BaseException:
                if not putter.done() or putter.cancelled():
                    self._putters.leave(putter)
                elif not self.full():
                    self._putters.wake_next()
                raise
        if not plain:
            return self.put_nowait(item)
        if self._is_shutdown:
            raise QueueShutDown
        self._put(item)
        self._unfinished_tasks += 1
        if self._getters:
            self._getters.wake_next()

    def put_nowait(self, item: T) -> None:
        """Put an item into the queue. QueueFull if there is no room, QueueShutDown if it is shut down."""
        if self._is_shutdown:
            raise QueueShutDown
        if self.full():
            raise QueueFull
        self._put(item)
        self._unfinished_tasks += 1
        if self._getters:
            self._getters.wake_next()

    # --- Getting --------------------------------------------------------------------------------

    async def get(self) -> T:
        """Take out an item and return it, waiting for one.

        QueueShutDown once the queue is shut down and empty.
        """
        plain = self._plain
        while not self._queue if plain else self.empty():
            if self._is_shutdown:
                raise QueueShutDown
            getter = self._new_waiter()
            self._getters.append(getter)
            try:
                await getter
            except BaseException:
                if not getter.done() or getter.cancelled():
                    self._getters.leave(getter)
                elif not self.empty():
                    self._getters.wake_next()
                raise
        if not plain:
            return self.get_nowait()
        item = self._get()
        if self._putters:
            self._putters.wake_next()
        return item

    def get_nowait(self) -> T:
        """Take out an item and return it. QueueEmpty if there is none, QueueShutDown if none will come."""
        if self.empty():
            if self._is_shutdown:
                raise QueueShutDown
            raise QueueEmpty
        item = self._get()
        if self._putters:
            self._putters.wake_next()
        return item

    # --- Being done -----------------------------------------------------------------------------

    def task_done(self) -> None:
        """Report that the work on an item that was taken out is done.

        ValueError if more are reported than were put in.
        """
        if self._unfinished_tasks <= 0:
            raise ValueError("task_done() called too many times")
        self._unfinished_tasks -= 1
        if self._unfinished_tasks == 0:
            self._finish()

    async def join(self) -> None:
        """Wait until every item that was put in has been reported done."""
        if self._unfinished_tasks > 0:
            if self._all_done is None:
                self._all_done = Event()
            await self._all_done.wait()

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


class PriorityQueue(Queue[T]):
    """A queue that gives the lowest item first; items are compared, often tuples `(priority, data)`."""

    def _init(self, maxsize: int) -> None:
        self._queue = []

    def _put(self, item: T) -> None:
        heapq.heappush(self._queue, item)

    def _get(self) -> T:
        return heapq.heappop(self._queue)  # type: ignore[no-any-return]


class LifoQueue(Queue[T]):
    """A queue that gives the item put last first."""

    def _init(self, maxsize: int) -> None:
        self._queue = []

    def _put(self, item: T) -> None:
        self._queue.append(item)

    def _get(self) -> T:
        return self._queue.pop()  # type: ignore[no-any-return]
