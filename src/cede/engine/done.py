"""Done: a coroutine that has nothing to do any more.

What `async with timeout(...)` enters and leaves with is there at once. An `async def` would make a coroutine and
a frame to say so; this is one small object, and awaiting it takes no step.
"""


class Done:
    """An awaitable whose result is there. It has a coroutine's methods, so a task can be made of it."""

    def __init__(self, result):
        self._result = result

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        # Compiled, `await` does not come here but goes through `await_slots`, which says the same.
        raise StopIteration(self._result)

    def send(self, value):
        """End with the result."""
        raise StopIteration(self._result)

    def throw(self, kind, value=None, traceback=None):
        """Raise what is thrown in."""
        if isinstance(kind, BaseException):
            raise kind
        raise (kind() if value is None else value).with_traceback(traceback)

    def close(self):
        """Do nothing: there is nothing to end."""
