"""TaskGroup: nothing outlives its block, nothing that failed is lost, and cancel() ends it early."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import weakref

import pytest

import cede
from tests.library.coroutines import failing, returning


async def forever(cancelled=None):
    try:
        await cede.get_running_loop().create_future()
    except cede.CancelledError:
        if cancelled is not None:
            cancelled.append(1)
        raise


def types_in(group):
    """The types in an exception group, nested groups as lists."""
    return [types_in(exc) if isinstance(exc, BaseExceptionGroup) else type(exc) for exc in group.exceptions]


# --- All is well


async def test_every_task_is_done_after_the_block():
    async with cede.TaskGroup() as group:
        first = group.create_task(returning(1))
        second = group.create_task(returning(2, 5))
        assert not first.done()
    assert (first.result(), second.result()) == (1, 2)


async def test_an_empty_group_does_not_suspend(loop):
    turns = []
    loop.call_soon(turns.append, 1)
    async with cede.TaskGroup():
        pass
    assert turns == []


async def test_tasks_may_start_more_tasks_while_some_run():
    results = []

    async def nested(depth):
        results.append(depth)
        await cede.sleep(0)
        if depth:
            group.create_task(nested(depth - 1))

    async with cede.TaskGroup() as group:
        group.create_task(nested(3))
    assert results == [3, 2, 1, 0]


async def test_keywords_go_to_the_task(loop):
    variable = contextvars.ContextVar("variable")
    context = contextvars.copy_context()
    context.run(variable.set, "theirs")

    async def look():
        return variable.get(), cede.current_task().get_name()

    async with cede.TaskGroup() as group:
        task = group.create_task(look(), name="named", context=context)
    assert task.result() == ("theirs", "named")


async def test_a_task_that_others_cancel_is_no_error():
    async with cede.TaskGroup() as group:
        task = group.create_task(forever())
        await cede.sleep(0)
        task.cancel()
    assert task.cancelled()


# --- Errors


async def test_a_failing_task_cancels_the_rest_and_the_body():
    cancelled = []
    with pytest.raises(ExceptionGroup, match="unhandled errors in a TaskGroup") as caught:
        async with cede.TaskGroup() as group:
            group.create_task(failing(ZeroDivisionError(), 1))
            group.create_task(forever(cancelled))
            await forever(cancelled)
    assert types_in(caught.value) == [ZeroDivisionError]
    assert cancelled == [1, 1]
    assert cede.current_task().cancelling() == 0
    await cede.sleep(0)  # nobody cancels what comes after


async def test_a_failing_body_cancels_the_tasks():
    cancelled = []
    with pytest.raises(ExceptionGroup) as caught:
        async with cede.TaskGroup() as group:
            group.create_task(forever(cancelled))
            await cede.sleep(0)
            raise ZeroDivisionError
    assert types_in(caught.value) == [ZeroDivisionError]
    assert cancelled == [1]


async def test_every_error_is_in_the_group():
    async def fail_in_the_end():
        try:
            await forever()
        finally:
            raise KeyError

    with pytest.raises(ExceptionGroup) as caught:
        async with cede.TaskGroup() as group:
            group.create_task(fail_in_the_end())
            group.create_task(failing(ValueError()))
            group.create_task(failing(TypeError()))
            await cede.sleep(0)
            raise ZeroDivisionError
    assert types_in(caught.value) == [ValueError, TypeError, KeyError, ZeroDivisionError]


async def test_nested_groups_nest_their_errors():
    async def fail_when_cancelled():
        try:
            await forever()
        finally:
            raise ValueError

    with pytest.raises(ExceptionGroup) as caught:
        async with cede.TaskGroup() as outer:
            outer.create_task(fail_when_cancelled())
            async with cede.TaskGroup() as inner:
                inner.create_task(failing(TypeError(), 1))
                await forever()
    assert types_in(caught.value) == [ValueError, [TypeError]]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_keyboard_interrupt_comes_out_as_it_is(kind):
    async def main():
        async with cede.TaskGroup() as group:
            group.create_task(failing(ValueError()))
            await cede.sleep(0)
            raise kind

    with pytest.raises(kind):
        cede.run(main())


async def test_an_error_after_the_body_cancels_the_waiting_tasks():
    cancelled = []
    with pytest.raises(ExceptionGroup):
        async with cede.TaskGroup() as group:
            group.create_task(forever(cancelled))
            group.create_task(failing(ValueError(), 3))
    assert cancelled == [1]


# --- Cancelling from outside


async def test_cancelling_the_task_in_the_body_cancels_the_group():
    cancelled = []

    async def work():
        async with cede.TaskGroup() as group:
            group.create_task(forever(cancelled))
            await forever(cancelled)

    task = cede.create_task(work())
    await cede.sleep(0)
    await cede.sleep(0)
    task.cancel("why")
    with pytest.raises(cede.CancelledError, match="why"):
        await task
    assert cancelled == [1, 1]
    assert task.cancelling() == 1


async def test_cancelling_the_task_that_waits_at_the_end_cancels_the_group():
    cancelled = []

    async def work():
        async with cede.TaskGroup() as group:
            group.create_task(forever(cancelled))

    task = cede.create_task(work())
    await cede.sleep(0)
    await cede.sleep(0)
    task.cancel()
    with pytest.raises(cede.CancelledError):
        await task
    assert cancelled == [1]


async def test_cancelled_again_and_again_it_still_waits_for_its_tasks():
    ended = []

    async def slow_to_die():
        try:
            await forever()
        finally:
            for _ in range(5):
                await cede.sleep(0)
            ended.append(1)

    async def work():
        async with cede.TaskGroup() as group:
            group.create_task(slow_to_die())

    task = cede.create_task(work())
    for _ in range(4):
        await cede.sleep(0)
        task.cancel()
    with pytest.raises(cede.CancelledError):
        await task
    assert ended == [1]


async def test_an_error_while_being_cancelled_comes_out_and_the_cancellation_comes_next():
    steps = []

    async def fail_in_the_end():
        try:
            await forever()
        finally:
            raise ValueError

    async def work():
        try:
            async with cede.TaskGroup() as group:
                group.create_task(fail_in_the_end())
                await forever()
        except* ValueError:
            steps.append("error")
        steps.append(cede.current_task().cancelling())
        await cede.sleep(0)
        steps.append("not reached")

    task = cede.create_task(work())
    await cede.sleep(0)
    await cede.sleep(0)
    task.cancel()
    with pytest.raises(cede.CancelledError):
        await task
    assert steps == ["error", 1]


async def test_a_timeout_around_a_group_works():
    cancelled = []
    with pytest.raises(TimeoutError):
        async with cede.timeout(0.0005):
            async with cede.TaskGroup() as group:
                group.create_task(forever(cancelled))
    assert cancelled == [1]
    assert cede.current_task().cancelling() == 0


# --- cancel()


async def test_cancel_ends_the_tasks_and_the_body_without_an_error():
    cancelled = []
    async with cede.TaskGroup() as group:
        group.create_task(forever(cancelled))
        await cede.sleep(0)
        group.cancel()
        await forever(cancelled)
        pytest.fail("the body went on")
    assert cancelled == [1, 1]
    assert cede.current_task().cancelling() == 0
    await cede.sleep(0)


async def test_cancel_by_a_task_of_the_group():
    async def cancel_it():
        group.cancel()
        await forever()

    async with cede.TaskGroup() as group:
        task = group.create_task(cancel_it())
        await forever()
    assert task.cancelled()


async def test_cancel_while_the_parent_waits_at_the_end(loop):
    cancelled = []
    async with cede.TaskGroup() as group:
        group.create_task(forever(cancelled))
        loop.call_soon(group.cancel)
    assert cancelled == [1]
    assert cede.current_task().cancelling() == 0


async def test_cancel_a_body_that_does_not_suspend_any_more():
    async with cede.TaskGroup() as group:
        group.cancel()
    assert cede.current_task().cancelling() == 0
    await cede.sleep(0)


async def test_cancel_before_entering():
    group = cede.TaskGroup()
    group.cancel()
    reached = []
    async with group:
        reached.append("body")
        await cede.sleep(0)
        reached.append("after")
    assert reached == ["body"]
    assert cede.current_task().cancelling() == 0


async def test_cancel_twice_and_after_the_end():
    async with cede.TaskGroup() as group:
        group.create_task(forever())
        group.cancel()
        group.cancel()
    group.cancel()
    assert cede.current_task().cancelling() == 0
    await cede.sleep(0)


async def test_after_cancel_nothing_can_be_created():
    async with cede.TaskGroup() as group:
        group.cancel()
        coro = returning(1)
        with pytest.raises(RuntimeError, match="is shutting down"):
            group.create_task(coro)
        with pytest.raises(RuntimeError, match=r"closed|already"):
            coro.send(None)


async def test_errors_come_out_in_spite_of_cancel():
    async def fail_in_the_end():
        try:
            await forever()
        finally:
            raise ValueError

    with pytest.raises(ExceptionGroup) as caught:
        async with cede.TaskGroup() as group:
            group.create_task(fail_in_the_end())
            await cede.sleep(0)
            group.cancel()
    assert types_in(caught.value) == [ValueError]
    assert cede.current_task().cancelling() == 0


async def test_a_cancellation_from_outside_is_kept_after_cancel():
    async def work():
        async with cede.TaskGroup() as group:
            group.create_task(slow_to_die())
            await cede.sleep(0)
            group.cancel()
            with contextlib.suppress(cede.CancelledError):
                await forever()

    async def slow_to_die():
        try:
            await forever()
        finally:
            for _ in range(5):
                await cede.sleep(0)

    task = cede.create_task(work())
    for _ in range(5):
        await cede.sleep(0)
    task.cancel("outside")
    with pytest.raises(cede.CancelledError, match="outside"):
        await task
    assert task.cancelled()
    assert task.cancelling() == 1


async def test_an_eager_task_that_cancels_its_group_is_cancelled(loop):
    loop.set_task_factory(cede.eager_task_factory)
    cancelled = []

    async def cancel_it():
        group.cancel()
        await forever(cancelled)

    async with cede.TaskGroup() as group:
        task = group.create_task(cancel_it())
        await forever()
    assert task.cancelled()
    assert cancelled == [1]


# --- Eager tasks


async def test_an_eager_task_that_fails_at_once_does_not_cancel_before_it_is_in_hand(loop):
    loop.set_task_factory(cede.eager_task_factory)
    reached = []
    with pytest.raises(ExceptionGroup):
        async with cede.TaskGroup() as group:
            task = group.create_task(failing(ValueError()))
            assert task.done()
            reached.append("next line")
            await forever()
    assert reached == ["next line"]


async def test_eager_tasks_that_end_at_once(loop):
    loop.set_task_factory(cede.eager_task_factory)
    async with cede.TaskGroup() as group:
        tasks = [group.create_task(returning(i, i)) for i in range(3)]
    assert [task.result() for task in tasks] == [0, 1, 2]


# --- Async generators


async def test_generator_exit_alone_comes_out_alone():
    cancelled = []

    async def generator():
        async with cede.TaskGroup() as group:
            group.create_task(forever(cancelled))
            await cede.sleep(0)
            yield 1

    it = generator()
    assert await anext(it) == 1
    await it.aclose()
    assert cancelled == [1]


async def test_generator_exit_beside_an_error_is_in_the_group():
    async def fail_in_the_end():
        try:
            await forever()
        finally:
            raise ValueError

    async def generator():
        async with cede.TaskGroup() as group:
            group.create_task(fail_in_the_end())
            await cede.sleep(0)
            yield 1

    it = generator()
    await anext(it)
    with pytest.raises(BaseExceptionGroup) as caught:
        await it.aclose()
    assert types_in(caught.value) == [ValueError, GeneratorExit]


# --- Its life


async def test_it_is_entered_once_and_in_a_task(loop):
    group = cede.TaskGroup()
    async with group:
        with pytest.raises(RuntimeError, match="has already been entered"):
            async with group:
                pass
    coro = cede.TaskGroup().__aenter__()
    failed = []

    def outside_a_task():
        try:
            coro.send(None)
        except RuntimeError as exc:
            failed.append(str(exc))

    loop.call_soon(outside_a_task)
    await cede.sleep(0)
    await cede.sleep(0)
    assert "cannot determine the parent task" in failed[0]


async def test_before_and_after_its_block_it_creates_nothing():
    group = cede.TaskGroup()
    coro = returning(1)
    with pytest.raises(RuntimeError, match="has not been entered"):
        group.create_task(coro)
    async with group:
        pass
    coro = returning(1)
    with pytest.raises(RuntimeError, match="is finished"):
        group.create_task(coro)


async def test_its_repr_tells_its_state():
    group = cede.TaskGroup()
    assert repr(group) == "<TaskGroup>"
    async with group:
        assert repr(group) == "<TaskGroup entered>"
        task = group.create_task(forever())
        assert repr(group) == "<TaskGroup tasks=1 entered>"
        group.cancel()
        assert repr(group) == "<TaskGroup tasks=1 cancelling>"
    assert task.cancelled()


async def test_edges_come_and_go():
    async with cede.TaskGroup() as group:
        task = group.create_task(returning(1))
        assert task._asyncio_awaited_by == {cede.current_task()}
    assert not task._asyncio_awaited_by


async def test_a_failure_after_the_parent_is_done_is_reported(loop, loop_errors):
    """A parent whose coroutine is closed by hand cannot get the error any more."""
    groups = []

    async def work():
        group = cede.TaskGroup()
        await group.__aenter__()
        groups.append((group, group.create_task(failing(ValueError("orphan"), 3))))

    await cede.create_task(work())
    for _ in range(6):
        await cede.sleep(0)
    (context,) = loop_errors
    assert "parent" in context["message"]
    assert str(context["exception"]) == "orphan"
    loop_errors.clear()


# --- Memory


class Unlucky(Exception):
    pass


async def test_errors_leave_no_cycles():
    async def fail():
        raise Unlucky

    gc.collect()
    gc.disable()
    try:
        try:
            async with cede.TaskGroup() as group:
                group.create_task(fail())
        except* Unlucky as errors:
            reference = weakref.ref(errors.exceptions[0])
        if not cede.compiled:
            gc.collect()  # interpreted, the frame of the engine's step holds the task until then
        assert reference() is None
    finally:
        gc.enable()


async def test_an_error_of_the_body_leaves_no_cycles():
    gc.collect()
    gc.disable()
    try:
        try:
            async with cede.TaskGroup():
                raise Unlucky
        except* Unlucky as group:
            reference = weakref.ref(group.exceptions[0])
        assert reference() is None
    finally:
        gc.enable()


async def test_a_cancellation_leaves_no_cycles():
    class Marker:
        pass

    references = []

    async def work():
        try:
            async with cede.TaskGroup() as group:
                group.create_task(forever())
        except cede.CancelledError as exc:
            exc.marker = Marker()
            references.append(weakref.ref(exc.marker))

    gc.collect()
    gc.disable()
    try:
        task = cede.create_task(work())
        await cede.sleep(0)
        await cede.sleep(0)
        task.cancel()
        await task
        assert references[0]() is None
    finally:
        gc.enable()
