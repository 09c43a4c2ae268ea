"""The pytest plugin: tests that run in worlds.

    @pytest.mark.simulation(seeds=300)
    async def test_two_transfers_keep_the_sum(world):
        ...

A marked test runs once a seed, each time in a fresh world on a host called "main". What fails is shrunk and told; its
token goes into `.cede/failures/` and is tried first next time. A plain `def` test drives its world itself, by
`world.drive(coroutine)`. Fixtures are made once for all runs of a test.

The test function is exchanged for a plain one when it is collected: so plugins for async tests, pytest-asyncio's and
anyio's, in whatever mode, find nothing to do. Tests without the marker are not touched.
"""

from __future__ import annotations

import inspect
import os
import re
import shlex
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import pytest

_MARKER = "simulation(seeds=300, strategy='uniform', **settings): run the test in so many worlds of cede.simulation"
SEEDS = 300  # unless the marker or the command line says otherwise
FAILURES = os.path.join(".cede", "failures")
OUTCOMES = (pytest.skip.Exception, pytest.xfail.Exception)  # exceptions that are no failures
_TOLD = pytest.StashKey[dict[str, str]]()  # what is said of a test's last runs, by what it is about
_UNTOLD = pytest.StashKey[Callable[[], str]]()  # what shrinks the last failure of a test with inputs, and tells it


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cede", "simulation by cede")
    group.addoption("--simulation-seeds", type=int, metavar="N", help="run each simulated test with N seeds")
    group.addoption("--simulation-replay", metavar="TOKEN", help="run simulated tests once, with a token's choices")
    group.addoption("--simulation-trace", metavar="DIR", help="write the event logs of failed simulated tests there")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)


class NoWorldYet(RuntimeError, AttributeError):
    """Somebody wants something of the world before the test runs. Who only looks whether it is there finds nothing."""


class WorldToCome:
    """What the fixture `world` is outside of the runs: in each run the test gets that run's World."""

    def __getattr__(self, name: str) -> Any:
        raise NoWorldYet("there is no world before the test runs: only the test itself can use the fixture `world`")


