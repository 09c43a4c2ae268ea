"""run: one run of a program in a world of its own."""

from __future__ import annotations

import inspect
import sys
from asyncio import _get_running_loop
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from . import current, outside
from .errors import SimulationError
from .world import World

T = TypeVar("T")


@contextmanager
def opened(**settings: Any) -> Iterator[World]:
    """Make a world with `settings` (those of `World`), let it be, and end it: everything captured is given back."""
    if _get_running_loop() is not None:
        message = "no world begins inside a running event loop: call it from a function that is not async"
        raise RuntimeError(message)
    check_settings(settings)
    with outside.captured(settings.get("seed", 0)), _hooks_of_generators():
        made = World(**settings)
        try:
            yield made
        except BaseException:
            try:
                made.close()
            except (Exception, SimulationError):
                pass  # what it was ended for says more
            raise
        else:
            made.close()


@contextmanager
def _hooks_of_generators() -> Iterator[None]:
    """Give the hooks for async generators back at the end: a world sets them for the loop that has its turn."""
    hooks = sys.get_asyncgen_hooks()
    try:
        yield
    finally:
        sys.set_asyncgen_hooks(*hooks)


_SETTINGS = frozenset(inspect.signature(World).parameters)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise TypeError unless all are settings of a World."""
    unknown = sorted(set(settings) - _SETTINGS)
    if unknown:
        known = ", ".join(sorted(_SETTINGS))
        raise TypeError(f"a world has no setting {', '.join(map(repr, unknown))}; there are {known}")


def run(main: Awaitable[T] | Callable[..., Awaitable[T]], *, seed: int = 0, **settings: Any) -> T:
    """Run `main` in a world of its own, on a host called "main", and return what it returns.

    `main` is a coroutine, or an async callable with no parameter or with one, which gets the World. `settings` are
    those of `World`. What `main` raises is raised; Deadlock, Livelock or OutOfTime where it can never end.
    RuntimeError inside a running loop.
    """
    with opened(seed=seed, **settings) as made:
        return begin(main, made)


def begin(main: Any, made: World) -> Any:
    """Run `main` on a new host called "main", and return what it returns."""
    made.host("main")
    return made.drive(_started(main, made))


def _started(main: Any, made: World) -> Awaitable[Any]:
    """Return the awaitable of `main`, which may want the world."""
    if not callable(main):
        if not inspect.isawaitable(main):
            raise TypeError(f"main must be a coroutine or an async callable, got {main!r}")
        return main
    with made.hosts["main"].entered():
        awaitable = main(made) if _wants_world(main) else main()
    if not inspect.isawaitable(awaitable):
        raise TypeError(f"main must be an async callable; {main!r} returned {awaitable!r}")
    return awaitable


def _wants_world(main: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(main).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def this_world() -> World:
    """Return the world that the calling code runs in. RuntimeError outside of worlds."""
    host = current.host()
    if host is None:
        raise RuntimeError("no world here: this is code of a program that runs in one (cede.simulation.run)")
    return host.world
