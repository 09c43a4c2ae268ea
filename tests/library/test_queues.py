"""Queue, PriorityQueue, LifoQueue: order, room, waiting, cancelling, joining and shutting down."""

from __future__ import annotations

import asyncio
import random
from types import GenericAlias

import pytest

import cede

KINDS = [cede.Queue, cede.PriorityQueue, cede.LifoQueue]


async def turns(n=3):
    for _ in range(n):
        await cede.sleep(0)


def start(*coros):
    return [cede.create_task(coro) for coro in coros]


def drain(queue):
    return [queue.get_nowait() for _ in range(queue.qsize())]


# --- Order and room


async def test_each_kind_has_its_order():
    for kind, expected in zip(KINDS, ([2, 3, 1], [1, 2, 3], [1, 3, 2]), strict=True):
        queue = kind()
        for item in (2, 3, 1):
            await queue.put(item)
        assert [await queue.get() for _ in range(3)] == expected


@pytest.mark.parametrize("kind", KINDS)
async def test_room_and_no_room(kind):
    queue = kind(2)
    assert queue.maxsize == 2
    assert queue.empty()
    queue.put_nowait(1)
    assert (queue.qsize(), queue.empty(), queue.full()) == (1, False, False)
    queue.put_nowait(2)
    assert queue.full()
    with pytest.raises(cede.QueueFull):
        queue.put_nowait(3)
    assert len(drain(queue)) == 2
    with pytest.raises(cede.QueueEmpty):
        queue.get_nowait()


async def test_without_limit_it_is_never_full():
    for maxsize in (0, -1):
        queue = cede.Queue(maxsize)
        for item in range(100):
            queue.put_nowait(item)
        assert not queue.full()


async def test_where_there_is_room_or_an_item_nothing_suspends(loop):
    passed = []
    loop.call_soon(passed.append, 1)
    queue = cede.Queue(1)
    for item in range(5):
        await queue.put(item)
        assert await queue.get() == item
    assert passed == []


async def test_producer_and_consumer_take_turns():
    queue, seen = cede.Queue(1), []

    async def produce():
        for item in range(100):
            await queue.put(item)

    async def consume():
        for _ in range(100):
            seen.append(await queue.get())

    await cede.gather(consume(), produce())
    assert seen == list(range(100))


async def test_getters_are_served_in_order():
    queue, seen = cede.Queue(), []

    async def get(name):
        seen.append((name, await queue.get()))

    tasks = start(get("a"), get("b"), get("c"))
    await cede.sleep(0)
    for item in range(3):
        queue.put_nowait(item)
    await cede.gather(*tasks)
    assert seen == [("a", 0), ("b", 1), ("c", 2)]


async def test_putters_are_served_in_order():
    queue = cede.Queue(1)
    tasks = start(*(queue.put(item) for item in range(4)))
    await cede.sleep(0)
    assert [await queue.get() for _ in range(4)] == [0, 1, 2, 3]
    await cede.gather(*tasks)


async def test_an_item_can_be_taken_before_the_woken_getter_runs():
    queue = cede.Queue()
    (getter,) = start(queue.get())
    await cede.sleep(0)
    queue.put_nowait("first")
    assert queue.get_nowait() == "first"
    await turns()
    assert not getter.done()
    queue.put_nowait("second")
    assert await getter == "second"


# --- Cancelling


async def test_a_cancelled_getter_is_passed_over():
    queue = cede.Queue()
    gone, stays = start(queue.get(), queue.get())
    await cede.sleep(0)
    gone.cancel()
    queue.put_nowait(1)
    assert await stays == 1
    assert "_getters" not in repr(queue)


async def test_a_getter_cancelled_after_it_was_woken_passes_its_turn_on():
    queue = cede.Queue()
    gone, stays = start(queue.get(), queue.get())
    await cede.sleep(0)
    queue.put_nowait(1)
    gone.cancel()
    assert await stays == 1
    assert gone.cancelled()


async def test_a_putter_cancelled_after_it_was_woken_passes_its_turn_on():
    queue = cede.Queue(1)
    queue.put_nowait(0)
    gone, stays = start(queue.put("gone"), queue.put("stays"))
    await cede.sleep(0)
    assert queue.get_nowait() == 0
    gone.cancel()
    await stays
    assert drain(queue) == ["stays"]
    assert gone.cancelled()


@pytest.mark.parametrize("seed", range(20))
async def test_any_mixture_of_cancelling_loses_no_item(seed):
    rng = random.Random(seed)
    queue, put, got = cede.Queue(2), [], []

    async def produce(i):
        await queue.put(i)
        put.append(i)

    async def consume():
        got.append(await queue.get())

    tasks = start(*(produce(i) for i in range(30)))
    tasks += start(*(consume() for _ in range(25)))
    for _ in range(20):
        rng.choice(tasks).cancel()
        for _ in range(rng.randrange(3)):
            await cede.sleep(0)
    for _ in range(40):
        await cede.sleep(0)
    got += drain(queue)
    await turns()
    got += drain(queue)
    for task in tasks:
        task.cancel()
    await cede.gather(*tasks, return_exceptions=True)
    got += drain(queue)
    assert sorted(got) == sorted(put)


# --- Joining


async def test_join_waits_until_everything_is_done():
    queue, done = cede.Queue(), []

    async def worker():
        while True:
            await queue.get()
            await cede.sleep(0)
            done.append(1)
            queue.task_done()

    workers = start(worker(), worker())
    await queue.join()  # nothing to do yet
    for item in range(5):
        queue.put_nowait(item)
    await cede.gather(queue.join(), queue.join())
    assert len(done) == 5
    queue.put_nowait("more")
    await queue.join()
    assert len(done) == 6
    for task in workers:
        task.cancel()


