"""A plugin of pytest that runs each test inside of a world: `pytest -p tests.simulation.inside tests/net`.

The test, its fixtures and its threads then have simulated sockets, clocks and files; the test does not know. What cannot be
simulated (children, forks, real descriptors) fails there, so this is for a choice of tests; `test_inside.py` has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    from cede.simulation.running import opened

    with opened(seed=1, late=False) as world:
        host: Any = world.host("main")
        with host.entered():
            outcome = yield
    return outcome


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any) -> Iterator[Any]:
    """What serves several tests is made outside of worlds, as it outlives them."""
    from cede.simulation import current

    if fixturedef.scope == "function" and fixturedef.argname != "tmp_path":  # pytest's own, and looked at later
        return (yield)
    before = current.enter(None)
    try:
        return (yield)
    finally:
        current.enter(before)
