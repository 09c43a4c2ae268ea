"""Loop: turns, running and stopping, closing, descriptors, and errors that nobody caught."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time

import pytest

import cede
from tests.idle import idle


def noop(*args):
    pass


# -- turns -------------------------------------------------------------------------------------------------------------


def test_callbacks_run_in_the_order_asked_for(loop, turns):
    order = []
    for number in range(100):
        loop.call_soon(order.append, number)
    turns()
    assert order == list(range(100))


def test_what_a_turn_asks_for_waits_for_the_next(loop, turns):
    order = []

    def ask(depth):
        order.append(depth)
        if depth < 3:
            loop.call_soon(ask, depth + 1)

    ask(0)
    for depth in range(1, 4):
        turns()
        assert order == list(range(depth + 1))


def test_stopping_lets_the_turn_end(loop):
    order = []
    loop.call_soon(order.append, 1)
    loop.call_soon(loop.stop)
    loop.call_soon(order.append, 2)
    loop.call_soon(lambda: loop.call_soon(order.append, "next turn"))
    loop.run_forever()
    assert order == [1, 2]
    loop.stop()
    loop.run_forever()
    assert order == [1, 2, "next turn"]


def test_stopped_before_it_runs_it_takes_one_turn(loop):
    order = []
    loop.call_soon(lambda: (order.append(1), loop.call_soon(order.append, 2)))
    loop.stop()
    loop.run_forever()
    assert order == [1]
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert order == [1, 2]


def test_a_busy_loop_still_reads_descriptors(either_loop, socket_pair):
    """A chain of callbacks that never ends does not starve what comes from outside."""
    left, right = socket_pair
    turns = 0

    def busy():
        nonlocal turns
        turns += 1
        either_loop.call_soon(busy)

    either_loop.add_reader(left, either_loop.stop)
    either_loop.call_soon(busy)
    either_loop.call_soon(right.send, b"x")
    either_loop.run_forever()
    assert turns < 20_000


def test_ready_descriptors_do_not_starve_callbacks(either_loop, socket_pair):
    left, _ = socket_pair
    order = []
    either_loop.add_writer(left, order.append, "writer")
    for number in range(3):
        either_loop.call_soon(order.append, number)
    either_loop.call_later(0.01, either_loop.stop)
    either_loop.run_forever()
    assert [entry for entry in order if entry != "writer"] == [0, 1, 2]
    assert order.count("writer") > 2


# -- running -----------------------------------------------------------------------------------------------------------


def test_is_running_and_running_loop(loop):
    seen = []
    loop.call_soon(lambda: seen.append((loop.is_running(), asyncio.get_running_loop())))
    loop.call_soon(loop.stop)
    assert not loop.is_running()
    loop.run_forever()
    assert seen == [(True, loop)]
    assert not loop.is_running()
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


async def test_a_running_loop_does_not_run_again(loop):
    coro = asyncio.sleep(0)
    for run in (loop.run_forever, lambda: loop.run_until_complete(coro)):
        with pytest.raises(RuntimeError, match="This event loop is already running"):
            run()
    coro.close()


async def test_no_loop_runs_inside_another(loop):
    inner = cede.new_event_loop()
    coro = asyncio.sleep(0)
    for run in (inner.run_forever, lambda: inner.run_until_complete(coro)):
        with pytest.raises(RuntimeError, match="Cannot run the event loop while another loop is running"):
            run()
    coro.close()
    assert not inner.is_running()
    assert asyncio.get_running_loop() is loop
    inner.close()


def test_cede_does_not_run_inside_the_stdlibs_loop(loop, stock_loop):
    async def main():
        with pytest.raises(RuntimeError, match="Cannot run the event loop while another loop is running"):
            loop.run_forever()
        return asyncio.get_running_loop()

    assert stock_loop.run_until_complete(main()) is stock_loop


def test_run_until_complete_returns_and_raises(loop):
    async def main(value):
        await asyncio.sleep(0)
        if isinstance(value, Exception):
            raise value
        return value

    assert loop.run_until_complete(main(5)) == 5
    with pytest.raises(KeyError):
        loop.run_until_complete(main(KeyError()))
    future = loop.create_future()
    loop.call_soon(future.set_result, "future")
    assert loop.run_until_complete(future) == "future"
    assert loop.run_until_complete(future) == "future"


def test_run_until_complete_does_not_let_itself_be_cut_short(loop):
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError, match=r"^Event loop stopped before Future completed\.$"):
        loop.run_until_complete(future)
    future.cancel()


@pytest.mark.parametrize("wrong", [None, 1, "text", noop, object()])
def test_run_until_complete_takes_awaitables_only(loop, wrong):
    with pytest.raises(TypeError):
        loop.run_until_complete(wrong)


def test_run_until_complete_refuses_a_future_of_another_loop(loop):
    other = cede.new_event_loop()
    with pytest.raises(ValueError, match="belongs to a different loop"):
        loop.run_until_complete(other.create_future())
    other.close()


def test_a_loop_runs_in_any_thread_one_at_a_time(loop, in_thread):
    def run():
        ran = []
        loop.call_soon(lambda: ran.append(threading.get_ident()))
        loop.call_soon(loop.stop)
        loop.run_forever()
        return ran == [threading.get_ident()]

    assert in_thread(run)
    assert run()
    assert in_thread(run)


async def test_another_thread_cannot_run_or_close_a_running_loop(loop, in_thread):
    for wrong in (loop.run_forever, loop.close):
        with pytest.raises(RuntimeError, match="running"):
            await asyncio.to_thread(wrong)
    assert loop.is_running()
    await loop.shutdown_default_executor()


# -- closing -----------------------------------------------------------------------------------------------------------


def test_a_closed_loop_refuses_work(loop):
    loop.close()
    loop.close()
    assert loop.is_closed()
    assert not loop.is_running()
    coro = asyncio.sleep(0)
    refused = [
        loop.run_forever,
        lambda: loop.run_until_complete(coro),
        lambda: loop.call_soon(noop),
        lambda: loop.call_soon_threadsafe(noop),
        lambda: loop.call_later(1, noop),
        lambda: loop.call_at(1, noop),
        lambda: loop.create_task(coro),
        lambda: loop.run_in_executor(None, noop),
        lambda: loop.add_reader(0, noop),
        lambda: loop.add_writer(0, noop),
    ]
    for call in refused:
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            call()
    coro.close()
    assert loop.remove_reader(0) is False
    assert loop.remove_writer(0) is False
    loop.stop()
    assert "closed=True" in repr(loop)


async def test_a_running_loop_is_not_closed(loop):
    with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
        loop.close()
    assert not loop.is_closed()


def test_closing_drops_what_is_ready(loop):
    called = []
    loop.call_soon(called.append, 1)
    loop.call_soon_threadsafe(called.append, 2)
    loop.call_later(0, called.append, 3)
    loop.close()
    assert called == []


def test_resolving_futures_of_a_closed_loop(loop):
    """Without anybody waiting it does no harm; waking somebody is an error."""
    quiet, watched = loop.create_future(), loop.create_future()
    watched.add_done_callback(noop)
    loop.close()
    quiet.set_result(1)
    assert quiet.result() == 1
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        watched.set_result(1)


def test_an_abandoned_loop_is_closed_with_a_warning(run_python):
    source = """
        import gc, os, warnings
        import cede
        fds = len(os.listdir("/proc/self/fd"))
        loop = cede.new_event_loop()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del loop
            gc.collect()
        # In which order the collector ends the loop and its sockets, which warn too, nobody knows.
        said = [str(w.message) for w in caught if w.category is ResourceWarning]
        assert any(line.startswith("unclosed event loop <EventLoop running=False closed=False") for line in said), caught
        assert len(os.listdir("/proc/self/fd")) == fds
    """
    run_python(source)


# -- descriptors -------------------------------------------------------------------------------------------------------


@pytest.fixture
def pair(socket_pair):
    return socket_pair


def run_for(loop, seconds=0.005):
    loop.call_later(seconds, loop.stop)
    loop.run_forever()


@pytest.mark.parametrize("name", ["object", "number"])
def test_readers_and_writers(either_loop, pair, name):
    """An object with `fileno()` is as good as the number."""
    left, right = pair
    fd = left if name == "object" else left.fileno()
    seen = []
    assert either_loop.add_reader(fd, lambda *args: seen.append((args, left.recv(10))), 1, 2) is None
    run_for(either_loop)
    assert seen == []
    right.send(b"one")
    run_for(either_loop)
    assert seen == [((1, 2), b"one")]
    wrote = []
    assert either_loop.add_writer(fd, lambda: (wrote.append(1), either_loop.remove_writer(fd))) is None
    run_for(either_loop)
    assert wrote == [1]
    assert either_loop.remove_writer(fd) is False
    assert either_loop.remove_reader(left.fileno()) is True
    assert either_loop.remove_reader(fd) is False
    right.send(b"two")
    run_for(either_loop)
    assert len(seen) == 1


def test_a_new_reader_takes_the_place_of_the_old(either_loop, pair):
    left, right = pair
    seen = []
    either_loop.add_reader(left, seen.append, "old")
    right.send(b"x")
    either_loop.add_reader(left, lambda: (seen.append("new"), left.recv(1)))
    run_for(either_loop)
    assert seen == ["new"]
    either_loop.remove_reader(left)


def test_a_removed_reader_is_not_called_any_more(either_loop, pair):
    """Not even if its descriptor was found readable in this very turn."""
    left, right = pair
    seen = []

    def removes(mine, others):
        seen.append(mine)
        either_loop.remove_reader(others)

    either_loop.add_reader(left, removes, "left", right)
    either_loop.add_reader(right, removes, "right", left)
    left.send(b"x")
    right.send(b"x")
    either_loop.call_soon(either_loop.stop)
    either_loop.run_forever()
    run_for(either_loop, 0.002)
    assert set(seen) in ({"left"}, {"right"})
    either_loop.remove_reader(left)
    either_loop.remove_reader(right)


def test_readers_keep_the_context_they_were_added_in(either_loop, pair):
    var = contextvars.ContextVar("var", default="none")
    left, right = pair
    seen = []
    var.set("then")
    either_loop.add_reader(left, lambda: seen.append((var.get(), left.recv(1))))
    either_loop.add_writer(right, lambda: (seen.append(var.get()), either_loop.remove_writer(right)))
    var.set("now")
    right.send(b"x")
    run_for(either_loop)
    assert sorted(map(str, seen)) == ["('then', b'x')", "then"]
    either_loop.remove_reader(left)


def test_an_end_or_an_error_makes_readable_and_writable(either_loop, pair):
    left, right = pair
    seen = []
    either_loop.add_reader(left, lambda: (seen.append("read"), either_loop.remove_reader(left)))
    either_loop.add_writer(left, lambda: (seen.append("write"), either_loop.remove_writer(left)))
    right.close()
    run_for(either_loop)
    assert sorted(seen) == ["read", "write"]


@pytest.mark.parametrize("wrong", [None, "text", object(), -1, 1.5, []])
def test_what_is_no_descriptor_is_refused(either_loop, wrong):
    for method in ("add_reader", "add_writer"):
        with pytest.raises((ValueError, OSError, TypeError)):
            getattr(either_loop, method)(wrong, noop)
    either_loop.call_soon(either_loop.stop)
    either_loop.run_forever()


@pytest.mark.linux("epoll minds; poll and kqueue do not, as on asyncio")
def test_a_file_that_cannot_be_waited_for(loop, tmp_path):
    with open(tmp_path / "file", "wb") as file:
        with pytest.raises(PermissionError):
            loop.add_reader(file, noop)
        assert loop.remove_reader(file) is False


@pytest.mark.parametrize(
    "number", [pytest.param(10_000, marks=pytest.mark.linux("poll takes any number, as on asyncio")), 2**31, 2**70]
)
def test_a_number_that_is_not_open_is_refused(loop, number):
    for method in (loop.add_reader, loop.add_writer):
        with pytest.raises((OSError, OverflowError)):
            method(number, noop)
    assert loop.remove_reader(number) is False


def test_a_fileno_that_misbehaves(either_loop):
    class Odd:
        def __init__(self, answer):
            self.answer = answer

        def fileno(self):
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    for answer in (KeyError(), OSError(), "text", None, -5):
        with pytest.raises((KeyError, OSError, ValueError, OverflowError)):
            either_loop.add_reader(Odd(answer), noop)


def test_a_descriptor_closed_behind_our_back(either_loop):
    left, right = socket.socketpair()
    seen = []
    either_loop.add_reader(left, seen.append, 1)
    fd = left.fileno()
    left.close()
    right.close()
    run_for(either_loop, 0.001)
    assert either_loop.remove_reader(fd) is True
    left, right = socket.socketpair()
    with left, right:
        either_loop.add_reader(left, lambda: seen.append(left.recv(1)))
        right.send(b"y")
        run_for(either_loop)
        assert b"y" in seen
        either_loop.remove_reader(left)


def test_a_reader_may_be_added_and_removed_by_callbacks(either_loop, pair):
    left, right = pair
    seen = []

    def first():
        seen.append(left.recv(1))
        either_loop.add_reader(left, second)

    def second():
        seen.append(left.recv(1).upper())
        either_loop.remove_reader(left)

    either_loop.add_reader(left, first)
    right.send(b"ab")
    run_for(either_loop)
    assert seen == [b"a", b"B"]


def test_many_descriptors(either_loop):
    pairs = [socket.socketpair() for _ in range(100)]
    seen = set()
    for number, (left, right) in enumerate(pairs):
        either_loop.add_reader(left, lambda n=number, s=left: (seen.add(n), s.recv(1)))
        right.send(b"x")
    run_for(either_loop, 0.02)
    assert seen == set(range(100))
    for left, right in pairs:
        assert either_loop.remove_reader(left)
        left.close()
        right.close()


# -- errors that nobody caught -----------------------------------------------------------------------------------------


def test_the_handler_gets_the_loop_and_the_context(loop):
    calls = []
    handler = lambda *args: calls.append(args)  # noqa: E731
    assert callable(loop.get_exception_handler())
    loop.set_exception_handler(handler)
    assert loop.get_exception_handler() is handler
    context = {"message": "hello", "anything": 1}
    loop.call_exception_handler(context)
    assert calls == [(loop, context)]


@pytest.mark.parametrize("wrong", [1, "text", object()])
def test_only_callables_are_handlers(loop, wrong):
    before = loop.get_exception_handler()
    with pytest.raises(TypeError, match="A callable object or None is expected, got "):
        loop.set_exception_handler(wrong)
    assert loop.get_exception_handler() is before


def test_the_default_handler_logs(loop, caplog):
    loop.set_exception_handler(None)
    assert loop.get_exception_handler() is None
    loop.call_exception_handler({"message": "it broke", "exception": KeyError("k"), "thing": "a thing"})
    loop.call_exception_handler({})
    first, second = caplog.records
    assert first.name == "asyncio"
    assert first.levelno == logging.ERROR
    assert first.getMessage() == "it broke\nthing: 'a thing'"
    assert first.exc_info[0] is KeyError
    assert second.getMessage() == "Unhandled exception in event loop"
    assert not second.exc_info


def test_a_handler_that_raises_is_reported_by_the_default_one(loop, caplog):
    loop.set_exception_handler(lambda loop, context: 1 / 0)
    loop.call_exception_handler({"message": "first"})
    (record,) = caplog.records
    assert record.getMessage().startswith("Unhandled error in exception handler")
    assert "{'message': 'first'}" in record.getMessage()
    assert record.exc_info[0] is ZeroDivisionError


def test_a_default_handler_that_raises_is_logged(caplog):
    class Mine(cede.EventLoop):
        def default_exception_handler(self, context):
            raise ZeroDivisionError

    loop = Mine()
    loop.call_exception_handler({"message": "first"})
    assert [(record.msg, record.args) for record in caplog.records] == [("Exception in default exception handler", ())]
    assert caplog.records[0].exc_info[0] is ZeroDivisionError
    caplog.clear()
    loop.set_exception_handler(lambda loop, context: 1 / 0)
    loop.call_exception_handler({"message": "first"})
    assert [record.getMessage() for record in caplog.records] == [
        "Exception in default exception handler while handling an unexpected error in custom exception handler"
    ]
    loop.close()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_interrupts_leave_a_handler(loop, turns, interrupt):
    def handler(loop, context):
        raise interrupt

    loop.set_exception_handler(handler)
    with pytest.raises(interrupt):
        loop.call_exception_handler({"message": "first"})
    called = []
    loop.call_soon(int, "no number")
    loop.call_soon(called.append, 1)
    with pytest.raises(interrupt):
        loop.run_forever()
    turns()
    assert called == [1]


def test_the_handler_runs_in_the_context_of_what_failed(loop, turns):
    var = contextvars.ContextVar("var", default="outside")
    seen = []
    loop.set_exception_handler(lambda loop, context: seen.append(var.get()))

    async def fail():
        var.set("task")
        raise KeyError

    context = contextvars.copy_context()
    context.run(var.set, "handle")
    loop.call_soon(int, "x", context=context)
    loop.create_task(fail())
    turns(3)
    gc.collect()
    assert seen == ["handle", "task"]


@pytest.mark.parametrize("subject", [{"task": 1}, {"future": object()}, {"handle": None}, {"message": 5}, {1: 2}, {}])
def test_odd_contexts_are_handled(loop, subject, caplog):
    seen = []
    loop.set_exception_handler(lambda loop, context: seen.append(context))
    loop.call_exception_handler(subject)
    assert seen == [subject]
    loop.set_exception_handler(None)
    loop.call_exception_handler(dict(subject))
    assert len(caplog.records) == 1


# -- surroundings ------------------------------------------------------------------------------------------------------


def test_the_hooks_of_async_generators_are_put_back(loop):
    before = sys.get_asyncgen_hooks()
    seen = []
    loop.call_soon(lambda: seen.append(sys.get_asyncgen_hooks()))
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen[0] != before
    assert sys.get_asyncgen_hooks() == before


def test_a_selector_of_the_programs_own_is_used(pair):
    import selectors

    class Mine(selectors.SelectSelector):
        selected = 0

        def select(self, timeout=None):
            Mine.selected += 1
            return super().select(timeout)

    loop = cede.EventLoop(Mine())
    run_for(loop)
    assert Mine.selected
    loop.close()


@pytest.mark.parametrize("wrong", [1, "poller", object()])
def test_a_poller_must_derive_from_the_engines(wrong):
    with pytest.raises(TypeError, match="poller must derive from"):
        cede.EventLoop(poller=wrong)


def test_sleeping_takes_no_cpu(loop):
    with idle():
        run_for(loop, 0.2)


def test_the_wake_up_descriptor_is_put_back_however_a_run_ends(loop, turns):
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    turns(2)
    loop.call_soon(lambda: os.kill(os.getpid(), signal.SIGINT))
    timer = loop.call_later(5, loop.stop)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    timer.cancel()
    assert signal.set_wakeup_fd(before) == before
    assert not loop.is_running()


def test_the_stop_may_be_taken_back(loop):
    """Sanic clears the flag of a loop that was stopped by a signal, to go on with its own end."""

    def take_back():
        loop.stop()
        loop._stopping = False
        loop.call_later(0.001, loop.stop)
        seen.append("taken back")

    seen = []
    loop.call_soon(take_back)
    loop.call_later(0.0005, seen.append, "later")
    loop.run_forever()
    assert seen == ["taken back", "later"]


@pytest.mark.skipif(cede.compiled, reason="compiled, the fields are C's")
def test_an_interpreted_loop_has_its_fields_in_a_dictionary(loop):
    """With a few less each turn would take a third longer: see docs/design/engine.md."""
    assert len(vars(loop)) > 30


# -- turning it by hand ----------------------------------------------------------------------------------------------------


@pytest.mark.cede_only("asyncio's runs on, and sleeps for ever")
def test_a_run_that_is_cleaned_up_from_inside_ends(loop, turns):
    ran = []
    loop.call_soon(lambda: (loop.stop(), loop._run_forever_cleanup()))
    loop.call_soon(ran.append, 1)
    loop.run_forever()
    assert not loop.is_running()
    turns(2)
    assert ran == [1]


def test_a_turn_by_hand_with_nothing_to_do_ends(loop):
    """Nobody may know how to wake it."""
    begun = time.monotonic()
    loop._run_once()
    assert time.monotonic() - begun < 10


@pytest.mark.cede_only("asyncio's can")
def test_what_waits_or_runs_cannot_be_copied(loop):
    future = loop.create_future()
    for thing in (loop, future, loop.call_soon(int), loop.call_soon_threadsafe(int)):
        with pytest.raises(TypeError, match="cannot pickle '.*' object"):
            copy.copy(thing)