@pytest.fixture(scope="session")
def world() -> Any:
    """The world of a run of a test marked `simulation`: a `cede.simulation.World`.

    Nothing of it belongs to one test, and so it is the session's: Hypothesis refuses what is made once a function.
    """
    return WorldToCome()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: Any) -> Iterator[Any]:
    """Exchange marked tests, before plugins for async tests see what was collected."""
    found = yield
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, pytest.Function) and item.get_closest_marker("simulation") is not None:
            _exchange(item)
    return found


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[Any]:
    """Refuse tests that have the fixture and not the marker; say at the end how a test ran, which may be often."""
    given = getattr(item, "funcargs", {}).values()
    if item.get_closest_marker("simulation") is None and any(isinstance(each, WorldToCome) for each in given):
        pytest.fail("the fixture `world` is for tests marked `@pytest.mark.simulation`", pytrace=False)
    try:
        return (yield)
    except OUTCOMES:
        raise
    except BaseException as exc:
        if (untold := item.stash.get(_UNTOLD, None)) is not None:
            exc.add_note(untold())
        raise
    finally:
        for text in item.stash.get(_TOLD, {}).values():
            item.add_report_section("call", "simulation", text)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let a marked test that could not be exchanged not run for real, as if nothing were the matter."""
    test = getattr(item, "obj", None)
    inner = getattr(getattr(test, "hypothesis", None), "inner_test", None)
    if item.get_closest_marker("simulation") is not None and not any(
        hasattr(each, "__wrapped_by_cede__") for each in (test, inner)
    ):
        kind = "a method of a unittest.TestCase" if _is_of_unittest(item) else "this test"
        pytest.fail(f"{kind} cannot run in a simulated world: make it a function, or a method of a plain class", False)


def _is_of_unittest(item: pytest.Item) -> bool:
    import unittest

    owner = getattr(item, "cls", None)
    return isinstance(owner, type) and issubclass(owner, unittest.TestCase)


def _exchange(item: pytest.Function) -> None:
    test = item.obj
    given = getattr(test, "hypothesis", None)
    if given is None:
        item.obj = _in_worlds(item, test, SimulatedTest.failure)
    else:
        # Hypothesis calls this with the inputs that it drew. A decorated test belongs to all its items.
        inner = getattr(given.inner_test, "__wrapped_by_cede__", given.inner_test)
        given.inner_test = _in_worlds(item, inner, SimulatedTest.failure_with_inputs)


def _in_worlds(
    item: pytest.Function, test: Callable[..., Any], failure: Callable[[SimulatedTest], BaseException | None]
) -> Callable[..., None]:
    @wraps(test)
    def run_in_worlds(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        error = failure(SimulatedTest(item, test, args, kwargs))
        if error is not None:
            raise error

    vars(run_in_worlds)["__wrapped_by_cede__"] = test
    return run_in_worlds


class SimulatedTest:
    """One test, and how it is run many times."""

    def __init__(
        self, item: pytest.Function, test: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        from .exploring import Explorer

        marker = item.get_closest_marker("simulation")
        assert marker is not None
        if marker.args:
            message = f"{item.nodeid}: simulation() takes its arguments by name, as seeds={marker.args[0]!r}"
            raise pytest.UsageError(message)
        settings = dict(marker.kwargs)
        self._item = item
        self._test = test
        self._args = args
        self._kwargs = kwargs
        stated, asked = settings.pop("seeds", SEEDS), item.config.getoption("--simulation-seeds")
        self._seeds = stated if asked is None else asked
        if not isinstance(self._seeds, int) or self._seeds < 1:
            raise ValueError(f"seeds is how many runs there are to be, at least one, and not {self._seeds!r}")
        self._strategy = settings.pop("strategy", "uniform")
        self._name = re.sub(r"[^\w.-]+", "_", item.nodeid)
        self._folder = os.path.join(item.config.rootpath, FAILURES)
        self._explorer = Explorer(self._run, settings, through=OUTCOMES, how_to_replay=self._how_to_replay)

    def failure(self) -> BaseException | None:
        """Run the test in its worlds; return what is to be raised, or None if it passed."""
        token = self._item.config.getoption("--simulation-replay")
        if token:
            return self._again(token, by_hand=True)
        path = os.path.join(self._folder, f"{self._name}.json")
        if os.path.exists(path):
            error = self._again(path, by_hand=False)
            if error is not None:
                return error
            os.remove(path)  # it passes now
        found = self._explorer.explore(range(self._seeds), self._strategy, first=True)
        self._tell(f"{found.runs} runs in {found.seconds:.2f} s", found.unseen)
        for failure in found.failures:
            self._write(failure)
            return _users(failure.error)
        return None

    def failure_with_inputs(self) -> BaseException | None:
        """The same with the inputs of one example of Hypothesis's, which goes on from a failure to simpler inputs.

        So a failure is shrunk and told when Hypothesis has ended, with the inputs of the last one that failed. What
        failed an earlier time is not tried first: each example has to fail in the same way whenever it is had.
        """
        token = self._item.config.getoption("--simulation-replay")
        if token:
            return self._again(token, by_hand=True)
        runs, outcome, strategy = self._explorer.first_failure(range(self._seeds), self._strategy)
        self._tell(f"{runs} runs of the last example", [])
        if outcome is None or outcome.error is None:
            return None

        def untold() -> str:
            failure = self._explorer.examine(outcome, strategy, self._strategy)
            self._write(failure)
            return failure.report()

        self._item.stash[_UNTOLD] = untold
        return _users(outcome.error)

    def _run(self, world: Any) -> Any:
        host = world.host("main")
        kwargs = {name: world if isinstance(value, WorldToCome) else value for name, value in self._kwargs.items()}
        if inspect.iscoroutinefunction(self._test):
            return world.complete(host, self._test(*self._args, **kwargs))
        with host.entered():
            return self._test(*self._args, **kwargs)

    def _again(self, text: str, *, by_hand: bool) -> BaseException | None:
        """Run the test with the choices of a token."""
        from .choices import Replay
        from .token import changed_versions, parse

        token = parse(text)
        if os.path.exists(text) and (changed := changed_versions(text)):
            self._tell(f"the token was found with other versions: {changed}", [], is_lasting=True)
        outcome = self._explorer.once(token.seed, Replay(token.kept), log=True)
        if outcome.error is None:
            return None
        if by_hand:
            self._write_trace(outcome.events, outcome.error)
            return _users(outcome.error)
        failure = self._explorer.examine(outcome, lambda: Replay(token.kept), token.strategy)
        self._write(failure)
        return _users(failure.error)

    def _how_to_replay(self, token: Any) -> str:
        from .token import LONGEST, save

        path = save(token, self._folder, self._name)
        text = str(token) if len(str(token)) <= LONGEST else os.path.relpath(path, self._item.config.rootpath)
        return f"replay: pytest {shlex.quote(self._item.nodeid)} --simulation-replay '{text}'"

    def _tell(self, text: str, unseen: list[str], *, is_lasting: bool = False) -> None:
        if unseen:
            text += "; never seen: " + ", ".join(unseen)
        self._item.stash.setdefault(_TOLD, {})[text if is_lasting else ""] = text

    def _write(self, failure: Any) -> None:
        folder = self._item.config.getoption("--simulation-trace")
        if folder:
            failure.write(folder, self._name)

    def _write_trace(self, events: list[Any], error: BaseException) -> None:
        folder = self._item.config.getoption("--simulation-trace")
        if folder:
            from .picture import write
            from .report import headline

            write(events, folder, self._name, error=headline(error))


def _users(error: BaseException) -> BaseException:
    """Return the exception with the frames of its traceback from the user's first one on."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(here):
        traceback = traceback.tb_next
    return error.with_traceback(traceback)
