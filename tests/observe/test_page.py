"""What is made of a recording: Chrome's JSON, by the rules of its format, and the page, in a browser where there is one."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cede
from cede import observe
from cede.observe import chrome, page, recorder, schema, turns

pytestmark = [pytest.mark.cede_only("only cede's loops are recorded"), pytest.mark.build]


@pytest.fixture(scope="module")
def recording() -> schema.Recording:
    async def fails() -> None:
        await cede.sleep(0)
        raise ValueError

    async def slow() -> None:
        await cede.sleep(0.001)
        time.sleep(0.15)  # longer than what else may take its time here

    async def main() -> None:
        tasks = [cede.create_task(slow(), name="</script><b>slow"), cede.create_task(fails(), name="fails")]
        await cede.wait(tasks)
        observe.mark("done <here>")

    observe.start("1MiB", file=False)
    loop = cede.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    loop.run_until_complete(main())
    found = schema.decode(*schema.snapshot(recorder.rings()[-1][0]))
    observe.stop()
    loop.close()
    return found


def many(events: int, tasks: int) -> schema.Recording:
    """A recording as large as one wants; each tenth event is a mark."""
    name = schema.Name("work", "app.py", 1)
    found = [
        schema.Event("step", n * 1e-5, 8e-6, n % tasks + 1, "waiting", (n + 1) % tasks + 1, 2e-6, 0, schema.UNKNOWN, "", n % 65536)
        if n % 10 else schema.Event("mark", n * 1e-5, 0.0, 0, "", 0, 0.0, 0, schema.UNKNOWN, f"request {n}", n % 65536)
        for n in range(events)
    ]  # fmt: skip
    header: dict[str, int | str] = {"pid": 1, "python": "3", "cede": "0", "begun_wall": 0}
    known = {n: schema.Task(n, f"Task-{n}", name) for n in range(1, tasks + 1)}
    return schema.Recording(header, found, known, 0, 1e-9)


def test_json_keeps_to_the_format(recording: schema.Recording) -> None:
    entries = json.loads(chrome.as_json(recording))["traceEvents"]
    starts, ends = {}, {}
    for entry in entries:
        assert entry["ph"] in "XMsfi" and entry["pid"] == 1
        if entry["ph"] == "X":
            assert entry["dur"] >= 0 and isinstance(entry["ts"], float) and isinstance(entry["name"], str)
        if entry["ph"] in "sf":
            (starts if entry["ph"] == "s" else ends)[entry["id"]] = entry["ts"]
    assert starts.keys() == ends.keys()
    assert starts
    assert all(starts[number] <= ends[number] for number in starts)
    names = {entry["args"]["name"] for entry in entries if entry["name"] == "thread_name"}
    assert {"fails", "</script><b>slow", "the poller"} <= names


def test_json_too_large_is_cut_and_says_so(recording: schema.Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chrome, "LARGEST", 2000)
    entries = json.loads(chrome.as_json(recording))["traceEvents"]
    assert entries[-1]["name"].startswith("cut off here")


def test_a_wake_comes_before_its_step(recording: schema.Recording) -> None:
    pairs = list(schema.wakes(recording))
    assert pairs
    for cause, step in pairs:
        assert cause.begin <= step.begin
        assert cause.who == step.woken_by


def test_the_page_needs_nothing_else(recording: schema.Recording) -> None:
    text = page.as_html(recording)
    assert not re.search(r"""(src|href)=|https?://|@import|url\(""", text)
    assert "</script><b>" not in text
    assert text.count("<script>") == text.count("</script>") == 1


def test_turns_are_told_in_lines(recording: schema.Recording) -> None:
    teller = turns.Teller()
    lines = [*teller.lines(recording), *teller.rest()]
    assert "is made" in lines[0]
    assert any(
        re.search(r"turn \d+: .*fails, woken by .*, ran [\d.]+ (µs|ms), then is ready again", line) for line in lines
    ), lines
    assert any("fails ran" in line and "then failed" in line for line in lines)
    assert any(line.endswith("-- done <here>") for line in lines)
    first, *steps = turns.summary(recording)
    assert "% of it busy" in first
    assert "slow" in steps[0]


# --- In a browser -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.build
@pytest.mark.timeout(120)
def test_in_a_browser(tmp_path: Path, recording: schema.Recording) -> None:
    """By keyboard, with axe-core, in both themes, narrow, and with 100,000 events; in a process of its own."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None or importlib.util.find_spec("playwright") is None:
        pytest.skip("the page is looked at where there are Chromium and Playwright")
    (tmp_path / "small.html").write_text(page.as_html(recording), encoding="utf-8")
    (tmp_path / "large.html").write_text(page.as_html(many(100_000, 500)), encoding="utf-8")
    program = [sys.executable, str(Path(__file__).parent / "in_a_browser.py"), browser, str(tmp_path)]
    axe = importlib.util.find_spec("axe_playwright_python")
    if axe is not None:
        program += [f"{folder}/axe.min.js" for folder in axe.submodule_search_locations or ()]
    done = subprocess.run(program, capture_output=True, text=True, timeout=110)
    assert (done.stdout, done.returncode) == ("all seen\n", 0), done.stdout + done.stderr
