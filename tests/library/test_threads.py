"""to_thread: calls in threads, with their context, results and errors."""

from __future__ import annotations

import contextvars
import threading

import pytest

import cede

VARIABLE = contextvars.ContextVar("VARIABLE", default="default")


async def test_the_call_runs_in_another_thread():
    def add(a, *, b):
        return a + b, threading.current_thread()

    result, thread = await cede.to_thread(add, 1, b=2)
    assert result == 3
    assert thread is not threading.current_thread()


async def test_its_exception_comes_out():
    def fail():
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await cede.to_thread(fail)


async def test_it_sees_a_copy_of_the_context():
    def look():
        seen = VARIABLE.get()
        VARIABLE.set("changed")
        return seen

    VARIABLE.set("mine")
    assert await cede.to_thread(look) == "mine"
    assert VARIABLE.get() == "mine"


async def test_keywords_may_be_named_like_its_own():
    def echo(**kwargs):
        return kwargs

    assert await cede.to_thread(echo, func=1, self=2) == {"func": 1, "self": 2}


async def test_calls_run_side_by_side():
    barrier = threading.Barrier(2, timeout=10)
    await cede.gather(cede.to_thread(barrier.wait), cede.to_thread(barrier.wait))
