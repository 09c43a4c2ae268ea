"""Task: from its first step to its end, cancelling, eager start, names, stacks and reports."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import contextvars
import gc
import io
import types
import weakref

import pytest

import cede
from cede import CancelledError, Future, Task

var = contextvars.ContextVar("var", default="default")


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


# -- names, coroutine, stack -------------------------------------------------------------------------------------------


async def test_names(loop):
    tasks = [asyncio.create_task(give(1)) for _ in range(2)]
    numbers = [int(task.get_name().removeprefix("Task-")) for task in tasks]
    assert numbers[0] < numbers[1]
    tasks[0].set_name(("any", "thing"))
    assert tasks[0].get_name() == "('any', 'thing')"
    assert asyncio.create_task(give(1), name=5).get_name() == "5"
    assert asyncio.create_task(give(1), name="name").get_name() == "name"
    assert asyncio.create_task(give(1), name="").get_name() == ""
    assert asyncio.create_task(give(1), name=None).get_name().startswith("Task-")


async def test_a_name_whose_str_raises(loop, loop_errors):
    class Nameless:
        def __str__(self):
            raise KeyError("name")

    coro = give(1)
    with pytest.raises(KeyError):
        Task(coro, name=Nameless())
    coro.close()
    gc.collect()
    assert loop_errors.pop()["message"] == "Task was destroyed but it is pending!"
    task = Task(give(1), name="kept")
    with pytest.raises(KeyError):
        task.set_name(Nameless())
    assert task.get_name() == "kept"
    await task


async def test_what_a_task_is_made_of(loop):
    coro = give(1)
    task = Task(coro)
    assert task.get_coro() is coro
    assert isinstance(task.get_context(), contextvars.Context)
    assert task.get_loop() is loop
    with pytest.raises(RuntimeError, match="Task does not support set_result operation"):
        task.set_result(1)
    with pytest.raises(RuntimeError, match="Task does not support set_exception operation"):
        task.set_exception(KeyError())
    await task
    assert task.get_coro() is coro


async def outer(future):
    await inner(future)


async def inner(future):
    await future
    raise KeyError("from inner")


async def test_the_stack_of_a_suspended_task_is_its_outermost_frame(loop):
    future = loop.create_future()
    task = asyncio.create_task(outer(future))
    await asyncio.sleep(0)
    assert [frame.f_code.co_name for frame in task.get_stack()] == ["outer"]
    assert len(task.get_stack(limit=1)) == 1
    out = io.StringIO()
    task.print_stack(file=out)
    text = out.getvalue()
    assert text.startswith("Stack for <Task pending ")
    assert "(most recent call last):\n" in text
    assert "in outer\n    await inner(future)\n" in text
    task.cancel()
    with pytest.raises(CancelledError):
        await task
    assert task.get_stack() == []


async def test_the_stack_of_a_failed_task_is_its_traceback(loop):
    future = loop.create_future()
    task = asyncio.create_task(outer(future))
    future.set_result(None)
    await asyncio.wait([task])
    names = [frame.f_code.co_name for frame in task.get_stack()]
    assert names[-2:] == ["outer", "inner"]
    assert [frame.f_code.co_name for frame in task.get_stack(limit=len(names) - 1)] == names[:-1]
    out = io.StringIO()
    task.print_stack(file=out)
    assert out.getvalue().startswith("Traceback for <Task finished ")
    assert out.getvalue().endswith("KeyError: 'from inner'\n")
    task.exception()


async def test_the_stack_of_a_task_that_returned_is_empty():
    task = asyncio.create_task(give(1))
    await task
    assert task.get_stack() == []
    out = io.StringIO()
    task.print_stack(file=out)
    assert out.getvalue().startswith("No stack for <Task finished ")


async def test_the_stack_of_a_coroutine_like_object():
    task = Task(Spinner())
    assert task.get_stack() == []
    await task


# -- reprs and reports -------------------------------------------------------------------------------------------------


def place(function):
    return f"{__file__}:{function.__code__.co_firstlineno}"


async def test_repr_follows_the_task_through_its_life(loop):
    future = loop.create_future()
    task = Task(wait_for(future), name="T")
    line = wait_for.__code__.co_firstlineno
    assert repr(task) == f"<Task pending name='T' coro=<wait_for() running at {__file__}:{line}>>"
    await asyncio.sleep(0)
    at = f"{__file__}:{line + 1}"
    assert repr(task).startswith(
        f"<Task pending name='T' coro=<wait_for() running at {at}> wait_for=<Future pending cb=["
    )
    task.cancel()
    assert repr(task).startswith(
        f"<Task cancelling name='T' coro=<wait_for() running at {at}> wait_for=<Future cancelled>"
    )
    with pytest.raises(CancelledError):
        await task
    assert repr(task) == f"<Task cancelled name='T' coro=<wait_for() done, defined at {place(wait_for)}>>"


async def test_repr_of_what_ended(loop):
    done, failed = Task(give(7), name="d"), Task(fail(KeyError("k")), name="f")
    await asyncio.wait([done, failed])
    assert repr(done) == f"<Task finished name='d' coro=<give() done, defined at {place(give)}> result=7>"
    assert (
        repr(failed) == f"<Task finished name='f' coro=<fail() done, defined at {place(fail)}> exception=KeyError('k')>"
    )
    failed.exception()


async def test_repr_of_odd_tasks():
    class Mine(Task):
        pass

    task = Mine(Spinner(), name="odd")
    assert repr(task) == "<Mine pending name='odd' coro=<<Spinner without __name__>()>>"
    await task


def test_a_task_destroyed_while_pending_is_reported(run_python):
    source = """
        import gc, cede
        async def wait(future):
            await future
        loop = cede.new_event_loop()
        loop.set_exception_handler(lambda loop, context: print(sorted(context), context["message"], context["task"]))
        for quiet in (False, True):
            task = cede.Task(wait(cede.Future(loop=loop)), loop=loop, name="lost")
            task._log_destroy_pending = not quiet
            loop.call_soon(loop.stop)
            loop.run_forever()
        loop.close()
        del task
        gc.collect()
    """
    out = run_python(source).stdout
    assert out.count("Task was destroyed but it is pending!") == 1
    assert out.startswith("['message', 'task'] ")
    assert "name='lost'" in out


@pytest.mark.parametrize("debug", [False, True])
async def test_a_lost_exception_is_reported_at_once(loop, loop_errors, no_collector, debug):
    loop.set_debug(debug)
    await asyncio.sleep(0)
    Task(fail(KeyError("lost")))
    await asyncio.sleep(0)
    (context,) = loop_errors
    loop_errors.clear()
    assert context["message"] == "Task exception was never retrieved"


def test_a_task_that_could_not_be_scheduled_is_reported(loop, loop_errors):
    def refuse(*args, **kwargs):
        raise ZeroDivisionError

    class Refusing(cede.EventLoop):
        call_soon = refuse

    with contextlib.closing(Refusing()) as other:
        other.set_exception_handler(lambda loop, context: loop_errors.append(context))
        coro = give(1)
        with pytest.raises(ZeroDivisionError):
            Task(coro, loop=other)
        coro.close()
        gc.collect()
        assert asyncio.all_tasks(other) == set()
    (context,) = loop_errors
    assert context["message"] == "Task was destroyed but it is pending!"
    loop_errors.clear()


@pytest.mark.parametrize("waiting", [False, True])
async def test_a_task_that_is_given_its_outcome_takes_no_step_any_more(loop, loop_errors, waiting):
    async def run():
        await hold
        steps.append(1)

    steps, hold = [], loop.create_future()
    one, two = tasks = Task(run()), Task(run())
    if waiting:
        await asyncio.sleep(0)
    Future.set_result(one, "given")
    Future.set_exception(two, KeyError("given"))
    assert not {one, two} & asyncio.all_tasks()
    assert await one == "given"
    with pytest.raises(KeyError, match="given"):
        await two
    hold.set_result(None)
    await asyncio.sleep(0)
    assert steps == []
    assert len(loop_errors) == 2
    for context, task in zip(loop_errors, tasks):
        assert isinstance(context["exception"], cede.InvalidStateError)
        assert str(context["exception"]).startswith("__step(): already done: <Task finished")
        assert context["task"] is task
        task.get_coro().close()
    loop_errors.clear()


def test_a_lost_exception_is_reported_as_a_tasks(loop, turns, loop_errors):
    Task(fail(KeyError("lost")), loop=loop)
    turns(2)
    gc.collect()
    (context,) = loop_errors
    assert context["message"] == "Task exception was never retrieved"
    assert isinstance(context["future"], asyncio.Task)
    loop_errors.clear()
    del context


def test_cancelling_a_task_does_not_silence_its_later_exception(loop, loop_errors):
    async def stubborn():
        try:
            await loop.create_future()
        except CancelledError:
            raise KeyError("instead") from None

    async def main():
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    loop.run_until_complete(main())
    gc.collect()
    assert type(loop_errors.pop()["exception"]) is KeyError


# -- what it is --------------------------------------------------------------------------------------------------------


async def test_it_passes_for_the_stdlibs(loop):
    task = asyncio.create_task(give(1))
    assert isinstance(task, Task)
    assert isinstance(task, Future)
    assert isinstance(task, asyncio.Task)
    assert isinstance(task, asyncio.Future)
    assert asyncio.isfuture(task)
    assert asyncio.ensure_future(task) is task
    assert await task == 1


async def test_a_task_has_weak_references_attributes_and_generics():
    task = asyncio.create_task(give(1))
    task.anything = "goes"
    assert task.anything == "goes"
    assert weakref.ref(task)() is task
    assert Task[int].__origin__ is Task
    await task


def test_a_running_task_is_held_until_it_is_done(loop):
    """cpython#91887: a background task that nobody else refers to is not collected."""

    async def background():
        future = loop.create_future()
        timer.append(weakref.ref(future))
        await future
        done.append(1)

    async def main():
        for _ in range(3):
            asyncio.create_task(background())
        await asyncio.sleep(0)
        gc.collect()
        assert all(reference() is not None for reference in timer)
        for reference in timer:
            reference().set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    timer, done = [], []
    loop.run_until_complete(main())
    assert done == [1, 1, 1]
    gc.collect()
    assert [reference() for reference in timer] == [None] * 3


