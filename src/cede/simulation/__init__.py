"""cede.simulation: whole asyncio programs, unmodified, in a world of their own, with every rare order of events.

    import cede.simulation

    result = cede.simulation.run(main, seed=17)

In a world nobody waits for real: the clock goes to the next timer or packet, and an hour of sleeps takes milliseconds.
Every free choice (when a packet comes, how late a loop is) is drawn from the seed, so the same seed is the same run,
byte for byte. What raises in one run of a thousand is found, replayed, and made small.

Importing this changes nothing. A world captures time, chance and sockets while it runs, for its own threads only.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # not typing's: this is imported by every pytest that finds cede installed
if TYPE_CHECKING:
    from .errors import Deadlock, HostLost, Livelock, NotDeterministic, OutOfTime, SimulationError
    from .exploring import Exploration, Failure, explore, replay
    from .running import run, this_world
    from .world import World

__all__ = (
    "Deadlock",
    "Exploration",
    "Failure",
    "HostLost",
    "Livelock",
    "NotDeterministic",
    "OutOfTime",
    "SimulationError",
    "World",
    "explore",
    "replay",
    "run",
    "this_world",
)

_HOMES = {
    "errors": "Deadlock HostLost Livelock NotDeterministic OutOfTime SimulationError",
    "exploring": "Exploration Failure explore replay",
    "running": "run this_world",
    "world": "World",
}

if not TYPE_CHECKING:  # else a type checker believes that any name is here

    def __getattr__(name: str) -> object:
        for home, names in _HOMES.items():
            if name in names.split():
                module = importlib.import_module(f".{home}", __name__)
                globals().update({each: getattr(module, each) for each in names.split()})
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
