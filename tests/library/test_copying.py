"""Copies and pickles of locks and queues: whatever holds one, a program's settings, can be copied while nobody waits."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import cede

COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda thing: pickle.loads(pickle.dumps(thing))}
Copy = Callable[[Any], Any]


class Named(cede.Lock):
    """A class of a program's own, which wants an argument."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


@pytest.fixture(params=COPIES)
def copied(request: pytest.FixtureRequest) -> Copy:
    return COPIES[request.param]


async def held(lock: Any) -> Any:
    await lock.acquire()
    return lock


async def test_a_lock(copied: Copy) -> None:
    lock = copied(cede.Lock())
    assert not lock.locked()
    assert await lock.acquire()
    twin = copied(lock)
    assert twin is not lock
    assert twin.locked()
    twin.release()
    assert lock.locked()
    lock.release()
    async with lock, twin:
        pass


async def test_a_copy_is_another_one_in_recordings() -> None:
    lock = cede.Lock()
    await lock.acquire()
    waiting = cede.create_task(lock.acquire())
    await cede.sleep(0)
    lock.release()
    await waiting
    twin: Any = copy.copy(lock)
    assert getattr(twin, "_resource", 0) == 0  # compiled, a field of C's
    assert not hasattr(twin, "_engine") or twin._engine is None


async def test_a_class_of_ones_own(copied: Copy) -> None:
    twin = copied(Named("settings"))
    assert type(twin) is Named
    assert twin.name == "settings"
    async with twin:
        assert twin.locked()


async def test_an_event(copied: Copy) -> None:
    event = cede.Event()
    assert not copied(event).is_set()
    event.set()
    twin = copied(event)
    assert await twin.wait()
    twin.clear()
    assert event.is_set()


async def test_a_semaphore(copied: Copy) -> None:
    semaphore = cede.BoundedSemaphore(2)
    await semaphore.acquire()
    twin = copied(semaphore)
    await twin.acquire()
    assert twin.locked()
    assert not semaphore.locked()
    twin.release()
    twin.release()
    with pytest.raises(ValueError, match="released too many times"):
        twin.release()


async def test_a_condition(copied: Copy) -> None:
    twin = copied(cede.Condition())
    async with twin:
        assert twin.locked()
        twin.notify_all()
    assert not twin.locked()


async def test_a_barrier(copied: Copy) -> None:
    barrier = cede.Barrier(2)
    twin = copied(barrier)
    assert sorted(await cede.gather(twin.wait(), twin.wait())) == [0, 1]
    await barrier.abort()
    assert copied(barrier).broken
    assert not twin.broken


@pytest.mark.parametrize("kind", [cede.Queue, cede.PriorityQueue, cede.LifoQueue])
async def test_a_queue(copied: Copy, kind: Any) -> None:
    queue = kind(3)
    queue.put_nowait(2)
    queue.put_nowait(1)
    twin = copied(queue)
    assert twin.maxsize == 3
    assert [twin.get_nowait(), twin.get_nowait()] == ([2, 1] if kind is cede.Queue else [1, 2])
    with pytest.raises(cede.QueueEmpty):
        twin.get_nowait()
    twin.task_done()
    twin.task_done()
    await twin.join()
    with pytest.raises(ValueError, match="called too many times"):
        twin.task_done()


async def test_one_for_which_somebody_waits(copied: Copy) -> None:
    """asyncio: TypeError, as the futures of those who wait cannot be copied; a shallow copy would share them."""
    lock, queue = await held(cede.Lock()), cede.Queue()
    waiting = [asyncio.ensure_future(lock.acquire()), asyncio.ensure_future(queue.get())]
    await asyncio.sleep(0)
    for thing in (lock, queue):
        with pytest.raises(TypeError, match="cannot copy or pickle"):
            copied(thing)
    lock.release()
    queue.put_nowait(1)
    await asyncio.gather(*waiting)


@pytest.mark.parametrize("state", [None, 5, (), ({}, {}), ("x", "y"), ({}, 5)])
@pytest.mark.parametrize("kind", [cede.Lock, cede.Event, cede.Condition, cede.Semaphore, cede.Queue])
def test_a_state_of_nonsense(kind: Any, state: Any) -> None:
    thing = kind.__new__(kind)
    with pytest.raises((TypeError, KeyError, ValueError, AttributeError)):
        thing.__setstate__(state)
