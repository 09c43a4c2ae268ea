"""Debug mode: what it says, what it refuses, and that it is gone when it is off."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time

import pytest

import cede


@pytest.fixture
def debug(loop):
    loop.set_debug(True)
    return loop


async def coroutine_function():
    pass


# -- on and off --------------------------------------------------------------------------------------------------------


def test_it_is_off_unless_asked_for(loop):
    assert loop.get_debug() is False
    loop.set_debug(1)
    assert loop.get_debug() is True
    loop.set_debug("")
    assert loop.get_debug() is False


def test_a_truth_value_that_raises_changes_nothing(loop):
    class Neither:
        def __bool__(self):
            raise KeyError

    with pytest.raises(KeyError):
        loop.set_debug(Neither())
    assert loop.get_debug() is False


@pytest.mark.parametrize(
    ("variable", "options", "expected"),
    [("1", [], True), ("", [], False), ("", ["-X", "dev"], True), ("1", ["-E"], False)],
)
def test_the_environment_turns_it_on(run_python, variable, options, expected):
    source = f"""
        import os, subprocess, sys
        code = "import cede; loop = cede.new_event_loop(); print(loop.get_debug()); loop.close()"
        command = [sys.executable, *{options}, "-c", "import sys; sys.path[:] = " + repr(sys.path) + ";" + code]
        print(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    """
    out = run_python(source, env={"PYTHONASYNCIODEBUG": variable}).stdout
    assert out.split() == [str(expected)]


def test_debug_mode_may_be_switched_while_the_loop_runs(loop):
    seen = []

    async def main():
        for enabled in (True, False, True, False):
            loop.set_debug(enabled)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append((loop.get_debug(), sys.get_coroutine_origin_tracking_depth() > 0))

    loop.run_until_complete(main())
    assert seen == [(True, True), (False, False)] * 2


# -- slow callbacks ----------------------------------------------------------------------------------------------------


def test_slow_callbacks_are_logged(debug, turns, caplog):
    debug.slow_callback_duration = 0.1
    with caplog.at_level(logging.WARNING, "asyncio"):
        debug.call_soon(time.sleep, 0.2)
        debug.call_soon(time.sleep, 0)
        turns()
    (record,) = caplog.records
    message = record.getMessage()
    assert message.startswith("Executing <Handle sleep(0.2) created at " + __file__)
    assert message.endswith(" seconds")
    assert record.levelno == logging.WARNING


def test_slow_steps_of_tasks_are_logged_as_the_task(debug, turns, caplog):
    async def slow():
        time.sleep(0.2)

    debug.slow_callback_duration = 0.01
    with caplog.at_level(logging.WARNING, "asyncio"):
        cede.Task(slow(), loop=debug, name="slow one")
        turns(2)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert messages[0].startswith("Executing <Task finished name='slow one' coro=<")


def test_without_debug_mode_nothing_is_logged(loop, turns, caplog):
    loop.slow_callback_duration = 0.001
    loop.call_soon(time.sleep, 0.005)
    turns()
    assert caplog.records == []


def test_an_exception_in_a_watched_turn_keeps_the_rest(debug, turns):
    called = []

    def interrupt():
        raise KeyboardInterrupt

    debug.call_soon(called.append, 1)
    debug.call_soon(interrupt)
    debug.call_soon(called.append, 2)
    with pytest.raises(KeyboardInterrupt):
        debug.run_forever()
    assert called == [1]
    turns()
    assert called == [1, 2]


def test_a_large_batch_is_no_slower_by_its_square(run_python):
    source = """
        import time, cede
        loop = cede.new_event_loop()
        def seconds(count):
            loop.set_debug(False)
            for _ in range(count):
                loop.call_soon(int)
            loop.call_soon(loop.stop)
            loop.set_debug(True)
            begun = time.process_time()
            loop.run_forever()
            return time.process_time() - begun
        small, large = (min(seconds(count) for _ in range(3)) / count for count in (1_000, 100_000))
        assert large < 5 * small, (small, large)
        loop.close()
    """
    run_python(source)


# -- what it refuses ---------------------------------------------------------------------------------------------------


def calls(loop):
    return {
        "call_soon": loop.call_soon,
        "call_later": lambda callback: loop.call_later(0, callback),
        "call_at": lambda callback: loop.call_at(0, callback),
        "call_soon_threadsafe": loop.call_soon_threadsafe,
    }


@pytest.mark.parametrize("method", ["call_soon", "call_later", "call_at", "call_soon_threadsafe"])
def test_coroutines_are_no_callbacks(debug, method):
    coro = coroutine_function()
    for wrong in (coroutine_function, coro):
        with pytest.raises(TypeError, match="coroutines cannot be used with call_"):
            calls(debug)[method](wrong)
    with pytest.raises(TypeError, match="a callable object was expected by call_"):
        calls(debug)[method](5)
    coro.close()


@pytest.mark.parametrize("method", ["call_soon", "call_later", "call_at"])
def test_calls_from_the_wrong_thread_raise(debug, method):
    async def main():
        with pytest.raises(RuntimeError, match="Non-thread-safe operation invoked on an event loop other than the"):
            await asyncio.to_thread(calls(debug)[method], print)
        await debug.shutdown_default_executor()

    debug.run_until_complete(main())


def test_resolving_a_future_from_the_wrong_thread_raises(debug):
    async def main():
        future = debug.create_future()
        future.add_done_callback(print)
        with pytest.raises(RuntimeError, match="Non-thread-safe operation"):
            await asyncio.to_thread(future.set_result, 1)
        await debug.shutdown_default_executor()

    debug.run_until_complete(main())


def test_waking_a_task_from_the_wrong_thread_raises(in_thread):
    async def wait(future):
        return await future

    loop = cede.new_event_loop()
    loop.set_debug(True)
    future = loop.create_future()
    task = loop.create_task(wait(future))
    task._log_destroy_pending = False  # as on the stdlib's loop, nothing will ever wake it

    def resolve():
        with pytest.raises(RuntimeError, match="Non-thread-safe operation"):
            in_thread(future.set_result, 1)
        loop.stop()

    loop.call_soon(loop.call_soon, resolve)
    loop.run_forever()
    assert not task.done()
    loop.close()


def test_call_soon_threadsafe_is_for_every_thread(debug):
    called = []
    thread = threading.Thread(target=debug.call_soon_threadsafe, args=(called.append, 1))
    debug.call_later(5, debug.stop).cancel()
    thread.start()
    thread.join()
    debug.call_soon(debug.stop)
    debug.run_forever()
    assert called == [1]


# -- where things come from --------------------------------------------------------------------------------------------


def test_tracebacks_of_the_source(debug):
    def make():
        return debug.create_future(), debug.create_task(coroutine_function())

    future, task = make()
    for thing in (future, task):
        frames = thing._source_traceback
        assert (frames[-1].filename, frames[-1].name) == (__file__, "make")
        assert f"created at {__file__}:{make.__code__.co_firstlineno + 1}" in repr(thing)
    debug.run_until_complete(task)


def test_coroutines_never_awaited_tell_where_they_were_made(debug, recwarn):
    async def main():
        coroutine_function()

    before = sys.get_coroutine_origin_tracking_depth()
    debug.run_until_complete(main())
    assert sys.get_coroutine_origin_tracking_depth() == before
    (warning,) = recwarn.list
    assert "was never awaited" in str(warning.message)
    assert "Coroutine created at (most recent call last)" in str(warning.message)
    assert ", in main\n" in str(warning.message)


def test_a_depth_that_was_set_before_is_put_back(debug):
    before = sys.get_coroutine_origin_tracking_depth()
    sys.set_coroutine_origin_tracking_depth(3)
    try:
        debug.run_until_complete(coroutine_function())
        assert sys.get_coroutine_origin_tracking_depth() == 3
    finally:
        sys.set_coroutine_origin_tracking_depth(before)


def test_errors_name_the_handle_that_ran(debug, turns, caplog):
    """The log of an error in a callback says where the callback that caused it was asked for."""
    debug.set_exception_handler(None)

    def report():
        debug.call_exception_handler({"message": "something"})

    debug.call_soon(report)
    turns()
    (record,) = caplog.records
    assert "handle_traceback: Handle created at (most recent call last):\n" in record.getMessage()


def test_without_debug_mode_nothing_is_kept(loop, turns):
    task = loop.create_task(coroutine_function())
    assert task._source_traceback is None
    assert loop.create_future()._source_traceback is None
    assert loop.call_soon(int)._source_traceback is None
    turns(2)
    assert "created at" not in repr(task)


def test_closing_is_logged(debug, caplog):
    with caplog.at_level(logging.DEBUG, "asyncio"):
        debug.close()
    assert any("Close <EventLoop " in record.getMessage() for record in caplog.records)
