"""CPython's own asyncio tests pass on cede: the modules that take seconds. `make conformance` runs all of them.

What does not run, and what is expected to fail, stands with its reason in `excluded.tsv` and in `expected/`.
"""

from __future__ import annotations

import re
import sys

import pytest

import cede
from tests.conformance import place, suite

SLOW = ("test_ssl", "test_sslproto")  # half of the time
# As plain Python only the mode that asks for more of cede: its loops run in both.
MODES = place.MODES if cede.compiled else ("package",)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("module", [name for name in suite.modules() if name not in SLOW] or [None])
def test_cpythons_own_tests(mode, module):
    if module is None:
        pytest.skip(f"this Python came without its tests of asyncio (test.test_asyncio): {sys.executable}")
    result = suite.run(mode, module)
    assert not result.lost, result.complaint()


def test_the_lists_say_why():
    lists = [suite.HERE / "excluded.tsv", *suite.HERE.glob("expected/*.tsv")]
    assert {path.stem for path in lists} >= {"excluded", "3.11", "3.12", "3.13", "3.14", "3.15"}
    for path in lists:
        rows = suite.table(path)
        assert len({row[:2] for row in rows}) == len(rows), path
        for mode, test, reason in rows:
            assert mode in (*place.MODES, "both")
            assert re.fullmatch(r"test_\w+\.[\w*.\[\]-]+|test_\*[\w*.]*|test_windows_\*|\*\.[\w.]+", test), test
            assert len(reason.split()) >= 2 and not reason[0].isspace(), test


def test_what_fails_is_counted_and_shown(tmp_path, monkeypatch):
    """A test that fails is tried again alone; one that ends its process does not keep the others from running."""
    outcomes = iter(
        [
            ({"m.A.one": "passed", "m.A.two": "failed"}, "m.A.three"),
            ({"m.A.four": "skipped"}, None),
            ({"m.A.two": "passed"}, None),
            ({}, "m.A.three"),
        ]
    )

    def run_child(result, *_):
        ended, begun = next(outcomes)
        result.outcomes |= ended
        result.why |= dict.fromkeys([*ended, begun], "why")
        return begun

    monkeypatch.setattr(suite, "_run_child", run_child)
    result = suite.run("loop", "m")
    assert result.outcomes == {"m.A.one": "passed", "m.A.two": "passed", "m.A.three": "failed", "m.A.four": "skipped"}
    assert result.lost == ["m.A.three"]
    assert result.complaint() == "LOST m.A.three: why"
