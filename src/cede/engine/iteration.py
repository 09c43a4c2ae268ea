"""`yield from future`: an interpreted generator in both speeds, because compiled ones differ when somebody throws.

`await` does not come here, only generators that are coroutines by the rules before 3.5 (`types.coroutine`), and who
calls `iter(future)`. CPython's generators warn of `throw(type, value, traceback)` and check what they are given.
"""


def iterate(future):
    """Yield `future` until it is done; return its result or raise its exception."""
    return (yield from future.__await__())
