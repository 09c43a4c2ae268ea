"""The pytest plugin: a fixture that finds leaked tasks, and a loop for async tests to which no other plugin gives one.

    async def test_a_queue(cede_no_leaks):
        ...

With the fixture a test fails that leaves a task which can never go on, whatever plugin runs it. An `async def` test
that no other plugin takes runs on a loop of cede's. pytest-asyncio and anyio take theirs before this plugin is asked:
those that are marked, or all in their auto modes. Of the other plugins for async tests any that is installed gets all.
Tests marked `simulation` are those of `cede.simulation.plugin`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

_FIXTURE = "cede_no_leaks"
_OTHERS = ("aiohttp", "trio", "twisted", "tornado", "tornasync", "asyncio-cooperative")  # plugins, or markers
_MARKERS = (*_OTHERS, "anyio", "asyncio")


@pytest.fixture
def cede_no_leaks() -> None:
    """Fail the test if it leaves a task that can never go on: one for which nobody is left who could wake it."""


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[Any]:
    """Look for leaks after the test, while its loop still lives."""
    result = yield
    if _FIXTURE in pyfuncitem.fixturenames:
        _check()
    return result


def _check() -> None:
    from .leaked import leaks

    found = leaks(fork=False)
    if found:
        pytest.fail("\n".join(map(str, found)), pytrace=False)


class OwnLoops:
    """Runs async tests that nobody else runs. A plugin of its own, registered if there is no other for them."""

    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Run an `async def` test; None for every other."""
        if not inspect.iscoroutinefunction(pyfuncitem.obj) or any(map(pyfuncitem.get_closest_marker, _MARKERS)):
            return None
        from ..runners import Runner

        wanted = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
        with Runner() as runner:
            runner.run(pyfuncitem.obj(**wanted))
            if _FIXTURE in pyfuncitem.fixturenames:
                _check()
        return True


def pytest_configure(config: pytest.Config) -> None:
    """Give loops to async tests, unless another plugin does."""
    if not any(map(config.pluginmanager.hasplugin, _OTHERS)):
        config.pluginmanager.register(OwnLoops(), "cede-loops")
