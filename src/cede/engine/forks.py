"""The loops of the process, and what a forked child does with those that it inherits.

The kernel shares with the child what the loop's descriptors stand for: its epoll, its bell, the connections. A child
that frees, closes or goes on with what it inherited would take connections out of the parent's epoll, read the
parent's wake-ups, and say good-bye to the parent's peers. So a loop in a child has a bell and (when it first waits) an
epoll of its own, and its transports have nothing left to send.

Law: nothing here is asked while a program runs; the interpreter calls when it has forked.
"""

import os
import weakref

_heralds = []
_loops = weakref.WeakValueDictionary()  # by id: a loop may be equal to others, or refuse to say
_told = None  # who is told of each new loop; None: nobody


def note(loop):
    """Remember a new loop."""
    _loops[id(loop)] = loop
    while _heralds:
        _heralds.pop()()
    if _told is not None:
        _told(loop)


def at_next_loop(herald):
    """Call `herald()` once, when the next loop is made: what wants a thread need not have it before, and forks can."""
    _heralds.append(herald)


def tell(told):
    """Have `told(loop)` called for each new loop, which must not raise; None: tell nobody."""
    global _told
    _told = told


def loops():
    """Return the loops that there are, closed ones among them."""
    return [loop for reference in _loops.valuerefs() if (loop := reference()) is not None]


def _forked():
    for loop in loops():
        if not loop.is_closed():
            loop._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
