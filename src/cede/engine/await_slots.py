"""What `await future` runs when the engine is compiled; the second and last twin.

Compiled, `await_slots.pxd` gives the type of futures C slots: awaiting a future, or iterating over it,
hands back the future itself as its own iterator, and each `send` looks at its state, so no iterator is
made and no StopIteration is raised. Interpreted, nothing is installed: `Future.__await__` does the same
in Python. `Done` gets slots of its own.
"""


def install(future_type):
    """Give `future_type` the slots.

    Interpreted, give it what a compiled type has by nature: the fields that a future looks at when `__init__`
    failed or never ran are None or zero.
    """
    for name in ("_loop", "_engine", "_exception", "_result", "_waiter", "_others", "_coro", "_name", "_fut_waiter"):
        setattr(future_type, name, None)
    for name in ("_phase", "_log_unretrieved", "_log_destroy_pending", "_asyncio_future_blocking"):
        setattr(future_type, name, 0)


def install_done(done_type):
    """Give `done_type` slots in which an await ends at once. Interpreted, its methods do."""
