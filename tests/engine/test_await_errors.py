"""Awaiting where the error itself cannot be had as usual: exceptions of odd classes, no memory, no stack left."""

from __future__ import annotations

import asyncio
import collections.abc

import pytest

import cede


class Stubborn(Exception):
    def with_traceback(self, traceback):
        raise KeyError("with_traceback")


class Odd(Exception):
    def with_traceback(self, traceback):
        return 5


class NoTraceback(Exception):
    @property
    def __traceback__(self):
        return 5

    @__traceback__.setter
    def __traceback__(self, value):
        raise KeyError("__traceback__")


async def wait_for(future):
    return await future


async def iterate(future):
    return list(future)


async def ask(future):
    return future.result()


@pytest.mark.parametrize("kind", [Stubborn, Odd, NoTraceback])
@pytest.mark.parametrize("way", [wait_for, iterate, ask])
async def test_an_exception_is_raised_whatever_methods_it_has(loop, kind, way):
    future = loop.create_future()
    future.set_exception(kind("x"))
    for _ in range(2):
        with pytest.raises(kind) as caught:
            await way(future)
        assert caught.value is future.exception()


@pytest.mark.parametrize("kind", [Stubborn, Odd, NoTraceback])
async def test_a_task_may_end_with_it(kind):
    async def fail():
        raise kind("x")

    task = cede.create_task(fail())
    for _ in range(2):
        with pytest.raises(kind):
            await task


async def test_what_only_says_that_it_is_an_exception_is_refused(loop):
    class Liar:
        __class__ = ValueError

    future = loop.create_future()
    assert isinstance(Liar(), ValueError)
    with pytest.raises(TypeError, match="invalid exception object"):
        future.set_exception(Liar())
    with pytest.raises(TypeError, match="invalid exception object"):
        future.set_exception(Liar)
    assert not future.done()


async def test_a_class_that_resolves_the_future_as_it_is_called(loop):
    future = loop.create_future()

    class Late(Exception):
        def __init__(self):
            future.set_result("first")

    with pytest.raises(asyncio.InvalidStateError):
        future.set_exception(Late)
    assert await future == "first"


async def test_a_stop_that_was_never_initialized_ends_a_coroutine_with_none():
    class Coroutine:
        def send(self, value=None):
            return None

        def throw(self, *args):
            raise StopIteration.__new__(StopIteration)

        def close(self):
            pass

        __await__ = __iter__ = lambda self: self
        __next__ = send

    collections.abc.Coroutine.register(Coroutine)
    task = cede.Task(Coroutine(), loop=asyncio.get_running_loop())
    await cede.sleep(0)
    task.cancel()
    assert await task is None


@pytest.mark.skipif(not cede.compiled, reason="interpreted, what misses memory is the interpreter")
def test_where_there_is_no_memory(run_python):
    pytest.importorskip("_testcapi")
    run_python("""
    import asyncio, _testcapi, cede

    async def wait(future):
        await future

    async def enter(manager):
        async with manager:
            pass

    def cancelled(loop):
        future = loop.create_future()
        future.cancel("message")
        return wait(future)

    def resolved(loop):
        future = loop.create_future()
        future.set_result((1, 2))
        async def iterate():
            return list(future)
        return iterate()

    def in_line(loop):
        lock = cede.Lock()
        try:
            lock.acquire().send(None)
        except StopIteration:
            pass
        return enter(lock)

    def twice(loop):
        coro = wait(loop.create_future())
        coro.send(None)
        return coro

    async def main():
        loop = asyncio.get_running_loop()
        makers = [cancelled, resolved, in_line, twice, lambda loop: enter(cede.timeout(1)),
                  lambda loop: enter(cede.Lock())]
        for n in range(30):
            for make in makers:
                for until in (n + 1, 0):
                    coro = make(loop)
                    try:
                        _testcapi.set_nomemory(n, until)
                        try:
                            coro.send(None)
                        finally:
                            _testcapi.remove_mem_hooks()
                    except (MemoryError, RuntimeError, StopIteration, cede.CancelledError):
                        pass
                    coro.close()
            await asyncio.sleep(0)

    loop = cede.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    """)


def test_where_the_stack_is_used_up(run_python):
    run_python("""
    import sys, threading, cede
    # Before 3.12 calls of C's count as well, and nothing else ends the recursion.
    sys.setrecursionlimit(10**6 if sys.version_info >= (3, 12) else 20_000)
    # From 3.14 on it is the stack that ends the recursion, before that the limits of each version.
    threading.stack_size((16 if sys.version_info >= (3, 14) else 256) * 1024 * 1024)
    answers = set()

    async def main():
        loop = cede.get_running_loop()
        failed, gone = loop.create_future(), loop.create_future()
        failed.set_exception(ValueError("x"))
        gone.cancel("message")

        async def leaf():
            for future in (failed, gone):
                try:
                    await future
                except (ValueError, cede.CancelledError, RecursionError) as exc:
                    answers.add(type(exc).__name__)

        def deeper(n):
            coro = leaf()
            try:
                coro.send(None)
            except BaseException:  # StopIteration, RecursionError; the interpreter itself lets others through there
                pass
            finally:
                coro.close()
            for _ in map(deeper, [n + 1]):
                pass

        def padded(n):
            for _ in map(padded if n else deeper, [n - 1]):
                pass

        for n in range(4):
            try:
                padded(n)
            except RecursionError:
                answers.add("RecursionError")

    thread = threading.Thread(target=lambda: cede.run(main()))
    thread.start()
    thread.join()
    assert answers == {"ValueError", "CancelledError", "RecursionError"}, answers
    """)
