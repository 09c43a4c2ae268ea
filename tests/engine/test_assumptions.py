"""What cede assumes about the interpreter is looked at, and where it does not hold, all goes on without the trick."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cede
from cede.engine.assumptions import TRICKS, allows

ROOT = Path(__file__).resolve().parent.parent.parent
RunPython = Callable[..., "subprocess.CompletedProcess[str]"]

# Of the engine's tests those that are about what the tricks do. test_memory asks for kept memory itself.
ENGINE = """
    await_errors cancel_circles contexts finalizers future_objects futures handles mixed running sending
    task_cancel task_objects tasks threads timers turns
""".split()  # noqa: SIM905
# By name, for those whom a trick concerns beyond the engine.
BEYOND = {"sockets by number": ["tests/io/test_stream_ends.py", "tests/io/test_stream_writes.py"]}


def concerns(trick: str) -> bool:
    """Whether the trick is used in this speed."""
    return cede.compiled or trick == "counted tasks"


def test_all_hold_on_this_python(run_python: RunPython) -> None:
    source = """
    import cede, cede.io.channel, cede.tasks
    from cede.engine import assumptions
    print(*assumptions.off, sep=",")
    """
    done = run_python(source, env={"CEDE_DEBUG": "1"})
    counted = ["copied objects"] if cede.compiled and sys.version_info < (3, 12) else []  # references to None
    assert [name for name in done.stdout.strip().split(",") if name] == counted
    assert done.stderr.count("\n") == len(counted)


@pytest.mark.parametrize("trick", TRICKS)
def test_what_does_not_hold_is_said(run_python: RunPython, trick: str) -> None:
    if not concerns(trick):
        pytest.skip("interpreted, there is no such trick")
    command = "import sys; from cede.__main__ import main; sys.exit(main(['--version', '--verbose']))"
    done = run_python(command, env={"CEDE_WITHOUT": trick, "CEDE_DEBUG": "1"})
    assert f"  {trick}: off, " in done.stdout
    said = [line for line in done.stderr.splitlines() if line.startswith(f"cede: without {trick}: ")]
    assert len(said) == 1


def test_a_trick_that_there_is_not(run_python: RunPython) -> None:
    done = run_python("import cede; cede.new_event_loop()", check=False, env={"CEDE_WITHOUT": "magic"})
    assert done.returncode == 1
    assert "CEDE_WITHOUT names ['magic']; there are: kept memory," in done.stderr


def test_an_assumption_that_fails_is_noted_with_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    off: dict[str, str] = {}
    monkeypatch.setattr("cede.engine.assumptions.off", off)
    assert allows("quiet ends", True)
    assert off == {}
    assert not allows("quiet ends", False)
    assert off == {"quiet ends": f"not so on this Python: {TRICKS['quiet ends']}"}


# All at once; each by itself with CEDE_TEST_TRICKS=each, as `make tricks` has it.
WITHOUT = [", ".join(TRICKS), *(TRICKS if os.environ.get("CEDE_TEST_TRICKS") == "each" else ())]


@pytest.mark.slow
@pytest.mark.build
@pytest.mark.timeout(300)
@pytest.mark.parametrize("tricks", WITHOUT, ids=["all", *WITHOUT[1:]])
def test_the_engine_without(tricks: str, pytestconfig: pytest.Config) -> None:
    if not concerns(tricks) and tricks in TRICKS:
        pytest.skip("interpreted, there is no such trick")
    files = [f"tests/engine/test_{name}.py" for name in ENGINE]
    files += [file for trick, more in BEYOND.items() if trick in tricks for file in more]
    speed = ["--pure"] if pytestconfig.getoption("pure") else []
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow", *speed, *files],
        cwd=ROOT,
        env={**os.environ, "CEDE_WITHOUT": tricks},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
