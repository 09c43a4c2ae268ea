"""Internals: names from inside asyncio's loops that programs in the wild use.

None of them is promised by anybody, and each has its users: docs/compatibility.md says who. Here they are computed from
what the engine has when they are asked for, so that those who do not ask pay nothing.
"""

from __future__ import annotations

import socket
from asyncio import BaseEventLoop
from collections.abc import Iterable, MutableSequence
from types import FunctionType

from .engine.handles import Runnable, run_one, shown_as_handle
from .engine.loop import Loop

TYPE_CHECKING = False  # not typing's, as in `event_loop`
if TYPE_CHECKING:
    import asyncio
    import selectors
    from typing import Any

_COMPILED = not isinstance(run_one, FunctionType)


class Internals:
    """What EventLoop has beside its own: it is a part of that class, and needs the rest of it."""

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        order = cls.__mro__
        if BaseEventLoop in order and order.index(BaseEventLoop) < order.index(Internals):
            _put_stocks_last(cls)

    if TYPE_CHECKING:
        _clock: Any
        _face: Any
        _own_clock: Any
        _poller: Any
        _timers: Any
        _waker: Any

        def _follow_time(self) -> None: ...

    # --- What is ready, and what waits

    @property
    def _ready(self) -> Ready:
        """What runs in the next turn, as handles."""
        return Ready(self)

    @property
    def _scheduled(self) -> list[asyncio.TimerHandle]:
        """The timers that wait, the next one first: a new list each time. Taking one out of it does not cancel it."""
        return sorted(self._timers.waiting())

    if _COMPILED:

        def _call_soon(self, callback: Any, args: Iterable[Any], context: Any) -> Any:
            return Loop.call_soon(self, callback, *args, context=context)

    # --- The clock

    @property
    def _clock_resolution(self) -> float:
        """How near a timer must be, in seconds, to be due."""
        return self._clock.resolution

    @_clock_resolution.setter
    def _clock_resolution(self, seconds: float) -> None:
        self._clock.resolution = self._own_clock.resolution = seconds

    @_clock_resolution.deleter
    def _clock_resolution(self) -> None:
        self._clock.resolution = self._own_clock.resolution = self._own_clock.natural_resolution()

    if _COMPILED:
        # Interpreted, each attribute of a loop would be set by these; but there timers ask `time` itself.

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "time" and self._own_clock is not None:  # else it is not initialized yet, and looks itself
                self._follow_time()

        def __delattr__(self, name: str) -> None:
            super().__delattr__(name)
            if name == "time":
                self._follow_time()

    # --- Waiting, and being woken

    @property
    def _selector(self) -> selectors.BaseSelector:
        """The selector. A `select` that is put in the place of its own is what the loop waits by."""
        from .engine.pollers import face, select  # here, for hardly any program asks for it

        if isinstance(self._poller, select.SelectorPoller):
            return self._poller.selector
        if self._face is None:
            if not hasattr(self._poller, "collect"):
                raise AttributeError(f"{self._poller!r} is no selector")
            self._face = face.Face(self, self._poller)
        return self._face

    @_selector.setter
    def _selector(self, selector: selectors.BaseSelector) -> None:
        from .engine.pollers import face

        # Order: whoever is watched is watched by one poller only.
        poller = face.poller_of(selector)
        face.move(self._poller, poller)
        self._poller = poller
        self._face = selector if isinstance(selector, face.Face) else None

    def _process_events(self, events: Iterable[Any]) -> None:
        """Tell the watchers what `_selector.select` returned."""
        from .engine.pollers.face import tell

        tell(self._selector, events)

    def _write_to_self(self) -> None:
        """Wake the loop, if it sleeps, from whatever thread."""
        self._waker.notify()

    @property
    def _ssock(self) -> socket.socket:
        return self._waker._reader

    @property
    def _csock(self) -> socket.socket:
        return self._waker._writer

    @property
    def _internal_fds(self) -> int:
        """How many descriptors are watched for the loop itself."""
        return 0 if self.is_closed() else 1


def _put_stocks_last(cls: type) -> None:
    """Have a class with a mixin that is derived from BaseEventLoop find cede's own before what that one has.

    Such mixins (looptime's, for one) are made to stand before a loop of asyncio's, whose base BaseEventLoop is.
    """
    bases = (
        type(base.__name__, (base, BaseEventLoop), {"__slots__": (), "__module__": base.__module__})
        if issubclass(base, Internals) and BaseEventLoop not in base.__mro__
        else base
        for base in cls.__bases__
    )
    cls.__bases__ = tuple(bases)


class Ready(MutableSequence):  # type: ignore[type-arg]
    """What a loop runs in its next turn, seen as asyncio's deque of handles.

    Tasks stand in the loop's own list; here each of them is shown as a handle that runs it.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def __len__(self) -> int:
        return len(self._loop._upcoming)

    def __getitem__(self, index: Any) -> Any:
        entries = self._loop._upcoming
        if isinstance(index, slice):
            return [shown_as_handle(entry, self._loop) for entry in entries[index]]
        return shown_as_handle(entries[index], self._loop)

    def __setitem__(self, index: Any, handle: Any) -> None:
        self._loop._upcoming[index] = _checked(handle)

    def __delitem__(self, index: Any) -> None:
        del self._loop._upcoming[index]

    def insert(self, index: int, handle: Any) -> None:
        self._loop._upcoming.insert(index, _checked(handle))

    def popleft(self) -> Any:
        """Take out the first, as a handle. IndexError if there is none."""
        return self.pop(0)

    def appendleft(self, handle: Any) -> None:
        self.insert(0, handle)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"


def _checked(handle: Any) -> Any:
    if not isinstance(handle, Runnable):
        raise TypeError(f"a handle of cede's is required, not {handle!r}")
    return handle
