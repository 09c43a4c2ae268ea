"""Lock, Event, Condition, Semaphore, Barrier: who gets it, in which order, and what a cancellation leaves."""

from __future__ import annotations

import random

import pytest

import cede
from cede.waitlines import WaitLine


async def turns(n=3):
    for _ in range(n):
        await cede.sleep(0)


def start(*coros):
    return [cede.create_task(coro) for coro in coros]


async def cancel_all(tasks):
    for task in tasks:
        task.cancel()
    await cede.gather(*tasks, return_exceptions=True)


# --- Lock


async def test_a_free_lock_is_taken_without_suspending(loop):
    passed = []
    loop.call_soon(passed.append, 1)
    lock = cede.Lock()
    assert await lock.acquire() is True
    assert lock.locked()
    lock.release()
    assert not lock.locked()
    async with lock as value:
        assert value is None
        assert lock.locked()
    assert not lock.locked()
    assert passed == []


async def test_the_lock_goes_round_in_the_order_it_was_asked_for():
    lock, order = cede.Lock(), []

    async def worker(i):
        async with lock:
            order.append(i)
            await cede.sleep(0)

    await cede.gather(*(worker(i) for i in range(10)))
    assert order == list(range(10))
    assert not lock.locked()


async def test_nobody_overtakes_whoever_was_promised_the_lock():
    lock, order = cede.Lock(), []

    async def take(name):
        await lock.acquire()
        order.append(name)
        lock.release()

    await lock.acquire()
    (first,) = start(take("first"))
    await cede.sleep(0)
    lock.release()
    assert not lock.locked()  # nobody holds it; but it is promised
    await take("second")
    assert order == ["first", "second"]
    await first


async def test_a_lock_that_is_not_held_cannot_be_released():
    lock = cede.Lock()
    with pytest.raises(RuntimeError, match="not acquired"):
        lock.release()
    await lock.acquire()
    (waiter,) = start(lock.acquire())
    await cede.sleep(0)
    lock.release()
    with pytest.raises(RuntimeError, match="not acquired"):
        lock.release()
    assert await waiter


async def test_a_cancelled_waiter_is_passed_over():
    lock = cede.Lock()
    await lock.acquire()
    first, second = start(lock.acquire(), lock.acquire())
    await cede.sleep(0)
    first.cancel()
    lock.release()
    assert await second is True
    assert first.cancelled()
    assert lock.locked()


async def test_a_waiter_cancelled_after_it_was_promised_the_lock_passes_it_on():
    lock = cede.Lock()
    await lock.acquire()
    first, second = start(lock.acquire(), lock.acquire())
    await cede.sleep(0)
    lock.release()
    first.cancel()
    assert await second is True
    assert first.cancelled()
    lock.release()
    assert not lock.locked()


async def test_a_lone_waiter_cancelled_after_the_promise_leaves_the_lock_free():
    lock = cede.Lock()
    await lock.acquire()
    (first,) = start(lock.acquire())
    await cede.sleep(0)
    lock.release()
    first.cancel()
    await turns()
    assert not lock.locked()
    async with lock:
        pass


async def test_its_repr():
    lock = cede.Lock()
    assert repr(lock).endswith("Lock object at " + hex(id(lock)) + " [unlocked]>")
    await lock.acquire()
    assert repr(lock).endswith(" [locked]>")
    tasks = start(lock.acquire(), lock.acquire())
    await cede.sleep(0)
    assert repr(lock).endswith(" [locked, waiters:2]>")
    await cancel_all(tasks)


async def test_async_with_goes_through_an_overridden_acquire():
    class Counting(cede.Lock):
        acquired = 0

        async def acquire(self):
            self.acquired += 1
            return await super().acquire()

    class CountingSemaphore(cede.Semaphore):
        acquired = 0

        async def acquire(self):
            self.acquired += 1
            return await super().acquire()

    for lock in (Counting(), CountingSemaphore(1)):
        async with lock:
            assert lock.acquired == 1


