"""Task: from its first step to its end, cancelling, eager start, names, stacks and reports."""

from __future__ import annotations

import asyncio
import contextvars
import gc

import pytest

import cede
from cede import CancelledError, Future, Task
from tests.engine.coroutines import Spinner, fail, give, suspend, wait_for

var = contextvars.ContextVar("var", default="default")


# -- from the first step to the end ------------------------------------------------------------------------------------


def test_a_task_runs_from_the_next_turn_on(loop, turns):
    ran = []

    async def step():
        ran.append("step")

    task = Task(step(), loop=loop)
    assert ran == []
    assert not task.done()
    turns()
    assert ran == ["step"]
    assert task.done()
    assert task.result() is None


@pytest.mark.parametrize("value", [None, (StopIteration, 1), (BaseException, KeyError()), StopIteration(4), (), [1]])
async def test_it_returns_whatever_the_coroutine_returns(value):
    task = asyncio.create_task(give(value))
    assert await task is value
    assert task.result() is value


@pytest.mark.parametrize("exc", [KeyError("k"), StopAsyncIteration(), GeneratorExit(), BaseException("base")])
async def test_it_raises_what_the_coroutine_raises(exc):
    task = asyncio.create_task(fail(exc))
    with pytest.raises(type(exc)) as caught:
        await task
    assert caught.value is exc
    assert task.exception() is exc


async def test_stop_iteration_cannot_be_raised_by_a_coroutine():
    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        await asyncio.create_task(fail(StopIteration(1)))


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_ends_the_task_and_leaves_the_loop(loop, turns, interrupt):
    ran = []
    task = Task(fail(interrupt("now")), loop=loop)
    loop.call_soon(ran.append, "after")
    with pytest.raises(interrupt, match="now"):
        loop.run_forever()
    assert task.done()
    assert type(task.exception()) is interrupt
    assert ran == []
    turns()
    assert ran == ["after"]


async def test_a_bare_yield_waits_for_the_next_turn(loop):
    order = []

    async def two(name):
        order.append(name)
        await suspend()
        order.append(name)

    await asyncio.gather(two("a"), two("b"))
    assert order == ["a", "b", "a", "b"]


async def test_what_a_yield_gives_back_is_none():
    async def main():
        return await suspend()

    assert await asyncio.create_task(main()) is None


@pytest.mark.parametrize("wrong", [1, "text", (), object(), (1, 2), [None], (None, 1)])
async def test_a_yield_of_anything_else_is_an_error_thrown_back(wrong):
    async def main():
        with pytest.raises(RuntimeError, match="Task got bad yield: "):
            await suspend(wrong)
        return "went on"

    assert await asyncio.create_task(main()) == "went on"


async def test_a_future_must_be_awaited_and_not_yielded(loop):
    future = loop.create_future()
    with pytest.raises(RuntimeError, match="yield was used instead of yield from in task"):
        await asyncio.create_task(wait_for(suspend(future)))
    with pytest.raises(RuntimeError, match="yield was used instead of yield from for generator in task"):
        await asyncio.create_task(wait_for(suspend(x for x in ())))


async def test_a_task_cannot_await_itself():
    async def main():
        await task

    task = asyncio.create_task(main())
    with pytest.raises(RuntimeError, match="Task cannot await on itself: "):
        await task


async def test_a_future_of_another_loop_is_refused(stock_loop):
    other = cede.new_event_loop()
    for future in (Future(loop=other), asyncio.Future(loop=stock_loop)):
        with pytest.raises(RuntimeError, match=r"Task <.*> got Future <.*> attached to a different loop"):
            await asyncio.create_task(wait_for(future))
    other.close()


async def test_a_coroutine_that_catches_these_errors_goes_on(loop):
    async def main():
        for bad in (1, loop.create_future()):
            try:
                await suspend(bad)
            except RuntimeError:
                pass
        await asyncio.sleep(0)
        return "fine"

    assert await asyncio.create_task(main()) == "fine"


@pytest.mark.parametrize("wrong", [None, 1, give, "text", Future, object()])
def test_only_coroutines_make_tasks(loop, wrong):
    with pytest.raises(TypeError, match="a coroutine was expected, got "):
        Task(wrong, loop=loop)


def test_a_failed_task_is_not_among_the_live_ones(loop, turns):
    with pytest.raises(TypeError):
        Task(1, loop=loop)
    coro = give(1)
    with pytest.raises(TypeError):
        Task(coro, loop=loop, context="context")
    coro.close()
    assert asyncio.all_tasks(loop) == set()
    turns()


async def test_a_coroutine_like_object_makes_a_task():
    assert await Task(Spinner(3)) == "spun"
    spinner = Spinner(5)
    task = Task(spinner)
    await asyncio.sleep(0)
    task.cancel("stop it")
    with pytest.raises(CancelledError, match="stop it"):
        await task
    assert [type(exc) for exc in spinner.thrown] == [CancelledError]


async def test_errors_of_a_coroutine_like_object_end_the_task():
    class Broken(Spinner):
        def send(self, value):
            raise KeyError("send")

    with pytest.raises(KeyError, match="send"):
        await Task(Broken())


