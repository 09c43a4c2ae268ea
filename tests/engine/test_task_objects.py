"""What a task is to those who look at it: names, stacks, reprs, reports, attributes, subclasses."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import io
import weakref

import pytest

import cede
from cede import CancelledError, Future, Task
from tests.engine.coroutines import Spinner, fail, give, suspend, wait_for

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
    return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"


async def test_repr_follows_the_task_through_its_life(loop):
    future = loop.create_future()
    task = Task(wait_for(future), name="T")
    code = wait_for.__code__
    assert repr(task) == f"<Task pending name='T' coro=<wait_for() running at {place(wait_for)}>>"
    await asyncio.sleep(0)
    at = f"{code.co_filename}:{code.co_firstlineno + 1}"
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
