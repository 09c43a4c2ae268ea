"""What cede assumes about the interpreter beyond what is promised, and what it does without where that is not so.

Each trick looks at its assumption when it is installed, by trying it, and asks `allows`. A Python that does it
otherwise is served without the trick: slower, and right. `CEDE_DEBUG=1` in the environment says which, one line each,
and so does `cede --version --verbose`. `CEDE_WITHOUT="kept memory, own StopIteration"` does without these two; the
tests do that.
"""

import os
import sys

# Trick: what it assumes.
TRICKS = {
    "kept memory": "the two words before an object are the collector's, and zero means: not known to it",
    "copied objects": "references to None are not counted, so that an object's bytes can be copied",
    "hidden handles": "as kept memory; an object that it does not know can be freed, or shown to it later",
    "shared contexts": "what a context says is one map, which setting a variable replaces; copies have the same",
    "quiet ends": "a type's end can be replaced, and the one that was there then calls no finalizer",
    "own StopIteration": "where StopIteration keeps its value, and that one of a derived type is as good",
    "sockets by number": "the first field of a socket and of a FileIO is its descriptor, -1 if it has none",
    "class versions": "setting an attribute of a class changes its version tag, or there is none",
    "counted tasks": "asyncio.all_tasks() iterates a weak set, where a mark is found, and whose class can be set",
}

_WITH_KEPT_MEMORY = ("copied objects", "hidden handles")

off = {}  # {trick: why it is not used}

_unwanted = {name.strip() for name in os.environ.get("CEDE_WITHOUT", "").split(",") if name.strip()}
if not _unwanted <= TRICKS.keys():
    raise ImportError(f"CEDE_WITHOUT names {sorted(_unwanted - TRICKS.keys())}; there are: {', '.join(TRICKS)}")


def allows(trick, holds):
    """Return whether `trick` may be used, whose assumption holds or not; note it, and say it, if it may not."""
    if holds and trick not in _unwanted:
        return True
    if trick not in off:
        off[trick] = "CEDE_WITHOUT says so" if holds else f"not so on this Python: {TRICKS[trick]}"
        if os.environ.get("CEDE_DEBUG", "") not in ("", "0"):
            sys.stderr.write(f"cede: without {trick}: {off[trick]}\n")
        if trick == "kept memory":
            for other in _WITH_KEPT_MEMORY:
                off.setdefault(other, "it goes with kept memory")
    return False
