"""The results on disk: docs/performance/python-X.Y.json, one file an interpreter version.

A partial run may be added to a file made on the same machine with the same versions; numbers
from two machines, or of two versions of a peer, never meet in one table.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from .clients import REPOSITORY
from .rounds import Result

DIRECTORY = REPOSITORY / "docs" / "performance"


class Different(Exception):
    """The file holds numbers from elsewhere."""


def path() -> Path:
    """Return the file of this interpreter's version."""
    return DIRECTORY / f"python-{sys.version_info[0]}.{sys.version_info[1]}.json"


def read(file: Path) -> tuple[dict[str, str], dict[str, Result]]:
    """Return the environment and the results of a file, by row."""
    content: dict[str, Any] = json.loads(file.read_text())
    return content["environment"], {name: Result(**fields) for name, fields in content["rows"].items()}


def recording(file: Path) -> dict[str, tuple[float, float]]:
    """Return what was counted of recording, by row: instructions an operation without and with it."""
    content: dict[str, Any] = json.loads(file.read_text())
    return {name: (off, on) for name, (off, on) in content.get("recording", {}).items()}


def write_recording(counted: dict[str, tuple[float, float]]) -> None:
    """Put what was counted of recording beside the results of this interpreter's version, which are there already."""
    content: dict[str, Any] = json.loads(path().read_text())
    content["recording"] = {name: [round(off), round(on)] for name, (off, on) in counted.items()}
    path().write_text(json.dumps(content, indent=1) + "\n")


class Writer:
    """Writes each result as it comes, so that a run cut short keeps what it has measured."""

    def __init__(self, environment: dict[str, str], afresh: bool) -> None:
        """Begin a new file if `afresh`; otherwise add to the old one, or raise Different."""
        self._environment = environment
        self._rows: dict[str, Result] = {}
        self._recording: dict[str, tuple[float, float]] = {}
        if not afresh and path().exists():
            before, self._rows = read(path())
            self._recording = recording(path())
            changed = [name for name in environment if before.get(name) != environment[name]]
            if changed:
                differences = ", ".join(changed)
                raise Different(f"{path().name} was measured elsewhere ({differences} differ): measure all rows anew")

    def add(self, result: Result) -> None:
        """Put one row's result into the file."""
        self._rows[result.name] = result
        rows = {name: each.as_json() for name, each in self._rows.items()}
        content: dict[str, Any] = {"environment": self._environment, "rows": rows}
        if self._recording:
            content["recording"] = self._recording
        path().parent.mkdir(parents=True, exist_ok=True)
        path().write_text(json.dumps(content, indent=1) + "\n")
