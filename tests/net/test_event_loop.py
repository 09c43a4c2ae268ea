"""EventLoop: what asyncio's loop has, with its names, signatures and messages."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import logging
import selectors
import sys
import threading
import warnings
import weakref

import pytest

import cede
from cede.event_loop import EventLoop

# --- The API


METHODS = sorted(name for name in vars(asyncio.AbstractEventLoop) if not name.startswith("_"))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_of_asyncios_loop_is_there(name):
    assert getattr(EventLoop, name) is not getattr(asyncio.AbstractEventLoop, name)


def test_what_a_program_does_not_use_is_not_imported(run_python):
    run_python(
        """
        import asyncio, sys, cede
        def imported(folder):
            return sorted(name for name in sys.modules if name.startswith(f"cede.{folder}."))
        assert imported("io") == [], imported("io")
        assert imported("net") == ["cede.net.awaiting"], imported("net")

        async def main():
            return await asyncio.sleep(0, asyncio.get_running_loop().create_datagram_endpoint)

        with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
            method = runner.run(main())
        from cede.net import datagram
        assert method.__func__ is datagram.create_datagram_endpoint
        assert vars(cede.EventLoop)["create_datagram_endpoint"] is method.__func__
        assert "cede.net.children" not in sys.modules
        """
    )


def test_a_method_that_somebody_replaced_stays_replaced(run_python):
    """Libraries wrap what they find in the class, whether its module was imported by then or not."""
    run_python(
        """
        import cede
        found = vars(cede.EventLoop)["getaddrinfo"]
        cede.EventLoop.getaddrinfo = lambda loop, *args: "theirs"
        loop = cede.new_event_loop()
        theirs = loop.getaddrinfo
        assert theirs("host", 1) == "theirs"
        ours = found.__get__(loop, cede.EventLoop)
        assert ours.__func__.__module__ == "cede.net.resolve"
        assert loop.getaddrinfo("host", 1) == "theirs"
        loop.close()

        class Loop(cede.EventLoop):
            def sock_recv(self, sock, n):
                return super().sock_recv

        loop = Loop()
        assert loop.sock_recv(None, 1).__func__ is cede.EventLoop.sock_recv
        loop.close()
        """
    )


# The keywords that 3.15's loop takes and an older interpreter's may not.
NEWER = {
    "create_connection": {"all_errors"},
    "create_server": {"keep_alive"},
    "create_unix_server": {"cleanup_socket"},
    "shutdown_default_executor": {"timeout"},
}


@pytest.mark.parametrize("name", METHODS)
def test_signatures_are_asyncios(name):
    try:
        theirs = inspect.signature(getattr(asyncio.SelectorEventLoop, name))
        ours = inspect.signature(getattr(EventLoop, name))
    except ValueError:
        pytest.skip("compiled without a signature")
    ours_names = [p for p in list(ours.parameters)[1:] if p not in NEWER.get(name, ())]
    theirs_names = [p for p in list(theirs.parameters)[1:] if p not in NEWER.get(name, ())]
    if name == "create_task":  # keywords of the factory: spelled out before 3.14
        return
    assert ours_names == theirs_names
    for parameter in ours_names:
        assert ours.parameters[parameter].kind is theirs.parameters[parameter].kind
        assert ours.parameters[parameter].default == theirs.parameters[parameter].default
    assert NEWER.get(name, set()) <= set(ours.parameters)


@pytest.mark.parametrize("name", METHODS)
def test_coroutines_are_the_same(name):
    theirs = getattr(asyncio.SelectorEventLoop, name)
    assert inspect.iscoroutinefunction(getattr(EventLoop, name)) is inspect.iscoroutinefunction(theirs)


def test_it_is_an_event_loop(loop):
    assert isinstance(loop, asyncio.AbstractEventLoop)
    assert repr(loop) == "<EventLoop running=False closed=False debug=False>"


async def test_repr_of_a_running_loop(loop):
    assert repr(loop) == "<EventLoop running=True closed=False debug=False>"


def test_a_selector_takes_the_place_of_epoll():
    selector = selectors.PollSelector()
    loop = EventLoop(selector)
    assert loop.run_until_complete(asyncio.sleep(0.001, 3)) == 3
    loop.close()
    assert selector.get_map() is None


def test_a_clock_of_ones_own():
    class Clock:
        now = 100.0

        def time(self):
            return self.now

    loop = EventLoop(clock=Clock())
    assert loop.time() == 100.0
    loop.close()


# --- run_until_complete


def test_run_until_complete_returns_or_raises(loop):
    async def result():
        return 7

    async def error():
        raise ZeroDivisionError

    assert loop.run_until_complete(result()) == 7
    with pytest.raises(ZeroDivisionError):
        loop.run_until_complete(error())


def test_run_until_complete_of_other_awaitables(loop):
    class Awaitable:
        def __await__(self):
            yield from asyncio.sleep(0).__await__()
            return 7

    future = loop.create_future()
    loop.call_soon(future.set_result, 8)
    assert loop.run_until_complete(Awaitable()) == 7
    assert loop.run_until_complete(future) == 8
    with pytest.raises(TypeError, match=r"An asyncio.Future, a coroutine or an awaitable is required"):
        loop.run_until_complete(7)


def test_run_until_complete_of_another_loops_future(loop):
    other = cede.new_event_loop()
    with pytest.raises(ValueError, match="The future belongs to a different loop"):
        loop.run_until_complete(other.create_future())
    other.close()


def test_run_until_complete_of_what_never_completes(loop):
    loop.call_soon(loop.stop)
    future = loop.create_future()
    with pytest.raises(RuntimeError, match=r"^Event loop stopped before Future completed\.$"):
        loop.run_until_complete(future)
    future.cancel()


async def test_nested_runs_are_refused(loop):
    coro = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match=r"^This event loop is already running$"):
        loop.run_until_complete(coro)
    other = cede.new_event_loop()
    with pytest.raises(RuntimeError, match=r"^Cannot run the event loop while another loop is running$"):
        other.run_until_complete(coro)
    other.close()
    coro.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_leaves_at_once_and_does_not_stop_the_next_run(loop, error):
    async def interrupted():
        raise error

    async def fine():
        await asyncio.sleep(0)
        return 7

    with pytest.raises(error):
        loop.run_until_complete(interrupted())
    assert loop.run_until_complete(fine()) == 7


def test_the_exception_of_an_interrupted_task_counts_as_retrieved(loop, loop_errors):
    async def main():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(main())
    gc.collect()
    assert loop_errors == []


def test_a_closed_loop_runs_nothing(loop):
    loop.close()
    coro = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
        loop.run_until_complete(coro)
    coro.close()


# --- Tasks


def test_create_task_on_a_closed_loop(loop):
    loop.close()
    coro = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.create_task(coro)
    coro.close()


async def test_create_task_takes_tasks_keywords(loop):
    context = contextvars.copy_context()
    task = loop.create_task(asyncio.sleep(0), name="name", context=context)
    assert task.get_name() == "name"
    assert task.get_context() is context
    await task
    if sys.version_info >= (3, 12):
        eager = loop.create_task(asyncio.sleep(0, 3), eager_start=True)
        assert await eager == 3


async def test_a_task_factory_gets_what_was_given_and_no_more(loop):
    seen = []

    def factory(loop, coro, **kwargs):
        seen.append(kwargs)
        return asyncio.Task(coro, loop=loop, **{k: v for k, v in kwargs.items() if k != "own"})

    loop.set_task_factory(factory)
    assert loop.get_task_factory() is factory
    context = contextvars.copy_context()
    await loop.create_task(asyncio.sleep(0))
    await loop.create_task(asyncio.sleep(0), name=None, context=None)
    await loop.create_task(asyncio.sleep(0), name="name", context=context)
    await loop.create_task(asyncio.sleep(0), own=3)
    assert seen == [{}, {}, {"name": "name", "context": context}, {"own": 3}]
    loop.set_task_factory(None)
    assert loop.get_task_factory() is None


async def test_a_task_factory_of_the_old_kind_knows_no_names(loop):
    loop.set_task_factory(lambda loop, coro: asyncio.Task(coro, loop=loop))
    task = loop.create_task(asyncio.sleep(0), name="name")
    assert task.get_name() == "name"
    await task
    loop.set_task_factory(None)


def test_a_task_factory_must_be_callable(loop):
    with pytest.raises(TypeError, match="task factory must be a callable or None"):
        loop.set_task_factory(1)


# --- Asynchronous generators


async def test_shutdown_closes_generators(loop):
    ended = []

    async def generator(number):
        try:
            yield number
        finally:
            await asyncio.sleep(0)
            ended.append(number)

    generators = [generator(number) for number in range(3)]
    for each in generators:
        await anext(each)
    await loop.shutdown_asyncgens()
    assert sorted(ended) == [0, 1, 2]
    await loop.shutdown_asyncgens()


async def test_shutdown_reports_errors(loop, loop_errors):
    async def generator():
        try:
            yield 1
        finally:
            raise ZeroDivisionError

    broken = generator()
    await anext(broken)
    await loop.shutdown_asyncgens()
    error = loop_errors.pop()
    assert error["message"].startswith("an error occurred during closing of asynchronous generator <async_generator")
    assert isinstance(error["exception"], ZeroDivisionError)
    assert error["asyncgen"] is broken


async def test_a_generator_begun_after_the_shutdown_warns(loop):
    async def generator():
        yield 1

    await loop.shutdown_asyncgens()
    late = generator()
    with pytest.warns(ResourceWarning, match="was scheduled after loop.shutdown_asyncgens"):
        await anext(late)
    await late.aclose()


async def test_a_dropped_generator_is_closed_by_the_loop(loop):
    ended = asyncio.Event()

    async def generator():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            ended.set()

    dropped = generator()
    await anext(dropped)
    del dropped
    gc.collect()
    await asyncio.wait_for(ended.wait(), 5)


def test_hooks_of_the_interpreter_are_put_back(loop):
    before = sys.get_asyncgen_hooks()

    async def main():
        assert sys.get_asyncgen_hooks() != before

    loop.run_until_complete(main())
    assert sys.get_asyncgen_hooks() == before


# --- Closing


def test_close(loop):
    loop.close()
    assert loop.is_closed()
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.call_soon(print)


async def test_a_running_loop_cannot_be_closed(loop):
    with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
        loop.close()


def test_close_ends_the_threads(loop):
    before = threading.active_count()
    loop.run_until_complete(loop.getnameinfo(("127.0.0.1", 1)))
    assert threading.active_count() > before
    loop.close()
    assert threading.active_count() == before


def drop(held):
    """Let go of what a list holds."""
    held.clear()
    gc.collect()


def test_an_unclosed_loop_complains():
    held = [cede.new_event_loop()]
    with pytest.warns(ResourceWarning, match="unclosed event loop <EventLoop running=False closed=False debug=False>"):
        drop(held)


def test_a_loop_that_could_not_be_made_does_not_complain():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TypeError):
            EventLoop(poller=object())
        gc.collect()


def test_a_closed_loop_is_freed(loop):
    other = cede.new_event_loop()
    other.run_until_complete(asyncio.sleep(0))
    other.close()
    seen = weakref.ref(other)
    gc.collect()
    del other
    gc.collect()
    assert seen() is None


def test_debug_mode_tells_of_closing(loop, caplog):
    loop.set_debug(True)
    caplog.set_level(logging.DEBUG, "asyncio")
    loop.close()
    assert caplog.text.count("Close <EventLoop running=False closed=False debug=True>") == 1
