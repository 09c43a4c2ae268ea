"""iscoroutine, iscoroutinefunction, and coroutines made of generator functions."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import types

import pytest

import cede
from cede.coroutines import native_coroutine


def test_coroutines_are_known():
    async def native():
        pass

    class Duck(collections.abc.Coroutine):
        def send(self, value): ...
        def throw(self, typ, val=None, tb=None): ...
        def close(self): ...
        def __await__(self): ...

    coro = native()
    assert cede.iscoroutine(coro)
    coro.close()
    for _ in range(2):
        assert cede.iscoroutine(Duck())


def test_what_is_no_coroutine():
    def generator():
        yield

    @types.coroutine
    def marked():
        yield

    async def async_generator():
        yield

    for thing in (None, 1, generator(), marked(), async_generator(), generator, cede.iscoroutine):
        assert not cede.iscoroutine(thing)


def test_iscoroutinefunction_is_deprecated():
    async def native():
        pass

    def plain():
        pass

    with pytest.warns(DeprecationWarning, match="use inspect.iscoroutinefunction") as caught:
        assert cede.iscoroutinefunction(native)
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="iscoroutinefunction"):
        assert not cede.iscoroutinefunction(plain)
    with pytest.warns(DeprecationWarning, match="iscoroutinefunction"):
        assert cede.iscoroutinefunction(functools.partial(native))


async def test_a_native_coroutine_may_yield():
    @native_coroutine
    def twice(value, *, extra="x"):
        """Suspend twice."""
        yield
        yield
        return value + extra

    assert inspect.iscoroutinefunction(twice)
    assert twice.__doc__ == "Suspend twice."
    assert twice.__qualname__.endswith("twice")
    assert twice.__module__ == __name__
    assert await twice("a") == "ax"
    assert await cede.create_task(twice("a", extra="b")) == "ab"


async def test_a_native_coroutine_may_await(loop):
    @native_coroutine
    def follow(future):
        return (yield from future)

    future = loop.create_future()
    loop.call_soon(future.set_result, "x")
    assert await follow(future) == "x"
    future = loop.create_future()
    task = cede.create_task(follow(future))
    await cede.sleep(0)
    task.cancel()
    with pytest.raises(cede.CancelledError):
        await task
    assert future.cancelled()
