"""Which loop and task runs, and which tasks live: asyncio's registries tell, whoever asks, on every Python."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import warnings
import weakref

import pytest

import cede
from cede import Task


async def give(value):
    return value


async def look():
    return asyncio.current_task(), cede.current_task(), asyncio.get_running_loop()


# -- the current task --------------------------------------------------------------------------------------------------


def test_each_asker_gets_the_same_answer(loop):
    task = loop.create_task(look())
    assert loop.run_until_complete(task) == (task, task, loop)


async def test_current_task_of_a_loop_by_name(loop):
    me = asyncio.current_task()
    assert asyncio.current_task(loop) is me
    other = cede.new_event_loop()
    assert asyncio.current_task(other) is None
    other.close()


def test_outside_of_a_loop_there_is_none(loop):
    loop.run_until_complete(give(1))
    assert asyncio.current_task(loop) is None
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.current_task()


def test_callbacks_run_without_a_task(loop, turns, socket_pair):
    seen = []

    def note(*args):
        seen.append(asyncio.current_task())

    async def step():
        seen.append("task")
        loop.call_soon(note)
        loop.call_later(0, note)
        loop.call_soon_threadsafe(note)
        loop.add_writer(socket_pair[0], lambda: (note(), loop.remove_writer(socket_pair[0])))

    task = loop.create_task(step())
    task.add_done_callback(note)
    turns(5)
    assert seen == ["task", None, None, None, None, None]


def test_between_two_tasks_a_callback_has_none(loop, turns):
    seen = []

    async def step(name):
        seen.append((name, asyncio.current_task().get_name()))
        await asyncio.sleep(0)
        seen.append((name, asyncio.current_task().get_name()))

    for name in "ab":
        Task(step(name), loop=loop, name=name)
        loop.call_soon(lambda: seen.append(asyncio.current_task()))
    turns(3)
    assert seen == [("a", "a"), None, ("b", "b"), None, ("a", "a"), ("b", "b")]


def test_no_task_is_current_once_the_turn_is_over(loop, turns):
    """Not for a poller's watchers, not for the exception handler of a later error, not outside."""
    seen = []
    loop.set_exception_handler(lambda loop, context: seen.append(asyncio.current_task(loop)))

    async def fail():
        raise KeyError

    Task(fail(), loop=loop)
    turns(2)
    gc.collect()
    assert seen == [None]
    assert asyncio.current_task(loop) is None


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_after_an_interrupt_no_task_is_current(loop, turns, interrupt):
    async def step():
        raise interrupt

    task = Task(step(), loop=loop)
    with pytest.raises(interrupt):
        loop.run_forever()
    assert asyncio.current_task(loop) is None
    assert type(task.exception()) is interrupt
    turns()


async def test_eager_tasks_are_current_while_they_start(loop):
    me = asyncio.current_task()
    task = Task(look(), eager_start=True)
    assert task.result()[0] is task
    assert asyncio.current_task() is me
    with contextlib.suppress(KeyError):
        raise KeyError
    assert asyncio.current_task() is me


async def test_a_task_that_finishes_during_anothers_step_changes_nothing(loop):
    """Its destructor, too, sees the task that runs."""
    seen = []

    class Noisy:
        def __del__(self):
            seen.append(asyncio.current_task())

    async def child():
        noisy = Noisy()
        await asyncio.sleep(0)
        return noisy and None

    me = asyncio.current_task()
    await asyncio.gather(child(), child())
    assert me not in seen
    assert len(seen) == 2
    assert asyncio.current_task() is me


def test_two_loops_in_two_threads(loop, in_thread):
    def other():
        other_loop = cede.new_event_loop()
        try:
            task = other_loop.create_task(look())
            return other_loop.run_until_complete(task) == (task, task, other_loop)
        finally:
            other_loop.close()

    async def main():
        me = asyncio.current_task()
        assert await asyncio.to_thread(other)
        assert asyncio.current_task() is me
        assert asyncio.get_running_loop() is loop
        await loop.shutdown_default_executor()

    loop.run_until_complete(main())
    assert in_thread(other)