async def test_a_lock_cannot_be_awaited_nor_entered_without_async():
    lock = cede.Lock()
    with pytest.raises(TypeError):
        await lock
    with pytest.raises((TypeError, AttributeError)):
        with lock:
            pass


def test_a_lock_belongs_to_the_loop_in_which_it_had_to_wait():
    lock = cede.Lock()

    async def contend():
        async with lock:
            task = cede.create_task(lock.acquire())
            await cede.sleep(0)
        await task
        lock.release()

    cede.run(contend())
    with pytest.raises(RuntimeError, match="is bound to a different event loop"):
        cede.run(contend())


@pytest.mark.parametrize("seed", range(20))
async def test_any_mixture_of_cancelling_and_releasing_keeps_the_lock_sound(seed):
    rng = random.Random(seed)
    lock, holders = cede.Lock(), []

    async def worker(i):
        async with lock:
            assert not holders
            holders.append(i)
            try:
                for _ in range(rng.randrange(3)):
                    await cede.sleep(0)
            finally:
                holders.remove(i)

    tasks = start(*(worker(i) for i in range(30)))
    for _ in range(40):
        rng.choice(tasks).cancel()
        for _ in range(rng.randrange(3)):
            await cede.sleep(0)
    await cede.gather(*tasks, return_exceptions=True)
    assert not lock.locked()
    async with lock:
        pass


# --- Event


async def test_an_event_wakes_everyone_who_waits_in_order():
    event, order = cede.Event(), []

    async def wait(i):
        assert await event.wait() is True
        order.append(i)

    tasks = start(*(wait(i) for i in range(5)))
    await cede.sleep(0)
    event.set()
    event.clear()  # whoever waited already is woken all the same
    await cede.gather(*tasks)
    assert order == list(range(5))
    assert not event.is_set()


async def test_a_set_event_does_not_suspend(loop):
    passed = []
    loop.call_soon(passed.append, 1)
    event = cede.Event()
    event.set()
    event.set()
    assert await event.wait() is True
    assert passed == []


async def test_a_cancelled_waiter_of_an_event_is_gone():
    event = cede.Event()
    gone, stays = start(event.wait(), event.wait())
    await cede.sleep(0)
    gone.cancel()
    await turns()
    assert repr(event).endswith(" [unset, waiters:1]>")
    event.set()
    assert await stays
    assert repr(event).endswith(" [set]>")


# --- Condition


async def test_notify_wakes_as_many_as_it_says_in_order():
    condition, order = cede.Condition(), []

    async def wait(i):
        async with condition:
            assert await condition.wait() is True
            order.append(i)

    tasks = start(*(wait(i) for i in range(5)))
    await turns()
    for n, expected in ((1, [0]), (2, [0, 1, 2]), (10, [0, 1, 2, 3, 4])):
        async with condition:
            condition.notify(n)
        await turns(10)
        assert order == expected
    await cede.gather(*tasks)


async def test_notify_all_and_wait_for():
    condition, value = cede.Condition(), 0

    async def wait():
        async with condition:
            return await condition.wait_for(lambda: value if value >= 3 else None)

    tasks = start(wait(), wait())
    for _ in range(3):
        await turns()
        async with condition:
            value += 1
            condition.notify_all()
    assert await cede.gather(*tasks) == [3, 3]


async def test_a_condition_needs_its_lock():
    condition = cede.Condition()
    with pytest.raises(RuntimeError, match="cannot wait on un-acquired lock"):
        await condition.wait()
    with pytest.raises(RuntimeError, match="cannot notify on un-acquired lock"):
        condition.notify()
    with pytest.raises(RuntimeError, match="cannot notify on un-acquired lock"):
        condition.notify_all()


async def test_conditions_may_share_a_lock():
    lock = cede.Lock()
    first, second = cede.Condition(lock), cede.Condition(lock)
    async with first:
        assert second.locked()
        second.notify_all()
    assert repr(first).endswith(" [unlocked]>")


