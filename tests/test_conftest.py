"""The suite's own rules, broken one by one: what conftest.py promises to notice, it notices.

Each case is a test file that runs in a pytest of its own, beside a copy of conftest.py and under the same settings.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
HEAD = "import asyncio, os, socket, subprocess, sys, threading, time, warnings\nimport pytest, cede\n"

Suite = Callable[..., tuple[int, str]]


@pytest.fixture
def suite(tmp_path: Path, pytestconfig: pytest.Config) -> Suite:
    """Return `suite(source, *options)`: run `source` as a test file; return (exit status, output)."""

    def run(source: str, *options: str, pure: bool | None = None) -> tuple[int, str]:
        shutil.copy(HERE / "conftest.py", tmp_path)
        (tmp_path / "test_case.py").write_text(HEAD + source)
        asked = pytestconfig.getoption("pure") if pure is None else pure
        env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "CEDE_PURE"))}
        env["CEDE_TEST_SETTLE"] = "0.2"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", HERE.parent / "pyproject.toml"]
        done = subprocess.run(
            [*command, "--rootdir", tmp_path, *(["--pure"] if asked else []), *options, tmp_path / "test_case.py"],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=28,
        )
        return done.returncode, done.stdout

    return run


LEAKS = {
    "fds": "def test_it():\n    test_it.kept = os.dup(0)\n",
    "threads": "def test_it():\n    threading.Thread(target=time.sleep, args=(20,), daemon=True).start()\n",
    "children": "def test_it():\n    test_it.kept = subprocess.Popen(['sleep', '20'])\n",
    "tasks": """
KEPT = []
def test_it():
    loop = cede.new_event_loop()
    KEPT.extend([loop, loop.create_task(asyncio.sleep(9))])
""",
}


@pytest.mark.parametrize("kind", LEAKS)
def test_what_is_left_fails_the_test(suite: Suite, kind: str) -> None:
    status, output = suite(LEAKS[kind])
    assert status == 1, output
    assert "the test left behind" in output
    assert f"  {kind}: " in output


def test_a_test_may_be_excused(suite: Suite) -> None:
    status, output = suite("@pytest.mark.leaves('fds')\n" + LEAKS["fds"])
    assert status == 0, output


def test_a_task_left_in_the_loop_fails_the_test(suite: Suite) -> None:
    status, output = suite("async def test_it(loop):\n    test_it.kept = loop.create_task(cede.sleep(60))\n")
    assert status == 1, output
    assert "the test left in its loop" in output


def test_a_timer_left_in_the_loop_fails_the_test(suite: Suite) -> None:
    status, output = suite("def test_it(loop):\n    loop.call_later(60, print)\n", pure=True)
    assert status == 1, output
    assert "the test left in its loop" in output


def test_an_error_in_a_callback_fails_the_test(suite: Suite) -> None:
    source = "def test_it(loop):\n    loop.call_soon(lambda: 1 / 0)\n"
    status, output = suite(source)
    assert status == 1, output
    assert "ZeroDivisionError" in output
    looked = "def test_it(loop, loop_errors):\n    loop.call_soon(lambda: 1 / 0)\n    loop.call_soon(loop.stop)\n"
    looked += "    loop.run_forever()\n    assert loop_errors.pop()['exception']\n"
    status, output = suite(looked)
    assert status == 0, output


def test_a_running_loop_left_fails_the_test(suite: Suite) -> None:
    status, output = suite("def test_it(loop):\n    asyncio._set_running_loop(loop)\n")
    assert status == 1, output
    assert "running" in output


def test_a_warning_is_an_error(suite: Suite) -> None:
    status, output = suite("def test_it():\n    warnings.warn('no')\n")
    assert status == 1, output


def test_a_coroutine_never_awaited_is_an_error(suite: Suite) -> None:
    status, output = suite("async def nothing(): pass\ndef test_it():\n    nothing()\n")
    assert status == 1, output
    assert "never awaited" in output


def test_an_xfail_that_passes_is_a_failure(suite: Suite) -> None:
    status, output = suite("@pytest.mark.xfail\ndef test_it(): pass\n")
    assert status == 1, output


def test_a_hanging_test_is_stopped(suite: Suite) -> None:
    status, output = suite("async def test_it():\n    await cede.sleep(60)\n", "--timeout=1")
    assert status == 1, output
    assert "Timeout" in output


def test_a_hang_that_swallows_its_timeout_takes_the_process_down(suite: Suite) -> None:
    source = """
@pytest.fixture
def stubborn():
    yield
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
def test_it(stubborn):
    assert False
"""
    status, output = suite(source, "--timeout=1", "-o", "faulthandler_timeout=2")
    assert status == 1, output
    assert "Timeout (0:00:02)!" in output


def test_an_async_test_runs_and_can_fail(suite: Suite) -> None:
    source = (
        "async def test_it(loop, tmp_path):\n    assert asyncio.get_running_loop() is loop\n    await cede.sleep(0)\n"
    )
    status, output = suite(source)
    assert status == 0, output
    status, output = suite(source + "    assert tmp_path is None\n")
    assert status == 1, output


def test_the_wrong_speed_is_refused(tmp_path: Path) -> None:
    """CEDE_PURE=1 in the environment and no --pure: the run would prove nothing."""
    shutil.copy(HERE / "conftest.py", tmp_path)
    (tmp_path / "test_case.py").write_text("def test_it(): pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", HERE.parent / "pyproject.toml", tmp_path],
        cwd=tmp_path,
        env=os.environ | {"CEDE_PURE": "1"},
        capture_output=True,
        text=True,
        timeout=28,
    )
    assert done.returncode == 4, done.stdout + done.stderr
    assert "plain Python" in done.stderr
