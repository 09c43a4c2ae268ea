"""Order: in which order a loop runs what is ready in one turn.

asyncio promises the order of `call_soon`, programs rely on it, and so a world keeps it (`order="fifo"`).

"wakeups" also lets the events of one turn come in another order: timers that are due together, descriptors of which one
look at the kernel reports several, and with them the tasks that they wake. "any" moves the steps of ready tasks too, as
trio does: for code that must not lean on the promise.

Choices are named by who falls behind (`main/order/worker#2`, `main/order/poll`), by their number in that stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ..engine.handles import TimerHandle
from ..engine.tasks import Task

if TYPE_CHECKING:
    from .hosts import Host

ORDERS = ("fifo", "wakeups", "any")
PROBABILITY = 0.2  # that something ready falls behind others that are


class Order:
    """What puts the ready list of a host's loops into another order."""

    def __init__(self, host: Host, any_task: bool) -> None:
        self._host = host
        self._kinds: tuple[type, ...] = (TimerHandle, Task) if any_task else (TimerHandle,)
        self._labels: dict[str, int] = {}  # tasks so far, by the name of their coroutine
        self._names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()  # of tasks

    def arrange(self, ready: list[Any]) -> None:
        """Put the list into another order, in place. Called by a loop before it runs it."""
        places = [place for place, entry in enumerate(ready) if isinstance(entry, self._kinds)]
        if len(places) < 2:
            return
        entries = [ready[place] for place in places]
        moved = self.permuted(entries, [self._name(entry) for entry in entries])
        for place, entry in zip(places, moved, strict=True):
            ready[place] = entry

    def permuted(self, entries: list[Any], names: list[str]) -> list[Any]:
        """Return the entries in the order that is drawn: those that are tame stay in front, in their order."""
        world = self._host.world
        values = []
        for name in names:
            stream = world.stream(f"{self._host.name}/{name}/order", PROBABILITY)
            value = stream.draw()
            values.append(value)
            if value and world.log is not None:
                world.explain(stream, f"{self._host.name}, {name}", f"falls behind, the {stream.index}. time it could")
        return [entries[index] for index in sorted(range(len(entries)), key=values.__getitem__)]

    def _name(self, entry: Any) -> str:
        if not isinstance(entry, Task):
            return "timer"
        found = self._names.get(entry)
        if found is None:
            found = self._names[entry] = self._new_name(entry)
        return found

    def _new_name(self, task: Any) -> str:
        given: str = task.get_name()
        if not given.startswith("Task-"):  # else a number that the whole process counts
            return given.replace("/", "|")
        coro = task.get_coro()
        name = getattr(coro, "__qualname__", type(coro).__name__).rpartition(".")[2]
        count = self._labels[name] = self._labels.get(name, 0) + 1
        return f"{name}#{count}"


def check_order(order: str) -> None:
    """Raise ValueError unless it is one of the orders."""
    if order not in ORDERS:
        raise ValueError(f'there is no order {order!r}: say "fifo", "wakeups" or "any"')
