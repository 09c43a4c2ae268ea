"""The suite's own rules, broken one by one: what conftest.py promises to notice, it notices.

Each case is a test file; all of them run in one pytest of their own, beside a copy of conftest.py and under the same
settings. Those that end a process, or need other options, get one to themselves.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.build
HERE = Path(__file__).resolve().parent
HEAD = "import asyncio, os, socket, subprocess, sys, threading, time, warnings\nimport pytest, cede\n"


def run_suite(folder: Path, files: dict[str, str], *options: str | Path, pure: bool, **env: str) -> tuple[int, str]:
    """Run the files `test_NAME.py` that `files` names, in `folder`; return (exit status, output)."""
    shutil.copy(HERE / "conftest.py", folder)
    for name, source in files.items():
        (folder / f"test_{name}.py").write_text(HEAD + source)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "CEDE_PURE"))}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", HERE.parent / "pyproject.toml"]
    done = subprocess.run(
        [*command, "--rootdir", folder, *(["--pure"] if pure else []), *options, folder],
        cwd=folder,
        env=clean | {"CEDE_TEST_SETTLE": "0.2"} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=58,
    )
    return done.returncode, done.stdout


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
LOOKED = """
def test_it(loop, loop_errors):
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert loop_errors.pop()['exception']
"""
RUNS = "async def test_it(loop, tmp_path):\n    assert asyncio.get_running_loop() is loop\n    await cede.sleep(0)\n"

# name → source, words that the report of the failure holds; None for what must pass
CASES: dict[str, tuple[str, tuple[str, ...] | None]] = {
    **{f"left_{kind}": (source, ("the test left behind", f"  {kind}: ")) for kind, source in LEAKS.items()},
    "excused": ("@pytest.mark.leaves('fds')\n" + LEAKS["fds"], None),
    "task_in_the_loop": (
        "async def test_it(loop):\n    test_it.kept = loop.create_task(cede.sleep(60))\n",
        ("the test left in its loop",),
    ),
    "error_in_a_callback": ("def test_it(loop):\n    loop.call_soon(lambda: 1 / 0)\n", ("ZeroDivisionError",)),
    "error_looked_at": (LOOKED, None),
    "running_loop": ("def test_it(loop):\n    asyncio._set_running_loop(loop)\n", ("running",)),
    "warning": ("def test_it():\n    warnings.warn('no')\n", ("UserWarning: no",)),
    "never_awaited": ("async def nothing(): pass\ndef test_it():\n    nothing()\n", ("never awaited",)),
    "xfail_that_passes": ("@pytest.mark.xfail\ndef test_it(): pass\n", ("XPASS",)),
    "async": (RUNS, None),
    "async_that_fails": (RUNS + "    assert tmp_path is None\n", ("tmp_path is None",)),
    "hanging": ("@pytest.mark.timeout(1)\nasync def test_it():\n    await cede.sleep(60)\n", ("Timeout",)),
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> dict[str, str]:
    """Run all cases; return what was said of those that did not pass."""
    folder = tmp_path_factory.mktemp("suite")
    report = folder / "report.xml"
    files = {name: source for name, (source, _) in CASES.items()}
    status, output = run_suite(folder, files, f"--junitxml={report}", pure=pytestconfig.getoption("pure"))
    assert status == 1, output
    said: dict[str, str] = {}
    ran: set[str] = set()
    for case in ElementTree.parse(report).iter("testcase"):
        name = case.attrib["classname"].rpartition(".")[2].removeprefix("test_")
        ran.add(name)
        for complaint in (*case.iter("failure"), *case.iter("error")):
            said[name] = f"{said.get(name, '')}{complaint.get('message')}\n{complaint.text}"
    assert ran == set(CASES), output
    return said


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", CASES)
def test_the_rules(reports: dict[str, str], name: str) -> None:
    words = CASES[name][1]
    if words is None:
        assert name not in reports, reports[name]
        return
    assert name in reports, "nothing was said"
    assert not [word for word in words if word not in reports[name]], reports[name]


def test_a_timer_left_in_the_loop_fails_the_test(tmp_path: Path) -> None:
    """Only a loop in plain Python tells of its timers, so this is seen with --pure."""
    status, output = run_suite(tmp_path, {"it": "def test_it(loop):\n    loop.call_later(60, print)\n"}, pure=True)
    assert status == 1, output
    assert "the test left in its loop" in output


def test_a_hang_that_swallows_its_timeout_takes_the_process_down(tmp_path: Path, pytestconfig: pytest.Config) -> None:
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
    options = ("--timeout=0.5", "-o", "faulthandler_timeout=1")
    status, output = run_suite(tmp_path, {"it": source}, *options, pure=pytestconfig.getoption("pure"))
    assert status == 1, output
    assert "Timeout (0:00:01)!" in output


def test_the_wrong_speed_is_refused(tmp_path: Path) -> None:
    """CEDE_PURE=1 in the environment and no --pure: the run would prove nothing."""
    status, output = run_suite(tmp_path, {"it": "def test_it(): pass\n"}, pure=False, CEDE_PURE="1")
    assert status == 4, output
    assert "plain Python" in output
