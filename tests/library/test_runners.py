"""run and Runner: loops made and put away, contexts, Ctrl-C."""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import signal
import threading

import pytest

import cede

VARIABLE = contextvars.ContextVar("VARIABLE", default="default")


async def returning(value):
    await cede.sleep(0)
    return value


# --- run


def test_run_returns_the_result_and_closes_the_loop():
    async def main():
        return cede.get_running_loop()

    loop = cede.run(main())
    assert isinstance(loop, cede.EventLoop)
    assert loop.is_closed()
    assert asyncio._get_running_loop() is None


def test_run_raises_what_the_coroutine_raises():
    async def fail():
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        cede.run(fail())


def test_run_takes_any_awaitable():
    class Awaitable:
        def __await__(self):
            yield
            return "awaitable"

    assert cede.run(Awaitable()) == "awaitable"


@pytest.mark.parametrize("thing", [1, "text", returning, None, lambda: None])
def test_run_refuses_what_cannot_be_awaited(thing):
    with pytest.raises(TypeError, match="awaitable is required"):
        cede.run(thing)


def test_run_says_what_it_was_given():
    with pytest.raises(TypeError, match=r"is required, not <function returning at 0x\w+>: call it$"):
        cede.run(returning)
    with pytest.raises(TypeError, match=r"is required, not 'text'$"):
        cede.run("text")


async def test_run_cannot_be_nested():
    coro = returning(1)
    with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
        cede.run(coro)
    runner = cede.Runner()
    with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
        runner.run(coro)
    with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
        runner.run("not even awaitable")
    coro.close()


def test_debug_and_loop_factory():
    async def main():
        loop = cede.get_running_loop()
        return loop, loop.get_debug()

    made = []

    def factory():
        made.append(cede.new_event_loop())
        return made[0]

    assert cede.run(main(), debug=True, loop_factory=factory) == (made[0], True)
    assert cede.run(main(), debug=False)[1] is False


def test_run_also_runs_asyncio_s_loops():
    async def main():
        loop = cede.get_running_loop()
        task = cede.create_task(cede.sleep(0.001, "slept"))
        async with cede.timeout(1000), cede.TaskGroup() as group:
            other = group.create_task(returning(2))
        return loop, await task, other.result()

    loop, slept, other = cede.run(main(), loop_factory=asyncio.SelectorEventLoop)
    assert isinstance(loop, asyncio.SelectorEventLoop)
    assert (slept, other) == ("slept", 2)


def test_tasks_that_are_left_are_cancelled_and_waited_for():
    log = []

    async def left():
        try:
            await cede.sleep(1000)
        finally:
            await cede.sleep(0)
            log.append("ended")

    async def main():
        cede.create_task(left())
        await cede.sleep(0)

    cede.run(main())
    assert log == ["ended"]


def test_errors_of_tasks_that_are_left_are_reported():
    reports = []

    async def left():
        try:
            await cede.sleep(1000)
        finally:
            raise ValueError("left")

    async def main():
        cede.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context))
        cede.create_task(left())
        await cede.sleep(0)

    cede.run(main())
    (context,) = reports
    assert context["message"] == "unhandled exception during asyncio.run() shutdown"
    assert str(context["exception"]) == "left"
    assert "task" in context


def test_async_generators_are_closed():
    closed = []

    async def generator():
        try:
            yield 1
            yield 2
        finally:
            await cede.sleep(0)
            closed.append(1)

    async def main():
        global kept
        kept = generator()
        await anext(kept)

    cede.run(main())
    assert closed == [1]


def test_the_thread_s_current_loop_is_set_while_and_unset_after():
    seen = []
    with cede.Runner() as runner:
        runner.run(returning(1))
        seen.append(asyncio.get_event_loop() is runner.get_loop())
        seen.append(cede.get_event_loop() is runner.get_loop())
    assert seen == [True, True]
    with pytest.raises(RuntimeError, match="no current event loop"):
        cede.get_event_loop()


