"""What the command says of itself: complaints about a command line, and which cede this is."""

from __future__ import annotations

import sys

USAGE_ERROR = 2
"""Exit status of a command line that cannot be carried out, as of most Unix commands."""


def complain(command: str, message: str) -> int:
    """Print one line on standard error and return the exit status that goes with it."""
    sys.stderr.write(f"{command}: {message}\n")
    return USAGE_ERROR


def describe_installation() -> str:
    """Return version, speed and Python in one line, such as "cede 0.1.0 (compiled), Python 3.13.0"."""
    import cede

    speed = "compiled" if cede.compiled else "pure Python"
    python = ".".join(map(str, sys.version_info[:3]))
    return f"cede {cede.__version__} ({speed}), Python {python}"
