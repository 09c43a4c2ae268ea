"""docs/performance.md: what was measured and counted stands on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import recording, report, results
from benchmarks.rounds import Result

pytestmark = pytest.mark.build  # about the house


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(results, "DIRECTORY", tmp_path)
    monkeypatch.setattr(report, "PAGE", tmp_path / "page.md")
    report.PAGE.write_text(f"# By hand\n\n{report.MARKER}\nold\n")
    results.path().write_text(json.dumps({"environment": {"python": "a snake"}, "rows": {}}))
    return report.PAGE


def test_what_recording_takes_stands_on_the_page(page: Path) -> None:
    results.write_recording({"sleep0-1": (1000.4, 1100.4), "shield": (10.0, 20.0), "task-await": (100.0, 101.0)})
    for python in ("3.13", "3.15"):  # whichever writes the page
        (results.DIRECTORY / f"python-{python}.json").write_text(results.path().read_text())
    report.write_page()
    written = page.read_text()
    assert written.startswith("# By hand") and "old" not in written
    assert "- python: a snake" in written
    assert f"| sleep0-1 | 1000 | 1100 | +10.0% | {recording.BUDGET['sleep0-1']:.0%} |" in written
    by_version = dict(part.split("\n", 1) for part in written.split("## Python ")[1:])
    assert "| task-await | 100 | 101 | +1.0% | 18% |" in by_version["3.13"]
    assert "| task-await | 100 | 101 | +1.0% | 23% |" in by_version["3.15"]
    assert "| shield | 10 | 20 | +100.0% |  |" in written


def test_rows_measured_later_keep_what_was_counted(page: Path) -> None:
    results.write_recording({"shield": (10.0, 20.0)})
    writer = results.Writer({"python": "a snake"}, afresh=False)
    writer.add(Result("shield", "shield", "Library", "ns", [""], 1, 1.0))
    assert results.recording(results.path()) == {"shield": (10, 20)}
    with pytest.raises(results.Different, match="python differ"):
        results.Writer({"python": "another"}, afresh=False)


def test_a_budget_is_kept_or_not() -> None:
    assert recording.Count("sleep0-1", 100, 115).kept
    assert not recording.Count("sleep0-1", 100, 116).kept
    assert recording.Count("without a budget", 100, 1000).kept
