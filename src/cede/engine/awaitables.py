"""Done and Waiting: what `async with` awaits where the interpreter's own coroutine would cost more than it does.

An `async def` makes a coroutine and a frame, even if it never suspends. These are one small object each. They have a
coroutine's methods, so a task can be made of them. Compiled, `await` does not come to `__next__` but goes through
`await_slots`, which says the same.
"""

from . import native

_PENDING = 0  # of `futures`


class Done:
    """A coroutine that never suspends. A subclass that has something to do when it is awaited does it in `_end`."""

    def __init__(self, result):
        self._result = result

    def _end(self):
        """Return what awaiting it gives."""
        return self._result

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration(self._end())

    def send(self, value):
        """End with the result."""
        raise StopIteration(self._end())

    def throw(self, kind, value=None, traceback=None):
        """Raise what is thrown in."""
        raise _thrown(kind, value, traceback)

    def close(self):
        """Do nothing: there is nothing to end."""


class Waiting:
    """A coroutine that waits for one future. Subclasses say for which, and what then."""

    # _future  what is waited for; None before and after
    # _over    true iff the coroutine has ended

    def _begin(self):
        """Return the future to wait for; None if there is nothing to wait for, and all is done."""
        raise NotImplementedError

    def _end(self):
        """Do what is to be done when the future is."""

    def _give_up(self, future):
        """Undo the waiting: an exception ends it. The future may be done already."""

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    def send(self, value):
        """Go on: return the future while it is pending. StopIteration when it is done."""
        future = self._step()
        if future is None:
            raise StopIteration
        return future

    def _step(self):
        if self._over:
            raise RuntimeError("cannot reuse already awaited coroutine")
        future = self._future
        if future is None:
            future = self._future = self._begin()
            if future is None:
                self._over = True
                return None
        if future._phase != _PENDING:
            self._finish(future)
            return None
        if future._asyncio_future_blocking:
            self.close()
            raise RuntimeError("await wasn't used with future")
        future._asyncio_future_blocking = True
        return future

    def _finish(self, future):
        self._future = None
        self._over = True
        if future.cancelled():
            self._give_up(future)
            future.result()
        self._end()

    def throw(self, kind, value=None, traceback=None):
        """Raise what is thrown in, and wait no more."""
        error = _thrown(kind, value, traceback)
        self.close()
        raise error

    def close(self):
        """Wait no more."""
        future = self._future
        self._future = None
        self._over = True
        if future is not None:
            self._give_up(future)


native.declare(Waiting, {"_future": None, "_over": False})


def _thrown(kind, value, traceback):
    """The exception that the arguments of `throw` stand for."""
    if isinstance(kind, BaseException):
        return kind
    return (kind() if value is None else value).with_traceback(traceback)
