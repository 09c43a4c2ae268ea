"""Coroutines that wait for a future, and iterators of futures, driven by hand: send, throw, close."""

from __future__ import annotations

import asyncio
import collections.abc

import pytest


def test_a_coroutine_that_awaits_can_be_sent_any_value(loop):
    async def awaiting(future):
        return await future

    def yielding(future):
        return (yield from future)

    for make in (awaiting, yielding):
        for value in (None, 5, "text"):
            for outcome in (None, 3, KeyError("no")):
                future = loop.create_future()
                suspended = make(future)
                assert suspended.send(None) is future
                if isinstance(outcome, KeyError):
                    future.set_exception(outcome)
                    with pytest.raises(KeyError):
                        suspended.send(value)
                else:
                    future.set_result(outcome)
                    with pytest.raises(StopIteration) as stop:
                        suspended.send(value)
                    assert stop.value.value == outcome


def test_a_value_that_is_sent_too_early(loop):
    async def awaiting(future):
        return await future

    future = loop.create_future()
    suspended = awaiting(future)
    suspended.send(None)
    with pytest.raises(RuntimeError, match="await wasn't used with future"):
        suspended.send(5)


@pytest.mark.parametrize("make", [iter, lambda future: future.__await__()], ids=["iter", "__await__"])
def test_the_iterator_of_a_future(loop, make):
    future = loop.create_future()
    iterator = make(future)
    assert next(iterator) is future
    future.set_result(1)
    with pytest.raises(StopIteration) as stop:
        iterator.send(0)
    assert stop.value.value == 1
    future = loop.create_future()
    iterator = make(future)
    assert iterator.send(None) is future
    with pytest.raises(ZeroDivisionError):
        iterator.throw(ZeroDivisionError())
    future = loop.create_future()
    iterator = make(future)
    next(iterator)
    iterator.close()
    with pytest.raises(StopIteration):
        next(iterator)
    assert not future.done()


def test_a_future_is_no_coroutine(loop):
    future = loop.create_future()
    assert not asyncio.iscoroutine(future)
    assert not isinstance(future, (collections.abc.Coroutine, collections.abc.Generator, collections.abc.Iterator))