async def test_the_task_awaits_what_it_shows(loop):
    future = loop.create_future()
    task = asyncio.create_task(wait_for(future))
    assert task._fut_waiter is None
    await asyncio.sleep(0)
    assert task._fut_waiter is future
    future.set_result("value")
    assert task._fut_waiter is future
    assert await task == "value"
    assert task._fut_waiter is None


# -- the order in which things run -------------------------------------------------------------------------------------


async def test_tasks_and_callbacks_take_turns_in_order(loop):
    order = []

    async def note(name):
        order.append(name)
        await asyncio.sleep(0)
        order.append(name + "'")

    tasks = []
    for name in "abc":
        tasks.append(asyncio.create_task(note(name)))
        loop.call_soon(order.append, name.upper())
    await asyncio.gather(*tasks)
    assert order == ["a", "A", "b", "B", "c", "C", "a'", "b'", "c'"]


async def test_whoever_awaits_a_task_runs_in_the_turn_after_it_ended(loop):
    order = []

    async def child():
        order.append("child")

    async def parent():
        await asyncio.create_task(child())
        order.append("parent")

    task = asyncio.create_task(parent())
    for turn in range(4):
        loop.call_soon(order.append, turn)
        await asyncio.sleep(0)
    await task
    assert order == [0, "child", 1, "parent", 2, 3]


# -- eager start -------------------------------------------------------------------------------------------------------


async def test_eagerly_a_task_may_end_before_it_is_there(loop):
    seen = []

    async def child():
        seen.append(asyncio.current_task())
        return "done"

    me = asyncio.current_task()
    task = Task(child(), eager_start=True)
    assert task.done()
    assert task.result() == "done"
    assert seen == [task]
    assert asyncio.current_task() is me
    assert task not in asyncio.all_tasks()
    assert task.get_coro() is None
    assert await task == "done"


async def test_eagerly_a_task_runs_to_its_first_suspension(loop):
    future = loop.create_future()
    order = []

    async def child():
        order.append("begun")
        return await future

    task = Task(child(), eager_start=True)
    order.append("made")
    assert not task.done()
    assert task in asyncio.all_tasks()
    assert task._fut_waiter is future
    future.set_result("later")
    assert await task == "later"
    assert order == ["begun", "made"]


async def test_eagerly_started_tasks_nest(loop):
    async def child(depth):
        current.append(asyncio.current_task().get_name())
        if depth:
            task = Task(child(depth - 1), eager_start=True, name=f"depth {depth - 1}")
            assert task.done()
            current.append(asyncio.current_task().get_name())
        return depth

    current = []
    task = Task(child(2), eager_start=True, name="depth 2")
    assert task.result() == 2
    assert current == ["depth 2", "depth 1", "depth 0", "depth 1", "depth 2"]


async def test_eagerly_a_task_may_fail(loop):
    task = Task(fail(KeyError("eager")), eager_start=True)
    assert task.done()
    with pytest.raises(KeyError, match="eager"):
        await task


async def test_eagerly_a_task_may_be_cancelled(loop):
    async def cancel_me():
        asyncio.current_task().cancel("eagerly")
        await loop.create_future()

    for coro in (cancel_me(), fail(CancelledError("eagerly"))):
        task = Task(coro, eager_start=True)
        with pytest.raises(CancelledError, match="eagerly"):
            await task
        assert task.cancelled()


async def test_eagerly_done_callbacks_are_still_scheduled(loop):
    called = []
    task = Task(give(1), eager_start=True)
    task.add_done_callback(called.append)
    assert called == []
    await asyncio.sleep(0)
    assert called == [task]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_eagerly_an_interrupt_is_raised_where_the_task_is_made(loop, loop_errors, interrupt):
    async def main():
        me = asyncio.current_task()
        with pytest.raises(interrupt):
            Task(fail(interrupt()), eager_start=True)
        assert asyncio.current_task() is me
        assert asyncio.all_tasks() == {me}
        return "went on"

    assert loop.run_until_complete(main()) == "went on"
    gc.collect()
    assert [type(context["exception"]) for context in loop_errors] == [interrupt]  # nobody could ask for it
    loop_errors.clear()


def test_eager_start_waits_for_a_loop_that_does_not_run(loop):
    task = Task(give("later"), loop=loop, eager_start=True)
    assert not task.done()
    assert loop.run_until_complete(task) == "later"


async def test_eagerly_in_a_context_of_its_own(loop):
    async def child():
        var.set("child's")
        await asyncio.sleep(0)
        return var.get()

    var.set("mine")
    task = Task(child(), eager_start=True)
    assert var.get() == "mine"
    assert await task == "child's"
    context = contextvars.copy_context()
    assert await Task(child(), eager_start=True, context=context) == "child's"
    assert context[var] == "child's"


async def test_a_factory_of_eager_tasks(loop):
    loop.set_task_factory(cede.eager_task_factory)
    task = asyncio.create_task(give(5), name="five")
    assert task.done()
    assert isinstance(task, Task)
    assert task.get_name() == "five"
    loop.set_task_factory(None)
    assert not (task := asyncio.create_task(give(6))).done()
    assert await task == 6
