"""Dask, unmodified: a cluster as an executor of cede's loop, and the cluster's own scheduler and workers on cede."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.programs.conftest import Running
from tests.programs.peers import counting_turns

# Dask's client keeps a loop in a thread, and its profiler another, until the process ends.
pytestmark = [pytest.mark.programs, pytest.mark.leaves("threads", "fds", "tasks", "handles"), pytest.mark.timeout(120)]

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "examples" / "executors.py"


@pytest.fixture(scope="module")
def module_start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """As `start`, for all tests of this file."""
    with contextlib.ExitStack() as stack:

        def start(*command: str, **changes: str) -> Any:
            running = Running(list(command), tmp_path_factory.mktemp("dask"), **changes)
            stack.callback(running.close)
            return running

        yield start


@pytest.fixture(scope="module")
def cluster(module_start: Callable[..., Any]) -> str:
    """The address of a scheduler with two workers of one thread each, three programs under `cede run`.

    One worker has a nanny, which starts it through multiprocessing.
    """
    pytest.importorskip("distributed")
    cede_run = [sys.executable, "-m", "cede", "run", "-m"]
    options = ["--no-dashboard", "--host", "127.0.0.1"]
    scheduler = module_start(*cede_run, "distributed.cli.dask_scheduler", "--port", "0", *options)
    address = str(scheduler.expect(r"Scheduler at: +(tcp://\S+)")[1])
    for nanny in ("--nanny", "--no-nanny"):
        options = ["--no-dashboard", nanny, "--nthreads", "1", "--host", "127.0.0.1"]
        worker = module_start(*cede_run, "distributed.cli.dask_worker", address, *options)
        worker.expect(r"Registered to")
    return address


@contextlib.asynccontextmanager
async def connected(library: Any, cluster: str) -> AsyncIterator[Any]:
    """A client of the cluster on the test's own loop."""
    assert type(asyncio.get_running_loop()).__module__.startswith("cede.")
    async with library("distributed").Client(cluster, asynchronous=True, set_as_default=False) as client:
        yield client


@pytest.fixture
def executor(library: Any, cluster: str) -> Iterator[Any]:
    """The cluster as an executor, by a client that does its work in a thread."""
    with library("distributed").Client(cluster, set_as_default=False) as client:
        with client.get_executor(pure=False) as executor:
            yield executor


async def test_cluster_on_cede(library: Any, cluster: str) -> None:
    """Scheduler, workers and client run on cede; a thousand tasks with dependencies are computed right."""

    def module_of_loop(dask_worker: Any = None, dask_scheduler: Any = None) -> str:
        return type((dask_worker or dask_scheduler).loop.asyncio_loop).__module__

    async with connected(library, cluster) as client:
        assert (await client.run_on_scheduler(module_of_loop)).startswith("cede.")
        modules = await client.run(module_of_loop)
        assert len(modules) == 2
        assert all(module.startswith("cede.") for module in modules.values())
        squares = client.map(lambda n: n * n, range(1000), pure=False)
        sums = [client.submit(sum, squares[begin : begin + 100]) for begin in range(0, 1000, 100)]
        assert await client.submit(sum, sums) == sum(n * n for n in range(1000))
        (data,) = await client.scatter([b"x" * 5_000_000])
        assert await client.submit(len, data) == 5_000_000
        assert len(await client.submit(lambda data: data * 2, data)) == 10_000_000


async def test_client_on_cede(library: Any, cluster: str) -> None:
    """An error of a task is its own, a cancelled task is cancelled, tasks that finish first come first."""

    def fail() -> None:
        raise LookupError("on purpose")

    def nap(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    async with connected(library, cluster) as client:
        with pytest.raises(LookupError, match="on purpose"):
            await client.submit(fail)
        naps = client.map(nap, [0.3, 0.01], pure=False)
        finished = library("distributed").as_completed(naps, loop=client.loop, with_results=True)
        assert [result async for _, result in finished] == [0.01, 0.3]
        occupied = client.map(nap, [0.5, 0.5], pure=False)
        waiting = client.submit(nap, 20, pure=False)
        await waiting.cancel()
        with pytest.raises(library("distributed.client").FutureCancelledError):
            await waiting.result()
        await client.gather(occupied)
        assert await client.submit(nap, 0) == 0


async def test_run_in_executor(executor: Any) -> None:
    """Through `run_in_executor`: two hundred results in order while the loop goes on, and exceptions as themselves."""
    loop = asyncio.get_running_loop()

    def where(number: int) -> tuple[int, int]:
        import os
        import time

        time.sleep(0.002)
        return number, os.getpid()

    async with counting_turns(0.001) as turns:
        results = await asyncio.gather(*(loop.run_in_executor(executor, where, number) for number in range(200)))
    assert [number for number, _ in results] == list(range(200))
    assert len({pid for _, pid in results}) == 2
    assert turns.count > 10
    with pytest.raises(ZeroDivisionError):
        await loop.run_in_executor(executor, lambda: 1 // 0)


async def test_cancellation(executor: Any, tmp_path: Path) -> None:
    """Who stops waiting takes the call that has not begun out of the cluster; the cluster goes on with the others."""
    loop = asyncio.get_running_loop()

    def touch(path: Path, seconds: float) -> str:
        import time

        time.sleep(seconds)
        path.touch()
        return path.name

    first = [loop.run_in_executor(executor, touch, tmp_path / str(number), 0.4) for number in range(2)]
    await asyncio.sleep(0.1)
    given_up = loop.run_in_executor(executor, touch, tmp_path / "given up", 0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(given_up, 0.05)
    assert given_up.cancelled()
    assert await asyncio.gather(*first) == ["0", "1"]
    assert await loop.run_in_executor(executor, touch, tmp_path / "last", 0.1) == "last"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "last"]


async def test_back_pressure(executor: Any) -> None:
    """A semaphore in front of the executor bounds what the cluster is given, whatever the number of tasks."""
    loop, places = asyncio.get_running_loop(), asyncio.Semaphore(4)
    under_way = most = 0

    async def ask(number: int) -> int:
        nonlocal under_way, most
        async with places:
            under_way += 1
            most = max(most, under_way)
            try:
                return int(await loop.run_in_executor(executor, lambda: -number))
            finally:
                under_way -= 1

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(number)) for number in range(100)]
    assert [task.result() for task in tasks] == [-number for number in range(100)]
    assert most == 4


def test_example(start: Callable[..., Any], cluster: str) -> None:
    """The example computes in the cluster what it computes in threads."""
    running = start(sys.executable, "-m", "cede", "run", str(EXAMPLE), "dask", cluster)
    assert running.wait(30) == 0, running.output
    assert "primes below 100000: 9592" in running.output
    assert "an error comes back as itself: -1 is negative" in running.output


def test_example_with_a_local_cluster(start: Callable[..., Any], library: Any) -> None:
    """The same with Dask's LocalCluster, whose scheduler lives in the program and whose workers in its children."""
    library("distributed")
    running = start(sys.executable, "-m", "cede", "run", str(EXAMPLE), "dask")
    assert running.wait(60) == 0, running.output
    assert "primes below 100000: 9592" in running.output