def test_a_finished_task_is_freed_without_the_collector(loop):
    async def main():
        task = asyncio.create_task(give(1))
        reference = weakref.ref(task)
        await task
        del task
        return reference

    gc.disable()
    try:
        assert loop.run_until_complete(main())() is None
    finally:
        gc.enable()


async def test_initialising_twice_is_refused(loop):
    task = Task(give(1))
    coro = give(2)
    with pytest.raises(RuntimeError, match="Task object is already initialized"):
        task.__init__(coro, loop=loop)
    with pytest.raises(RuntimeError, match="Task object is already initialized"):
        Future.__init__(task, loop=loop)
    coro.close()
    assert await task == 1


def test_a_task_needs_a_loop(in_thread):
    coro = give(1)
    with pytest.raises(RuntimeError, match="no current event loop|no running event loop"):
        in_thread(Task, coro)
    coro.close()


def test_a_closed_loop_takes_no_tasks(loop):
    loop.close()
    coro = give(1)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.create_task(coro)
    coro.close()


async def test_a_subclass_may_override_and_extend(loop):
    class Mine(Task):
        def __init__(self, coro, **kwargs):
            self.cancels = 0
            super().__init__(coro, **kwargs)

        def cancel(self, msg=None):
            self.cancels += 1
            return super().cancel(msg)

        def get_name(self):
            return "Mine " + super().get_name()

    task = Mine(wait_for(loop.create_future()), name="x")
    parent = asyncio.create_task(wait_for(task))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    parent.cancel()
    with pytest.raises(CancelledError):
        await parent
    assert task.cancels == 1
    assert task.cancelled()
    assert task.get_name() == "Mine x"


