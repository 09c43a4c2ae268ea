"""Making tasks: create_task, ensure_future, eager factories, and from other threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import sys
import threading
import time
import weakref

import pytest

import cede

VARIABLE = contextvars.ContextVar("VARIABLE", default="default")


async def returning(value, turns=0):
    for _ in range(turns):
        await cede.sleep(0)
    return value


# --- create_task


async def test_create_task_gives_its_keywords_to_the_task():
    context = contextvars.copy_context()
    context.run(VARIABLE.set, "theirs")

    async def look():
        return VARIABLE.get(), cede.current_task().get_name()

    task = cede.create_task(look(), name="named", context=context)
    assert await task == ("theirs", "named")
    assert task.get_context() is context


async def test_create_task_gives_its_keywords_to_the_factory(loop):
    calls = []

    def factory(loop, coro, **kwargs):
        calls.append(kwargs)
        return cede.Task(coro, loop=loop)

    loop.set_task_factory(factory)
    await cede.create_task(returning(1))
    await cede.create_task(returning(1), name="x", flavour="mint")
    assert calls == [{}, {"name": "x", "flavour": "mint"}]


async def test_a_context_must_be_a_context():
    coro = returning(1)
    with pytest.raises(TypeError, match="Context was expected"):
        cede.create_task(coro, context=())
    coro.close()


def test_create_task_needs_a_running_loop():
    coro = returning(1)
    with pytest.raises(RuntimeError, match="no running event loop"):
        cede.create_task(coro)
    coro.close()


async def test_a_task_that_nobody_holds_lives_until_it_is_done():
    ended = []

    async def background():
        await cede.sleep(0.001)
        ended.append(1)

    cede.create_task(background())
    for _ in range(3):
        gc.collect()
        await cede.sleep(0.001)
    assert ended == [1]


async def test_a_task_that_waits_for_what_only_it_knows_lives(loop):
    """On asyncio's loop the task and its future are garbage, and are collected: the task is never done."""
    known, ended = [], []

    async def background():
        future = loop.create_future()
        known.append(weakref.ref(future))
        ended.append(await future)

    cede.create_task(background())
    await cede.sleep(0)
    gc.collect()
    known[0]().set_result(7)
    await cede.sleep(0)
    assert ended == [7]


async def test_tasks_and_futures_are_asyncio_s_too(loop):
    task = cede.create_task(returning(1))
    assert isinstance(task, asyncio.Task)
    assert isinstance(task, cede.Task)
    assert isinstance(task, asyncio.Future)
    assert asyncio.isfuture(task)
    assert asyncio.current_task() is cede.current_task()
    assert task in asyncio.all_tasks()
    assert task in cede.all_tasks(loop)
    assert await task == 1


async def test_asyncio_s_functions_work_with_cede_s_tasks():
    assert await asyncio.gather(returning(1), cede.create_task(returning(2))) == [1, 2]
    assert await asyncio.wait_for(cede.create_task(returning(3, 2)), 1000) == 3
    done, _ = await asyncio.wait([asyncio.create_task(returning(4))])
    assert done.pop().result() == 4


# --- ensure_future


async def test_ensure_future_returns_futures_as_they_are(loop):
    for future in (loop.create_future(), asyncio.Future(loop=loop), cede.create_task(returning(1))):
        assert cede.ensure_future(future) is future
        assert cede.ensure_future(future, loop=loop) is future
        future.cancel()


async def test_ensure_future_makes_tasks_of_awaitables():
    class Awaitable:
        def __await__(self):
            yield
            return "awaitable"

    assert await cede.ensure_future(Awaitable()) == "awaitable"
    assert await cede.ensure_future(returning(1)) == 1


async def test_ensure_future_refuses_another_loop_s_future(loop):
    other = cede.new_event_loop()
    try:
        with pytest.raises(ValueError, match="different loop"):
            cede.ensure_future(other.create_future(), loop=loop)
    finally:
        other.close()


def test_ensure_future_refuses_what_cannot_be_awaited(loop):
    for thing in ("text", 1, returning, (i for i in ())):
        with pytest.raises(TypeError, match="required"):
            cede.ensure_future(thing, loop=loop)


