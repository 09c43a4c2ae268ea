"""Cancelling tasks, and the context they run in."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from cede import CancelledError, Future, Task
from tests.engine.coroutines import fail, give, wait_for

var = contextvars.ContextVar("var", default="default")


# -- cancelling --------------------------------------------------------------------------------------------------------


def test_cancelled_before_its_first_step_it_never_runs(loop):
    ran = []

    async def step():
        ran.append(1)

    task = Task(step(), loop=loop)
    assert task.cancel()
    assert not task.done()
    with pytest.raises(CancelledError):
        loop.run_until_complete(task)
    assert task.cancelled()
    assert ran == []


@pytest.mark.parametrize(("args", "expected"), [((), ()), (("why",), ("why",)), ((None,), ())])
async def test_the_message_of_a_cancellation_arrives_inside_and_outside(loop, args, expected):
    seen = []

    async def child():
        try:
            await loop.create_future()
        except CancelledError as exc:
            seen.append(exc.args)
            raise

    task = asyncio.create_task(child())
    await asyncio.sleep(0)
    assert task.cancel(*args)
    with pytest.raises(CancelledError) as caught:
        await task
    assert seen == [expected]
    assert caught.value.args == expected


async def test_cancelling_cancels_the_future_that_is_awaited(loop):
    future = loop.create_future()
    task = asyncio.create_task(wait_for(future))
    await asyncio.sleep(0)
    task.cancel("m")
    assert future.cancelled()
    assert not task.done()
    with pytest.raises(CancelledError):
        await task


async def test_what_is_done_cannot_be_cancelled():
    done = [asyncio.create_task(give(1)), asyncio.create_task(fail(KeyError()))]
    await asyncio.wait(done)
    assert [task.cancel() for task in done] == [False, False]
    assert [task.cancelled() for task in done] == [False, False]
    assert done[0].result() == 1
    assert type(done[1].exception()) is KeyError


async def test_a_cancellation_after_the_future_was_resolved_still_arrives(loop):
    future = loop.create_future()
    task = asyncio.create_task(wait_for(future))
    await asyncio.sleep(0)
    future.set_result("too late")
    assert task.cancel()
    with pytest.raises(CancelledError):
        await task
    assert not future.cancelled()


async def test_a_cancellation_in_its_last_step_cancels_the_task():
    async def child():
        asyncio.current_task().cancel("late")
        return "lost"

    task = asyncio.create_task(child())
    with pytest.raises(CancelledError, match="late"):
        await task
    assert task.cancelled()


async def test_a_task_that_cancels_itself_is_told_at_its_next_await(loop):
    seen = []

    async def child():
        asyncio.current_task().cancel()
        seen.append("still here")
        try:
            await loop.create_future()
        except CancelledError:
            seen.append("now")
            raise

    with pytest.raises(CancelledError):
        await asyncio.create_task(child())
    assert seen == ["still here", "now"]


async def test_an_exception_in_the_last_step_wins_over_a_cancellation():
    async def child():
        asyncio.current_task().cancel()
        raise KeyError

    with pytest.raises(KeyError):
        await asyncio.create_task(child())


async def test_a_cancellation_may_be_swallowed(loop):
    async def child():
        try:
            await loop.create_future()
        except CancelledError:
            return "swallowed"

    task = asyncio.create_task(child())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "swallowed"
    assert not task.cancelled()
    assert task.cancelling() == 1


async def test_cancelled_error_raised_by_the_coroutine_itself_cancels_the_task():
    task = asyncio.create_task(fail(CancelledError("own")))
    with pytest.raises(CancelledError, match="own"):
        await task
    assert task.cancelled()
    assert task.cancelling() == 0


async def test_cancelling_a_chain_reaches_its_end(loop):
    future = loop.create_future()
    tasks = [asyncio.create_task(wait_for(future))]
    for _ in range(3):
        tasks.append(asyncio.create_task(wait_for(tasks[-1])))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tasks[-1].cancel("all of you")
    with pytest.raises(CancelledError, match="all of you"):
        await tasks[-1]
    assert future.cancelled()
    assert all(task.cancelled() for task in tasks)
    assert [task.cancelling() for task in tasks] == [1, 1, 1, 1]


async def test_cancelling_counts(loop):
    async def child():
        try:
            await loop.create_future()
        finally:
            counts.append(asyncio.current_task().cancelling())

    counts = []
    task = asyncio.create_task(child())
    assert task.cancelling() == 0
    assert task.uncancel() == 0
    await asyncio.sleep(0)
    assert [task.cancel(), task.cancel()] == [True, True]
    assert task.cancelling() == 2
    assert task.uncancel() == 1
    with pytest.raises(CancelledError):
        await task
    assert counts == [1]
    assert task.cancelling() == 1
    assert [task.uncancel(), task.uncancel()] == [0, 0]


async def test_uncancel_before_the_step_takes_the_cancellation_back():
    task = asyncio.create_task(give("went on"))
    task.cancel()
    assert task._must_cancel
    assert task.uncancel() == 0
    assert not task._must_cancel
    assert await task == "went on"


async def test_uncancel_of_one_of_two_leaves_the_cancellation():
    task = asyncio.create_task(give("no"))
    task.cancel()
    task.cancel()
    assert task.uncancel() == 1
    with pytest.raises(CancelledError):
        await task


async def test_the_awaited_object_may_refuse_to_be_cancelled(loop):
    class Refuses(Future):
        def cancel(self, msg=None):
            return False

    future = Refuses()
    task = asyncio.create_task(wait_for(future))
    await asyncio.sleep(0)
    assert task.cancel()
    assert task._must_cancel
    future.set_result(1)
    with pytest.raises(CancelledError):
        await task


@pytest.mark.parametrize("kind", ["future", "task", "the last of a chain"])
async def test_a_cancel_that_was_put_on_what_is_awaited_is_called(loop, kind):
    """As libraries do that shield a block from cancellation."""
    end = loop.create_future()
    inner = asyncio.create_task(wait_for(end))
    awaited = {"future": end, "task": inner, "the last of a chain": inner}[kind]
    between = asyncio.create_task(wait_for(awaited))
    outer = asyncio.create_task(wait_for(between)) if kind == "the last of a chain" else between
    await asyncio.sleep(0)
    asked, own = [], awaited.cancel
    awaited.cancel = lambda msg=None: asked.append(msg) or True
    assert outer.cancel("m")
    assert asked == ["m"]
    assert not end.cancelled()
    assert [task.cancelling() for task in (inner, between, outer)] == [0, 1, 1]

    awaited.cancel = own  # as one puts it back
    assert outer.cancel("again")
    with pytest.raises(CancelledError):
        await outer
    assert end.cancelled()
    await asyncio.wait([inner, between])


# -- context -----------------------------------------------------------------------------------------------------------


async def test_a_task_runs_in_a_copy_of_its_makers_context():
    async def child():
        seen.append(var.get())
        var.set("child's")

    seen = []
    var.set("maker's")
    task = asyncio.create_task(child())
    var.set("later")
    await task
    assert seen == ["maker's"]
    assert var.get() == "later"
    assert task.get_context()[var] == "child's"


async def test_a_task_runs_in_the_context_it_is_given():
    async def child():
        before = var.get()
        var.set("child's")
        await asyncio.sleep(0)
        return before, var.get()

    context = contextvars.copy_context()
    context.run(var.set, "given")
    task = asyncio.create_task(child(), context=context)
    assert task.get_context() is context
    assert await task == ("given", "child's")
    assert context[var] == "child's"
    assert await asyncio.create_task(child(), context=context) == ("child's", "child's")


async def test_wakings_by_foreign_futures_keep_the_context(loop):
    async def child(future):
        var.set("mine")
        await future
        return var.get()

    future = asyncio.Future(loop=loop)
    context = contextvars.copy_context()
    task = asyncio.create_task(child(future), context=context)
    await asyncio.sleep(0)
    future.set_result(None)
    assert await task == "mine"


@pytest.mark.parametrize("wrong", ["context", 1, {}, object()])
def test_the_context_must_be_one(loop, wrong):
    coro = give(1)
    with pytest.raises(TypeError):
        Task(coro, loop=loop, context=wrong)
    coro.close()


async def test_an_eager_start_in_a_context_that_is_entered_is_refused():
    """gh-157301: it neither hangs nor leaves a task behind."""
    context = contextvars.copy_context()

    async def child():
        coro = give(1)
        with pytest.raises(RuntimeError, match="cannot enter context"):
            Task(coro, context=context, eager_start=True)
        coro.close()
        assert asyncio.all_tasks() == {me, asyncio.current_task()}
        return "went on"

    me = asyncio.current_task()
    assert await asyncio.create_task(child(), context=context) == "went on"


async def test_a_task_waits_its_turn_for_a_context_that_is_entered():
    context = contextvars.copy_context()
    ended = []

    async def child():
        await asyncio.create_task(give(1), context=context)
        ended.append("child")

    await asyncio.create_task(child(), context=context)
    assert ended == ["child"]
