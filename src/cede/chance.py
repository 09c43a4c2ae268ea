"""buggify: a fault that product code offers to a simulation, and that never happens outside of one."""

from __future__ import annotations

import sys


def buggify(name: str, p: float = 0.25) -> bool:
    """Return True now and then if this code runs in a simulated world, and False always elsewhere.

    `name` tells one such point from the others. In a run half of the points are live, and those answer True with
    probability `p`. Say `if cede.buggify("minimal quorum"): …` where your code may do the unlikely, and nothing breaks.
    """
    current = sys.modules.get("cede.simulation.current")
    host = None if current is None else current.host()
    return host is not None and host.world.buggify(host, name, p)
