"""One row under a profiler: `python -m benchmarks --profile ROW --peers package --tool perf`.

The measured process is started as in any run, with the profiler's command before its own; what
the profiler leaves is put into the current directory and named at the end.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import catalogue, run
from .peers import Peer

# tool -> the command that goes before the measured one. {out} is the file it writes.
TOOLS: dict[str, tuple[str, ...]] = {
    "perf": ("perf", "record", "--call-graph", "dwarf,16384", "-F", "999", "-o", "{out}", "--"),
    "callgrind": ("valgrind", "--tool=callgrind", "--callgrind-out-file={out}"),
    "py-spy": ("py-spy", "record", "--native", "--rate", "500", "--format", "flamegraph", "-o", "{out}", "--"),
}
# How much of a full run is done: enough to leave the imports behind; valgrind runs some fifty times slower.
SCALES = {"callgrind": 0.3, "perf": 5.0, "py-spy": 5.0}
SUFFIXES = {"py-spy": ".svg"}
# tool -> what prints its finding
READERS: dict[str, tuple[str, ...]] = {
    "perf": ("perf", "report", "--stdio", "--no-children", "--call-graph=none", "--percent-limit=0.7", "-i", "{out}"),
    "callgrind": ("callgrind_annotate", "{out}"),
}


def _filled(words: tuple[str, ...], out: Path) -> tuple[str, ...]:
    return tuple(word.format(out=out) for word in words)


def profile(pattern: str, tool: str, peer: Peer, settings: run.Settings) -> None:
    """Run the first row that matches the glob under a tool and print what the tool found."""
    rows = catalogue.select([pattern])
    if not rows:
        sys.exit(f"no row matches {pattern}")
    beside_python = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([beside_python, os.environ["PATH"]])
    if shutil.which(TOOLS[tool][0]) is None:
        sys.exit(f"{TOOLS[tool][0]} is not installed")
    out = Path(f"profile-{rows[0].name}-{peer.name}.{tool}{SUFFIXES.get(tool, '')}").absolute()
    wrapped = dataclasses.replace(settings, wrapper=_filled(TOOLS[tool], out), scale=SCALES[tool])
    try:
        sample = run.run_once(rows[0], peer, wrapped)
    except run.Failed as failure:
        sys.exit(f"{rows[0].name} on {peer.name}: {failure}")
    print(f"{rows[0].name} on {peer.name}, slowed down by {tool}: {sample.values}")
    if tool in READERS:
        subprocess.run(_filled(READERS[tool], out))
    print(f"written: {out}")
