"""What a future is to those who look at it: reports, reprs, attributes, subclasses."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref

import pytest

import cede
from cede import Future, InvalidStateError


@pytest.fixture
def future(loop):
    return Future(loop=loop)


# -- reports -----------------------------------------------------------------------------------------------------------


def fail_and_drop(loop, look=None):
    future = Future(loop=loop)
    future.set_exception(KeyError("lost"))
    if look is not None:
        look(future)
    del future
    gc.collect()


def test_an_exception_nobody_asked_for_is_reported(loop, loop_errors):
    fail_and_drop(loop)
    (context,) = loop_errors
    assert context["message"] == "Future exception was never retrieved"
    assert str(context["exception"]) == "'lost'"
    assert isinstance(context["future"], asyncio.Future)
    assert set(context) == {"message", "exception", "future"}
    loop_errors.clear()


def swallow(look):
    def ask(future):
        try:
            look(future)
        except KeyError:
            pass

    return ask


def silence(future):
    future._log_traceback = False


@pytest.mark.parametrize(
    "look",
    [Future.exception, swallow(Future.result), swallow(lambda fut: next(fut.__await__())), Future.cancel, silence],
    ids=["exception", "result", "await", "cancel", "silenced"],
)
def test_an_exception_somebody_asked_for_is_not(loop, loop_errors, look):
    fail_and_drop(loop, look)
    assert loop_errors == []


def test_the_class_is_named_in_the_report(loop, loop_errors):
    class Mine(Future):
        pass

    future = Mine(loop=loop)
    future.set_exception(KeyError())
    del future
    gc.collect()
    assert loop_errors.pop()["message"] == "Mine exception was never retrieved"


def test_a_reported_future_may_live_on(loop, loop_errors):
    fail_and_drop(loop)
    future = loop_errors.pop()["future"]
    assert type(future.exception()) is KeyError
    del future
    gc.collect()
    assert loop_errors == []


def test_debug_mode_says_where_a_lost_exception_comes_from(loop, loop_errors):
    loop.set_debug(True)
    fail_and_drop(loop)
    frames = loop_errors.pop()["source_traceback"]
    assert frames[-1].name == "fail_and_drop"
    assert frames[-1].filename == __file__


def test_the_report_is_silenced_but_never_asked_for_by_hand(future):
    assert future._log_traceback is False
    with pytest.raises(ValueError, match="_log_traceback can only be set to False"):
        future._log_traceback = True
    future.set_exception(KeyError())
    assert future._log_traceback is True
    future._log_traceback = False
    assert future._log_traceback is False


# -- reprs -------------------------------------------------------------------------------------------------------------


def callback_one(fut):
    pass


def callback_two(fut):
    pass


def callback_three(fut):
    pass


def where(function):
    return f"{function.__qualname__}() at {__file__}:{function.__code__.co_firstlineno}"


def test_repr_says_the_state(loop):
    futures = [Future(loop=loop) for _ in range(4)]
    futures[1].set_result([1] * 100)
    futures[2].set_exception(KeyError("k"))
    futures[3].cancel()
    assert repr(futures[0]) == "<Future pending>"
    assert repr(futures[1]) == "<Future finished result=[1, 1, 1, 1, 1, 1, ...]>"
    assert repr(futures[2]) == "<Future finished exception=KeyError('k')>"
    assert repr(futures[3]) == "<Future cancelled>"
    futures[2].exception()


def test_repr_names_the_callbacks(future):
    one, two = where(callback_one), where(callback_two)
    future.add_done_callback(callback_one)
    assert repr(future) == f"<Future pending cb=[{one}]>"
    future.add_done_callback(callback_two)
    assert repr(future) == f"<Future pending cb=[{one}, {two}]>"
    future.add_done_callback(callback_three)
    future.add_done_callback(callback_two)
    assert repr(future) == f"<Future pending cb=[{one}, <2 more>, {two}]>"


def test_repr_of_a_future_that_holds_itself(future):
    future.set_result(future)
    assert repr(future) == "<Future finished result=...>"


def test_repr_of_a_result_whose_repr_raises(future):
    class Shy:
        def __repr__(self):
            raise KeyError

    future.set_result(Shy())
    assert "<Shy instance at " in repr(future)


def test_repr_of_a_subclass_and_in_debug_mode(loop):
    class Mine(Future):
        pass

    loop.set_debug(True)
    line = sys._getframe().f_lineno + 1
    future = Mine(loop=loop)
    assert repr(future) == f"<Mine pending created at {__file__}:{line}>"


# -- what it is --------------------------------------------------------------------------------------------------------


def test_it_passes_for_the_stdlibs(future):
    assert isinstance(future, asyncio.Future)
    assert isinstance(future, Future)
    assert not isinstance(future, asyncio.Task)
    assert asyncio.isfuture(future)
    assert cede.isfuture(future)


@pytest.mark.parametrize("thing", [None, 1, "text", object(), Future, asyncio.Future])
def test_what_is_no_future_is_not_taken_for_one(thing):
    assert not cede.isfuture(thing)


def test_a_future_has_weak_references_attributes_identity_and_generics(loop):
    future = Future(loop=loop)
    future.anything = ["at", "all"]
    assert future.anything == ["at", "all"]
    assert {future: 1}[future] == 1
    assert future != Future(loop=loop)
    gone = []
    reference = weakref.ref(future, lambda _: gone.append(1))
    assert reference() is future
    del future
    assert reference() is None
    assert gone == [1]
    assert Future[int].__origin__ is Future
    assert Future[int].__args__ == (int,)


def test_cycles_are_collected(loop):
    future = Future(loop=loop)
    future.itself = future
    future.add_done_callback(lambda _, future=future: future)
    other = Future(loop=loop)
    other.set_result(other)
    references = [weakref.ref(future), weakref.ref(other)]
    del future, other
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_what_is_done_lets_go_of_its_callbacks(loop, turns):
    class Callback:
        def __call__(self, fut):
            pass

    callback = Callback()
    reference = weakref.ref(callback)
    future = Future(loop=loop)
    future.add_done_callback(callback)
    del callback
    assert reference() is not None
    future.set_result(None)
    turns()
    assert reference() is None


def test_what_libraries_read(loop):
    future = Future(loop=loop)
    assert future._state == "PENDING"
    assert future._loop is loop
    assert not future._callbacks
    assert future._asyncio_future_blocking is False
    assert future._asyncio_awaited_by is None
    assert future._cancel_message is None
    assert future._source_traceback is None
    future.add_done_callback(callback_one)
    ((callback, context),) = future._callbacks
    assert callback is callback_one
    assert isinstance(context, contextvars.Context)
    future.cancel("m")
    assert future._state == "CANCELLED"
    assert future._cancel_message == "m"
    future = Future(loop=loop)
    future.set_result(1)
    assert (future._state, future._result, future._exception) == ("FINISHED", 1, None)


# -- making one --------------------------------------------------------------------------------------------------------


async def test_the_running_loop_is_taken(loop):
    assert Future().get_loop() is loop


def test_without_a_loop_there_is_no_future(in_thread):
    with pytest.raises(RuntimeError, match="There is no current event loop in thread"):
        in_thread(Future)


def test_the_loop_is_a_keyword(loop):
    with pytest.raises(TypeError):
        Future(loop)


def test_initialising_twice_is_refused(loop, future):
    future.set_result("kept")
    with pytest.raises(RuntimeError, match="is already initialized"):
        future.__init__(loop=loop)
    assert future.result() == "kept"


def test_without_init_nothing_works_and_nothing_breaks():
    future = Future.__new__(Future)
    calls = [
        future.get_loop,
        future.result,
        future.exception,
        future.cancel,
        lambda: future.set_result(1),
        lambda: future.set_exception(KeyError()),
        lambda: future.add_done_callback(print),
        lambda: future.remove_done_callback(print),
    ]
    for call in calls:
        with pytest.raises((RuntimeError, AttributeError, InvalidStateError)):
            call()


def test_a_subclass_may_override_and_extend(loop, turns):
    class Mine(Future):
        extra = 0

        def set_result(self, result):
            super().set_result(result * 2)
            self.extra += 1

    async def main():
        future = Mine()
        loop.call_soon(future.set_result, 21)
        return await future, future.extra

    assert loop.run_until_complete(main()) == (42, 1)
