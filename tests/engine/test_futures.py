"""Future: outcomes, callbacks and who is woken when, reports, and what libraries read of it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import traceback
import types
import weakref

import pytest

import cede
from cede import CancelledError, Future, InvalidStateError


@pytest.fixture
def future(loop):
    return Future(loop=loop)


# -- outcomes ----------------------------------------------------------------------------------------------------------


def test_a_new_future_is_pending(future, loop):
    assert not future.done()
    assert not future.cancelled()
    assert future.get_loop() is loop
    with pytest.raises(InvalidStateError, match=r"^Result is not set\.$"):
        future.result()
    with pytest.raises(InvalidStateError, match=r"^Exception is not set\.$"):
        future.exception()


def test_a_result_stays(future):
    assert future.set_result("value") is None
    assert future.done()
    assert not future.cancelled()
    assert future.result() == future.result() == "value"
    assert future.exception() is None


@pytest.mark.parametrize("result", [None, StopIteration(1), (StopIteration, 1), (BaseException, KeyError()), [1]])
def test_any_object_is_a_result(loop, future, result):
    async def wait():
        return await future

    future.set_result(result)
    assert future.result() is result
    assert loop.run_until_complete(wait()) is result


@pytest.mark.parametrize("exception", [ZeroDivisionError, ZeroDivisionError("oops")])
def test_an_exception_is_raised_by_result_and_returned_by_exception(future, exception):
    future.set_exception(exception)
    assert future.done()
    assert not future.cancelled()
    with pytest.raises(ZeroDivisionError) as caught:
        future.result()
    assert future.exception() is caught.value
    if not isinstance(exception, type):
        assert caught.value is exception


def test_a_class_whose_call_raises_leaves_the_future_pending(future):
    class Awkward(Exception):
        def __init__(self):
            raise KeyError("no")

    with pytest.raises(KeyError):
        future.set_exception(Awkward)
    assert not future.done()


@pytest.mark.parametrize("wrong", [None, 1, "text", int, object()])
def test_only_exceptions_are_exceptions(future, wrong):
    with pytest.raises(TypeError):
        future.set_exception(wrong)
    assert not future.done()


@pytest.mark.parametrize("stop", [StopIteration, StopIteration(3)])
def test_stop_iteration_becomes_the_cause_of_a_runtime_error(future, stop):
    future.set_exception(stop)
    exc = future.exception()
    assert type(exc) is RuntimeError
    assert str(exc) == "StopIteration interacts badly with generators and cannot be raised into a Future"
    assert type(exc.__cause__) is StopIteration
    assert exc.__cause__ is exc.__context__


def test_any_base_exception_is_kept(future):
    future.set_exception(KeyboardInterrupt("now"))
    assert type(future.exception()) is KeyboardInterrupt


def test_done_once_and_for_all(loop):
    done = [Future(loop=loop) for _ in range(3)]
    done[0].set_result(1)
    done[1].set_exception(KeyError())
    done[2].cancel()
    for future in done:
        with pytest.raises(InvalidStateError):
            future.set_result(2)
        with pytest.raises(InvalidStateError):
            future.set_exception(ValueError())
        assert not future.cancel()
    assert done[0].result() == 1
    assert type(done[1].exception()) is KeyError
    assert done[2].cancelled()


@pytest.mark.parametrize(("args", "expected"), [((), ()), ((None,), ()), (("why",), ("why",)), ((0,), (0,))])
def test_cancelling_carries_a_message(future, args, expected):
    assert future.cancel(*args)
    assert future.done()
    assert future.cancelled()
    for look in (future.result, future.exception):
        with pytest.raises(CancelledError) as caught:
            look()
        assert caught.value.args == expected


def test_each_look_at_a_cancelled_future_raises_an_error_of_its_own(future):
    future.cancel("once")
    seen = []
    for _ in range(2):
        with pytest.raises(CancelledError) as caught:
            future.result()
        seen.append(caught.value)
    assert seen[0] is not seen[1]
    assert seen[0].__context__ is None


def test_looking_again_does_not_lengthen_the_traceback(future):
    try:
        raise KeyError
    except KeyError as exc:
        future.set_exception(exc)
    lengths = []
    for _ in range(3):
        with pytest.raises(KeyError) as caught:
            future.result()
        lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert lengths[0] >= lengths[1] == lengths[2]


# -- callbacks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("finish", ["set_result", "set_exception", "cancel"])
def test_callbacks_are_called_in_the_next_turn_in_order(future, turns, finish):
    called = []
    for number in range(4):
        future.add_done_callback(lambda fut, number=number: called.append((number, fut is future)))
    {
        "set_result": lambda: future.set_result(1),
        "set_exception": lambda: future.set_exception(KeyError()),
        "cancel": future.cancel,
    }[finish]()
    assert called == []
    turns()
    assert called == [(number, True) for number in range(4)]
    if not future.cancelled():
        future.exception()


def test_a_callback_added_afterwards_is_called_in_the_next_turn(future, turns):
    called = []
    future.set_result(1)
    future.add_done_callback(called.append)
    assert called == []
    turns()
    assert called == [future]


def test_callbacks_run_in_the_context_they_were_added_in(future, turns):
    var = contextvars.ContextVar("var", default="none")
    seen = []
    own = contextvars.Context()
    own.run(var.set, "own")
    var.set("first")
    future.add_done_callback(lambda _: seen.append(var.get()))
    future.add_done_callback(lambda _: seen.append(var.get()), context=own)
    var.set("second")
    future.set_result(None)
    future.add_done_callback(lambda _: seen.append(var.get()))
    future.add_done_callback(lambda _: seen.append(var.get()), context=own)
    turns()
    assert seen == ["first", "own", "second", "own"]


def test_remove_counts_equal_callbacks(future, turns):
    called = []

    class Equal:
        def __eq__(self, other):
            return isinstance(other, Equal)

        __hash__ = None

        def __call__(self, fut):
            called.append("equal")

    for _ in range(3):
        future.add_done_callback(Equal())
    future.add_done_callback(called.append)
    assert future.remove_done_callback(Equal()) == 3
    assert future.remove_done_callback(Equal()) == 0
    future.set_result(None)
    assert future.remove_done_callback(called.append) == 0
    turns()
    assert called == [future]


def test_removing_all_callbacks_leaves_a_future_that_works(future, turns):
    called = []
    future.add_done_callback(called.append)
    assert future.remove_done_callback(called.append) == 1
    future.add_done_callback(called.append)
    future.set_result(None)
    turns()
    assert called == [future]


def test_a_callback_that_raises_is_reported_and_the_others_run(future, turns, loop_errors):
    called = []
    future.add_done_callback(called.append)
    future.add_done_callback(lambda _: 1 / 0)
    future.add_done_callback(called.append)
    future.set_result(None)
    turns()
    assert called == [future, future]
    (context,) = loop_errors
    assert type(context["exception"]) is ZeroDivisionError
    assert context["message"].startswith("Exception in callback ")
    assert isinstance(context["handle"], asyncio.Handle)
    loop_errors.clear()


def test_what_is_no_callback_is_found_out_when_it_is_called(future, turns, loop_errors):
    future.add_done_callback("not callable")
    future.set_result(None)
    turns()
    assert type(loop_errors.pop()["exception"]) is TypeError


class OnCompare:
    """Does something when it is compared, and is equal to nothing, or to everything."""

    def __init__(self, action, equal=False):
        self.action = action
        self.equal = equal

    def __call__(self, fut):
        pass

    def __eq__(self, other):
        self.action()
        return self.equal

    def __ne__(self, other):
        return not self == other

    __hash__ = None


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("action", ["finish", "cancel", "add", "remove", "collect"])
def test_comparing_callbacks_may_run_anything(future, turns, action, equal):
    depth = [print, len, print]
    actions = {
        "finish": lambda: future.done() or future.set_result(1),
        "cancel": future.cancel,
        "add": lambda: len(future._callbacks) > 20 or future.add_done_callback(print),
        "remove": lambda: depth and future.remove_done_callback(depth.pop()),
        "collect": gc.collect,
    }
    for _ in range(3):
        future.add_done_callback(OnCompare(actions[action], equal))
    future.remove_done_callback(len)
    assert future.remove_done_callback(OnCompare(actions[action], equal)) >= 0
    future.remove_done_callback(print)


def test_comparing_callbacks_may_raise(future, turns):
    def fail():
        raise KeyError

    called = []
    future.add_done_callback(OnCompare(fail))
    future.add_done_callback(called.append)
    with pytest.raises(KeyError):
        future.remove_done_callback(len)
    future.set_result(None)
    turns()
    assert called == [future]


# -- awaiting ----------------------------------------------------------------------------------------------------------


async def test_await_gives_the_result(loop):
    future = loop.create_future()
    loop.call_soon(future.set_result, 42)
    assert await future == 42
    assert await future == 42


async def test_await_raises_the_exception(loop):
    future = loop.create_future()
    loop.call_soon(future.set_exception, KeyError("k"))
    for _ in range(2):
        with pytest.raises(KeyError):
            await future


async def test_await_raises_cancelled_error_with_the_message(loop):
    future = loop.create_future()
    loop.call_soon(future.cancel, "enough")
    with pytest.raises(CancelledError, match="enough"):
        await future
    assert asyncio.current_task().cancelling() == 0


async def test_awaiting_what_is_done_takes_no_turn(loop):
    future = loop.create_future()
    future.set_result(1)
    ran = []
    loop.call_soon(ran.append, 1)
    assert await future == 1
    assert ran == []
    await asyncio.sleep(0)


def test_those_who_wait_are_woken_in_the_order_in_which_they_asked(loop):
    async def main():
        future = loop.create_future()
        order = []

        async def wait(name):
            await future
            order.append(name)

        tasks = [asyncio.create_task(wait("task 1"))]
        await asyncio.sleep(0)
        future.add_done_callback(lambda _: order.append("callback 2"))
        tasks.append(asyncio.create_task(wait("task 3")))
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(wait("task 4")))
        await asyncio.sleep(0)
        future.add_done_callback(lambda _: order.append("callback 5"))
        future.set_result(None)
        await asyncio.gather(*tasks)
        return order

    assert loop.run_until_complete(main()) == ["task 1", "callback 2", "task 3", "task 4", "callback 5"]


def test_a_callback_that_asked_first_comes_first(loop):
    async def main():
        future = loop.create_future()
        order = []
        future.add_done_callback(lambda _: order.append("callback"))

        async def wait():
            await future
            order.append("task")

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        future.set_result(None)
        await task
        return order

    assert loop.run_until_complete(main()) == ["callback", "task"]


def test_removing_callbacks_does_not_remove_tasks_that_wait(loop):
    async def main():
        future = loop.create_future()
        future.add_done_callback(print)
        tasks = [asyncio.create_task(wait(future)) for _ in range(2)]
        await asyncio.sleep(0)
        future.remove_done_callback(print)
        future.set_result("here")
        return await asyncio.gather(*tasks)

    async def wait(future):
        return await future

    assert loop.run_until_complete(main()) == ["here", "here"]


@pytest.mark.parametrize("begin", [iter, lambda future: future.__await__()], ids=["iter", "__await__"])
def test_stepping_by_hand(future, begin):
    steps = begin(future)
    assert next(steps) is future
    assert future._asyncio_future_blocking
    with pytest.raises(RuntimeError, match="await wasn't used with future"):
        next(steps)
    future._asyncio_future_blocking = False
    steps = begin(future)
    next(steps)
    future.set_result(5)
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value == 5
    with pytest.raises(StopIteration):
        next(begin(future))


@pytest.mark.parametrize("result", [5, (), (1, 2), KeyError(3), StopIteration(4)], ids=repr)
def test_the_end_of_stepping_by_hand_is_a_whole_stop_iteration(loop, result):
    """Compiled, it is one whose memory is used again: whoever keeps it must not see the next one in it."""
    kept = []
    for value in (result, "another", result):
        future = loop.create_future()
        future.set_result(value)
        try:
            next(iter(future))
        except StopIteration as stop:
            kept.append(stop)
    assert [stop.value for stop in kept] == [result, "another", result]
    assert [stop.args for stop in kept] == [(result,), ("another",), (result,)]
    assert all(isinstance(stop, StopIteration) and type(stop).__name__ == "StopIteration" for stop in kept)
    assert kept[0].__traceback__ is not None
    kept[0].remark = kept  # a cycle
    kept[0].add_note("kept")
    del kept
    gc.collect()
    future = loop.create_future()
    future.set_result(result)
    with pytest.raises(StopIteration) as caught:
        next(iter(future))
    assert not vars(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_awaiting_keeps_no_result_alive(loop):
    class Result:
        pass

    async def main():
        future = loop.create_future()
        loop.call_soon(future.set_result, Result())
        result = weakref.ref(await future)
        del future
        return result()

    assert loop.run_until_complete(main()) is None


def test_throwing_into_an_await_by_hand(future):
    steps = future.__await__()
    next(steps)
    with pytest.raises(ZeroDivisionError):
        steps.throw(ZeroDivisionError())
    steps = future.__await__()
    steps.close()
    assert not future.done()


def test_a_coroutine_driven_by_hand(future):
    async def wait():
        try:
            return await future
        except KeyError:
            return "thrown"

    coro = wait()
    assert coro.send(None) is future
    with pytest.raises(StopIteration) as stop:
        coro.throw(KeyError())
    assert stop.value.value == "thrown"
    future._asyncio_future_blocking = False
    coro = wait()
    assert coro.send(None) is future
    coro.close()
    assert not future.done()


def test_methods_of_a_subclass_are_not_taken_for_those_of_an_iterator(loop):
    called = []

    class Mine(Future):
        def close(self):
            called.append("close")

        def throw(self, *args):
            called.append("throw")

        def send(self, value):
            called.append("send")

    async def wait(future):
        return await future

    for end in (lambda coro: coro.close(), lambda coro: coro.throw(KeyError())):
        coro = wait(Mine(loop=loop))
        coro.send(None)
        try:
            end(coro)
        except KeyError:
            pass
    assert called == []


def test_a_subclass_may_bring_its_own_await(loop):
    class Mine(Future):
        def __await__(self):
            value = yield from super().__await__()
            return value, "mine"

    async def main():
        future = Mine()
        loop.call_soon(future.set_result, 1)
        return await future

    assert loop.run_until_complete(main()) == (1, "mine")


# -- who waits for whom ------------------------------------------------------------------------------------------------


def test_edges_of_the_call_graph(loop):
    future, one, two = (Future(loop=loop) for _ in range(3))
    add, discard = cede.future_add_to_awaited_by, cede.future_discard_from_awaited_by
    add(future, one)
    assert future._asyncio_awaited_by == {one}
    add(future, one)
    add(future, two)
    assert future._asyncio_awaited_by == {one, two}
    discard(future, one)
    assert future._asyncio_awaited_by == {two}
    discard(future, one)
    discard(future, two)
    assert not future._asyncio_awaited_by
    add(future, "no future")
    add("no future", future)
    discard("no future", future)
    assert not future._asyncio_awaited_by


async def test_awaiting_makes_and_takes_back_edges(loop):
    future = loop.create_future()

    async def wait():
        await future

    tasks = [asyncio.create_task(wait()) for _ in range(3)]
    await asyncio.sleep(0)
    assert future._asyncio_awaited_by == set(tasks)
    future.set_result(None)
    await asyncio.wait(tasks)
    assert not future._asyncio_awaited_by


# -- iterating ---------------------------------------------------------------------------------------------------------


def test_iterating_as_generators_of_old_do(loop):
    @types.coroutine
    def wait(future):
        return (yield from future)

    future = loop.create_future()
    loop.call_soon(future.set_result, 7)
    assert loop.run_until_complete(wait(future)) == 7


# -- cycles ------------------------------------------------------------------------------------------------------------


async def test_awaiting_a_failed_future_makes_no_cycle(loop, no_collector):
    future = loop.create_future()
    loop.call_soon(future.set_exception, KeyError())
    with contextlib.suppress(KeyError):
        await future
    lost = weakref.ref(future)
    del future
    await asyncio.sleep(0)
    assert lost() is None


async def test_a_failed_future_makes_a_cancelled_error_all_the_same(loop):
    """asyncio.gather asks its last child for one, whatever became of it."""
    failed = loop.create_future()
    failed.set_exception(ValueError())
    assert isinstance(failed._make_cancelled_error(), asyncio.CancelledError)
    assert isinstance(failed.exception(), ValueError)


def test_the_first_callback_is_removed_from_before_a_task(loop):
    async def main():
        future = loop.create_future()
        order = []
        future.add_done_callback(print)
        task = loop.create_task(wait_for_it(future, order))
        await asyncio.sleep(0)
        assert future.remove_done_callback(print) == 1
        future.add_done_callback(lambda done: order.append("callback"))
        assert len(future._callbacks) == 2
        future.set_result("there")
        await task
        await asyncio.sleep(0)
        return order

    async def wait_for_it(future, order):
        order.append(await future)

    assert loop.run_until_complete(main()) == ["there", "callback"]


def test_a_callback_runs_in_a_copy_of_the_context_it_was_added_in(loop):
    variable = contextvars.ContextVar("variable", default="before")
    seen = []

    async def main():
        future = loop.create_future()
        for value in ("first", "second"):
            variable.set(value)
            future.add_done_callback(lambda done: (seen.append(variable.get()), variable.set("changed")))
        variable.set("later")
        future.set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return variable.get()

    assert loop.run_until_complete(main()) == "later"
    assert seen == ["first", "second"]
