"""TimerHeap: the timers that wait, and which of them is next.

A pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986) that puts off its work: a forest. Its links are
fields of the handles: each has its first child, its next sibling, and before it its left sibling or, for a
first child, its parent.

- *Adding* makes a root, without comparing.
- *Cancelling* unlinks at once, and makes roots of the children. A million cancelled timeouts cost neither
  memory nor sweeping, and those that were cancelled before anybody asked for the next one were never sorted.
- *Asking* which one is next pairs the roots until one is left: the lesser of each two keeps the other as its child.
  So each comparison is paid for by a timer that came or went, O(log n) of them a timer, amortised.
- *Many* that came since are sorted instead, by the interpreter's own sort, and each becomes the child of the one before
  it: a heap that is a chain, where taking out the first leaves the next one.

The loop seldom asks: while it is busy, knowing that nothing is due yet is enough, and `_bound` says so.

An interrupt of interpreted code comes where something was called, or a loop turns. So what changes links calls nothing,
and leaves a heap. And what comes there need not raise: a finalizer or a signal's handler may add and cancel timers. So
what changes links asks first whether the handles it was given still wait.

Invariants: no handle comes before its parent, and no deadline before `_bound`. Equal deadlines go by `_order`, so they
run in the order in which they were asked for.
"""

from .handles import Timers

_INFINITY = float("inf")
_MANY = 64  # timers that came since the last time; sorting fewer costs more than pairing them


class TimerHeap(Timers):
    """The handles that wait for their deadline."""

    def __init__(self):
        self._roots = None  # the first root, a TimerHandle; the others are its siblings
        self._count = 0
        self._bound = _INFINITY  # no timer that waits is due before this
        self._asked = 0  # how many timers were ever added; the source of `_order`
        self._settled = 0  # `_asked` when all were last made one tree
        self._popped = 0  # how many were due since the clock was last told; the loop sets that back

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
        if handle._deadline < self._bound:
            self._bound = handle._deadline
        roots = self._roots
        if roots is not None:
            handle._next = roots
            roots._before = handle
        self._roots = handle

    def discard(self, handle):
        """Take a handle out; nothing happens if it is not in."""
        self._discard(handle)

    def _discard(self, handle):
        if handle._heap is not self:
            return
        while handle._child is not None:
            # Order: nothing is called from here to the end of the turn, so no interrupt sees half of it.
            child = handle._child
            if child is None:
                break
            # It is a root now, before the others.
            sibling = child._next
            handle._child = sibling
            if sibling is not None:
                sibling._before = handle
            roots = self._roots
            child._next = roots
            if roots is not None:
                roots._before = child
            child._before = None
            self._roots = child
        # Order: as above.
        if handle._heap is not self:
            return
        before = handle._before
        sibling = handle._next
        if before is None:
            self._roots = sibling
        elif before._child is handle:
            before._child = sibling
        else:
            before._next = sibling
        if sibling is not None:
            sibling._before = before
            handle._next = None
        handle._before = None
        handle._heap = None
        self._count -= 1
        if self._count == 0:
            self._bound = _INFINITY

    def next_deadline(self):
        """Return the earliest deadline, or infinity if no timer waits."""
        return self._next_deadline()

    def _next_deadline(self):
        if self._roots is not None and self._roots._next is not None:
            if self._asked >= self._settled + _MANY:
                self._sort_roots()
            self._settled = self._asked
            self._pair_roots()
        if self._roots is not None and self._roots._next is None:
            self._bound = self._roots._deadline
        return self._bound

    def pop_due(self, limit, ready):
        """Move each timer whose deadline is before `limit` to the list `ready`, earliest first."""
        self._pop_due(limit, ready)

    def _pop_due(self, limit, ready):
        count = self._count
        while self._bound < limit and self._next_deadline() < limit:
            # Order: nothing is called from here to the end of the turn, as in `_discard`.
            first = self._roots
            if first is None or first._next is not None or first._deadline >= limit:
                continue  # not the one that was found: ask again
            children = first._child
            self._roots = children
            if children is not None:
                children._before = None
                first._child = None
            first._heap = None
            self._count -= 1
            if self._count == 0:
                self._bound = _INFINITY
            ready.append(first)
        self._popped += count - self._count

    def waiting(self):
        """Return the handles that wait, in no order."""
        found = []
        level = [] if self._roots is None else [self._roots]
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
        found = self.waiting()
        for handle in found:
            handle._heap = None
        self._roots = None
        self._count = 0
        self._bound = _INFINITY
        for handle in found:
            handle._child = handle._next = handle._before = None

    def __del__(self):
        # A million timers that let go of one another in a chain would be a recursion a million deep.
        self._clear()

    def _sort_roots(self):
        """Make each root a child of the one that is due before it."""
        roots = []
        root = self._roots
        while root is not None:
            roots.append(root)
            root = root._next
        roots.sort(key=_order_of)
        roots.sort(key=_deadline_of)  # it keeps the order of equal ones
        earlier = None
        for later in roots:
            if earlier is not None:
                self._hang(later, earlier)
            earlier = later

    def _pair_roots(self):
        """Make one tree of all."""
        while self._roots is not None and self._roots._next is not None:
            # Each pass halves the number of roots.
            one = self._roots
            while one is not None:
                other = one._next
                if other is None:
                    break
                rest = other._next
                if other._deadline < one._deadline or (other._deadline == one._deadline and other._order < one._order):
                    self._hang(one, other)
                else:
                    self._hang(other, one)
                one = rest

    def _hang(self, later, earlier):
        """Take the root `later` from among the roots, and make it the first child of the root `earlier`."""
        # Order: nothing is called from here on, as in `_discard`.
        if later._heap is not self or earlier._heap is not self:
            return
        before = later._before
        sibling = later._next
        if before is None:
            self._roots = sibling
        else:
            before._next = sibling
        if sibling is not None:
            sibling._before = before
        child = earlier._child
        later._next = child
        if child is not None:
            child._before = later
        later._before = earlier
        earlier._child = later


def _deadline_of(handle):
    return handle._deadline


def _order_of(handle):
    return handle._order
