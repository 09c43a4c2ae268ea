"""What looks for leaks, deadlocks and stalls while suites run (`make false-reports`) sees them, and judges them right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PLUGIN = Path(__file__).parent / "plugin"

STRANGERS_TESTS = """
import threading, time
import cede
import looking_on
from cede import observe

def wait_for(kind, text):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if any(report.kind == kind and text in report.text for report in looking_on.reports):
            return
        time.sleep(0.01)
    raise AssertionError([report.text for report in looking_on.reports])

async def nobody():
    await cede.get_running_loop().create_future()

def test_a_leak():
    async def main():
        cede.create_task(nobody(), name="forgotten")
        await cede.to_thread(wait_for, "leaks", "forgotten")
    cede.run(main())

def test_a_deadlock():
    async def take(first, second):
        async with first:
            await cede.sleep(0.01)
            async with second:
                pass

    async def main():
        one, two = cede.Lock(), cede.Lock()
        tasks = [cede.create_task(take(one, two), name="one"), cede.create_task(take(two, one), name="two")]
        await cede.to_thread(wait_for, "deadlock", "'one'")
        tasks[0].cancel()
        await cede.wait(tasks)
    cede.run(main())

def test_a_stall():
    async def main():
        while not any(report.kind == "stall" for report in looking_on.reports):
            await cede.sleep(0.01)
            time.sleep(1.5)
    cede.run(main())

def test_a_false_report():
    async def goes_on(event):
        await event.wait()

    async def main():
        event = cede.Event()
        task = cede.create_task(goes_on(event), name="goes on")
        await cede.sleep(0)
        row = next(row for row in await cede.to_thread(rows) if row["name"] == "goes on")
        looking_on.look("leaks", lambda: [observe.Leak(row, "it can never go on")])
        event.set()
        await task
    cede.run(main())

def rows():
    from cede.observe import snapshot
    return snapshot.capture()["tasks"]
"""


@pytest.mark.slow
@pytest.mark.build
@pytest.mark.timeout(120)
def test_reports_are_seen_and_judged(tmp_path: Path) -> None:
    (tmp_path / "test_them.py").write_text(STRANGERS_TESTS, encoding="utf-8")
    told = tmp_path / "told"
    environment = os.environ | {"CEDE_LOOKING_ON": str(told), "PYTHONPATH": str(PLUGIN), "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "looking_on", "-p", "no:cacheprovider", "test_them.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    begun, *reports, ended = [json.loads(line) for line in told.read_text(encoding="utf-8").splitlines()]
    assert begun.keys() == {"begun"}
    assert ended["errors"] == []
    assert ended["looks"]["tests"] == 4
    assert min(ended["looks"].values()) > 0
    of: dict[str, list[Any]] = {}
    for report in reports:
        of.setdefault(f"{report['kind']} {report['test'].partition('::')[2]}", []).append(report)
    for kind in ("leaks test_a_leak", "deadlock test_a_deadlock", "stall test_a_stall"):
        assert [report["false"] for report in of[kind]] == [""] * len(of[kind])
    (false,) = of["leaks test_a_false_report"]
    assert false["false"].startswith("task 'goes on' went on, from 1 steps to 2: ")
