"""Joins: what waits for many futures at once. `gather`, `TaskGroup`, `as_completed` and `shield` stand on them.

A `Link` stands among those who wait for one child, where a done callback would; when the child is
done its turn comes in the next turn, as a callback's would. So a child costs one small object, and no
handle, context or call of Python while all goes well.

Law: a join hears of each child exactly once; of one that ends while it is watched, a turn later.
"""

from . import native
from .futures import Future, future_add_to_awaited_by, future_discard_from_awaited_by
from .handles import Runnable

_PENDING = 0
_FINISHED = 1


class Link(Runnable):
    """What stands between a join and one child that is pending, in the child's line of those who wait."""

    # _join   who hears of it
    # _child  the Future; a link is gone once it is done and heard of

    def _run(self):
        try:
            self._join._child_done(self._child)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            context = {"message": f"Exception in callback of {self._child!r}", "exception": exc}
            self._child._loop.call_exception_handler(context)

    def _withdraw(self):
        """Let the join hear of the child no more."""
        self._child._remove_waiter(self)

    def _step_by_callback(self):
        """What a loop calls that is not ours."""
        self._run()

    def _wakeup(self, future):
        """What this is, if it is taken for a callback: see `Future._callbacks`."""
        self._run()

    def get_context(self):
        """Return a context, as a callback has one."""
        return native.copy_context()


class Join:
    """Something that waits for children, any kind of future. Its one field is

    `_awaiter`, the task that stands for it in call graphs, or None.
    """

    def _watch(self, child):
        """Hear of the end of `child`, in a later turn even if it is done. Return the link, if one stands in it."""
        if not isinstance(child, Future):
            if self._awaiter is not None:
                future_add_to_awaited_by(child, self._awaiter)
            child.add_done_callback(self._foreign_done)
            return None
        future = child
        if self._awaiter is not None:
            future._add_edge(self._awaiter)
        if future._phase != _PENDING:
            future._loop.call_soon(self._foreign_done, future)
            return None
        return self._link_to(future)

    def _link_to(self, child):
        link = native.fresh(Link)
        link._join = self
        link._child = child
        child._add_waiter(link)
        return link

    def _foreign_done(self, child):
        self._child_done(child)

    def _child_done(self, child):
        """Act on the end of `child`."""
        raise NotImplementedError

    def _drop_edge(self, child):
        if self._awaiter is None:
            return
        if isinstance(child, Future):
            future = child
            future._discard_edge(self._awaiter)
        else:
            future_discard_from_awaited_by(child, self._awaiter)

    def _error_of(self, child):
        """The exception of a child that is done, from now on retrieved; None if it has none or was cancelled."""
        if not isinstance(child, Future):
            return None if child.cancelled() else child.exception()
        future = child
        if future._phase != _FINISHED or future._exception is None:
            return None
        future._log_unretrieved = False
        return future._exception


class Countdown(Join):
    """Waits until all children are done or, if `stops` is true, until one of them has failed.

    Calls `failed(child)` for the first that raised or was cancelled if it stops, else `finished()`
    after the last; one of the two, once. Every exception counts as retrieved.
    """

    def __init__(self, awaiter, stops, failed, finished):
        self._awaiter = awaiter
        self._unfinished = 0  # children whose end has not been heard of
        self._stops = stops  # True iff the first failure ends it
        self._over = False  # True iff it has called one of the two
        self._failed = failed
        self._finished = finished

    def watch(self, children):
        """Begin; each child once. Those that are done already count at once, and last."""
        self._unfinished = len(children)
        done = []
        for child in children:
            if child.done():
                done.append(child)
            else:
                self._watch(child)
        for child in done:
            self._child_done(child)

    def _child_done(self, child):
        self._unfinished -= 1
        self._drop_edge(child)
        error = self._error_of(child)
        if self._over:
            return
        if self._stops and (error is not None or child.cancelled()):
            self._over = True
            self._failed(child)
        elif self._unfinished == 0:
            self._over = True
            self._finished()


class Crew(Join):
    """The tasks of a group: calls `failed(task, exception)` for each that raises, and `gone()` when none is left.

    For the last one `gone` comes first.
    """

    def __init__(self, awaiter, failed, gone):
        self._awaiter = awaiter  # the task whose group it is
        self._failed = failed
        self._gone = gone
        self.tasks = set()  # those whose end has not been heard of

    def add(self, task):
        """Take a task in."""
        self.tasks.add(task)
        self._watch(task)

    def _child_done(self, child):
        self.tasks.discard(child)
        self._drop_edge(child)
        error = self._error_of(child)
        if not self.tasks:
            self._gone()
        if error is not None:
            self._failed(child, error)


class Arrivals(Join):
    """Calls `arrived(child)` for each as it becomes done, and cancels its `timer`, if it has one, after the last."""

    def __init__(self, awaiter, arrived):
        self._awaiter = awaiter
        self._arrived = arrived
        self._links = {}  # children whose end has not been heard of: the link, None where none is needed
        self.timer = None

    def watch(self, children):
        """Begin; each child once."""
        for child in children:
            self._links[child] = self._watch(child)

    def _child_done(self, child):
        if child not in self._links:
            return  # too late
        del self._links[child]
        self._drop_edge(child)
        self._arrived(child)
        if self.timer is not None and not self._links:
            self.timer.cancel()

    def give_up(self):
        """Hear of no child any more; return how many there were."""
        return self._give_up()

    def _give_up(self):
        links = self._links
        self._links = {}
        for child, link in links.items():
            if link is None:
                child.remove_done_callback(self._foreign_done)
            else:
                link._withdraw()
            self._drop_edge(child)
        return len(links)


class Shield(Join):
    """Lets `outer` end as `inner` does, while no cancellation of `outer` goes in."""

    def __init__(self, inner, outer, awaiter):
        self._awaiter = awaiter  # the task that called shield
        self._inner = inner
        self._outer = outer
        self._link = self._watch(inner)  # None if `inner` is not ours
        if isinstance(outer, Future):
            self._link_to(outer)
        else:
            outer.add_done_callback(self._foreign_done)

    def _child_done(self, child):
        link = self._link
        self._link = None  # it leads back here
        if child is self._inner:
            self._pass_out(child)
        elif not self._inner.done():
            if link is None:
                self._inner.remove_done_callback(self._foreign_done)
            else:
                link._withdraw()
            self._drop_edge(self._inner)

    def _pass_out(self, inner):
        """Give the outcome to the outer future."""
        self._drop_edge(inner)
        outer = self._outer
        if outer.cancelled():
            return  # an exception of the inner one is still there for whoever asks, and reported if nobody does
        if inner.cancelled():
            outer.cancel()
            return
        exc = inner.exception()
        if exc is None:
            outer.set_result(inner.result())
        else:
            outer.set_exception(exc)


native.keep_memory(Link)
