"""What counts as a coroutine, and the two helpers that the library builds its own from."""

from __future__ import annotations

import inspect
import types
import warnings
from asyncio import coroutines as _stock
from collections.abc import Coroutine

TYPE_CHECKING = False  # not typing's: importing that takes as long as importing the engine
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, TypeVar

    T = TypeVar("T")
    F = TypeVar("F", bound=Callable[..., Any])

__all__ = ("iscoroutinefunction", "iscoroutine")

# asyncio: up to 3.13 unittest.mock marks its AsyncMock with this object, which must be the stdlib's own.
_is_coroutine = getattr(_stock, "_is_coroutine", None) or object()

# Types whose objects were found to be coroutines, besides the native one: asking the ABC costs ten times as much.
_coroutine_types: set[type] = {types.CoroutineType}
_COROUTINE_TYPES_LIMIT = 100  # a program that makes types without end must not fill the memory


def iscoroutine(obj: Any) -> bool:
    """Return True if `obj` is a coroutine: a native one or anything with a coroutine's methods.

    A plain generator is none, on any Python version.
    """
    cls = type(obj)
    if cls in _coroutine_types:
        return True
    if not isinstance(obj, Coroutine):
        return False
    if len(_coroutine_types) < _COROUTINE_TYPES_LIMIT:
        _coroutine_types.add(cls)
    return True


def iscoroutinefunction(func: Any) -> bool:
    """Return True if `func` is a coroutine function. Deprecated: use `inspect.iscoroutinefunction`."""
    warnings.warn(
        "'asyncio.iscoroutinefunction' is deprecated and slated for removal in Python 3.16; "
        "use inspect.iscoroutinefunction() instead",
        DeprecationWarning,
        stacklevel=2,
    )
    return inspect.iscoroutinefunction(func) or getattr(func, "_is_coroutine", None) is _is_coroutine


async def await_it(awaitable: Awaitable[T]) -> T:
    """Make a coroutine of any awaitable, for where a task is made of it."""
    return await awaitable


def native_coroutine(func: F) -> F:
    """Make a native coroutine function of a generator function: calling it gives a real coroutine object.

    It may then say `yield`, which suspends the task until the next turn and makes no object at all.
    In an `async def` the same takes a second coroutine or iterator to be made, awaited and thrown
    away: half the price of `sleep(0)`. Otherwise the function is as if it were written `async def`,
    with `yield from` for `await`. (`types.coroutine` sets a flag of the same kind, and still makes
    generators.)
    """
    code = func.__code__
    flags = code.co_flags & ~inspect.CO_GENERATOR | inspect.CO_COROUTINE
    made = types.FunctionType(
        code.replace(co_flags=flags), func.__globals__, func.__name__, func.__defaults__, func.__closure__
    )
    made.__kwdefaults__ = func.__kwdefaults__
    made.__annotations__ = func.__annotations__
    made.__doc__ = func.__doc__
    made.__qualname__ = func.__qualname__
    made.__module__ = func.__module__
    return made
