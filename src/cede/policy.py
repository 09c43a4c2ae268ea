"""Which loop a program gets: `new_event_loop`, `install`, and what is left of event loop policies.

Python's own policy object is the one place where the loop of a thread is kept while none runs, and
libraries ask it through `asyncio.get_event_loop()`. So cede keeps it there too. Its own functions
differ from the stdlib's in two points: they make cede's loops, and `get_event_loop` never makes any.

`install()` puts a policy in place that makes cede's loops and is otherwise the interpreter's own. It
shares the threads' current loops with the policy before it, so that a loop which was set stays set.
Policies are deprecated since Python 3.14: all of this works without a warning, and only the names
that asyncio deprecates warn.
"""

from __future__ import annotations

import warnings
from asyncio import events as _stock
from asyncio import unix_events as _stock_unix

from .event_loop import EventLoop

TYPE_CHECKING = False  # not typing's: importing that takes as long as importing the engine
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from typing import Any, TypeVar

    _F = TypeVar("_F")


def _unwarned(module: Any, name: str) -> Any:
    """Return a name of the stdlib's; since 3.14 it has an underscore, and the public one warns."""
    return getattr(module, "_" + name, None) or getattr(module, name)


_get_stock_policy = _unwarned(_stock, "get_event_loop_policy")
_set_stock_policy = _unwarned(_stock, "set_event_loop_policy")
_AbstractEventLoopPolicy = _unwarned(_stock, "AbstractEventLoopPolicy")
_BaseDefaultEventLoopPolicy = _unwarned(_stock, "BaseDefaultEventLoopPolicy")
_InterpretersPolicy: Any = _unwarned(_stock_unix, "DefaultEventLoopPolicy")


class EventLoopPolicy(_InterpretersPolicy):
    """The interpreter's default policy, making cede's loops. Deprecated, as all policies are.

    Say `cede.run(main())`, `asyncio.run(main(), loop_factory=cede.new_event_loop)` or `cede.install()`.
    """

    _loop_factory = EventLoop


# --- The default of a whole program -------------------------------------------------------------

_installed: EventLoopPolicy | None = None  # the policy that install() put in place
_before: Any = None  # the policy it took the place of


def install() -> None:
    """Make cede the default of programs that use asyncio: of `asyncio.run`, `Runner`, `new_event_loop`.

    `asyncio.get_event_loop` follows the rules of the interpreter it runs on. Doing it twice changes nothing.
    """
    global _installed, _before
    current = _get_stock_policy()
    if isinstance(current, EventLoopPolicy):
        return
    policy = EventLoopPolicy()
    if hasattr(current, "_local"):
        policy._local = current._local
    _set_stock_policy(policy)
    _installed, _before = policy, current


def uninstall() -> None:
    """Undo `install()`, unless somebody else has set a policy since."""
    global _installed, _before
    if _installed is not None and _get_stock_policy() is _installed:
        _set_stock_policy(_before)
    _installed = _before = None


# --- asyncio's functions ------------------------------------------------------------------------

_chosen: Any = None  # the policy given to set_event_loop_policy below, else None


class _Unbound(staticmethod):  # type: ignore[type-arg]
    """A function that stays one as an attribute of a class, without becoming a method of its instances.

    So `loop_factory = cede.new_event_loop` stands in a TestCase of unittest's as asyncio's loop, a class, does.
    """

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self

    def __reduce__(self) -> str:
        return self.__name__


def _unbound(function: _F) -> _F:
    return _Unbound(function)


@_unbound
def new_event_loop() -> AbstractEventLoop:
    """Return a new event loop of cede's (or one of the policy that was given to `set_event_loop_policy`)."""
    if _chosen is not None and _get_stock_policy() is _chosen:
        return _chosen.new_event_loop()
    return EventLoop()


def set_event_loop(loop: AbstractEventLoop | None) -> None:
    """Make `loop` what `get_event_loop` returns in this thread while no loop runs; None: nothing."""
    _get_stock_policy().set_event_loop(loop)


def get_event_loop_policy() -> Any:
    """Return the policy in force. Deprecated."""
    _deprecated("get_event_loop_policy")
    return _get_stock_policy()


def set_event_loop_policy(policy: Any) -> None:
    """Put a policy in force, for asyncio and for cede; None: the interpreter's own. Deprecated."""
    global _chosen
    _deprecated("set_event_loop_policy")
    _set_stock_policy(policy)
    _chosen = policy


def _deprecated(name: str) -> None:
    """Warn, as asyncio does, whoever called the function that calls this."""
    warnings.warn(
        f"'asyncio.{name}' is deprecated and slated for removal in Python 3.16", DeprecationWarning, stacklevel=3
    )
