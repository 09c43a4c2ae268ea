"""What `await future` runs when the engine is compiled; the second and last twin.

Compiled, `await_slots.pxd` gives the type of futures C slots: awaiting a future hands back the
future itself as its own iterator, and each `send` looks at its state, so no iterator is made and no
StopIteration is raised. Interpreted, nothing is installed: `Future.__await__` does the same in
Python.
"""


def install(future_type):
    """Give `future_type` the slots."""
