"""timeout and timeout_at: whose time is up, and whose cancellation a CancelledError is."""

from __future__ import annotations

import gc
import weakref

import pytest

import cede


async def test_a_block_in_time_is_left_alone():
    async with cede.timeout(1000) as limit:
        await cede.sleep(0)
        assert not limit.expired()
    assert not limit.expired()
    async with cede.timeout(None) as limit:
        await cede.sleep(0)
    assert limit.when() is None
    # The loop fixture fails this test if a timer is left.


@pytest.mark.parametrize("delay", [0, -1, 0.0005])
async def test_a_block_that_takes_too_long_raises_timeout_error_outside(delay):
    inside = None
    with pytest.raises(TimeoutError) as caught:
        async with cede.timeout(delay) as limit:
            try:
                await cede.sleep(1000)
            except cede.CancelledError as exc:
                inside = exc
                raise
    assert caught.value.__cause__ is inside
    assert limit.expired()
    assert cede.current_task().cancelling() == 0


async def test_a_deadline_that_has_passed_ends_the_block_at_its_first_suspension():
    steps = []
    with pytest.raises(TimeoutError):
        async with cede.timeout(0):
            steps.append("runs")
            await cede.sleep(0)
            steps.append("does not run")
    assert steps == ["runs"]


async def test_a_deadline_that_has_passed_leaves_a_block_without_suspension_alone():
    async with cede.timeout(0) as limit:
        pass
    assert not limit.expired()
    await cede.sleep(0)


async def test_timeout_at_takes_the_loop_s_time(loop):
    when = loop.time() + 0.001
    with pytest.raises(TimeoutError):
        async with cede.timeout_at(when) as limit:
            assert limit.when() == when
            await cede.sleep(1000)
    assert loop.time() >= when


async def test_the_inner_one_s_time_is_up():
    async with cede.timeout(1000) as outer:
        with pytest.raises(TimeoutError):
            async with cede.timeout(0.0005) as inner:
                await cede.sleep(1000)
        assert inner.expired()
    assert not outer.expired()


async def test_the_outer_one_s_time_is_up():
    with pytest.raises(TimeoutError):
        async with cede.timeout(0.0005) as outer:
            with pytest.raises(cede.CancelledError):
                async with cede.timeout(1000) as inner:
                    await cede.sleep(1000)
            raise cede.CancelledError
    assert outer.expired()
    assert not inner.expired()


async def test_a_cancellation_from_outside_stays_one():
    async def work():
        async with cede.timeout(1000):
            await cede.sleep(1000)

    task = cede.create_task(work())
    await cede.sleep(0)
    task.cancel()
    with pytest.raises(cede.CancelledError):
        await task


async def test_a_cancellation_from_outside_beside_the_timeout_stays_one(loop):
    async def work():
        async with cede.timeout_at(loop.time() - 1):
            await cede.sleep(1000)

    task = cede.create_task(work())
    await cede.sleep(0)
    task.cancel()
    with pytest.raises(cede.CancelledError):
        await task
    assert task.cancelled()
    assert task.cancelling() == 1


async def test_inside_a_task_being_cancelled_it_still_works():
    async def work():
        try:
            await cede.sleep(1000)
        except cede.CancelledError:
            with pytest.raises(TimeoutError):
                async with cede.timeout(0.0005):
                    await cede.sleep(1000)
            raise

    task = cede.create_task(work())
    await cede.sleep(0)
    task.cancel()
    with pytest.raises(cede.CancelledError):
        await task
    assert task.cancelling() == 1


async def test_a_block_that_swallows_the_cancellation_ends_well():
    async with cede.timeout(0.0005) as limit:
        try:
            await cede.sleep(1000)
        except cede.CancelledError:
            pass
    assert limit.expired()
    assert cede.current_task().cancelling() == 0


async def test_another_exception_comes_out_and_says_why():
    with pytest.raises(ValueError, match="x") as caught:
        async with cede.timeout(0.0005):
            try:
                await cede.sleep(1000)
            finally:
                raise ValueError("x")
    reason = caught.value.__context__
    assert isinstance(reason, TimeoutError)
    assert isinstance(reason.__cause__, cede.CancelledError)
    assert reason.__context__ is reason.__cause__


async def test_the_members_of_an_exception_group_say_why():
    with pytest.raises(ExceptionGroup) as caught:
        async with cede.timeout(0.0005):
            async with cede.TaskGroup() as group:

                async def fail():
                    try:
                        await cede.sleep(1000)
                    finally:
                        raise ValueError("x")

                group.create_task(fail())
                await cede.sleep(1000)
    (member,) = caught.value.exceptions
    assert isinstance(member.__context__, TimeoutError)


async def test_an_ordinary_exception_in_time_comes_out_as_it_is():
    with pytest.raises(ValueError, match="x") as caught:
        async with cede.timeout(1000):
            raise ValueError("x")
    assert caught.value.__context__ is None


