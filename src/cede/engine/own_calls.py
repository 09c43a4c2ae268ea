"""The system's calls that cede makes for itself, as they were when cede was imported.

Programs wrap functions of `os` to find what blocks the loop's thread (blockbuster is such a program). These are not
theirs: what cede asks is about descriptors that do not block, about a file that a server made, or about a child that
has ended; and nobody sleeps for longer than it takes another thread to have its turn.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # not typing's: importing that takes as long as importing the engine
if TYPE_CHECKING:
    from typing import Any

close = os.close
fstat = os.fstat
read = os.read
remove = os.remove
set_blocking = getattr(os, "set_blocking", None)
get_blocking = getattr(os, "get_blocking", None)
sendfile: Any = getattr(os, "sendfile", None)
sleep = time.sleep
eventfd: Any = getattr(os, "eventfd", None)
stat = os.stat
waitpid: Any = getattr(os, "waitpid", None)
write = os.write
writev = getattr(os, "writev", None)
