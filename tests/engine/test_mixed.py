"""Cede's parts beside the stdlib's: each other's futures, tasks and loops, and subclasses of cede's in Python."""

from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest

import cede
from cede import CancelledError, Future, Task

OUTCOMES = ["result", "exception", "cancel"]


async def wait_for(future):
    return await future


def finish(future, outcome):
    if outcome == "result":
        future.set_result("value")
    elif outcome == "exception":
        future.set_exception(KeyError("k"))
    else:
        future.cancel("msg")


async def check(awaitable, outcome):
    if outcome == "result":
        assert await awaitable == "value"
    elif outcome == "exception":
        with pytest.raises(KeyError):
            await awaitable
    else:
        with pytest.raises(CancelledError, match="msg"):
            await awaitable


# -- on cede's loop ----------------------------------------------------------------------------------------------------

KINDS = {"cede": (Future, Task), "stdlib": (asyncio.Future, asyncio.Task)}


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("tasks", KINDS)
@pytest.mark.parametrize("futures", KINDS)
async def test_each_kind_of_task_awaits_each_kind_of_future(loop, futures, tasks, outcome):
    future = KINDS[futures][0](loop=loop)
    task = KINDS[tasks][1](wait_for(future), loop=loop)
    await asyncio.sleep(0)
    assert not task.done()
    finish(future, outcome)
    await check(task, outcome)


@pytest.mark.parametrize("tasks", KINDS)
@pytest.mark.parametrize("futures", KINDS)
async def test_each_kind_of_task_cancels_each_kind_of_future(loop, futures, tasks):
    future = KINDS[futures][0](loop=loop)
    task = KINDS[tasks][1](wait_for(future), loop=loop)
    await asyncio.sleep(0)
    assert task.cancel("msg")
    assert future.cancelled()
    with pytest.raises(CancelledError, match="msg"):
        await task
    assert task.cancelled()


@pytest.mark.parametrize("outer", KINDS)
@pytest.mark.parametrize("inner", KINDS)
async def test_tasks_of_either_kind_await_one_another(loop, inner, outer):
    async def child():
        await asyncio.sleep(0)
        return asyncio.current_task()

    first = KINDS[inner][1](child(), loop=loop)
    second = KINDS[outer][1](wait_for(first), loop=loop)
    assert await second is first
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_stdlibs_library_takes_cedes_tasks(loop):
    async def nap(value):
        await asyncio.sleep(0.001)
        return value

    assert await asyncio.gather(Task(nap(1)), nap(2), asyncio.Task(nap(3), loop=loop)) == [1, 2, 3]
    done, pending = await asyncio.wait({Task(nap(4)), asyncio.Task(nap(5), loop=loop)})
    assert {task.result() for task in done} == {4, 5}
    assert await asyncio.shield(Task(nap(6))) == 6
    assert await asyncio.wait_for(Task(nap(7)), 5) == 7
    assert {await future for future in asyncio.as_completed([Task(nap(8)), nap(9)])} == {8, 9}
    async with asyncio.TaskGroup() as group:
        task = group.create_task(nap(10))
    assert isinstance(task, Task)
    async with asyncio.timeout(5):
        assert await nap(11) == 11


async def test_cedes_library_takes_the_stdlibs_tasks(loop):
    async def nap(value):
        await cede.sleep(0.001)
        return value

    theirs = [asyncio.Task(nap(number), loop=loop) for number in range(4)]
    assert await cede.gather(*theirs[:2]) == [0, 1]
    assert await cede.shield(theirs[2]) == 2
    done, _ = await cede.wait([theirs[3]])
    assert done == {theirs[3]}


async def test_the_order_of_a_mixed_turn_is_that_of_asking(loop):
    order = []

    async def note(name):
        order.append(name)
        await asyncio.sleep(0)
        order.append(name + "'")

    tasks = [kind(note(name), loop=loop) for name, kind in [("a", Task), ("b", asyncio.Task), ("c", Task)]]
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "c", "a'", "b'", "c'"]


# -- on the stdlib's loop ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("tasks", KINDS)
@pytest.mark.parametrize("futures", KINDS)
def test_all_kinds_work_on_the_stdlibs_loop(stock_loop, futures, tasks, outcome):
    async def main():
        future = KINDS[futures][0](loop=stock_loop)
        called = []
        future.add_done_callback(called.append)
        task = KINDS[tasks][1](wait_for(future), loop=stock_loop)
        await asyncio.sleep(0)
        stock_loop.call_soon(finish, future, outcome)
        await check(task, outcome)
        assert called == [future]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    stock_loop.run_until_complete(main())


