"""pytest-asyncio and anyio's pytest plugin, unmodified, with cede as their loop."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.programs, pytest.mark.programs(pure=True)]

ASYNCIO = """
    import asyncio, contextlib
    import pytest, pytest_asyncio

    def on_cede():
        return type(asyncio.get_running_loop()).__module__.startswith("cede.")

    @pytest_asyncio.fixture
    async def server():
        async def echo(reader, writer):
            writer.write(await reader.read())
            writer.close()
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def shared():
        assert on_cede()
        task = asyncio.create_task(asyncio.sleep(100))
        yield asyncio.get_running_loop()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    @pytest.mark.asyncio
    async def test_echo(server):
        assert on_cede()
        reader, writer = await asyncio.open_connection(*server)
        writer.write(b"hello"); writer.write_eof()
        assert await reader.read() == b"hello"
        writer.close()

    @pytest.mark.asyncio(loop_scope="module")
    @pytest.mark.parametrize("n", range(3))
    async def test_shared_loop(shared, n):
        assert shared is asyncio.get_running_loop()

    @pytest.mark.asyncio
    async def test_fails():
        assert await asyncio.sleep(0, 1) == 2

    @pytest.mark.asyncio
    @pytest.mark.xfail(raises=TimeoutError, strict=True)
    async def test_expected_to_fail():
        async with asyncio.timeout(0.01):
            await asyncio.sleep(10)
"""

ANYIO = """
    import asyncio
    import anyio, pytest, cede

    pytestmark = pytest.mark.anyio

    @pytest.fixture(params=[("asyncio", {"loop_factory": cede.new_event_loop})])
    def anyio_backend(request):
        return request.param

    @pytest.fixture
    async def group():
        async with anyio.create_task_group() as group:
            yield group
            group.cancel_scope.cancel()

    async def test_group(group):
        assert type(asyncio.get_running_loop()).__module__.startswith("cede.")
        send, receive = anyio.create_memory_object_stream(1)
        group.start_soon(send.send, "hello")
        assert await receive.receive() == "hello"
        send.close(); receive.close()

    async def test_fails():
        with anyio.fail_after(0.01):
            await anyio.sleep(10)

    @pytest.mark.parametrize("n", range(3))
    async def test_parameters(n):
        assert await anyio.to_thread.run_sync(lambda: n) == n
"""


@pytest.fixture
def run_pytest(start: Callable[..., Any], tmp_path: Path) -> Callable[..., str]:
    """Return `run(launcher, options, source)`: that test module in a pytest of its own; it returns what that one said."""

    def run(launcher: list[str], options: list[str], source: str) -> str:
        (tmp_path / "test_it.py").write_text(textwrap.dedent(source))
        (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
        options = [*options, "-p", "no:cacheprovider", "-p", "no:xdist", "-q", "-rA", "test_it.py"]
        running = start(sys.executable, *launcher, "-m", "pytest", *options, PYTEST_ADDOPTS="")
        running.wait()
        return str(running.output)

    return run


def outcomes(output: str) -> dict[str, str]:
    """Return the name of each test and how it ended."""
    lines = re.findall(r"(?m)^(PASSED|FAILED|XFAIL|ERROR) test_it\.py::(\S+)", output)
    return {name: outcome for outcome, name in lines}


def test_pytest_asyncio(run_pytest: Any, library: Any) -> None:
    """`cede run -m pytest`: tests and fixtures of pytest-asyncio run on cede; failures are seen as failures."""
    library("pytest_asyncio")
    output = run_pytest(["-m", "cede", "run"], ["-o", "asyncio_default_fixture_loop_scope=function"], ASYNCIO)
    assert outcomes(output) == {
        "test_echo": "PASSED",
        **{f"test_shared_loop[{n}]": "PASSED" for n in range(3)},
        "test_fails": "FAILED",
        "test_expected_to_fail": "XFAIL",
    }, output
    assert "assert 1 == 2" in output


def test_anyio_plugin(run_pytest: Any, library: Any) -> None:
    """anyio's plugin takes cede's loop as an option of its asyncio backend."""
    library("anyio")
    output = run_pytest([], ["-p", "no:asyncio"], ANYIO)
    ends = {re.sub(r"asyncio[^-\]]*-?", "", name): outcome for name, outcome in outcomes(output).items()}
    assert sorted(ends.values()) == ["FAILED"] + ["PASSED"] * 4, output
    assert next(name for name, outcome in ends.items() if outcome == "FAILED").startswith("test_fails")
    assert "TimeoutError" in output