async def test_the_lock_is_held_when_a_cancelled_wait_ends():
    condition, held = cede.Condition(), []

    async def wait():
        async with condition:
            try:
                await condition.wait()
            finally:
                held.append(condition.locked())

    (task,) = start(wait())
    await turns()
    await condition.acquire()
    task.cancel()
    await turns()
    task.cancel("again")  # while it waits for the lock
    await turns()
    assert not task.done()
    condition.release()
    with pytest.raises(cede.CancelledError, match="again"):
        await task
    assert held == [True]
    assert not condition.locked()


async def test_a_notified_task_that_is_cancelled_passes_the_notice_on():
    condition, woken = cede.Condition(), []

    async def wait(name):
        async with condition:
            await condition.wait()
            woken.append(name)

    first, second = start(wait("first"), wait("second"))
    await turns()
    async with condition:
        condition.notify(1)
    first.cancel()
    await turns(10)
    assert woken == ["second"]
    assert first.cancelled()
    await second


async def test_a_task_that_was_not_notified_passes_nothing_on():
    condition = cede.Condition()

    async def wait():
        async with condition:
            await condition.wait()

    first, second = start(wait(), wait())
    await turns()
    first.cancel()
    await turns(10)
    assert not second.done()
    await cancel_all([second])


# --- Semaphore


async def test_as_many_as_the_counter_says():
    semaphore, inside, most = cede.Semaphore(3), 0, 0

    async def worker():
        nonlocal inside, most
        async with semaphore:
            inside += 1
            most = max(most, inside)
            await cede.sleep(0)
            inside -= 1

    await cede.gather(*(worker() for _ in range(20)))
    assert most == 3
    assert repr(semaphore).endswith(" [unlocked, value:3]>")


async def test_a_free_semaphore_does_not_suspend(loop):
    passed = []
    loop.call_soon(passed.append, 1)
    semaphore = cede.Semaphore(2)
    assert await semaphore.acquire() is True
    async with semaphore:
        assert semaphore.locked()
    semaphore.release()
    assert passed == []


async def test_nobody_overtakes_at_a_semaphore():
    semaphore, order = cede.Semaphore(0), []

    async def take(name):
        await semaphore.acquire()
        order.append(name)

    (first,) = start(take("first"))
    await cede.sleep(0)
    semaphore.release()
    semaphore.release()
    assert semaphore.locked()  # there is one left, but somebody who was woken goes first
    await take("second")
    assert order == ["first", "second"]
    await first


async def test_a_waiter_of_a_semaphore_cancelled_after_it_was_woken_passes_its_share_on():
    semaphore = cede.Semaphore(0)
    first, second, third = start(*(semaphore.acquire() for _ in range(3)))
    await cede.sleep(0)
    semaphore.release()
    semaphore.release()
    first.cancel()
    second.cancel()
    assert await third is True
    assert semaphore.locked() is False
    await semaphore.acquire()
    assert semaphore.locked()


async def test_a_negative_counter_is_refused():
    with pytest.raises(ValueError, match=">= 0"):
        cede.Semaphore(-1)


async def test_a_bounded_semaphore_has_a_bound():
    semaphore = cede.BoundedSemaphore(1)
    async with semaphore:
        pass
    with pytest.raises(ValueError, match="released too many times"):
        semaphore.release()
    assert repr(semaphore).endswith(" [unlocked, value:1]>")


@pytest.mark.parametrize("seed", range(20))
async def test_any_mixture_of_cancelling_and_releasing_keeps_the_counter(seed):
    rng = random.Random(seed)
    semaphore, inside = cede.BoundedSemaphore(3), 0

    async def worker():
        nonlocal inside
        async with semaphore:
            inside += 1
            assert inside <= 3
            try:
                for _ in range(rng.randrange(3)):
                    await cede.sleep(0)
            finally:
                inside -= 1

    tasks = start(*(worker() for _ in range(40)))
    for _ in range(40):
        rng.choice(tasks).cancel()
        for _ in range(rng.randrange(3)):
            await cede.sleep(0)
    await cede.gather(*tasks, return_exceptions=True)
    assert repr(semaphore).endswith(" [unlocked, value:3]>")


# --- Barrier


