"""What runs other people's suites (`make suites`) counts right, and its lists say why. The suites themselves: `.ci/run`."""

from __future__ import annotations

import json
import re
import sys

import pytest

import cede
from tests.suites import __main__, catalogue, runner

ON = "cede" if cede.compiled else "cede-plain"

STRANGERS_TESTS = """
import asyncio, os, pathlib, signal, time
import pytest

def on_cede():
    loop = asyncio.new_event_loop()
    loop.close()
    return type(loop).__module__.startswith("cede")

def test_passes():
    assert on_cede() or os.environ["CEDE_SUITE_JOB"]

def test_every_road_leads_to_the_loop():
    async def kind():
        return type(asyncio.get_running_loop())
    assert asyncio.run(kind()) is asyncio.SelectorEventLoop is asyncio.EventLoop

def test_fails_on_cede():
    assert not on_cede()

def test_fails_everywhere():
    assert False

def test_interrupts_are_as_in_a_terminal():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

def test_passes_when_it_runs_again():
    mark = pathlib.Path("mark")
    assert mark.exists() or mark.touch()

def test_passes_alone(request):
    assert len(request.session.items) == 1 or not on_cede()

def test_hangs():
    time.sleep(60 if on_cede() else 0)

def test_ends_the_process():
    os.kill(os.getpid(), signal.SIGKILL if on_cede() else 0)

def test_forks():
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)

@pytest.mark.skip
def test_skipped():
    assert False

def test_expects_no_plugin(request):
    assert not request.config.pluginmanager.hasplugin("xdist")
"""


@pytest.mark.skipif(sys.version_info < (3, 13), reason="asyncio.EventLoop, one of the roads, is new in Python 3.13")
@pytest.mark.slow
@pytest.mark.timeout(120)
def test_each_end_of_a_test_is_told_from_the_others(tmp_path, monkeypatch):
    (tmp_path / "test_strange.py").write_text(STRANGERS_TESTS, encoding="utf-8")
    monkeypatch.setattr(runner, "source_tree", lambda suite: tmp_path)
    suite = catalogue.Suite("strange", "test_strange.py", "as any program", seconds=3.0, expression="not no_such_thing")
    result = runner.run(suite, ON)
    assert len(result.failed) == 6 and not result.lost
    runner.judge(suite, ON, result)
    ends = {test.partition("::test_")[2]: outcome.outcome for test, outcome in result.tests.items()}
    assert ends == {
        "passes": "passed",
        "every_road_leads_to_the_loop": "passed",
        "fails_on_cede": "failed",
        "fails_everywhere": "failed",
        "interrupts_are_as_in_a_terminal": "passed",
        "passes_when_it_runs_again": "passed",
        "passes_alone": "passed",
        "hangs": "hung",
        "ends_the_process": "crashed",
        "forks": "passed",
        "skipped": "skipped",
        "expects_no_plugin": "passed",
    }
    lost = ["fails_on_cede", "hangs", "ends_the_process"]
    assert result.lost == [f"test_strange.py::test_{name}" for name in lost]
    assert result.fail_on_stock == ["test_strange.py::test_fails_everywhere"]
    assert result.second_try == [f"test_strange.py::test_passes_{when}" for when in ("when_it_runs_again", "alone")]
    assert (result.passed, result.judged) == (7, 10)
    assert result.tests["test_strange.py::test_every_road_leads_to_the_loop"].loops == 1


def test_a_suite_that_cannot_be_collected_is_broken(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "source_tree", lambda suite: tmp_path)
    with pytest.raises(runner.Broken, match="no_such_file"):
        runner.run(catalogue.Suite("strange", "no_such_file.py", ""), ON)


def test_the_catalogue_is_pinned_and_the_lists_say_why():
    for suite in catalogue.SUITES:
        assert re.fullmatch(r"[\w.-]+==[\w.]+", suite.requirement)
        assert suite.road
        assert all(reason for reason in suite.left_out.values())
    assert {path.stem for path in (catalogue.HERE / "left_out").iterdir()} <= set(catalogue.BY_NAME)


def test_the_table_is_made_of_several_runs(tmp_path, monkeypatch, capsys):
    def told(**outcomes):
        return {"tests": {test: {"outcome": outcome} for test, outcome in outcomes.items()}}

    first = {"janus": {"asyncio": told(a="passed", b="passed", c="failed"), "cede": told(a="passed", b="passed")}}
    second = {
        "janus": {"uvloop": told(a="failed", c="passed", b_of_uvloop="passed")},
        "anyio": {"asyncio": told(a="passed"), "cede": told(a="failed") | {"lost": ["a"]}},
    }
    arguments = ["suites", "--table", "--on", "asyncio,cede,uvloop"]
    for number, results in enumerate((first, second)):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps(results), encoding="utf-8")
        arguments += ["--add", str(file)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert __main__.main() == 1
    printed = capsys.readouterr().out
    versions = catalogue.versions()
    assert f"| janus | {versions['janus']} | 2 | 2 | 1 |" in printed
    assert f"| anyio | {versions['anyio']} | 1 | 0 |  |" in printed
    assert printed.index("| anyio") < printed.index("| janus")
    assert "cede: 2 of 3 that pass on asyncio" in printed
