"""TimerHeap: the timers that wait, the earliest on top.

A pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986), whose links are fields of the handles: each
has its first child, its next sibling, and before it its left sibling or, for a first child, its parent.
Adding is one comparison. Cancelling unlinks: at once, usually without looking at any other timer, so a
million cancelled timeouts cost neither memory nor sweeping. Only taking out the earliest one has
to find its successor among its children, in O(log n) amortised.

Invariant: no handle comes before its parent. Equal deadlines go by `_order`, so they run in the order
in which they were asked for.
"""

from .handles import Timers

_INFINITY = float("inf")


class TimerHeap(Timers):
    """The handles that wait for their deadline."""

    def __init__(self):
        self._first = None  # the earliest TimerHandle, the root; None if no timer waits
        self._count = 0
        self._asked = 0  # how many timers were ever added; the source of `_order`

    def __len__(self):
        return self._count

    def add(self, handle):
        """Put a TimerHandle in, by its `_deadline`."""
        self._add(handle)

    def _add(self, handle):
        self._asked += 1
        handle._order = self._asked
        handle._heap = self
        self._count += 1
        self._first = handle if self._first is None else self._meld(self._first, handle)

    def discard(self, handle):
        """Take a handle out; nothing happens if it is not in."""
        self._discard(handle)

    def _discard(self, handle):
        if handle._heap is not self:
            return
        children = handle._child
        if handle is self._first:
            self._first = None
        else:
            self._unlink(handle)
        handle._heap = None
        handle._child = None
        self._count -= 1
        if children is not None:
            heap = self._meld_siblings(children)
            self._first = heap if self._first is None else self._meld(self._first, heap)

    def next_deadline(self):
        """Return the earliest deadline, or infinity if no timer waits."""
        return self._next_deadline()

    def _next_deadline(self):
        first = self._first
        if first is None:
            return _INFINITY
        return first._deadline

    def pop_due(self, limit, ready):
        """Move each timer whose deadline is before `limit` to the list `ready`, earliest first."""
        self._pop_due(limit, ready)

    def _pop_due(self, limit, ready):
        first = self._first
        while first is not None and first._deadline < limit:
            self._discard(first)
            ready.append(first)
            first = self._first

    def waiting(self):
        """Return the handles that wait, in no order."""
        found = []
        level = [] if self._first is None else [self._first]
        while level:
            handle = level.pop()
            found.append(handle)
            if handle._child is not None:
                level.append(handle._child)
            if handle._next is not None:
                level.append(handle._next)
        return found

    def clear(self):
        """Forget every timer."""
        self._clear()

    def _clear(self):
        waiting = [] if self._first is None else [self._first]
        self._first = None
        self._count = 0
        while waiting:
            handle = waiting.pop()
            if handle._child is not None:
                waiting.append(handle._child)
            if handle._next is not None:
                waiting.append(handle._next)
            handle._heap = handle._child = handle._next = handle._before = None

    # --- Links --------------------------------------------------------------------------------------

    def _meld(self, one, other):
        """Make one heap of two roots: the later becomes the earlier one's first child."""
        if other._deadline < one._deadline or (other._deadline == one._deadline and other._order < one._order):
            earlier = other
            later = one
        else:
            earlier = one
            later = other
        sibling = earlier._child
        later._next = sibling
        if sibling is not None:
            sibling._before = later
        later._before = earlier
        earlier._child = later
        return earlier

    def _meld_siblings(self, sibling):
        """Make one heap of a list of siblings: pair by pair from the left, then all pairs from the right."""
        pairs = None  # the pairs so far, the last one first, linked by `_next`
        while sibling is not None:
            heap = sibling
            partner = sibling._next
            if partner is None:
                sibling = None
            else:
                sibling = partner._next
                heap = self._meld(heap, partner)
            heap._next = pairs
            pairs = heap
        heap = pairs
        pairs = heap._next
        while pairs is not None:
            partner = pairs
            pairs = partner._next
            heap = self._meld(heap, partner)
        heap._next = None
        heap._before = None
        return heap

    def _unlink(self, handle):
        """Take a handle, with what is below it, out of its siblings."""
        before = handle._before
        sibling = handle._next
        if before._child is handle:
            before._child = sibling
        else:
            before._next = sibling
        if sibling is not None:
            sibling._before = before
        handle._next = None
        handle._before = None