async def test_edges_of_the_call_graph(loop):
    future = loop.create_future()
    child = asyncio.create_task(wait_for(future))
    parent = asyncio.create_task(wait_for(child))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert future._asyncio_awaited_by == {child}
    assert child._asyncio_awaited_by == {parent}
    assert not parent._asyncio_awaited_by
    future.set_result(None)
    await parent
    assert not future._asyncio_awaited_by
    assert not child._asyncio_awaited_by


class Unprintable:
    def __str__(self):
        raise ZeroDivisionError


@pytest.mark.parametrize("kind", ["stock", "ours"])
@pytest.mark.parametrize("why", ["closed", "name"])
@pytest.mark.filterwarnings("ignore:coroutine 'give' was never awaited")
def test_a_task_that_could_not_be_made_is_reported_as_in_asyncio(why, kind):
    loop = cede.new_event_loop() if kind == "ours" else asyncio.SelectorEventLoop()
    said = []
    loop.set_exception_handler(lambda loop, context: said.append(context["message"]))
    if why == "closed":
        loop.close()
    with pytest.raises(RuntimeError if why == "closed" else ZeroDivisionError):
        (Task if kind == "ours" else asyncio.Task)(give(1), loop=loop, name=Unprintable() if why == "name" else None)
    gc.collect()
    assert said == ["Task was destroyed but it is pending!"]
    loop.close()


def test_a_task_that_could_not_be_made_has_a_coroutine_that_never_ran():
    loop = cede.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    loop.close()

    def make():
        with pytest.raises(RuntimeError, match="closed"):
            Task(give(1), loop=loop)
        gc.collect()

    with pytest.warns(RuntimeWarning, match="coroutine 'give' was never awaited"):
        make()


async def fail_with(thing):
    raise ValueError


async def wait_with(thing, awaitable):
    await awaitable


async def catch_with(thing):
    try:
        await Task(fail_with(thing))
    except ValueError:
        pass


@pytest.mark.parametrize("how", ["awaited", "asked", "caught", "cancelled", "future cancelled", "thrown"])
async def test_an_error_leaves_no_cycle(loop, how):
    """With the collector off, what the coroutine held is gone as soon as nobody holds the task."""
    thing = contextvars.Context()  # anything that can be weakly referenced
    gone = weakref.ref(thing)
    awaited = loop.create_future()
    if how == "caught":
        task = Task(catch_with(thing))
    elif how in ("awaited", "asked"):
        task = Task(fail_with(thing))
    else:
        task = Task(wait_with(thing, awaited))
    del thing
    gc.collect()
    gc.disable()
    try:
        if how != "awaited":
            await suspend()
        if how == "asked":
            assert type(task.exception()) is ValueError
        elif how == "cancelled":
            task.cancel()
        elif how == "future cancelled":
            awaited.cancel()
        elif how == "thrown":
            awaited.set_exception(ValueError())
        del awaited
        if how != "asked":
            await asyncio.wait([task])
            try:
                task.result()
            except (ValueError, CancelledError):
                pass
        del task
        await suspend()
        await suspend()
        assert (gone() is None) == (how != "thrown")  # there its frame holds the future, which holds the error
    finally:
        gc.enable()