async def test_a_barrier_opens_when_all_have_come_again_and_again():
    barrier, log = cede.Barrier(3), []

    async def party():
        for round_ in range(3):
            log.append((round_, await barrier.wait()))

    await cede.gather(*(party() for _ in range(3)))
    assert sorted(log) == [(round_, i) for round_ in range(3) for i in range(3)]
    assert [round_ for round_, _ in log] == sorted(round_ for round_, _ in log)
    assert barrier.n_waiting == 0


async def test_a_barrier_of_one_is_always_open():
    barrier = cede.Barrier(1)
    assert [await barrier.wait() for _ in range(3)] == [0, 0, 0]
    async with barrier as position:
        assert position == 0


async def test_a_cancelled_party_makes_room():
    barrier = cede.Barrier(2)
    (gone,) = start(barrier.wait())
    await cede.sleep(0)
    assert barrier.n_waiting == 1
    gone.cancel()
    await turns()
    assert barrier.n_waiting == 0
    assert sorted(await cede.gather(barrier.wait(), barrier.wait())) == [0, 1]


async def test_newcomers_wait_until_the_last_round_has_gone():
    barrier, order = cede.Barrier(2), []

    async def party(name):
        await barrier.wait()
        order.append(name)

    tasks = start(*(party(i) for i in range(4)))
    await cede.gather(*tasks)
    assert sorted(order[:2]) == [0, 1]
    assert sorted(order[2:]) == [2, 3]


async def test_reset_sends_away_those_who_wait():
    barrier = cede.Barrier(3)
    tasks = start(barrier.wait(), barrier.wait())
    await cede.sleep(0)
    await barrier.reset()
    outcomes = await cede.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [cede.BrokenBarrierError] * 2
    assert not barrier.broken
    assert len(await cede.gather(*(barrier.wait() for _ in range(3)))) == 3


async def test_abort_breaks_it_until_reset():
    barrier = cede.Barrier(2)
    (waiting,) = start(barrier.wait())
    await cede.sleep(0)
    await barrier.abort()
    with pytest.raises(cede.BrokenBarrierError):
        await waiting
    assert barrier.broken
    assert repr(barrier).endswith(" [broken]>")
    with pytest.raises(cede.BrokenBarrierError):
        await barrier.wait()
    await barrier.reset()
    assert not barrier.broken
    assert len(await cede.gather(barrier.wait(), barrier.wait())) == 2


async def test_what_a_barrier_says_of_itself():
    with pytest.raises(ValueError, match=">= 1"):
        cede.Barrier(0)
    barrier = cede.Barrier(2)
    assert barrier.parties == 2
    assert repr(barrier).endswith(" [filling, waiters:0/2]>")


# --- The line of those who wait


def line_of(loop, n):
    line = WaitLine()
    waiters = [loop.create_future() for _ in range(n)]
    for waiter in waiters:
        line.append(waiter)
    return line, waiters


@pytest.mark.parametrize("order", ["first to last", "last to first", "random"])
def test_leaving_a_long_line_is_cheap_in_any_order(loop, order):
    n = 20_000
    line, waiters = line_of(loop, n)
    leaving = list(waiters)
    if order == "last to first":
        leaving.reverse()
    elif order == "random":
        random.Random(1).shuffle(leaving)
    for waiter in leaving[:-1]:  # quadratic, this would take minutes
        waiter.cancel()
        line.leave(waiter)
    assert line.waiting() == 1
    assert len(line) <= 2
    assert line.wake_next()
    assert leaving[-1].done()
    assert not line.wake_next()


def test_leaving_twice_or_after_being_woken_harms_nobody(loop):
    line, (first, second, third) = line_of(loop, 3)
    assert line.wake_next()
    for _ in range(5):
        line.leave(first)
    second.cancel()
    line.leave(second)
    line.leave(second)
    assert line.waiting() == 1
    line.wake_all()
    assert third.done()
    line.leave(third)


def test_a_waiter_that_is_not_cancelled_can_leave(loop):
    line, (first, second, third) = line_of(loop, 3)
    line.leave(second)
    assert list(line) == [first, third]
