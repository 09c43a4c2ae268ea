"""What a world has exchanged, and gives back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MISSING = object()


class Undo(list[tuple[Callable[..., object], tuple[Any, ...]]]):
    """What is to be called at the end, the last first. An ExitStack would take twice the time."""

    def callback(self, function: Callable[..., object], *args: Any) -> None:
        self.append((function, args))

    def put(self, owner: Any, name: str, value: Any) -> Any:
        """Put an attribute in place until all is undone; return the one that the owner itself had, or MISSING."""
        before = vars(owner).get(name, MISSING)
        setattr(owner, name, value)
        if before is MISSING:
            self.callback(delattr, owner, name)
        else:
            self.callback(setattr, owner, name, before)
        return before

    def all(self) -> None:
        """Undo it. None of it raises, but an interrupt may come, and then the rest is undone all the same."""
        try:
            while self:
                function, args = self.pop()
                function(*args)
        finally:
            if self:
                self.all()
