"""Waiting for a lock or a semaphore, driven by hand and by tasks of others: it is a coroutine, whatever it is made of."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect

import pytest

import cede

TAKEN = {
    "Lock": cede.Lock,
    "Semaphore": lambda: cede.Semaphore(1),
    "BoundedSemaphore": lambda: cede.BoundedSemaphore(1),
}


@pytest.fixture(params=TAKEN)
def taken(request):
    """A lock or semaphore that is held."""
    lock = TAKEN[request.param]()
    with pytest.raises(StopIteration):
        lock.acquire().send(None)
    return lock


@pytest.fixture(params=["__aenter__", "acquire"])
def enter(request):
    """Return `enter(lock)`, the coroutine that waits for it."""
    return lambda lock: getattr(lock, request.param)()


def waiting(lock):
    return len(lock._waiters or ())


def is_free(lock):
    """Whether it can be had at once."""
    if lock.locked():
        return False
    coro = lock.acquire()
    with pytest.raises(StopIteration):
        coro.send(None)
    lock.release()
    return True


async def test_it_is_a_coroutine_and_waits_from_its_first_step_on(taken, enter):
    coro = enter(taken)
    assert asyncio.iscoroutine(coro)
    assert inspect.isawaitable(coro)
    assert waiting(taken) == 0
    future = coro.send(None)
    assert asyncio.isfuture(future)
    assert future._asyncio_future_blocking
    assert waiting(taken) == 1
    coro.close()
    assert waiting(taken) == 0


async def test_what_is_free_by_the_first_step_is_taken(taken, enter):
    coro = enter(taken)
    taken.release()
    with pytest.raises(StopIteration):
        coro.send(None)
    assert taken.locked()
    taken.release()
    assert is_free(taken)


async def test_its_last_step_takes_what_was_promised(taken, enter):
    coro = enter(taken)
    future = coro.send(None)
    future._asyncio_future_blocking = False
    taken.release()
    assert future.done()
    with pytest.raises(StopIteration):
        coro.send(None)
    assert taken.locked()
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        coro.send(None)
    taken.release()
    assert is_free(taken)


async def test_who_goes_on_too_early_is_told(taken, enter):
    coro = enter(taken)
    coro.send(None)
    with pytest.raises(RuntimeError, match="await wasn't used with future"):
        coro.send(None)
    coro.close()
    taken.release()
    assert is_free(taken)


@pytest.mark.parametrize("how", ["close", "throw", "throw a class", "cancel the future", "drop", "drop in a cycle"])
@pytest.mark.parametrize("promised", [False, True])
async def test_whoever_leaves_passes_it_on(taken, enter, how, promised):
    coro, after = enter(taken), cede.create_task(taken.acquire())
    future = coro.send(None)
    future._asyncio_future_blocking = False
    await cede.sleep(0)
    assert waiting(taken) == 2
    if promised:
        taken.release()
    if how == "close":
        coro.close()
    elif how == "throw":
        with pytest.raises(KeyError, match="out"):
            coro.throw(KeyError("out"))
    elif how == "throw a class":
        with pytest.raises(KeyError):
            coro.throw(KeyError)
    elif how == "drop":
        del coro
    elif how == "drop in a cycle":
        cycle = [coro]
        cycle.append(cycle)
        del coro, cycle
        gc.collect()
    else:
        if future.cancel():
            with pytest.raises(cede.CancelledError):
                coro.send(None)
        else:
            coro.close()
    if not promised:
        taken.release()
    await after
    assert taken.locked()
    taken.release()
    assert is_free(taken)


async def test_closing_it_before_its_first_step_leaves_nothing(taken, enter):
    enter(taken).close()
    assert waiting(taken) == 0
    taken.release()
    assert is_free(taken)


async def test_a_task_may_do_the_waiting(taken, enter):
    task, late = cede.create_task(enter(taken)), cede.create_task(enter(taken))
    await cede.sleep(0)
    assert not task.done()
    late.cancel()
    taken.release()
    await task
    with pytest.raises(cede.CancelledError):
        await late
    assert taken.locked()
    taken.release()
    assert is_free(taken)


async def test_a_task_of_the_standard_library_may_too(taken, enter):
    task = asyncio.Task(enter(taken), loop=cede.get_running_loop())
    await cede.sleep(0)
    taken.release()
    await task
    assert taken.locked()
    taken.release()
    assert is_free(taken)


async def test_an_exit_stack_enters_it(taken):
    async def enter_and_leave():
        async with contextlib.AsyncExitStack() as stack:
            assert await stack.enter_async_context(taken) is None
            assert taken.locked()

    task = cede.create_task(enter_and_leave())
    await cede.sleep(0)
    taken.release()
    await task
    assert is_free(taken)


class Counting:
    """What a class may bring in that a lock's class derives from."""

    acquired = released = 0

    async def acquire(self):
        self.acquired += 1
        return await super().acquire()

    def release(self):
        self.released += 1
        super().release()


class CountingLock(Counting, cede.Lock):
    pass


class CountingSemaphore(Counting, cede.Semaphore):
    pass


class BoundedAndCounting(Counting, cede.BoundedSemaphore):
    pass


class Heir(CountingLock):
    pass


@pytest.mark.parametrize("kind", [CountingLock, CountingSemaphore, BoundedAndCounting, Heir])
async def test_async_with_goes_by_the_acquire_and_the_release_of_the_class(kind):
    lock = kind()
    async with lock:
        assert lock.locked()
    assert (lock.acquired, lock.released) == (1, 1)
    assert is_free(lock)