def test_ensure_future_needs_a_loop_and_closes_the_coroutine_without(loop):
    coro = returning(1)
    with pytest.raises(RuntimeError, match="no current event loop"):
        cede.ensure_future(coro)
    with pytest.raises(RuntimeError, match=r"closed|already"):
        coro.send(None)


def test_ensure_future_takes_the_current_loop(loop):
    cede.set_event_loop(loop)
    try:
        task = cede.ensure_future(returning(1))
        assert task.get_loop() is loop
        assert loop.run_until_complete(task) == 1
    finally:
        cede.set_event_loop(None)


# --- Eager tasks


async def test_the_eager_factory_runs_the_first_step_at_once(loop):
    loop.set_task_factory(cede.eager_task_factory)
    steps = []

    async def work():
        steps.append(cede.current_task())
        await cede.sleep(0)
        steps.append("second")
        return "result"

    me = cede.current_task()
    task = cede.create_task(work(), name="eager")
    assert steps == [task]
    assert cede.current_task() is me
    assert not task.done()
    assert await task == "result"
    assert cede.create_task(returning(1)).done()


async def test_the_eager_factory_can_be_told_not_to(loop):
    loop.set_task_factory(cede.eager_task_factory)
    task = cede.create_task(returning(1), eager_start=False)
    assert not task.done()
    assert await task == 1


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio's eager task factory is new in Python 3.12")
async def test_asyncio_s_eager_factory_stands_for_ours(loop):
    """It makes what the loop makes without a factory, begun at once."""
    loop.set_task_factory(asyncio.eager_task_factory)
    assert loop.get_task_factory() is asyncio.eager_task_factory
    seen = []

    async def work():
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)

    first = asyncio.create_task(work(), name="first")
    assert seen == [first]
    assert type(first) is cede.Task
    assert first.get_name() == "first"
    assert asyncio.all_tasks() == {first, asyncio.current_task()}
    assert type(loop.create_task(work(), eager_start=False)) is cede.Task
    assert seen == [first]
    loop.set_task_factory(lambda loop, coro, **kwargs: cede.Task(coro, loop=loop, **kwargs))
    third = asyncio.create_task(work())
    loop.set_task_factory(None)
    fourth = asyncio.create_task(work())
    assert seen == [first]
    await asyncio.wait([first, third, fourth])
    assert len(seen) == 4


async def test_a_custom_eager_factory(loop):
    calls = []

    class MyTask(cede.Task):
        pass

    def make(coro, **kwargs):
        calls.append(kwargs)
        return MyTask(coro, **kwargs)

    loop.set_task_factory(cede.create_eager_task_factory(make))
    task = cede.create_task(returning(1), name="x")
    assert type(task) is MyTask
    assert task.done()
    assert calls == [{"loop": loop, "eager_start": True, "name": "x"}]


async def test_one_task_can_be_started_eagerly():
    task = cede.create_task(returning(1), eager_start=True)
    assert task.done()
    assert task.result() == 1


# --- From another thread


def in_thread(target):
    thread = threading.Thread(target=target)
    thread.start()
    return thread


async def test_a_coroutine_submitted_from_a_thread_runs_in_the_loop(loop):
    results = []

    def submit():
        future = cede.run_coroutine_threadsafe(returning(cede), loop)
        assert isinstance(future, concurrent.futures.Future)
        results.append(future.result(10))

    thread = in_thread(submit)
    while thread.is_alive():
        await cede.sleep(0.0005)
    assert results == [cede]


async def test_its_exception_comes_out_in_the_thread(loop):
    async def fail():
        raise ValueError("x")

    errors = []
    thread = in_thread(lambda: errors.append(cede.run_coroutine_threadsafe(fail(), loop).exception(10)))
    while thread.is_alive():
        await cede.sleep(0.0005)
    assert [str(error) for error in errors] == ["x"]


async def test_cancelling_in_the_thread_reaches_the_task(loop):
    cancelled = []
    started = threading.Event()

    async def work():
        started.set()
        try:
            await cede.sleep(1000)
        except cede.CancelledError:
            cancelled.append(1)
            raise

    def submit():
        future = cede.run_coroutine_threadsafe(work(), loop)
        assert started.wait(10)
        assert future.cancel()
        assert future.cancelled()

    thread = in_thread(submit)
    while thread.is_alive() or not cancelled:
        await cede.sleep(0.0005)
    assert cancelled == [1]