def test_programs_that_say_themselves_which_task_runs(loop, turns):
    """nest_asyncio, qasync and others leave and enter by hand, in the middle of a task."""
    seen = []

    async def step():
        me = asyncio.current_task()
        asyncio._leave_task(loop, me)
        seen.append(asyncio.current_task(loop))
        asyncio._enter_task(loop, me)
        seen.append(asyncio.current_task(loop) is me)

    async def leaver():
        asyncio._leave_task(loop, asyncio.current_task())

    Task(step(), loop=loop)
    Task(leaver(), loop=loop)
    Task(give(1), loop=loop)
    turns(3)
    assert seen == [None, True]
    assert asyncio.current_task(loop) is None


# -- the running loop --------------------------------------------------------------------------------------------------


async def test_the_running_loop_is_the_stdlibs_business(loop):
    assert asyncio.get_running_loop() is asyncio._get_running_loop() is cede.get_running_loop() is loop
    assert asyncio.get_event_loop() is loop
    assert cede._set_running_loop is asyncio._set_running_loop


def test_a_thread_has_a_running_loop_of_its_own(loop, in_thread):
    async def main():
        with pytest.raises(RuntimeError, match="no running event loop"):
            await asyncio.to_thread(asyncio.get_running_loop)
        await loop.shutdown_default_executor()

    loop.run_until_complete(main())


# -- the live tasks ----------------------------------------------------------------------------------------------------


async def test_all_tasks_are_those_not_done(loop):
    me = asyncio.current_task()
    assert asyncio.all_tasks() == {me}
    tasks = {asyncio.create_task(asyncio.sleep(0)) for _ in range(3)}
    assert asyncio.all_tasks() == cede.all_tasks(loop) == tasks | {me}
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks | {me}
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {me}


async def test_all_tasks_of_another_loop(loop):
    other = cede.new_event_loop()
    coro = give(1)
    task = other.create_task(coro)
    task._log_destroy_pending = False
    assert asyncio.all_tasks(other) == {task}
    assert task not in asyncio.all_tasks()
    other.close()
    coro.close()


def test_asked_from_a_thread(loop, in_thread):
    task = loop.create_task(give(1))
    assert in_thread(asyncio.all_tasks, loop) == {task}
    loop.run_until_complete(task)
    assert in_thread(asyncio.all_tasks, loop) == set()


def test_asked_from_a_thread_while_tasks_come_and_go(loop):
    """No "set changed size during iteration" reaches whoever asks."""
    stop = threading.Event()
    errors = []

    def ask():
        while not stop.is_set():
            try:
                asyncio.all_tasks(loop)
            except BaseException as exc:
                errors.append(exc)
                return

    async def main():
        for _ in range(100):
            await asyncio.gather(*(give(number) for number in range(30)))

    thread = threading.Thread(target=ask)
    thread.start()
    loop.run_until_complete(main())
    stop.set()
    thread.join()
    assert errors == []


async def test_the_stdlibs_tasks_and_cedes_are_listed_together(loop):
    ours = asyncio.create_task(asyncio.sleep(0))
    theirs = asyncio.Task(asyncio.sleep(0), loop=loop)
    assert {ours, theirs} < asyncio.all_tasks()
    await ours
    await theirs
    assert not {ours, theirs} & asyncio.all_tasks()


def test_the_tasks_of_a_closed_loop_are_let_go(loop):
    async def wait(future):
        await future

    task = loop.create_task(wait(loop.create_future()))
    loop.call_soon(loop.stop)
    loop.run_forever()
    task._log_destroy_pending = False
    reference = weakref.ref(task)
    loop.close()
    assert asyncio.all_tasks(loop) == set()
    del task
    gc.collect()
    assert reference() is None


def test_an_abandoned_loop_takes_its_tasks_along_when_it_is_closed(loop_errors):
    loop = cede.new_event_loop()
    loop.set_exception_handler(lambda loop, context: loop_errors.append(context))
    coros = [give(number) for number in range(3)]
    for coro in coros:
        loop.create_task(coro)
    loop.close()
    gc.collect()
    assert [context["message"] for context in loop_errors] == ["Task was destroyed but it is pending!"] * 3
    for coro in coros:
        coro.close()


