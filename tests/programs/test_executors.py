"""Background work: threads, processes and interpreters, under `run_in_executor` and `to_thread`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.programs.peers import counting_turns

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "examples" / "executors.py"


async def test_threads() -> None:
    """Two hundred calls in threads at once: results in order, the caller's context, errors, and turns for the loop."""
    where = contextvars.ContextVar("where", default="nowhere")
    where.set("here")

    def work(number: int) -> tuple[int, str, bool]:
        time.sleep(0.001)
        return number, where.get(), threading.current_thread() is threading.main_thread()

    async with counting_turns() as turns:
        results = await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(200)))
    assert results == [(number, "here", False) for number in range(200)]
    assert turns.count > 20
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 // 0)


async def test_thread_given_up() -> None:
    """Who stops waiting for a thread goes on at once; the thread's call runs to its end, unheard."""
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go.wait(10)
        ended.set()

    task = asyncio.create_task(asyncio.to_thread(work))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not ended.is_set()
    go.set()
    await asyncio.to_thread(ended.wait, 10)
    assert ended.is_set()


def test_processes(run_python: Callable[..., Any]) -> None:
    """Processes compute: results in order, exceptions as themselves, a worker that dies breaks its executor only."""
    run_python(
        """
        import asyncio, concurrent.futures, math, multiprocessing, os
        import cede

        spawn = multiprocessing.get_context("spawn")

        async def main():
            loop = asyncio.get_running_loop()
            assert type(loop).__module__.startswith("cede.")
            with concurrent.futures.ProcessPoolExecutor(2, spawn) as executor:
                numbers = await asyncio.gather(*(loop.run_in_executor(executor, math.factorial, n) for n in range(50)))
                assert numbers == [math.factorial(n) for n in range(50)]
                assert await loop.run_in_executor(executor, os.getpid) != os.getpid()
                try:
                    await loop.run_in_executor(executor, math.factorial, -1)
                except ValueError as error:
                    assert "factorial" in str(error)
                else:
                    assert False
                try:
                    await loop.run_in_executor(executor, os._exit, 3)
                except concurrent.futures.BrokenExecutor:
                    pass
                else:
                    assert False
            assert await asyncio.to_thread(pow, 2, 10) == 1024

        if __name__ == "__main__":
            cede.run(main())
        """
    )


@pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters is new in Python 3.14")
async def test_interpreters() -> None:
    """Interpreters compute: results in order, exceptions as themselves; other modules, other state, the same process."""
    loop = asyncio.get_running_loop()
    with concurrent.futures.InterpreterPoolExecutor(2) as executor:
        numbers = await asyncio.gather(*(loop.run_in_executor(executor, math.factorial, n) for n in range(50)))
        assert numbers == [math.factorial(n) for n in range(50)]
        assert await loop.run_in_executor(executor, os.getpid) == os.getpid()
        with pytest.raises(ValueError, match=r"nonnegative|math domain"):
            await loop.run_in_executor(executor, math.sqrt, -1)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters is new in Python 3.14")
async def test_talking_to_an_interpreter() -> None:
    """An interpreter in a thread of its own answers through queues while the loop goes on."""
    from concurrent import interpreters  # type: ignore[attr-defined]

    interpreter = interpreters.create()
    questions, answers = interpreters.create_queue(), interpreters.create_queue()
    interpreter.prepare_main(questions=questions, answers=answers)
    source = "for n in iter(questions.get, None): answers.put(n * n)"
    working = asyncio.create_task(asyncio.to_thread(interpreter.exec, source))
    for number in range(20):
        questions.put(number)
        assert await asyncio.to_thread(answers.get, timeout=10) == number * number
    questions.put(None)
    await working
    interpreter.close()


KINDS = ["threads", "processes", "interpreters"]


@pytest.mark.parametrize("kind", KINDS)
def test_example(start: Callable[..., Any], kind: str) -> None:
    """The example computes the same in each kind of executor, and the loop goes on meanwhile."""
    if kind == "interpreters" and sys.version_info < (3, 14):
        pytest.skip("concurrent.interpreters is new in Python 3.14")
    running = start(sys.executable, "-m", "cede", "run", str(EXAMPLE), kind)
    assert running.wait() == 0, running.output
    assert sorted(running.output.splitlines()) == [
        "an error comes back as itself: -1 is negative",
        "primes below 100000: 9592",
        "the loop went on meanwhile: yes",
    ]
