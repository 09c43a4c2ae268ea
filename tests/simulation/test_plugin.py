"""The pytest plugin, as a user has it: marked tests run in worlds, what fails is told and tried first next time."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]
takes_long = pytest.mark.build  # many runs of pytest, and the same everywhere

Run = Callable[..., str]

POOL = """
import asyncio, pytest

class Pool:
    def __init__(self):
        self.free, self.waiters = True, []
    async def take(self):
        while not self.free:
            waiter = asyncio.get_running_loop().create_future()
            self.waiters.append(waiter)
            await waiter
        self.free = False
    def give(self):
        self.free = True
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
                break

async def impatient(pool):
    try:
        async with asyncio.timeout(0.060):
            await pool.take()
    except TimeoutError:
        return
    pool.give()

async def patient(pool):
    await asyncio.sleep(0.020)
    await pool.take()

async def loses_a_wake_up():
    pool = Pool()
    await pool.take()
    asyncio.get_running_loop().call_later(0.050, pool.give)
    await asyncio.gather(impatient(pool), patient(pool))
"""


@pytest.fixture
def run_tests(tmp_path: Path) -> Run:
    """Return `run(source, *args, ends=0)`: pytest on a file of tests, with the plugin; returns what it prints."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")

    def run(source: str, *args: str, ends: int = 0) -> str:
        (tmp_path / "test_it.py").write_text(textwrap.dedent(source))
        # The plugin by its module, whether or not this environment has cede installed with its entry point.
        plugins = ["no:cacheprovider", "no:cede_simulation", "cede.simulation.plugin"]
        command = [sys.executable, "-m", "pytest", *(f"-p{plugin}" for plugin in plugins), *args]
        # Told that it is CI that runs it, pytest says all of a failure a second time, in its summary.
        environment = {name: value for name, value in os.environ.items() if name not in ("CI", "BUILD_NUMBER")}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == ends, done.stdout + done.stderr
        return done.stdout

    return run


@takes_long
def test_a_failure_is_told_and_replayed_and_tried_first(run_tests: Run, tmp_path: Path) -> None:
    source = POOL + "\n@pytest.mark.simulation(seeds=200)\nasync def test_it():\n    await loses_a_wake_up()\n"
    output = run_tests(source, "--simulation-trace", "logs", ends=1)
    assert "the story: 1 choice of" in output and "main oversleeps" in output and "Deadlock" in output
    found = re.search(r"replay: pytest test_it.py::test_it --simulation-replay '(.+?)'", output)
    assert found is not None
    kept = json.loads((tmp_path / ".cede/failures/test_it.py_test_it.json").read_text())
    assert kept["token"] == found[1] and set(kept) == {"token", "python", "cede"}
    events = json.loads((tmp_path / "logs/test_it.py_test_it.json").read_text())["traceEvents"]
    assert {"main"} <= {event["args"]["name"] for event in events if event["ph"] == "M"}
    assert "main" in (tmp_path / "logs/test_it.py_test_it.txt").read_text()

    again = run_tests(source, "--simulation-replay", found[1], ends=1)
    assert "Deadlock" in again
    without_seeds = run_tests(source, "--simulation-seeds", "1", ends=1)
    assert "the story: 1 choice" in without_seeds  # from the file: seed 0 alone passes

    mended = source.replace("await pool.take()\n    except", "await pool.take()\n    except (LookupError,")
    mended = source.replace("0.060", "10")
    run_tests(mended)
    assert list((tmp_path / ".cede/failures").iterdir()) == []


@takes_long
def test_what_a_marked_test_may_be(run_tests: Run) -> None:
    run_tests(
        """
        import asyncio, random, time, pytest

        runs = []

        @pytest.fixture
        def number():
            return 7

        @pytest.mark.simulation(seeds=20)
        async def test_async(world, number, tmp_path):
            runs.append((world.seed, number, random.random()))
            await asyncio.sleep(1000)

        def test_it_ran_once_a_seed():
            assert {seed for seed, _, _ in runs} == set(range(20))
            assert len({chance for _, _, chance in runs}) == 20

        @pytest.mark.simulation(seeds=3)
        def test_plain(world):
            async def main(value):
                await asyncio.sleep(100)
                return value
            assert world.drive(main(1)) == 1
            before = time.monotonic()
            assert world.drive(main(2)) == 2
            assert 100 <= time.monotonic() - before < 101

        @pytest.mark.simulation
        @pytest.mark.parametrize("value", [1, 2])
        async def test_parametrized(value):
            await asyncio.sleep(value)

        @pytest.mark.simulation(seeds=5, late=False, max_time=50)
        class TestGroup:
            async def test_method(self, world):
                assert self.__class__.__name__ == "TestGroup" and not world.late and world.max_time == 50
                await asyncio.sleep(1)

        @pytest.mark.simulation
        async def test_skips():
            pytest.skip("not here")

        @pytest.mark.simulation
        @pytest.mark.xfail(strict=True, raises=ValueError)
        async def test_fails_as_expected():
            raise ValueError

        def test_unmarked_sees_real_time():
            assert time.time() > 1_500_000_000
        """
    )


def test_pytest_finds_the_plugin_where_cede_is_installed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name = project["entry-points"]["pytest11"]["cede_simulation"]
    assert importlib.import_module(name).pytest_addoption


