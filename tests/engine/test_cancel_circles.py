"""Cancelling tasks that await one another in a circle, or in a long chain of any kind: it ends, and they do."""

from __future__ import annotations

import asyncio

import pytest

import cede

MANY = 50_000 if cede.compiled else 10_000


class Derived(cede.Task):
    pass


class Overrides(cede.Task):
    def cancel(self, msg=None):
        return super().cancel(msg)


class Stock(asyncio.Task):
    pass


KINDS = {"tasks": cede.Task, "derived": Derived, "overriding": Overrides, "the standard library's": Stock}


async def plainly(awaitable):
    return await awaitable


async def gathered(awaitable):
    return await cede.gather(awaitable, cede.sleep(0))


async def in_time(awaitable):
    return await cede.wait_for(awaitable, 1000)


WAYS = {"await": plainly, "gather": gathered, "wait_for": in_time}


def circle(loop, kinds, ways):
    """Tasks, each of which awaits the next, and the last one the first."""
    tasks = []

    async def link(place, way):
        await way(tasks[(place + 1) % len(kinds)])

    tasks += [kind(link(place, way), loop=loop) for place, (kind, way) in enumerate(zip(kinds, ways, strict=True))]
    return tasks


async def settle():
    for _ in range(4):
        await cede.sleep(0)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("size", [2, 3, 10])
async def test_a_circle_is_cancelled(loop, size, kind, way):
    tasks = circle(loop, [cede.Task, *[kind] * (size - 1)], [way] * size)
    await settle()
    assert tasks[1].cancel("stop") is True
    await cede.wait(tasks, timeout=1)
    assert all(task.cancelled() for task in tasks)


async def test_a_circle_of_many_kinds_and_ways(loop):
    kinds, ways = [*KINDS.values()] * 3, [way for way in WAYS.values() for _ in KINDS]
    tasks = circle(loop, kinds, ways)
    await settle()
    tasks[5].cancel()
    await cede.wait(tasks, timeout=1)
    assert all(task.cancelled() for task in tasks)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("length", [1, 2, 5])
async def test_who_awaits_a_circle_is_cancelled_with_it(loop, length, way):
    tasks = circle(loop, [cede.Task] * 3, [way] * 3)
    outer = tasks[0]
    for _ in range(length):
        outer = cede.create_task(way(outer))
    await settle()
    outer.cancel()
    await cede.wait([outer, *tasks], timeout=1)
    assert outer.cancelled()
    assert all(task.cancelled() for task in tasks)


async def test_each_counts_it_once_and_the_first_gets_the_message(loop):
    heard = []

    async def tell(awaitable):
        try:
            await awaitable
        except cede.CancelledError as exc:
            heard.append((tasks.index(cede.current_task()), *exc.args))
            raise

    tasks = circle(loop, [cede.Task] * 5, [tell] * 5)
    await settle()
    tasks[2].cancel("why")
    assert [task.cancelling() for task in tasks] == [0, 0, 1, 0, 0]
    await cede.wait(tasks)
    assert heard[0] == (2, "why")
    assert [place for place, *_ in heard] == [2, 1, 0, 4, 3]
    tasks = circle(loop, [cede.Task] * 2, [gathered] * 2)
    await settle()
    tasks[0].cancel()
    assert [task.cancelling() for task in tasks] == [1, 1]
    await cede.wait(tasks)


async def test_one_of_a_circle_may_go_on(loop):
    went_on = []

    async def survive():
        try:
            await other
        except cede.CancelledError:
            went_on.append(cede.current_task().uncancel())
        return "alive"

    task = cede.create_task(survive())
    other = cede.create_task(plainly(task))
    await settle()
    task.cancel()
    assert await other == "alive"
    assert went_on == [0]


async def test_a_future_may_call_back_as_it_is_cancelled(loop):
    class Calls(cede.Future):
        def cancel(self, msg=None):
            done = super().cancel(msg)
            if done:
                task.cancel()
            return done

    task = cede.create_task(plainly(Calls(loop=loop)))
    await settle()
    task.cancel()
    assert task.cancelling() == 2
    with pytest.raises(cede.CancelledError):
        await task


async def test_an_error_of_what_is_awaited_changes_nothing(loop):
    class Refuses(cede.Future):
        def cancel(self, msg=None):
            raise KeyError

    future = Refuses(loop=loop)
    task = cede.create_task(plainly(future))
    await settle()
    for _ in range(2):
        with pytest.raises(KeyError):
            task.cancel()
    future.set_result(5)
    assert await task == 5


@pytest.mark.parametrize("kind", ["Derived", "Overrides", "asyncio.Task"])
def test_a_long_chain_is_cancelled_or_too_deep(run_python, kind):
    run_python(f"""
    import asyncio, sys, cede

    class Derived(cede.Task):
        pass

    class Overrides(cede.Task):
        def cancel(self, msg=None):
            return super().cancel(msg)

    async def wait(awaited):
        await awaited

    async def main():
        loop = asyncio.get_running_loop()
        first = awaited = loop.create_future()
        for place in range({MANY}):
            kind = {kind} if place % 2 else Derived
            awaited = kind(wait(awaited), loop=loop)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        try:
            awaited.cancel()
        except RecursionError:
            assert {kind} is not Derived
            first.cancel()
        else:
            assert first.cancelled()
        try:
            await awaited
        except asyncio.CancelledError:
            pass

    loop = cede.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    """)


def test_run_ends_where_two_tasks_await_each_other(run_python):
    run_python("""
    import asyncio, cede

    async def main():
        async def one(): await second
        async def two(): await first
        first, second = asyncio.create_task(one()), asyncio.create_task(two())
        await asyncio.sleep(0)
        return first, second

    tasks = cede.run(main())
    assert all(task.cancelled() for task in tasks)
    """)
