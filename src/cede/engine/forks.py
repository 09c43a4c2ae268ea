"""What a forked child does with the loops that it inherits.

The kernel shares with the child what the loop's descriptors stand for: its epoll, its bell, the connections. A child
that frees, closes or goes on with what it inherited would take connections out of the parent's epoll, read the
parent's wake-ups, and say good-bye to the parent's peers. So a loop in a child has a bell and (when it first waits) an
epoll of its own, and its transports have nothing left to send.

Law: nothing here is asked while a program runs; the interpreter calls when it has forked.
"""

import os
import weakref

_loops = weakref.WeakValueDictionary()  # by id: a loop may be equal to others, or refuse to say


def note(loop):
    """Remember a new loop."""
    _loops[id(loop)] = loop


def _forked():
    for loop in list(_loops.values()):
        if not loop.is_closed():
            loop._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
