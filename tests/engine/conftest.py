"""What tests of the engine share: single turns, loops on either poller, and the stdlib's loop beside cede's."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import selectors
import threading

import pytest

import cede


@pytest.fixture
def turns(loop):
    """Return `turns(count=1, loop=loop)`: let the loop, which is not running, take that many turns."""

    def turns(count=1, loop=loop):
        for _ in range(count):
            loop.call_soon(loop.stop)
            loop.run_forever()

    return turns


@pytest.fixture
def stock_loop():
    """The stdlib's own loop; closed afterwards, and what it reported fails the test."""
    errors = []
    loop = asyncio.SelectorEventLoop()
    loop.set_exception_handler(lambda loop, context: errors.append(context))
    with contextlib.closing(loop):
        yield loop
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(asyncio.sleep(0))
    assert not errors, errors
    assert not tasks, tasks


@pytest.fixture(params=["epoll", "selector"])
def either_loop(request):
    """A cede loop on epoll, and one on the portable poller; closed afterwards."""
    selector = None if request.param == "epoll" else selectors.PollSelector()
    with contextlib.closing(cede.EventLoop(selector)) as loop:
        yield loop


@pytest.fixture
def no_collector():
    """Switch the collector of cycles off: what a test lets go must be gone by itself."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def in_thread():
    """Return `in_thread(function, *args)`: run it in a thread of its own; return what it returns or raise that."""

    def in_thread(function, *args):
        outcome = []

        def run():
            try:
                outcome.append((function(*args), None))
            except BaseException as exc:
                outcome.append((None, exc))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(20)
        assert outcome, "the thread hangs"
        result, exc = outcome[0]
        if exc is not None:
            raise exc
        return result

    return in_thread
