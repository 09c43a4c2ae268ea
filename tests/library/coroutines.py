"""Coroutines that the tests of the library share."""

from __future__ import annotations

import cede


async def returning(value, turns=0):
    for _ in range(turns):
        await cede.sleep(0)
    return value


async def failing(exc, turns=0):
    for _ in range(turns):
        await cede.sleep(0)
    raise exc
