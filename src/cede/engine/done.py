"""Done: a coroutine that never suspends.

What `async with timeout(...)` enters and leaves with is there at once. An `async def` would make a coroutine and
a frame to say so; this is one small object. A subclass that has something to do when it is awaited does it in `_end`.
"""


class Done:
    """An awaitable whose result is there. It has a coroutine's methods, so a task can be made of it."""

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
        # Compiled, `await` does not come here but goes through `await_slots`, which says the same.
        raise StopIteration(self._end())

    def send(self, value):
        """End with the result."""
        raise StopIteration(self._end())

    def throw(self, kind, value=None, traceback=None):
        """Raise what is thrown in."""
        if isinstance(kind, BaseException):
            raise kind
        raise (kind() if value is None else value).with_traceback(traceback)

    def close(self):
        """Do nothing: there is nothing to end."""
