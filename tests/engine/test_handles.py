"""Handle and TimerHandle: calling, cancelling, comparing, and what is reported of a callback that raises."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import sys
import weakref

import pytest

from cede import Handle, TimerHandle


class Thing:
    def method(self, *args):
        pass


def noop(*args):
    pass


def place(function):
    return f"{__file__}:{function.__code__.co_firstlineno}"


# -- calling -----------------------------------------------------------------------------------------------------------


def test_callbacks_get_their_arguments_in_order(loop, turns):
    called = []
    for args in ((), (1,), (1, 2), (None,), ((1, 2),), tuple(range(50))):
        loop.call_soon(lambda *args: called.append(args), *args)
    turns()
    assert called == [(), (1,), (1, 2), (None,), ((1, 2),), tuple(range(50))]


def test_a_callback_runs_in_its_context(loop, turns):
    var = contextvars.ContextVar("var", default="default")
    seen = []
    own = contextvars.Context()
    own.run(var.set, "own")
    handle = loop.call_soon(lambda: seen.append(var.get()), context=own)
    assert handle.get_context() is own
    loop.call_soon(lambda: seen.append(var.get()))
    var.set("too late")
    loop.call_soon(var.set, "only there")
    loop.call_soon(lambda: seen.append(var.get()))
    turns()
    assert seen == ["own", "default", "too late"]
    assert var.get() == "too late"


def test_what_cannot_be_called_is_reported(loop, turns, loop_errors):
    for wrong in (None, 1, "text", object()):
        loop.call_soon(wrong)
    turns()
    assert [type(context["exception"]) for context in loop_errors] == [TypeError] * 4
    loop_errors.clear()


@pytest.mark.parametrize("wrong", [1, "context", object(), {}])
def test_what_is_no_context_is_found_out_at_the_latest_when_it_is_used(loop, turns, loop_errors, wrong):
    called = []
    loop.call_soon(called.append, 1)
    try:
        loop.call_soon(noop, context=wrong)
    except TypeError:
        pass
    loop.call_soon(called.append, 2)
    turns()
    assert called == [1, 2]
    loop_errors.clear()


# -- cancelling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later"])
def test_a_cancelled_callback_is_never_called(loop, turns, method):
    called = []
    args = (0,) if method == "call_later" else ()
    handle = getattr(loop, method)(*args, called.append, 1)
    assert not handle.cancelled()
    handle.cancel()
    handle.cancel()
    assert handle.cancelled()
    turns(2)
    assert called == []


@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later"])
def test_cancelling_lets_go_of_callback_and_arguments_at_once(loop, turns, method):
    thing, argument = Thing(), Thing()
    references = [weakref.ref(thing), weakref.ref(argument)]
    args = (1000,) if method == "call_later" else ()
    handle = getattr(loop, method)(*args, thing.method, argument)
    del thing, argument
    assert all(reference() is not None for reference in references)
    handle.cancel()
    assert [reference() for reference in references] == [None, None]
    turns()


def test_a_callback_may_cancel_those_after_it(loop, turns):
    called = []
    loop.call_soon(lambda: handles[1].cancel())
    handles = [loop.call_soon(called.append, number) for number in range(3)]
    turns()
    assert called == [0, 2]


def test_a_callback_may_cancel_itself_and_keep_its_arguments(loop, turns):
    """The arguments stay alive for as long as the callback runs."""
    called = []

    def callback(*args):
        handle.cancel()
        gc.collect()
        called.append([[*arg] for arg in args])

    handle = loop.call_soon(callback, *([number] * 1000 for number in range(5)))
    turns()
    assert called == [[[number] * 1000 for number in range(5)]]
    assert handle.cancelled()


def test_cancelling_after_the_call_does_nothing(loop, turns):
    called = []
    handle = loop.call_soon(called.append, 1)
    turns()
    handle.cancel()
    assert called == [1]


# -- reports -----------------------------------------------------------------------------------------------------------


def test_a_callback_that_raises_is_reported(loop, turns, loop_errors):
    def wrong():
        raise KeyError("wrong")

    handle = loop.call_soon(wrong)
    turns()
    (context,) = loop_errors
    assert set(context) == {"message", "exception", "handle"}
    assert context["message"] == f"Exception in callback {wrong.__qualname__}() at {place(wrong)}"
    assert context["handle"] is handle
    assert context["exception"].args == ("wrong",)
    frames = context["exception"].__traceback__
    while frames.tb_next:
        frames = frames.tb_next
    assert frames.tb_frame.f_code.co_name == "wrong"
    loop_errors.clear()


def test_debug_mode_says_where_the_callback_was_asked_for(loop, turns, loop_errors):
    loop.set_debug(True)

    def ask():
        loop.call_soon(int, "x")

    ask()
    turns()
    frames = loop_errors.pop()["source_traceback"]
    assert (frames[-1].filename, frames[-1].name) == (__file__, "ask")
    assert len(frames) <= 10


@pytest.mark.parametrize("exc", [GeneratorExit, asyncio.CancelledError, BaseException, StopIteration])
def test_all_but_interrupts_are_reported(loop, turns, loop_errors, exc):
    called = []
    loop.call_soon(lambda: (_ for _ in ()).throw(exc()) if exc is not StopIteration else next(iter(())))
    loop.call_soon(called.append, 1)
    turns()
    assert called == [1]
    assert type(loop_errors.pop()["exception"]) is exc


# -- reprs -------------------------------------------------------------------------------------------------------------


def test_repr(loop, turns):
    handle = loop.call_soon(noop, "secret")
    assert repr(handle) == f"<Handle noop() at {place(noop)}>"
    partial = loop.call_soon(functools.partial(noop, 1), 2)
    assert repr(partial) == f"<Handle noop()() at {place(noop)}>"
    method = loop.call_soon(Thing().method)
    assert repr(method) == "<Handle Thing.method()>"
    builtin = loop.call_soon(gc.enable)
    assert repr(builtin) == "<Handle enable()>"
    handle.cancel()
    assert repr(handle) == "<Handle cancelled>"
    timer = loop.call_at(123, noop)
    assert repr(timer) == f"<TimerHandle when=123 noop() at {place(noop)}>"
    timer.cancel()
    assert repr(timer) == "<TimerHandle cancelled when=123>"
    turns()


def test_repr_in_debug_mode(loop, turns):
    loop.set_debug(True)
    line = sys._getframe().f_lineno + 1
    handle = loop.call_soon(noop, "shown")
    at = f"created at {__file__}:{line}"
    assert repr(handle) == f"<Handle noop('shown') at {place(noop)} {at}>"
    handle.cancel()
    assert repr(handle) == f"<Handle cancelled noop('shown') at {place(noop)} {at}>"


# -- timers ------------------------------------------------------------------------------------------------------------


def test_timers_compare_by_their_time(loop):
    first, same, later = (TimerHandle(when, noop, (), loop) for when in (1.0, 1.0, 2.0))
    assert first == same
    assert hash(first) == hash(same)
    assert first != later
    assert first < later
    assert later > first
    assert first <= same <= later
    assert later >= same >= first
    assert not first < same
    assert not first > same
    other = TimerHandle(1.0, noop, (1,), loop)
    assert first != other
    assert not first <= other
    same.cancel()
    assert first != same
    assert first.when() == 1.0


@pytest.mark.parametrize("operation", ["__lt__", "__le__", "__gt__", "__ge__", "__eq__"])
def test_timers_compare_with_timers_only(loop, operation):
    timer = TimerHandle(1.0, noop, (), loop)
    assert getattr(timer, operation)("text") is NotImplemented
    assert (timer == "text") is False


# -- what it is --------------------------------------------------------------------------------------------------------


def test_they_pass_for_the_stdlibs(loop, turns):
    soon, later, safe = loop.call_soon(noop), loop.call_later(0, noop), loop.call_soon_threadsafe(noop)
    assert all(isinstance(handle, asyncio.Handle) for handle in (soon, later, safe))
    assert isinstance(later, asyncio.TimerHandle)
    assert not isinstance(soon, asyncio.TimerHandle)
    assert isinstance(soon, Handle)
    assert isinstance(later, TimerHandle)
    assert weakref.ref(soon)() is soon
    turns(2)


def test_a_handle_made_by_hand(loop):
    called = []
    handle = Handle(called.append, (1,), loop)
    assert not handle.cancelled()
    handle.cancel()
    assert handle.cancelled()
    assert called == []


@pytest.mark.parametrize("args", [1, "text", [1], object()])
def test_arguments_that_are_no_tuple(loop, args):
    try:
        Handle(noop, args, loop).cancel()
    except TypeError:
        pass


def test_a_handle_frees_everything_after_its_call(loop, turns):
    thing = Thing()
    reference = weakref.ref(thing)
    gc.disable()
    try:
        loop.call_soon(thing.method)
        loop.call_later(0, noop, thing)
        del thing
        turns(2)
        assert reference() is None
    finally:
        gc.enable()


def test_deeply_nested_handles_are_freed(loop):
    handle = None
    for _ in range(100_000):
        handle = Handle(noop, (handle,), loop)
    del handle
    timer = None
    for _ in range(100_000):
        timer = TimerHandle(1.0, noop, (timer,), loop)
    del timer