async def test_the_deadline_can_be_moved(loop):
    async with cede.timeout(1000) as limit:
        limit.reschedule(loop.time() + 2000)
        assert limit.when() > loop.time() + 1500
        limit.reschedule(None)
        assert limit.when() is None
    with pytest.raises(TimeoutError):
        async with cede.timeout(None) as limit:
            limit.reschedule(loop.time() + 0.0005)
            await cede.sleep(1000)
    with pytest.raises(TimeoutError):
        async with cede.timeout(1000) as limit:
            limit.reschedule(loop.time() - 1)
            await cede.sleep(0)


async def test_it_cannot_be_moved_before_or_after_the_block(loop):
    limit = cede.timeout(1000)
    with pytest.raises(RuntimeError, match="has not been entered"):
        limit.reschedule(1)
    async with limit:
        pass
    with pytest.raises(RuntimeError, match="Cannot change state of finished Timeout"):
        limit.reschedule(1)
    with pytest.raises(TimeoutError):
        async with cede.timeout(0) as limit:
            try:
                await cede.sleep(1000)
            finally:
                with pytest.raises(RuntimeError, match="Cannot change state of expiring Timeout"):
                    limit.reschedule(1)
    with pytest.raises(RuntimeError, match="Cannot change state of expired Timeout"):
        limit.reschedule(1)


async def test_it_is_entered_once_and_in_a_task(loop):
    limit = cede.timeout(1000)
    async with limit:
        with pytest.raises(RuntimeError, match="already been entered"):
            async with limit:
                pass
    coro = cede.Timeout(None).__aenter__()
    failed = []

    def outside_a_task():
        try:
            coro.send(None)
        except RuntimeError as exc:
            failed.append(str(exc))

    loop.call_soon(outside_a_task)
    await cede.sleep(0)
    await cede.sleep(0)
    assert failed == ["Timeout should be used inside a task"]


def test_it_needs_a_running_loop():
    with pytest.raises(RuntimeError, match="no running event loop"):
        cede.timeout(1)


async def test_its_repr_tells_its_state():
    limit = cede.timeout(None)
    assert repr(limit) == "<Timeout [created]>"
    async with limit:
        assert repr(limit) == "<Timeout [active] when=None>"
    assert repr(limit) == "<Timeout [finished]>"
    limit = cede.Timeout(12.34567)
    assert repr(limit) == "<Timeout [created]>"
    with pytest.raises(TimeoutError):
        async with limit:
            assert repr(limit) == "<Timeout [active] when=12.346>"
            try:
                await cede.sleep(1000)
            finally:
                assert repr(limit) == "<Timeout [expiring]>"
    assert repr(limit) == "<Timeout [expired]>"


async def test_it_can_be_subclassed():
    class Mine(cede.Timeout):
        def __init__(self, when, name):
            super().__init__(when)
            self.name = name

    async with Mine(None, "x") as limit:
        assert limit.name == "x"


async def test_it_leaves_no_cycles():
    class Marker:
        pass

    gc.collect()
    gc.disable()
    try:
        try:
            async with cede.timeout(0):
                await cede.sleep(1000)
        except TimeoutError as exc:
            exc.marker = Marker()
            reference = weakref.ref(exc.marker)
        assert reference() is None
    finally:
        gc.enable()


async def test_a_task_that_cannot_be_cancelled_is_reported(loop, loop_errors):
    class Awaited(cede.Future):
        def cancel(self, msg=None):
            raise ArithmeticError("not me")

    awaited = Awaited(loop=loop)

    async def waits():
        async with cede.timeout(0.001):
            return await awaited

    task = loop.create_task(waits())
    await cede.sleep(0.02)
    awaited.set_result("there")
    assert await task == "there"
    [context] = loop_errors
    assert isinstance(context["exception"], ArithmeticError)
    assert "_expire" in context["message"]
    loop_errors.clear()


@pytest.mark.timeout(10)
@pytest.mark.parametrize("length", [1, 2, 3])
async def test_errors_that_are_contexts_of_one_another(length):
    """A program can make a circle of them; the search for the cancellation ends all the same."""
    errors = [ValueError(n) for n in range(length)]
    for n, error in enumerate(errors):
        error.__context__ = errors[n - 1]
    circle = ValueError("that leads into the circle") if length > 1 else errors[0]
    if length > 1:
        BaseException.__context__.__set__(circle, errors[0])
    with pytest.raises((ValueError, ExceptionGroup)) as caught:
        async with cede.timeout(0):
            try:
                await cede.sleep(1000)
            except cede.CancelledError:
                failure = ExceptionGroup("a group", [circle])
            raise failure
    assert caught.value is failure


async def test_the_context_is_the_interpreters():
    class Strange(Exception):
        @property
        def __context__(self):
            return Strange()  # another one each time

    with pytest.raises(Strange):
        async with cede.timeout(0):
            try:
                await cede.sleep(1000)
            except cede.CancelledError:
                raise Strange from None