def test_cedes_tasks_on_the_stdlibs_loop_are_current_and_listed(stock_loop):
    async def look():
        await asyncio.sleep(0)
        return asyncio.current_task(), asyncio.current_task() in asyncio.all_tasks()

    task = Task(look(), loop=stock_loop)
    assert stock_loop.run_until_complete(task) == (task, True)
    assert asyncio.all_tasks(stock_loop) == set()


def test_cedes_tasks_as_the_stdlibs_loops_tasks(stock_loop):
    async def child(number):
        await asyncio.sleep(0.001)
        return number

    async def main():
        task = asyncio.create_task(child(1))
        assert isinstance(task, Task)
        task.cancel()
        with pytest.raises(CancelledError):
            await task
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(number)) for number in range(3)]
        return [task.result() for task in tasks] + await asyncio.gather(child(3), child(4))

    stock_loop.set_task_factory(lambda loop, coro, **kwargs: Task(coro, loop=loop, **kwargs))
    assert stock_loop.run_until_complete(main()) == [0, 1, 2, 3, 4]


def test_eager_tasks_of_cedes_on_the_stdlibs_loop(stock_loop):
    async def child(slow):
        if slow:
            await asyncio.sleep(0.001)
        return asyncio.current_task()

    async def main():
        me = asyncio.current_task()
        quick = Task(child(False), loop=stock_loop, eager_start=True)
        assert quick.result() is quick
        slow = Task(child(True), loop=stock_loop, eager_start=True)
        assert asyncio.current_task() is me
        assert await slow is slow

    stock_loop.run_until_complete(main())


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_interrupts_leave_the_stdlibs_loop_too(stock_loop, interrupt):
    async def fail():
        raise interrupt

    task = Task(fail(), loop=stock_loop)
    with pytest.raises(interrupt):
        stock_loop.run_forever()
    assert type(task.exception()) is interrupt
    assert asyncio.current_task(stock_loop) is None


def test_reports_go_to_the_stdlibs_loop():
    loop = asyncio.SelectorEventLoop()
    messages = []
    loop.set_exception_handler(lambda loop, context: messages.append(context["message"]))
    future = Future(loop=loop)
    future.set_exception(KeyError())
    del future
    gc.collect()
    loop.close()
    assert messages == ["Future exception was never retrieved"]


# -- subclasses --------------------------------------------------------------------------------------------------------


class SlowFuture(Future):
    """Everything that may be overridden is."""

    log = ()

    def add_done_callback(self, fn, *, context=None):
        self.log += ("add",)
        super().add_done_callback(fn, context=context)

    def set_result(self, result):
        self.log += ("set",)
        super().set_result(result)

    def cancel(self, msg=None):
        self.log += ("cancel",)
        return super().cancel(msg)

    def done(self):
        return super().done()

    def result(self):
        self.log += ("result",)
        return super().result()


async def test_tasks_respect_what_a_future_overrides(loop):
    future = SlowFuture()
    task = asyncio.create_task(wait_for(future))
    await asyncio.sleep(0)
    assert future.log == ("add",)
    future.set_result(5)
    assert await task == 5
    future = SlowFuture()
    task = asyncio.create_task(wait_for(future))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(CancelledError):
        await task
    assert future.log[:2] == ("add", "cancel")


def test_a_loop_with_a_call_soon_of_its_own_sees_every_step():
    """Programs count or trace callbacks this way; tasks then must not take the short road."""

    class Counting(cede.EventLoop):
        def __init__(self):
            super().__init__()
            self.calls = []

        def call_soon(self, callback, *args, context=None):
            self.calls.append(callback)
            return super().call_soon(callback, *args, context=context)

    async def child():
        await asyncio.sleep(0)

    async def main():
        before = len(loop.calls)
        await asyncio.create_task(child())
        return len(loop.calls) - before

    with contextlib.closing(Counting()) as loop:
        assert loop.run_until_complete(main()) >= 3
        with contextlib.closing(asyncio.SelectorEventLoop()) as stock:
            assert not isinstance(stock, cede.EventLoop)


def test_a_loop_that_puts_calls_off():
    """An overridden call_soon may delay, wrap and reorder; everything still ends."""

    class Lazy(cede.EventLoop):
        def call_soon(self, callback, *args, context=None):
            return self.call_later(0.0001, callback, *args, context=context)

        def call_soon_threadsafe(self, callback, *args, context=None):
            return super().call_soon_threadsafe(callback, *args, context=context)

    async def child(number):
        await asyncio.sleep(0)
        await asyncio.to_thread(int)
        return number

    async def main():
        task = asyncio.create_task(child(1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(CancelledError):
            await task
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(number)) for number in range(3)]
        return [task.result() for task in tasks]

    with contextlib.closing(Lazy()) as loop:
        assert loop.run_until_complete(main()) == [0, 1, 2]
        loop.run_until_complete(loop.shutdown_default_executor())


