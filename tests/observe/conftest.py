"""What tests of recordings and of what looks at programs share."""

from __future__ import annotations

import pytest

from cede import observe
from cede.observe import stalls


@pytest.fixture(autouse=True)
def no_stalls_of_others():
    """What blocked a loop in another test is not told of in this one."""
    stalls.forget()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for rings of this test's own; nothing is recorded after it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    yield tmp_path / "cede"
    observe.stop()
