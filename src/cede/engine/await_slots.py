"""What `await future` runs when the engine is compiled; the second and last twin.

Compiled, `await_slots.pxd` gives the type of futures C slots: awaiting a future, or iterating over it,
hands back the future itself as its own iterator, and each `send` looks at its state, so no iterator is
made and no StopIteration is raised. Interpreted, nothing is installed: `Future.__await__` does the same
in Python. `Done` and `Waiting` get slots of their own.
"""


def install(future_type, task_type):
    """Give both types the slots, and an end that calls `__del__` only if it has something to say.

    Interpreted, give them what a compiled type has by nature: fields that nobody has set are None or zero.
    """
    for name in _OBJECTS:
        setattr(future_type, name, None)
    for name in _NUMBERS:
        setattr(future_type, name, 0)
    for name in _FLAGS:
        setattr(future_type, name, False)


# Fields of Future and Task.
_OBJECTS = ("_loop", "_engine", "_exception", "_exception_tb", "_result", "_cancel_message", "_waiter", "_others")
_OBJECTS += ("_awaited_by", "_source_traceback", "_coro", "_context", "_name", "_fut_waiter")
_NUMBERS = ("_phase", "_stage", "_num_cancels_requested", "_number")
_FLAGS = ("_asyncio_future_blocking", "_log_unretrieved", "_log_destroy_pending", "_must_cancel")


def install_awaitables(done_type, waiting_type):
    """Give `Done` and `Waiting` slots that do as their methods. Interpreted, the methods do."""
