"""What a world raises out of `run`: the ways in which a run cannot go on.

None of them passes through the program that is simulated, so no `except` of its own swallows one.
"""

from __future__ import annotations


class SimulationError(Exception):
    """A run cannot go on, or cannot be what was asked for."""


class Deadlock(SimulationError):
    """Nobody can go on any more: no host is ready, no timer and no packet will come, and main is not done."""


class HostLost(Exception):
    """What `host.run` was to run never ends: its host was killed, or lost its power. Raised into the test's code."""


class Livelock(SimulationError):
    """Hosts run on and on, and neither main nor a timer nor a packet gets any further."""


class NotWanted(SimulationError):
    """Whoever had the run began does not wait for its end any longer: shrinking has used up its time."""


class NotDeterministic(SimulationError):
    """The same choices did not make the same run: something of the program is not captured."""


class OutOfTime(SimulationError):
    """The run came to its `max_time` or `max_turns`."""
