"""Whether a loop that waits lets the processor rest."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def idle() -> Iterator[None]:
    """Fail if this process uses the processor for more than half of what is in here: a loop that spins uses all of it.

    The collector is off meanwhile: of a process that has run a thousand tests it takes as long as such a wait.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        began, used = time.monotonic(), time.process_time()
        yield
        used, lasted = time.process_time() - used, time.monotonic() - began
    finally:
        if collects:
            gc.enable()
    assert used < lasted / 2, f"the loop spins: {used:.3f} s of the processor in {lasted:.3f} s"
