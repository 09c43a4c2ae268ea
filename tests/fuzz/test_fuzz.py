"""Random programs do on cede, compiled and plain Python, what they do on stock asyncio.

CEDE_FUZZ_SEED repeats a run, CEDE_FUZZ_COUNT makes it longer. `python -m tests.fuzz` does the same by hand.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import cede

from . import hostile, streams

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.drawn
def test_random_programs_of_streams(caplog):
    """What programs do with streams over socket pairs; this speed, both modes."""
    caplog.set_level(logging.CRITICAL)
    seed = int(os.environ.get("CEDE_FUZZ_SEED") or random.randrange(10**9))
    for number in range(seed, seed + int(os.environ.get("CEDE_FUZZ_COUNT") or 200)):
        program = streams.generate(number)
        libs = {"loop": asyncio, "package": cede}
        if streams.differences(program, libs):
            smallest = streams.shrink(program, libs)
            different = streams.differences(smallest, libs)
            pytest.fail(f"seed {number}: {smallest}\n" + "\n".join(line for log in different.values() for line in log))


@pytest.mark.timeout(180)
@pytest.mark.drawn
def test_random_programs(capsys):
    seed = os.environ.get("CEDE_FUZZ_SEED") or str(random.randrange(10**9))
    count = os.environ.get("CEDE_FUZZ_COUNT") or "2000"
    speed = "compiled" if cede.compiled else "pure"
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        "--seed",
        seed,
        "--count",
        count,
        "--seconds",
        "60",
        "--failures",
        "1",
    ]
    source = str(Path(cede.__path__[0]).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))}
    done = subprocess.run(
        [*command, "--speed", speed], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=170
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert f"from seed {seed}\n{count} programs" in done.stdout, done.stdout  # as many as asked for were played
    with capsys.disabled():
        sys.stdout.write(f"\nfuzz: {count} programs from seed {seed}")


@pytest.mark.timeout(180)
@pytest.mark.drawn
def test_hostile_calls(capsys):
    """Whatever is passed to what is public, nothing crashes, hangs or says SystemError; this speed."""
    seed = int(os.environ.get("CEDE_FUZZ_SEED") or random.randrange(10**9))
    children = int(os.environ.get("CEDE_FUZZ_COUNT") or 8)
    faults = [*filter(None, map(hostile.fault_of, range(seed, seed + children)))]
    assert not faults, "\n".join(faults)
    with capsys.disabled():
        sys.stdout.write(f"\nfuzz: {children * hostile.CALLS_OF_A_CHILD} hostile calls from seed {seed}")


def test_what_a_hostile_child_makes_goes_with_its_folder(monkeypatch):
    """A path is a value like any other: sockets named by what the bag held once stood in the checkout, and broke copies."""
    folders = []

    def run(command, *, cwd, **kwargs):
        folders.append(Path(cwd))
        Path(cwd, "made").touch()
        return real_run(command, cwd=cwd, **kwargs)

    real_run = subprocess.run
    monkeypatch.setattr(hostile.subprocess, "run", run)
    monkeypatch.setattr(hostile, "CALLS_OF_A_CHILD", 1)
    assert hostile.fault_of(1) == ""
    assert folders and not folders[0].exists() and ROOT not in folders[0].parents and folders[0] != ROOT
