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

from .copying import Copied
from .locks import Event
from .waitlines import _NOTHING, QueueCore

if TYPE_CHECKING:

    class QueueShutDown(Exception): ...

else:
    from .waitlines import QueueShutDown

__all__ = ("Queue", "PriorityQueue", "LifoQueue", "QueueFull", "QueueEmpty", "QueueShutDown")

T = TypeVar("T")

# What a subclass may change; one that does takes the road through its own methods.
_POLICY = {"empty", "full", "qsize", "get_nowait", "put_nowait"}
_STORAGE = {"_init", "_put", "_get", "_wakeup_next"}

if TYPE_CHECKING:

    class _Base(QueueCore, Generic[T]): ...

else:

    class _Base(QueueCore):
        __class_getitem__ = classmethod(GenericAlias)


class Queue(Copied, _Base[T]):
    """A first in, first out queue of at most `maxsize` items; without limit if that is zero or less.

    Subclasses may store the items differently by overriding `_init`, `_put` and `_get`.
    """

    _is_plain = True  # True iff the class has the _POLICY that is here
    _is_fifo = True  # True iff it has the _STORAGE that is here
    _is_waking = False  # True iff it has a `_wakeup_next` of its own

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Of its own, or of another class that it derives from.
        cls._is_plain = all(getattr(cls, name) is getattr(Queue, name) for name in _POLICY)
        cls._is_fifo = all(getattr(cls, name) is getattr(Queue, name) for name in _STORAGE)
        cls._is_waking = cls._wakeup_next is not Queue._wakeup_next

    _TOLD = ("_loop", "_maxsize", "_queue", "_unfinished_tasks", "_is_shutdown")

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)

    def _begin_again(self, told: dict[str, Any]) -> None:
        Queue.__init__(self, told["_maxsize"])

    # --- The storage: for subclasses ------------------------------------------------------------

    def _init(self, maxsize: int) -> None:
        self._queue: Any = deque()

    def _get(self) -> T:
        return self._queue.popleft()

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

    @property
    def maxsize(self) -> int:
        """How many items may be in the queue; no limit if zero or less."""
        return self._maxsize

    if TYPE_CHECKING:

        def put_nowait(self, item: T) -> None: ...
        def get_nowait(self) -> T: ...

    # --- Waiting --------------------------------------------------------------------------------

    async def put(self, item: T) -> None:
        """Put an item into the queue, waiting for room. QueueShutDown once the queue is shut down."""
        while not self._put_item(item):
            waiter = self._wait_for_room()
            try:
                await waiter
            except BaseException:
                self._give_up_putting(waiter)
                raise

    async def get(self) -> T:
        """Take out an item and return it, waiting for one.

        QueueShutDown once the queue is shut down and empty.
        """
        while (item := self._take_item()) is _NOTHING:
            waiter = self._wait_for_item()
            try:
                await waiter
            except BaseException:
                self._give_up_getting(waiter)
                raise
        return item

    async def join(self) -> None:
        """Wait until every item that was put in has been reported done."""
        await self._finished.wait()

    # asyncio: subclasses that put items in by roads of their own clear it and set it.
    @property
    def _finished(self) -> _Finished:
        return _Finished(self)


class _Finished:
    """The Event that asyncio's queues keep: set while no item is unfinished."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def is_set(self) -> bool:
        return self._queue._unfinished_tasks <= 0

    def clear(self) -> None:
        """Do nothing: the count of items says it."""

    def set(self) -> None:
        """Wake all who wait in `join`."""
        self._queue._finish()

    async def wait(self) -> bool:
        queue = self._queue
        if queue._unfinished_tasks > 0:
            if queue._all_done is None:
                queue._all_done = Event()
            await queue._all_done.wait()
        return True


class PriorityQueue(Queue[T]):
    """A queue that gives the lowest item first; items are compared, often tuples `(priority, data)`."""

    def _init(self, maxsize: int) -> None:
        self._queue = []

    def _put(self, item: T) -> None:
        heapq.heappush(self._queue, item)

    def _get(self) -> T:
        return heapq.heappop(self._queue)


class LifoQueue(Queue[T]):
    """A queue that gives the item put last first."""

    def _init(self, maxsize: int) -> None:
        self._queue = []

    def _put(self, item: T) -> None:
        self._queue.append(item)

    def _get(self) -> T:
        return self._queue.pop()