def test_a_loop_whose_call_soon_raises(turns):
    class Refusing(cede.EventLoop):
        refuse = False

        def call_soon(self, callback, *args, context=None):
            if self.refuse:
                raise KeyError("not now")
            return super().call_soon(callback, *args, context=context)

    with contextlib.closing(Refusing()) as loop:
        future = loop.create_future()
        future.add_done_callback(print)
        loop.refuse = True
        with pytest.raises(KeyError, match="not now"):
            future.set_result(1)
        coro = wait_for(future)
        with pytest.raises(KeyError, match="not now"):
            Task(coro, loop=loop)
        coro.close()
        loop.refuse = False
        gc.collect()
        assert loop.run_until_complete(asyncio.sleep(0, 1)) == 1


def test_a_loop_with_futures_and_tasks_of_its_own():
    class MyFuture(Future):
        pass

    class MyTask(Task):
        pass

    class Mine(cede.EventLoop):
        def create_future(self):
            return MyFuture(loop=self)

        def create_task(self, coro, **kwargs):
            return MyTask(coro, loop=self, **kwargs)

    async def main():
        task = asyncio.create_task(asyncio.sleep(0.001, 5))
        assert type(task) is MyTask
        return await task

    with contextlib.closing(Mine()) as loop:
        assert loop.run_until_complete(main()) == 5


async def test_callbacks_run_at_once_by_a_foreign_future(loop):
    """A future that calls its callbacks synchronously steps the task in the middle of another one's step."""

    class Synchronous:
        _asyncio_future_blocking = False

        def __init__(self):
            self.callbacks = []
            self.value = None

        def get_loop(self):
            return loop

        def add_done_callback(self, fn, *, context=None):
            self.callbacks.append(fn)

        def result(self):
            return self.value

        def set_result(self, value):
            self.value = value
            for callback in self.callbacks:
                try:
                    callback(self)
                except RuntimeError:
                    pass  # the stdlib's task refuses to be stepped inside another

        def cancel(self, msg=None):
            return False

        def __await__(self):
            self._asyncio_future_blocking = True
            yield self
            return self.value

    me = asyncio.current_task()
    future = Synchronous()
    task = Task(wait_for(future))
    await asyncio.sleep(0)
    future.set_result("at once")
    assert asyncio.current_task() is me
    await asyncio.sleep(0)
    assert asyncio.current_task() is me
    assert await asyncio.wait_for(task, 5) == "at once"


@pytest.mark.parametrize("missing", ["get_loop", "add_done_callback", "result", "cancel"])
async def test_things_that_only_look_like_futures(loop, missing):
    class Looks:
        _asyncio_future_blocking = False
        _loop = loop

        def __await__(self):
            self._asyncio_future_blocking = True
            yield self

        def get_loop(self):
            return loop

        def add_done_callback(self, fn, *, context=None):
            loop.call_soon(fn, self, context=context)

        def result(self):
            return 1

        def cancel(self, msg=None):
            return False

    delattr(Looks, missing)
    task = Task(wait_for(Looks()))
    await asyncio.sleep(0)
    if missing == "cancel":
        with contextlib.suppress(AttributeError):
            task.cancel()
    await asyncio.wait([task], timeout=1)
    assert task.done()
    if missing in ("add_done_callback", "result"):
        # Whoever awaits it is told.
        assert type(task.exception()) is AttributeError
    elif not task.cancelled():
        task.exception()


# -- the stdlib's runners and policies ---------------------------------------------------------------------------------


def test_the_stdlibs_runner_runs_cede():
    async def main():
        assert isinstance(asyncio.get_running_loop(), cede.EventLoop)
        assert isinstance(asyncio.current_task(), Task)
        return await asyncio.to_thread(int, "5")

    with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
        assert runner.run(main()) == 5


def test_cedes_runner_runs_the_stdlibs_loop():
    async def main():
        assert isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop)
        return await cede.sleep(0.001, "slept")

    with cede.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert runner.run(main()) == "slept"


def test_a_factory_may_make_the_interpreters_own_tasks(loop):
    """The way out for tools that read the memory of CPython's tasks; docs/parity.md shows it."""
    loop.set_task_factory(lambda loop, coro, **kwargs: asyncio.Task(coro, loop=loop, **kwargs))
    made = []

    async def child(number):
        made.append(asyncio.current_task())
        await asyncio.sleep(0.001)
        return number

    async def main():
        made.append(asyncio.current_task())
        return await asyncio.gather(*[child(number) for number in range(3)]), await cede.wait_for(child(3), 5)

    assert loop.run_until_complete(main()) == ([0, 1, 2], 3)
    assert {type(task) for task in made} == {asyncio.Task}
    assert len(made) == 5
    assert not asyncio.all_tasks(loop)