async def test_one_that_joined_is_woken_even_if_more_comes_at_once():
    queue = cede.Queue()
    queue.put_nowait(1)
    (joined,) = start(queue.join())
    await cede.sleep(0)
    queue.get_nowait()
    queue.task_done()
    queue.put_nowait(2)
    await turns()
    assert joined.done()


async def test_more_done_than_put_is_an_error():
    queue = cede.Queue()
    with pytest.raises(ValueError, match="too many times"):
        queue.task_done()


# --- Shutting down


@pytest.mark.parametrize("kind", KINDS)
async def test_after_shutdown_the_rest_can_be_taken(kind):
    queue = kind()
    queue.put_nowait(1)
    queue.shutdown()
    assert "shutdown" in repr(queue)
    with pytest.raises(cede.QueueShutDown):
        await queue.put(2)
    with pytest.raises(cede.QueueShutDown):
        queue.put_nowait(2)
    assert await queue.get() == 1
    with pytest.raises(cede.QueueShutDown):
        await queue.get()
    with pytest.raises(cede.QueueShutDown):
        queue.get_nowait()
    queue.task_done()
    await queue.join()


@pytest.mark.parametrize("kind", KINDS)
async def test_immediate_shutdown_drops_the_rest(kind):
    queue = kind()
    for item in range(3):
        queue.put_nowait(item)
    queue.get_nowait()
    (joined,) = start(queue.join())
    await cede.sleep(0)
    queue.shutdown(immediate=True)
    assert queue.empty()
    await turns()
    assert not joined.done()  # the item that was taken is still being worked on
    queue.task_done()
    await joined
    with pytest.raises(cede.QueueShutDown):
        await queue.get()


@pytest.mark.parametrize("immediate", [False, True])
async def test_shutdown_wakes_everyone_who_waits(immediate):
    queue = cede.Queue()
    getters = start(queue.get(), queue.get())
    await cede.sleep(0)
    queue.shutdown(immediate)
    outcomes = await cede.gather(*getters, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [cede.QueueShutDown] * 2
    queue = cede.Queue(1)
    queue.put_nowait(1)
    putters = start(queue.put(2), queue.put(3))
    await cede.sleep(0)
    queue.shutdown(immediate)
    outcomes = await cede.gather(*putters, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [cede.QueueShutDown] * 2


# --- What it is


async def test_its_repr_and_str():
    queue = cede.Queue(2)
    assert str(queue) == "<Queue maxsize=2>"
    assert repr(queue) == f"<Queue at {id(queue):#x} maxsize=2>"
    (getter,) = start(queue.get())
    await cede.sleep(0)
    assert str(queue) == "<Queue maxsize=2 _getters[1]>"
    getter.cancel()
    await turns()
    queue.put_nowait("a")
    queue.put_nowait("b")
    (putter,) = start(queue.put("c"))
    await cede.sleep(0)
    assert str(queue) == "<Queue maxsize=2 _queue=['a', 'b'] _putters[1] tasks=2>"
    drain(queue)
    await putter


def test_it_is_generic():
    for kind in KINDS:
        assert isinstance(kind[int], GenericAlias)
        assert isinstance(kind[int](), kind)


def test_its_exceptions_are_asyncio_s():
    assert cede.QueueEmpty is asyncio.QueueEmpty
    assert cede.QueueFull is asyncio.QueueFull
    if hasattr(asyncio, "QueueShutDown"):
        assert cede.QueueShutDown is asyncio.QueueShutDown


async def test_a_subclass_may_store_its_items_elsewhere():
    class Unique(cede.Queue):
        def _init(self, maxsize):
            self._queue = {}

        def _put(self, item):
            self._queue[item] = True

        def _get(self):
            return self._queue.popitem()[0]

    queue = Unique()
    for item in (1, 1, 2):
        await queue.put(item)
    assert queue.qsize() == 2
    assert {await queue.get(), await queue.get()} == {1, 2}


async def test_a_subclass_may_say_what_full_and_empty_mean():
    class Heavy(cede.Queue):
        def _init(self, maxsize):
            self.items = []

        def _put(self, item):
            self.items.append(item)

        def _get(self):
            return self.items.pop(0)

        def qsize(self):
            return sum(self.items)

        def empty(self):
            return not self.items

    queue, order = Heavy(10), []

    async def produce():
        for item in (4, 6, 5):
            await queue.put(item)
            order.append(("put", item))

    (task,) = start(produce())
    await turns()
    assert order == [("put", 4), ("put", 6)]
    assert await queue.get() == 4
    await task
    assert order[2:] == [("put", 5)]
    assert [await queue.get(), await queue.get()] == [6, 5]


async def test_a_subclass_may_override_the_nowait_methods():
    calls = []

    class Noting(cede.Queue):
        def put_nowait(self, item):
            calls.append(("put", item))
            super().put_nowait(item)

        def get_nowait(self):
            calls.append("get")
            return super().get_nowait()

    queue = Noting()
    await queue.put(1)
    await queue.get()
    assert calls == [("put", 1), "get"]


async def test_another_class_may_bring_what_is_overridden():
    calls = []

    class Noting:
        def put_nowait(self, item):
            calls.append(("put", item))
            super().put_nowait(item)

    class Doubling:
        def _put(self, item):
            super()._put(item * 2)

    class Both(Noting, Doubling, cede.Queue):
        pass

    queue = Both()
    await queue.put(1)
    assert await queue.get() == 2
    assert calls == [("put", 1)]
