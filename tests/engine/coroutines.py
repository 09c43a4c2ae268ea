"""Coroutines that the tests of tasks share."""

from __future__ import annotations

import collections.abc
import types


@types.coroutine
def suspend(value=None):
    return (yield value)


async def give(value):
    return value


async def fail(exc):
    raise exc


async def wait_for(future):
    return await future


class Spinner:
    """A coroutine that is none of the interpreter's: it yields `steps` times, then returns "spun"."""

    def __init__(self, steps=0):
        self.steps = steps
        self.thrown = []

    def send(self, value):
        if not self.steps:
            raise StopIteration("spun")
        self.steps -= 1

    def throw(self, exc, *rest):
        self.thrown.append(exc)
        raise exc

    def close(self):
        pass

    def __await__(self):
        return self


collections.abc.Coroutine.register(Spinner)
