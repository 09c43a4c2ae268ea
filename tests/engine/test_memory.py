"""Memory that is used again, and what is hidden from the cycle collector: nothing is lost by either."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

import cede
from cede.engine.handles import TimerHandle
from cede.engine.timers import TimerHeap


class Thing:
    """Something that can be watched going."""


def test_a_future_in_used_memory_is_finalized_too(loop):
    reported = []
    loop.set_exception_handler(lambda loop, context: reported.append(str(context["exception"])))
    for number in range(3):
        future = loop.create_future()
        future.set_exception(ValueError(str(number)))
        del future
    assert reported == ["0", "1", "2"]


def test_a_future_in_used_memory_has_nothing_of_the_one_before(loop):
    for number in range(3):
        future = loop.create_future()
        assert not hasattr(future, "mark")
        assert not future.done()
        future.mark = number
        assert future.mark == number
        future.set_result(number)
        del future


def test_a_subclass_keeps_its_attributes(loop):
    class Marked(cede.Future):
        def __init__(self, *, loop):
            self.mark = 1
            super().__init__(loop=loop)

    assert Marked(loop=loop).mark == 1


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("kind", ["soon", "later", "threadsafe", "cancelled", "cancelled later"])
def test_a_cycle_through_a_handle_that_has_run_is_collected(loop, turns, kind, debug):
    loop.set_debug(debug)

    def callback(thing, *more):
        pass

    async def schedule(thing):
        if kind == "soon":
            thing.handle = loop.call_soon(callback, thing)
        elif kind == "threadsafe":
            thing.handle = loop.call_soon_threadsafe(callback, thing)
        else:
            thing.handle = loop.call_later(0, callback, thing)
        if kind == "cancelled":
            thing.handle.cancel()
        await asyncio.sleep(0.001)
        if kind == "cancelled later":
            thing.handle.cancel()

        return weakref.ref(thing)

    gone = loop.run_until_complete(schedule(Thing()))
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("ask", ["call_soon", "call_soon_threadsafe", "call_later"])
@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
def test_a_cycle_through_a_handle_that_ended_the_run_is_collected(loop, ask, end, debug):
    loop.set_debug(debug)

    def callback(thing):
        raise end

    async def schedule(thing):
        thing.handle = getattr(loop, ask)(*([0] if ask == "call_later" else []), callback, thing)
        await asyncio.sleep(1)

    async def idle():
        await asyncio.sleep(0)

    thing = Thing()
    task = loop.create_task(schedule(thing))
    with pytest.raises(end):
        loop.run_until_complete(task)
    gone = weakref.ref(thing)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.run_until_complete(idle())
    del thing, task
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("ask", ["call_soon", "call_soon_threadsafe", "call_later"])
def test_arguments_that_somebody_holds_of_a_cancelled_handle_are_collected(loop, ask):
    async def schedule(thing):
        handle = getattr(loop, ask)(*([0] if ask == "call_later" else []), print, thing)
        thing.args = handle._args
        handle.cancel()
        await asyncio.sleep(0)
        return weakref.ref(thing)

    gone = loop.run_until_complete(schedule(Thing()))
    gc.collect()
    assert gone() is None


def test_what_was_cancelled_never_runs_even_if_it_is_said_not_to_be(loop, turns):
    handle = loop.call_soon(print, "never")
    handle.cancel()
    handle._cancelled = False
    turns(2)
    assert handle._callback is None


def test_a_loop_that_stands_still_is_collected_with_what_waits_in_it():
    def run_once():
        loop, thing = cede.new_event_loop(), Thing()
        loop.call_soon(loop.call_later, 1000, print, loop, thing)
        loop.call_soon(loop.stop)
        loop.call_soon(loop.call_soon, print, loop, thing)
        loop.run_forever()
        return weakref.ref(thing)

    gone = run_once()
    assert gone() is not None
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        gc.collect()
    gc.collect()
    assert gone() is None


def test_many_timers_go_with_their_heap(loop):
    heap = TimerHeap()
    for number in range(200_000):
        heap.add(TimerHandle(float(number), print, (), loop))
    last = weakref.ref(heap.waiting()[-1])
    del heap
    gc.collect()
    assert last() is None
