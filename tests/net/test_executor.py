"""Functions in threads: results and errors come back, cancellation goes there, threads end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
import warnings

import pytest


async def test_result_and_error_come_back(loop):
    assert await loop.run_in_executor(None, divmod, 7, 3) == (2, 1)
    with pytest.raises(ZeroDivisionError):
        await loop.run_in_executor(None, divmod, 7, 0)


async def test_it_returns_a_future_at_once(loop):
    future = loop.run_in_executor(None, threading.get_ident)
    assert asyncio.isfuture(future)
    assert await future != threading.get_ident()


async def test_an_executor_of_ones_own(loop):
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
        assert (await loop.run_in_executor(pool, threading.current_thread)).name.startswith("mine")


async def test_default_executor_must_be_a_thread_pool(loop):
    with pytest.raises(TypeError, match="executor must be ThreadPoolExecutor instance"):
        loop.set_default_executor(object())
    pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="chosen")
    loop.set_default_executor(pool)
    assert (await loop.run_in_executor(None, threading.current_thread)).name.startswith("chosen")


async def test_cancelling_keeps_a_waiting_call_from_starting(loop):
    called = []
    gate = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = loop.run_in_executor(pool, gate.wait)
        waiting = loop.run_in_executor(pool, called.append, 1)
        waiting.cancel()
        await asyncio.sleep(0)
        gate.set()
        await running
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert called == []


async def test_a_call_that_was_cancelled_in_the_thread_is_cancelled_here(loop):
    source = concurrent.futures.Future()

    class Executor(concurrent.futures.Executor):
        def submit(self, func, *args):
            return source

    future = loop.run_in_executor(Executor(), print)
    source.cancel()
    source.set_running_or_notify_cancel()
    with pytest.raises(asyncio.CancelledError):
        await future


async def test_concurrent_futures_errors_become_asyncios(loop):
    def raise_(exc):
        raise exc

    with pytest.raises(asyncio.CancelledError):
        await loop.run_in_executor(None, raise_, concurrent.futures.CancelledError())
    with pytest.raises(asyncio.InvalidStateError):
        await loop.run_in_executor(None, raise_, concurrent.futures.InvalidStateError())


async def test_debug_mode_refuses_what_is_no_function(loop):
    loop.set_debug(True)

    async def coroutine():
        pass

    with pytest.raises(TypeError, match="coroutines cannot be used with run_in_executor"):
        loop.run_in_executor(None, coroutine)
    with pytest.raises(TypeError, match="a callable object was expected by run_in_executor"):
        loop.run_in_executor(None, 3)


def test_a_closed_loop_refuses(loop):
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.run_in_executor(None, print)


async def test_after_the_shutdown_only_the_default_executor_refuses(loop):
    await loop.shutdown_default_executor()
    await loop.shutdown_default_executor()
    with pytest.raises(RuntimeError, match="Executor shutdown has been called"):
        loop.run_in_executor(None, print)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert await loop.run_in_executor(pool, int, "3") == 3


async def test_shutdown_waits_for_the_threads(loop):
    before = threading.active_count()
    await asyncio.gather(*(loop.run_in_executor(None, time.sleep, 0.01) for _ in range(3)))
    await loop.shutdown_default_executor()
    assert threading.active_count() == before


async def test_shutdown_gives_up_after_its_timeout(loop):
    gate = threading.Event()
    future = loop.run_in_executor(None, gate.wait)
    await asyncio.sleep(0.01)
    with pytest.warns(RuntimeWarning, match="did not finishing joining its threads within 0.02 seconds"):
        await loop.shutdown_default_executor(timeout=0.02)
    gate.set()
    await future


async def test_shutdown_with_time_to_spare_does_not_warn(loop):
    await loop.run_in_executor(None, int)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await loop.shutdown_default_executor(timeout=10)


async def test_an_error_of_the_shutdown_is_raised(loop):
    class Pool(concurrent.futures.ThreadPoolExecutor):
        def shutdown(self, wait=True, **kwargs):
            super().shutdown(wait, **kwargs)
            if wait:
                raise ZeroDivisionError

    loop.set_default_executor(Pool())
    with pytest.raises(ZeroDivisionError):
        await loop.shutdown_default_executor()
    loop._default_executor = None


def test_closing_does_not_wait_for_a_thread(loop):
    gate = threading.Event()

    async def main():
        return loop.run_in_executor(None, gate.wait)

    loop.run_until_complete(main())
    loop.close()  # would hang here
    gate.set()


def test_a_result_for_a_closed_loop_is_dropped(loop, caplog):
    gate = threading.Event()
    pool = concurrent.futures.ThreadPoolExecutor(1)

    async def main():
        return loop.run_in_executor(pool, gate.wait)

    loop.run_until_complete(main())
    loop.close()
    gate.set()
    pool.shutdown()
    assert caplog.records == []
