"""What recording may cost, in instructions: a clock on a busy machine would tell nothing."""

from __future__ import annotations

import pytest

import cede
from benchmarks import recording

pytestmark = [
    pytest.mark.cede_only("only cede's loops are recorded"),
    pytest.mark.skipif(not cede.compiled, reason="the budget is that of the compiled half"),
    pytest.mark.skipif(
        not recording.available(), reason="instructions are counted by valgrind, which is not installed"
    ),
]

ROWS = ["sleep0-1", "task-await", "call-soon-chain"]
SLACK = 0.01  # for builds with less of the C compiler's optimisation than those that users get


def test_recording_keeps_to_its_budget() -> None:
    for one in recording.count(ROWS):
        assert one.off > 500, one  # else it was not that row which was counted
        assert 0 < one.extra <= (recording.budget(one.row) or 0) + SLACK, one
