"""Signals as callbacks of the loop."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import threading

import pytest


def send(number=signal.SIGUSR1):
    os.kill(os.getpid(), number)


async def wait_for(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_the_callback_runs_in_the_loop_each_time(loop):
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, lambda *args: seen.append((args, asyncio.get_running_loop())), 1, 2)
    send()
    assert seen == []
    await wait_for(lambda: len(seen) == 1)
    send()
    await wait_for(lambda: len(seen) == 2)
    assert seen == [((1, 2), loop)] * 2
    assert loop.remove_signal_handler(signal.SIGUSR1) is True
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


async def test_a_signal_wakes_a_sleeping_loop(loop):
    came = loop.create_future()
    loop.add_signal_handler(signal.SIGALRM, came.set_result, None)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    await asyncio.wait_for(came, 5)


async def test_a_new_callback_takes_the_place_of_the_old(loop):
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "old")
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "new")
    send()
    await wait_for(lambda: seen)
    assert seen == ["new"]


async def test_the_callback_keeps_its_context(loop):
    var = contextvars.ContextVar("var")
    var.set("then")
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, lambda: seen.append(var.get()))
    var.set("now")
    send()
    await wait_for(lambda: seen)
    assert seen == ["then"]


async def test_an_error_of_the_callback_is_reported(loop, loop_errors):
    loop.add_signal_handler(signal.SIGUSR1, lambda: 1 / 0)
    send()
    await wait_for(lambda: loop_errors)
    assert isinstance(loop_errors.pop()["exception"], ZeroDivisionError)


async def test_two_signals_at_once(loop):
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, 1)
    loop.add_signal_handler(signal.SIGUSR2, seen.append, 2)
    send(signal.SIGUSR1)
    send(signal.SIGUSR2)
    await wait_for(lambda: len(seen) == 2)
    assert sorted(seen) == [1, 2]
    loop.remove_signal_handler(signal.SIGUSR1)
    send(signal.SIGUSR2)
    await wait_for(lambda: len(seen) == 3)


def test_removing(loop):
    assert loop.remove_signal_handler(signal.SIGUSR1) is False
    loop.add_signal_handler(signal.SIGINT, print)
    assert loop.remove_signal_handler(signal.SIGINT) is True
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("method", ["add_signal_handler", "remove_signal_handler"])
def test_what_is_no_signal(loop, method):
    args = (print,) if method.startswith("add") else ()
    with pytest.raises(TypeError, match="sig must be an int, not 'SIGUSR1'"):
        getattr(loop, method)("SIGUSR1", *args)
    with pytest.raises(ValueError, match="invalid signal number 4711"):
        getattr(loop, method)(4711, *args)


def test_a_signal_that_cannot_be_caught(loop):
    with pytest.raises(RuntimeError, match="sig 9 cannot be caught"):
        loop.add_signal_handler(signal.SIGKILL, print)
    assert loop.remove_signal_handler(signal.SIGKILL) is False


def test_coroutines_are_refused(loop):
    async def coroutine():
        pass

    with pytest.raises(TypeError, match="coroutines cannot be used with add_signal_handler"):
        loop.add_signal_handler(signal.SIGUSR1, coroutine)
    coro = coroutine()
    with pytest.raises(TypeError):
        loop.add_signal_handler(signal.SIGUSR1, coro)
    coro.close()


def test_another_thread_is_refused(loop):
    errors = []

    def add():
        try:
            loop.add_signal_handler(signal.SIGUSR1, print)
        except RuntimeError as exc:
            errors.append(exc)

    thread = threading.Thread(target=add)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])


def test_a_closed_loop_refuses_and_gives_the_signals_back(loop):
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.add_signal_handler(signal.SIGUSR1, print)


def test_a_signal_between_two_runs_is_not_lost(loop):
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, 1)
    loop.run_until_complete(asyncio.sleep(0))
    send()
    loop.run_until_complete(asyncio.sleep(0.01))
    assert seen == [1]


async def test_signals_while_c_code_runs(loop):
    """The interpreter notes them as soon as it is asked again, and the callbacks run in the next turn."""
    seen = []
    loop.add_signal_handler(signal.SIGALRM, seen.append, "signal")

    def work():
        sum(range(3_000_000))  # some tens of milliseconds
        seen.append("worked")

    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    try:
        loop.call_soon(work)
        async with asyncio.timeout(5):
            while seen[-1:] != ["signal"] or "worked" not in seen:
                await asyncio.sleep(0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        loop.remove_signal_handler(signal.SIGALRM)
