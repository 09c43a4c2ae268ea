"""TimerHeap: the timers that wait, the next deadline on top.

A binary heap in a list, in which each handle knows its own place. So cancelling takes a timer out
at once, in O(log n): a million cancelled timers cost no memory, and nothing needs sweeping.

Invariant: `heap[i]._place == i` for each i, and no entry comes before its parent `(i - 1) // 2`.
Ties of deadlines go by `_order`, so equal deadlines run in the order in which they were asked for.
"""


from .handles import Timers


class TimerHeap(Timers):
    """The handles that wait for their deadline."""

    def __init__(self):
        self._heap = []
        self._asked = 0  # how many timers were ever added; the source of `_order`

    def __len__(self):
        return len(self._heap)

    def add(self, handle):
        """Put a TimerHandle in, by its `_deadline`."""
        self._add(handle)

    def _add(self, handle):
        self._asked += 1
        handle._order = self._asked
        handle._heap = self
        self._heap.append(handle)
        self._rise(handle, len(self._heap) - 1)

    def discard(self, handle):
        """Take a handle out; nothing happens if it is not in."""
        self._discard(handle)

    def _discard(self, handle):
        heap = self._heap
        place = handle._place
        if place < 0 or place >= len(heap) or heap[place] is not handle:
            return
        handle._place = -1
        handle._heap = None
        last = heap.pop()
        if last is not handle:
            # Order: the last entry fills the gap; it may belong above it or below it.
            self._rise(last, place)
            if last._place == place:
                self._sink(last, place)

    def next_deadline(self):
        """Return the earliest deadline, or infinity if no timer waits."""
        return self._next_deadline()

    def _next_deadline(self):
        heap = self._heap
        if not heap:
            return _INFINITY
        handle = heap[0]
        return handle._deadline

    def pop_due(self, limit, ready):
        """Move each timer whose deadline is before `limit` to the list `ready`, earliest first."""
        self._pop_due(limit, ready)

    def _pop_due(self, limit, ready):
        heap = self._heap
        while heap:
            handle = heap[0]
            if handle._deadline >= limit:
                break
            self._discard(handle)
            ready.append(handle)

    def clear(self):
        """Forget every timer."""
        self._clear()

    def _clear(self):
        for handle in self._heap:
            handle._place = -1
            handle._heap = None
        self._heap.clear()

    def _rise(self, handle, place):
        heap = self._heap
        while place > 0:
            parent = heap[(place - 1) >> 1]
            if parent._deadline < handle._deadline or (
                parent._deadline == handle._deadline and parent._order < handle._order
            ):
                break
            heap[place] = parent
            parent._place = place
            place = (place - 1) >> 1
        heap[place] = handle
        handle._place = place

    def _sink(self, handle, place):
        heap = self._heap
        size = len(heap)
        child_place = 2 * place + 1
        while child_place < size:
            child = heap[child_place]
            if child_place + 1 < size:
                sibling = heap[child_place + 1]
                if sibling._deadline < child._deadline or (
                    sibling._deadline == child._deadline and sibling._order < child._order
                ):
                    child = sibling
                    child_place += 1
            if handle._deadline < child._deadline or (
                handle._deadline == child._deadline and handle._order < child._order
            ):
                break
            heap[place] = child
            child._place = place
            place = child_place
            child_place = 2 * place + 1
        heap[place] = handle
        handle._place = place


_INFINITY = float("inf")