async def test_cancelling_before_it_started_keeps_it_from_starting(loop):
    ran = []

    async def work():
        ran.append(1)

    future = cede.run_coroutine_threadsafe(work(), loop)
    assert future.cancel()
    for _ in range(4):
        await cede.sleep(0)
    assert ran == []


async def test_cancelling_the_task_cancels_the_thread_s_future(loop):
    before = cede.all_tasks()
    future = cede.run_coroutine_threadsafe(cede.sleep(1000), loop)
    await cede.sleep(0)
    (task,) = cede.all_tasks() - before
    await cede.sleep(0)
    task.cancel()
    await cede.sleep(0)
    await cede.sleep(0)
    assert future.cancelled()


async def test_a_factory_that_fails_is_told_in_the_thread_and_in_the_loop(loop, loop_errors):
    def factory(loop, coro, **kwargs):
        coro.close()
        raise NameError("factory")

    loop.set_task_factory(factory)
    future = cede.run_coroutine_threadsafe(returning(1), loop)
    await cede.sleep(0)
    await cede.sleep(0)
    assert isinstance(future.exception(0), NameError)
    assert isinstance(loop_errors.pop()["exception"], NameError)
    loop.set_task_factory(None)


def test_only_coroutines_can_be_submitted(loop):
    with pytest.raises(TypeError, match="coroutine object is required"):
        cede.run_coroutine_threadsafe(loop.create_future(), loop)


async def test_the_thread_can_wait_with_a_timeout(loop):
    outcome = []

    def submit():
        future = cede.run_coroutine_threadsafe(cede.sleep(1000), loop)
        try:
            future.result(0.001)
        except concurrent.futures.TimeoutError:
            future.cancel()
            outcome.append("timeout")

    thread = in_thread(submit)
    deadline = time.monotonic() + 10
    while (thread.is_alive() or len(cede.all_tasks()) > 1) and time.monotonic() < deadline:
        await cede.sleep(0.0005)
    assert outcome == ["timeout"]


# --- A thread's coroutine, and a loop that closes


@pytest.mark.parametrize("package", [cede, asyncio])
@pytest.mark.parametrize("moment", ["handed over", "task made", "begun"])
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_coroutine_for_a_loop_that_closes_ends_by_an_error(package, moment):
    loop = cede.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # of a task that is destroyed
    future = package.run_coroutine_threadsafe(asyncio.sleep(1000), loop)
    for _ in range({"handed over": 0, "task made": 1, "begun": 2}[moment]):
        loop.call_soon(loop.stop)
        loop.run_forever()
    ran = []
    loop.call_soon_threadsafe(ran.append, "anything else")
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        future.result(5)
    assert ran == []
    gc.collect()


class Counting(cede.EventLoop):
    """A loop that makes tasks in a way of its own."""

    made = 0

    def create_task(self, coro, **kwargs):
        self.made += 1
        return super().create_task(coro, **kwargs)


def test_create_task_is_the_loops():
    async def child():
        return 1

    async def main():
        return await cede.create_task(child()) + await cede.create_task(child())

    with cede.Runner(loop_factory=Counting) as runner:
        assert runner.run(main()) == 2
        assert runner.get_loop().made == 3


@pytest.mark.parametrize("where", ["loop", "class"])
def test_create_task_is_the_loops_even_if_it_was_put_there_later(where):
    class Loop(cede.EventLoop):
        pass

    async def child():
        return asyncio.current_task().get_name()

    async def main():
        first = await cede.create_task(child())
        loop = cede.get_running_loop()
        own = type(loop).create_task
        place = Loop if where == "class" else loop

        def create_task(*args, **kwargs):
            return own(loop, args[-1], name="later", **kwargs)

        place.create_task = create_task
        second = await cede.create_task(child())
        del place.create_task
        return first, second, await cede.create_task(child())

    with cede.Runner(loop_factory=Loop) as runner:
        names = runner.run(main())
    assert names[1] == "later"
    assert names[0].startswith("Task-") and names[2].startswith("Task-")


def test_create_task_wants_a_running_loop():
    async def child():
        raise AssertionError("it must not run")

    coro = child()
    with pytest.raises(RuntimeError, match="no running event loop"):
        cede.create_task(coro)
    coro.close()
