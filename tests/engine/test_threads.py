"""Threads: call_soon_threadsafe under load, cancelling what runs elsewhere, loops beside loops."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
import time

import pytest

import cede


def run_threads(*functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    return threads


# -- call_soon_threadsafe ----------------------------------------------------------------------------------------------


def test_it_wakes_a_sleeping_loop(either_loop):
    ran = []

    def other():
        time.sleep(0.01)
        either_loop.call_soon_threadsafe(lambda: ran.append(threading.get_ident()))
        either_loop.call_soon_threadsafe(either_loop.stop)

    (thread,) = run_threads(other)
    begun = time.monotonic()
    either_loop.call_later(20, either_loop.stop)
    either_loop.run_forever()
    thread.join()
    assert time.monotonic() - begun < 10
    assert ran == [threading.get_ident()]


@pytest.mark.parametrize("busy", [False, True])
def test_every_callback_of_many_threads_runs_once_and_in_order(either_loop, quick_switches, busy):
    ran = [[] for _ in range(8)]
    left = 8

    def caller(index):
        for number in range(500):
            either_loop.call_soon_threadsafe(ran[index].append, number)
        either_loop.call_soon_threadsafe(finished)

    def finished():
        nonlocal left
        left -= 1
        if not left:
            either_loop.stop()

    def keep_busy():
        if left:
            either_loop.call_soon(keep_busy)

    if busy:
        either_loop.call_soon(keep_busy)
    threads = run_threads(*(lambda index=index: caller(index) for index in range(8)))
    either_loop.run_forever()
    for thread in threads:
        thread.join()
    assert ran == [list(range(500))] * 8


def test_from_the_loops_own_thread_it_is_call_soon(loop, turns):
    order = []
    loop.call_soon(order.append, 1)
    loop.call_soon_threadsafe(order.append, 2)
    loop.call_soon(order.append, 3)
    loop.call_soon(lambda: (loop.call_soon_threadsafe(order.append, 4), loop.call_soon(order.append, 5)))
    turns(2)
    assert order == [1, 2, 3, 4, 5]


def test_it_keeps_the_context_of_the_caller(loop, turns):
    var = contextvars.ContextVar("var", default="none")
    seen = []

    def other():
        var.set("caller's")
        loop.call_soon_threadsafe(lambda: seen.append(var.get()))
        own = contextvars.Context()
        own.run(var.set, "own")
        loop.call_soon_threadsafe(lambda: seen.append(var.get()), context=own)

    (thread,) = run_threads(other)
    thread.join()
    turns()
    assert seen == ["caller's", "own"]


def test_a_signal_handler_may_call_it(loop):
    import signal

    ran = []
    before = signal.signal(signal.SIGALRM, lambda *args: loop.call_soon_threadsafe(loop.stop))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        loop.call_later(20, ran.append, 1).cancel()
        loop.run_forever()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_closing_while_threads_call(quick_switches):
    """Each call either is accepted or raises RuntimeError; nothing else happens."""
    for _ in range(30):
        loop = cede.new_event_loop()
        refused = []
        go = threading.Event()

        def caller(loop=loop, refused=refused, go=go):
            go.wait()
            try:
                for _ in range(200):
                    loop.call_soon_threadsafe(int)
            except RuntimeError as exc:
                refused.append(str(exc))

        threads = run_threads(caller, caller)
        loop.call_later(0.001, loop.stop)
        go.set()
        loop.run_forever()
        loop.close()
        for thread in threads:
            thread.join()
        assert set(refused) <= {"Event loop is closed"}


# -- cancelling from another thread ------------------------------------------------------------------------------------


def test_cancel_waits_for_a_callback_that_is_running(loop):
    """gh-128340: once cancel() has returned, the callback does not run."""
    begun, events = threading.Event(), []

    def callback():
        begun.set()
        time.sleep(0.05)
        events.append("callback ended")

    def canceller():
        begun.wait()
        handle.cancel()
        events.append("cancel returned")

    (thread,) = run_threads(canceller)
    handle = loop.call_soon_threadsafe(callback)
    loop.call_later(0.06, loop.stop)
    loop.run_forever()
    thread.join()
    assert events == ["callback ended", "cancel returned"]


def test_a_callback_may_cancel_its_own_handle(loop, turns):
    ran = []
    handle = loop.call_soon_threadsafe(lambda: (handle.cancel(), ran.append(1)))
    turns()
    assert ran == [1]
    assert handle.cancelled()


def test_many_threads_cancel_the_same_running_callback(loop, monkeypatch):
    """Each of them returns. Making an Event is a moment at which another thread may come in between."""
    make = threading.Event

    def slow_event():
        time.sleep(0.01)
        return make()

    begun, returned = make(), []

    def callback():
        begun.set()
        time.sleep(0.1)

    def canceller():
        begun.wait()
        handle.cancel()
        returned.append(1)

    threads = [threading.Thread(target=canceller, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    monkeypatch.setattr(threading, "Event", slow_event)
    handle = loop.call_soon_threadsafe(callback)
    loop.call_later(0.15, loop.stop)
    loop.run_forever()
    for thread in threads:
        thread.join(2)
    assert returned == [1] * 4


def test_callbacks_that_cancel_each_other_in_two_threads_both_end(new_loop):
    """Each waits for the other; nobody else could end that."""
    meet, ended, handles = threading.Barrier(2), [], {}

    def callback(me, other, loop):
        meet.wait()
        handles[other].cancel()
        ended.append(me)
        loop.stop()

    def turn(loop):
        loop.run_forever()
        loop.close()

    loops = [new_loop(), new_loop()]
    for me, loop in enumerate(loops):
        handles[me] = loop.call_soon_threadsafe(callback, me, 1 - me, loop)
    threads = [threading.Thread(target=turn, args=(loop,), daemon=True) for loop in loops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert sorted(ended) == [0, 1]


def test_a_forked_child_does_not_wait_for_a_thread_that_it_does_not_have(run_python):
    """The callback runs in a thread of the parent, and never ends in the child."""
    out = run_python(
        """
        import os, threading, warnings
        import cede

        warnings.simplefilter("ignore")  # on the danger of it
        loop, begun, end = cede.new_event_loop(), threading.Event(), threading.Event()
        handle = loop.call_soon_threadsafe(lambda: (begun.set(), end.wait(), loop.stop()))
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        begun.wait()
        child = os.fork()
        if not child:
            handle.cancel()
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        end.set()
        thread.join()
        loop.close()
        """
    )
    assert out.stdout == "7\n"


def test_the_interpreters_end_does_not_wait_for_a_callback_in_a_daemon_thread(run_python):
    """What remains of that thread never runs."""
    out = run_python(
        """
        import os, sys, threading, time, types
        import cede

        class Last:
            def __del__(self, write=os.write):
                self.handle.cancel()
                write(1, b"cancelled")

        loop, begun = cede.new_event_loop(), threading.Event()
        handle = loop.call_soon_threadsafe(lambda: (begun.set(), time.sleep(60)))
        threading.Thread(target=loop.run_forever, daemon=True).start()
        begun.wait()
        last = sys.modules["last"] = types.ModuleType("last")
        last.last = Last()
        last.last.handle = handle
        del last
        """
    )
    assert out.stdout == "cancelled"


def test_cancelled_before_its_turn_it_never_runs(loop, quick_switches):
    for _ in range(50):
        ran_after_cancel = []
        cancelled = threading.Event()

        def callback(cancelled=cancelled, seen=ran_after_cancel):
            if cancelled.is_set():
                seen.append(1)

        def other(callback=callback, cancelled=cancelled):
            handle = loop.call_soon_threadsafe(callback)
            handle.cancel()
            cancelled.set()
            loop.call_soon_threadsafe(loop.stop)

        (thread,) = run_threads(other)
        loop.run_forever()
        thread.join()
        assert ran_after_cancel == []


# -- loops beside loops ------------------------------------------------------------------------------------------------


def test_two_loops_play_ping_pong(quick_switches):
    loops = [cede.new_event_loop() for _ in range(2)]
    counts = [0, 0]

    def hit(index):
        counts[index] += 1
        if counts[index] == 300:
            loops[index].call_soon(loops[index].stop)
        if counts[index] <= 300:
            loops[1 - index].call_soon_threadsafe(hit, 1 - index)

    loops[0].call_soon_threadsafe(hit, 0)
    threads = run_threads(loops[0].run_forever, loops[1].run_forever)
    for thread in threads:
        thread.join(20)
    assert min(counts) >= 300
    for loop in loops:
        assert not loop.is_running()
        loop.close()


def test_loops_in_many_threads_keep_their_tasks_apart(quick_switches):
    async def child(number):
        await asyncio.sleep(0)
        return number, asyncio.current_task() in asyncio.all_tasks()

    async def main(index):
        me = asyncio.current_task()
        for _ in range(20):
            results = await asyncio.gather(*(child(number) for number in range(20)))
            assert results == [(number, True) for number in range(20)]
            assert asyncio.current_task() is me
            assert asyncio.all_tasks() == {me}
        return index

    def run(index):
        with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
            return runner.run(main(index))

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert list(pool.map(run, range(12))) == list(range(12))


def test_coroutines_submitted_from_threads(loop, quick_switches):
    async def double(number):
        await asyncio.sleep(0)
        return number * 2

    results = [[] for _ in range(4)]
    left = 4

    def submit(index):
        nonlocal left
        for number in range(50):
            results[index].append(asyncio.run_coroutine_threadsafe(double(number), loop).result(10))
        left -= 1
        if not left:
            loop.call_soon_threadsafe(loop.stop)

    threads = run_threads(*(lambda index=index: submit(index) for index in range(4)))
    loop.run_forever()
    for thread in threads:
        thread.join()
    assert results == [[number * 2 for number in range(50)]] * 4


def test_stopping_from_another_thread(loop):
    (thread,) = run_threads(lambda: (time.sleep(0.01), loop.call_soon_threadsafe(loop.stop)))
    loop.run_forever()
    thread.join()
    assert not loop.is_running()


def test_what_a_thread_asked_for_comes_before_timers_that_are_due(loop):
    seen = []
    loop.call_at(loop.time() - 1, seen.append, "timer")
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(seen.append, "thread"))
    thread.start()
    thread.join()
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    assert seen == ["thread", "timer"]
