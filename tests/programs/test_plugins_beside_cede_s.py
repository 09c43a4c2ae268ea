"""Async tests beside other plugins of pytest's: those get what is theirs, and cede's own the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KINDS = """
import asyncio
import pytest

def kind():
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]

@pytest.fixture
def anyio_backend():
    return "asyncio"

async def test_unmarked():
    assert kind() == {unmarked!r}

@pytest.mark.asyncio
async def test_asyncio():
    assert kind() == "asyncio"

@pytest.mark.anyio
async def test_anyio():
    assert kind() == "asyncio"
"""


@pytest.mark.programs
@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("options", "unmarked", "passed"),
    [
        ("-p no:asyncio -p no:anyio", "cede", 1),
        ("-p no:asyncio", "cede", 2),
        ("-p no:anyio -o asyncio_mode=strict", "cede", 2),
        ("-p no:anyio -o asyncio_mode=auto", "asyncio", 3),
        ("-o asyncio_mode=strict", "cede", 3),
        ("-o asyncio_mode=auto", "asyncio", 3),
        ("-o anyio_mode=auto", "asyncio", 3),
    ],
)
def test_beside_other_plugins(tmp_path: Path, options: str, unmarked: str, passed: int) -> None:
    """A loop of cede's for what nobody else takes; a test that is marked for a plugin which is not there fails."""
    (tmp_path / "test_it.py").write_text(KINDS.replace("{unmarked!r}", repr(unmarked)))
    command = [sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    done = subprocess.run(
        [*command, *options.split()], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert f"{passed} passed" in done.stdout, done.stdout
    assert ("failed" in done.stdout) == (passed < 3)