def test_with_a_factory_the_current_loop_is_left_alone():
    with cede.Runner(loop_factory=cede.new_event_loop) as runner:
        runner.run(returning(1))
        with pytest.raises(RuntimeError, match="no current event loop"):
            cede.get_event_loop()


# --- Runner


def test_a_runner_keeps_its_loop():
    async def which():
        return cede.get_running_loop()

    with cede.Runner() as runner:
        assert runner.run(which()) is runner.run(which()) is runner.get_loop()


def test_a_runner_keeps_its_context():
    async def change(value):
        old = VARIABLE.get()
        VARIABLE.set(value)
        return old

    with cede.Runner() as runner:
        assert runner.run(change(1)) == "default"
        assert runner.run(change(2)) == 1
        context = contextvars.copy_context()
        assert runner.run(change(3), context=context) == "default"
        assert context.get(VARIABLE) == 3
        assert runner.run(change(4)) == 2
    assert VARIABLE.get() == "default"


def test_a_closed_runner_stays_closed():
    runner = cede.Runner()
    runner.close()  # nothing to close yet: it can still be used
    with runner:
        loop = runner.get_loop()
    assert loop.is_closed()
    runner.close()
    coro = returning(1)
    with pytest.raises(RuntimeError, match="Runner is closed"):
        runner.run(coro)
    coro.close()
    with pytest.raises(RuntimeError, match="Runner is closed"):
        runner.get_loop()


def test_a_runner_can_be_used_without_with():
    runner = cede.Runner()
    assert runner.run(returning(1)) == 1
    runner.close()


# --- Ctrl-C


def interrupt():
    _thread.interrupt_main(signal.SIGINT)


def test_ctrl_c_cancels_the_task_and_becomes_keyboard_interrupt():
    log = []

    async def main():
        cede.get_running_loop().call_soon(interrupt)
        try:
            await cede.sleep(1000)
        except cede.CancelledError:
            log.append("cancelled")
            await cede.sleep(0)
            log.append("cleaned up")
            raise

    with pytest.raises(KeyboardInterrupt):
        cede.run(main())
    assert log == ["cancelled", "cleaned up"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_wakes_a_loop_that_sleeps():
    timer = threading.Timer(0.02, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        cede.run(cede.sleep(1000))
    timer.join()


def test_a_second_ctrl_c_raises_on_the_spot():
    log = []

    async def main():
        loop = cede.get_running_loop()
        loop.call_soon(interrupt)
        try:
            await cede.sleep(1000)
        except cede.CancelledError:
            log.append("cancelled")
            loop.call_soon(interrupt)
            await cede.sleep(1000)

    with pytest.raises(KeyboardInterrupt):
        cede.run(main())
    assert log == ["cancelled"]


def test_a_task_that_swallows_ctrl_c_gives_its_result():
    async def main():
        cede.get_running_loop().call_soon(interrupt)
        try:
            await cede.sleep(1000)
        except cede.CancelledError:
            return "swallowed"

    assert cede.run(main()) == "swallowed"


def test_a_cancellation_beside_ctrl_c_stays_one():
    async def main():
        loop = cede.get_running_loop()
        task = cede.current_task()
        loop.call_soon(interrupt)
        loop.call_soon(task.cancel)
        loop.call_soon(task.cancel)
        await cede.sleep(1000)

    with pytest.raises(cede.CancelledError):
        cede.run(main())


def test_a_handler_of_the_program_s_own_is_left_alone():
    caught = []
    old = signal.signal(signal.SIGINT, lambda *args: caught.append(1))
    try:

        async def main():
            handler = signal.getsignal(signal.SIGINT)
            interrupt()
            await cede.sleep(0)
            return handler

        handler = cede.run(main())
        assert caught == [1]
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, old)


def test_a_handler_set_during_the_run_stays():
    def mine(*args): ...

    async def main():
        signal.signal(signal.SIGINT, mine)

    try:
        cede.run(main())
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_in_another_thread_signals_are_not_touched():
    handlers = []

    async def main():
        handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=lambda: cede.run(main()))
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]