def test_each_loop_lists_its_own_tasks(loop):
    """Those of a loop with a scheduling of its own as well; and closing one lets go of its own tasks only."""

    class Slow(cede.EventLoop):
        def call_soon(self, callback, *args, context=None):
            return super().call_soon(callback, *args, context=context)

    others = [cede.new_event_loop(), Slow(), Slow()]
    coros = {other: [give(number) for number in range(3)] for other in others}
    tasks = {other: {other.create_task(coro) for coro in coros[other]} for other in others}
    for other in others:
        assert asyncio.all_tasks(other) == tasks[other]
    assert not asyncio.all_tasks(loop)
    while others:
        other = others.pop()
        for task in tasks[other]:
            task._log_destroy_pending = False
        other.close()
        assert asyncio.all_tasks(other) == set()
        for still_open in others:
            assert asyncio.all_tasks(still_open) == tasks[still_open]
        for coro in coros[other]:
            coro.close()


async def test_a_task_that_nobody_refers_to_is_held_until_it_is_done(loop):
    done = []

    async def wait(future):
        await future
        done.append(True)

    def begin():
        future = loop.create_future()
        loop.create_task(wait(future))
        loop.call_later(0.01, future.set_result, None)

    begin()
    gc.collect()
    await asyncio.sleep(0.05)
    assert done == [True]


def test_a_loop_that_is_dropped_takes_its_tasks_along():
    """Nothing can run them any more. Of a loop that is referred to, they stay."""
    told = []

    def drop():
        loop = cede.new_event_loop()
        loop.set_exception_handler(lambda loop, context: told.append(context["message"]))
        coro = give(1)
        task = weakref.ref(loop.create_task(coro))
        gc.collect()
        assert task() is not None and not told
        coro.close()
        return task

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the loop, which is not closed
        task = drop()
        gc.collect()
    assert task() is None
    assert told == ["Task was destroyed but it is pending!"]


def test_tasks_of_loops_in_several_threads_have_names_of_their_own(quick_switches):
    names = []

    def run():
        async def main():
            for _ in range(2000):
                names.append(asyncio.create_task(give(1)).get_name())
                await asyncio.sleep(0)

        loop = cede.new_event_loop()
        loop.run_until_complete(main())
        loop.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == len(set(names)) == 6000


async def test_eager_tasks_are_listed_only_while_they_live(loop):
    def listed():
        return asyncio.current_task() in asyncio.all_tasks()

    async def quick():
        return listed()

    async def slow():
        before = listed()
        await asyncio.sleep(0)
        return before, listed()

    assert Task(quick(), eager_start=True).result()
    task = Task(slow(), eager_start=True)
    assert task in asyncio.all_tasks()
    assert await task == (True, True)
    assert task not in asyncio.all_tasks()


async def test_asyncios_own_registering_functions_accept_cedes_tasks(loop):
    task = asyncio.create_task(give(1))
    asyncio._register_task(task)
    assert task in asyncio.all_tasks()
    asyncio._unregister_task(task)
    await task


@pytest.mark.parametrize("make", ["Future", "Task", "StreamReader", "StreamReaderProtocol"])
def test_nothing_makes_a_loop_by_itself(run_python, make):
    """As in Python 3.14: stock asyncio before it makes a loop here, and warns of it."""
    source = f"""
        import asyncio, cede
        async def nothing():
            pass
        coro = nothing()
        make = dict(
            Future=cede.Future,
            Task=lambda: cede.Task(coro),
            StreamReader=cede.StreamReader,
            StreamReaderProtocol=lambda: cede.StreamReaderProtocol(None),
        )["{make}"]
        try:
            made = make()
        except RuntimeError as exc:
            assert str(exc) == "There is no current event loop in thread 'MainThread'.", exc
        else:
            raise SystemExit("made without a loop")
        loop = cede.new_event_loop()
        cede.set_event_loop(loop)
        made = make()
        assert made._loop is loop
        cede.set_event_loop(None)
        if "{make}" == "Task":
            loop.run_until_complete(made)
        coro.close()
        loop.close()
    """
    run_python(source)