@takes_long
def test_mistakes_are_told(run_tests: Run) -> None:
    output = run_tests(
        """
        import pytest

        def test_unmarked(world): ...

        @pytest.fixture
        def early(world):
            return world.now

        @pytest.mark.simulation
        async def test_fixture_uses_world(early): ...

        @pytest.mark.simulation(300)
        async def test_positional(): ...

        @pytest.mark.simulation(strategy="unifrom")
        async def test_strategy(): ...

        @pytest.mark.simulation(seeds=0)
        async def test_no_run_at_all(): ...

        @pytest.mark.simulation(seeds="300")
        async def test_seeds(): ...

        @pytest.mark.simulation(sedes=3)
        async def test_misspelt(): ...
        """,
        ends=1,
    )
    assert "is for tests marked `@pytest.mark.simulation`" in output
    assert "there is no world before the test runs" in output
    assert "takes its arguments by name, as seeds=300" in output
    assert "there is no strategy 'unifrom'" in output
    assert "seeds is how many runs there are to be, at least one, and not 0" in output
    assert "seeds is how many runs there are to be, at least one, and not '300'" in output
    assert "a world has no setting 'sedes'; there are " in output
    assert "is no token" in run_tests(
        "import pytest\n@pytest.mark.simulation\nasync def test_it(): ...", "--simulation-replay", "nonsense", ends=1
    )


@takes_long
def test_what_was_never_seen_is_in_the_report(run_tests: Run) -> None:
    output = run_tests(
        """
        import pytest

        @pytest.mark.simulation(seeds=10)
        async def test_it(world):
            world.sometimes("failover", False)
        """,
        "-rP",
    )
    assert "10 runs in" in output and "never seen: failover" in output


def test_beside_anyio_and_hypothesis(run_tests: Run) -> None:
    run_tests(
        """
        import asyncio, time, pytest
        from hypothesis import given, settings, strategies as st

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        async def test_anyios_own():
            assert time.time() > 1_500_000_000
            await asyncio.sleep(0)

        @pytest.mark.anyio
        @pytest.mark.simulation(seeds=3)
        async def test_marked_for_both(world):
            assert time.time() < 1_000_000_000
            await asyncio.sleep(1000)

        seen = set()

        @pytest.mark.simulation(seeds=3)
        @settings(max_examples=10, database=None, deadline=None)
        @given(number=st.integers(0, 100))
        async def test_inputs(number, world):
            seen.add(number)
            assert world.now < 0.1
            await asyncio.sleep(number)

        def test_inputs_were_drawn():
            assert len(seen) > 3
        """,
        "-p", "anyio",
    )  # fmt: skip


@takes_long
def test_a_failure_with_inputs_is_told_once_with_the_simplest_of_them(run_tests: Run) -> None:
    source = """
    import asyncio, pytest
    from hypothesis import given, settings, strategies as st

    @settings(max_examples=3, database=None, deadline=None, derandomize=True)
    @given(amounts=st.lists(st.integers(60, 100), min_size=2, max_size=3))
    @pytest.mark.simulation(seeds=10, late=False)
    async def test_withdrawals(world, amounts):
        balance = 100

        async def withdraw(number, amount):
            nonlocal balance
            await asyncio.sleep(0.01 * number)
            if balance >= amount:
                await asyncio.sleep(0.02 * world.draw("audit/send", number))
                balance -= amount

        await asyncio.gather(*(withdraw(number, amount) for number, amount in enumerate(amounts)))
        assert balance >= 0
    """
    output = run_tests(source, "--simulation-trace", "logs", ends=1)
    assert output.count("the story: ") == 1 and output.count("Captured simulation call") == 1
    assert "amounts=[60, 60]" in output and "assert -20 >= 0" in output
    (token,) = re.findall("--simulation-replay '(.+)'", output)
    assert "assert -20 >= 0" in run_tests(source, "--simulation-replay", token, ends=1)


def test_the_page_shows_what_is_printed(run_tests: Run, tmp_path: Path) -> None:
    """The example of docs/simulation.md finds its bug in the run that is stated, by the choice that is shown."""
    page = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text(encoding="utf-8")
    bank, test = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[:2]
    (tmp_path / "bank.py").write_text(bank)
    output = run_tests(test.replace("test_bank.py", "test_it.py"), ends=1)
    shown = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0].replace("test_bank.py", "test_it.py")
    assert "3 runs in" in output
    missing = [line for line in shown.splitlines() if line.strip() and line not in output]
    assert missing == [], output


@takes_long
def test_methods_of_unittest_are_told_that_they_cannot_and_do_not_run_for_real(run_tests: Run) -> None:
    source = """
    import asyncio, pytest, unittest

    pytestmark = pytest.mark.simulation(seeds=2)

    class TestOld(unittest.IsolatedAsyncioTestCase):
        async def test_sleeps(self):
            await asyncio.sleep(3600)

    class TestNew:
        async def test_sleeps(self):
            await asyncio.sleep(3600)
    """
    output = run_tests(source, ends=1)
    assert "a method of a unittest.TestCase cannot run in a simulated world: make it a function" in output
    assert "1 passed, 1 error" in output
