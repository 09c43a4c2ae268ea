"""Why a task was cancelled: noted in the exception, and told in tracebacks."""

from __future__ import annotations

import asyncio
import pickle
import signal
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cede
from cede.observe import cancels, why_cancelled

LIBRARIES = [pytest.param(cede, id="cede"), pytest.param(asyncio, id="asyncio")]


@pytest.fixture(autouse=True)
def noting() -> Iterator[None]:
    cancels.start()
    yield
    cancels.stop()


def line_of(function: Any, offset: int) -> int:
    return int(function.__code__.co_firstlineno) + offset


async def read() -> None:
    await asyncio.sleep(1000)


async def fetch(library: Any, seconds: float) -> None:
    async with library.timeout(seconds):
        await read()


class Caught:
    """Sleeps until it is cancelled, and keeps the exception."""

    def __init__(self) -> None:
        self.why: str | None = None
        self.error: BaseException | None = None

    async def sleep(self) -> None:
        try:
            await read()
        except asyncio.CancelledError as error:
            self.error, self.why = error.with_traceback(None), why_cancelled(error)
            raise

    @property
    def lines(self) -> list[str]:
        return (self.why or "").splitlines()


async def test_a_timeout(loop: Any) -> None:
    with pytest.raises(TimeoutError) as caught:
        await fetch(cede, 0.01)
    error = caught.value
    assert (type(error), error.args, str(error)) == (TimeoutError, (), "")
    (note,) = error.__notes__
    entered = f"timeout of 0.01 s entered at test_cancels.py:{line_of(fetch, 1)} in fetch, expired "
    interrupted = f"test_cancels.py:{line_of(read, 1)} in read"
    assert note.startswith(entered)
    assert note.endswith(f" ms late; it interrupted {interrupted}")
    assert note in "".join(traceback.format_exception(error))
    lines = (why_cancelled(error) or "").splitlines()
    assert lines == [note.partition(";")[0], f"it interrupted {interrupted}: await asyncio.sleep(1000)"]
    assert why_cancelled(error.__cause__) is not None


async def test_asyncio_s_own_timeout(loop: Any) -> None:
    with pytest.raises(TimeoutError) as caught:
        await fetch(asyncio, 0.01)
    lines = (why_cancelled(caught.value) or "").splitlines()
    assert lines[0].startswith("timeout, expired ")
    assert lines[1].startswith("it interrupted test_cancels.py:")


def test_asyncio_s_own_timeout_that_ends_the_program() -> None:
    with pytest.raises(TimeoutError) as caught:
        cede.run(fetch(asyncio, 0.01))
    (note,) = caught.value.__notes__
    assert note.startswith(f"timeout entered at test_cancels.py:{line_of(fetch, 1)} in fetch, expired ")
    assert note.endswith(f" ms late; it interrupted test_cancels.py:{line_of(read, 1)} in read")
    assert why_cancelled(caught.value) is not None


def test_a_timeout_error_of_somebody_else_is_left_alone() -> None:
    async def main() -> None:
        try:
            raise ValueError("before")
        except ValueError as error:
            raise TimeoutError("of a socket") from error

    with pytest.raises(TimeoutError) as caught:
        cede.run(main())
    assert not hasattr(caught.value, "__notes__")


async def test_which_of_two_timeouts(loop: Any) -> None:
    async def both(outer: float, inner: float) -> None:
        async with cede.timeout(outer):
            await fetch(cede, inner)

    for outer, inner, named in ((1000, 0.01, "0.01 s"), (0.02, 1000, "0.02 s")):
        with pytest.raises(TimeoutError) as caught:
            await both(outer, inner)
        assert (why_cancelled(caught.value) or "").startswith(f"timeout of {named} entered at ")


async def test_wait_for_is_entered_where_it_is_called(loop: Any) -> None:
    with pytest.raises(TimeoutError) as caught:
        await cede.wait_for(read(), 0.01)
    assert " entered at test_cancels.py:" in (why_cancelled(caught.value) or "")


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_group_whose_task_failed(loop: Any, library: Any) -> None:
    caught = Caught()

    async def refresh() -> None:
        await asyncio.sleep(0)
        raise ConnectionError("gone")

    async def group() -> None:
        async with library.TaskGroup() as tasks:
            tasks.create_task(caught.sleep())
            tasks.create_task(refresh(), name="refresh")
            await asyncio.sleep(1000)

    with pytest.raises(ExceptionGroup):
        await group()
    assert caught.lines[0].startswith("cancelled by the task group in test_a_group_whose_task_failed.<locals>.group (")
    assert f", because its task 'refresh' failed with ConnectionError (test_cancels.py:{line_of(refresh, 2)})" in str(
        caught.why
    )


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_group_whose_body_failed(loop: Any, library: Any) -> None:
    caught = Caught()
    with pytest.raises(ExceptionGroup):
        async with library.TaskGroup() as tasks:
            tasks.create_task(caught.sleep())
            await asyncio.sleep(0)
            raise ValueError
    assert ", because its body failed with ValueError (test_cancels.py:" in str(caught.why)


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_group_in_a_timeout(loop: Any, library: Any) -> None:
    """What led to the group's end is told as well."""
    caught = Caught()
    with pytest.raises(TimeoutError):
        async with cede.timeout(0.01), library.TaskGroup() as tasks:
            tasks.create_task(caught.sleep())
            await asyncio.sleep(1000)
    assert ", because it was cancelled itself" in caught.lines[0]
    assert caught.lines[-1].startswith("because of this: timeout of 0.01 s, expired ")


async def test_by_another_task(loop: Any) -> None:
    caught = Caught()
    task = cede.create_task(caught.sleep())

    async def stop() -> None:
        task.cancel("enough")

    await asyncio.sleep(0)
    await cede.create_task(stop(), name="watchdog")
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    assert raised.value.args == ("enough",)
    place = f"test_cancels.py:{line_of(stop, 1)} in test_by_another_task.<locals>.stop"
    assert caught.lines[0] == f"cancelled by task 'watchdog' at {place}, saying 'enough'"
    # Who awaits the cancelled one gets the same.
    assert (why_cancelled(raised.value) or "").startswith(caught.lines[0])


async def test_before_its_first_step_and_while_it_runs(loop: Any) -> None:
    task = cede.create_task(read())
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    assert "cancelled by task 'Task-" in (why_cancelled(raised.value) or "")

    async def suicide() -> None:
        current = cede.current_task()
        assert current is not None
        current.cancel()
        await asyncio.sleep(1000)

    with pytest.raises(asyncio.CancelledError) as raised:
        await cede.create_task(suicide(), name="me")
    assert "cancelled by task 'me' at " in (why_cancelled(raised.value) or "")


async def test_by_a_callback(loop: Any) -> None:
    caught = [Caught(), Caught()]
    tasks = [cede.create_task(each.sleep()) for each in caught]
    await asyncio.sleep(0)

    def on_event() -> None:
        tasks[0].cancel()

    loop.call_soon(on_event)
    loop.call_soon(tasks[1].cancel)
    await cede.wait(tasks)
    name = "test_by_a_callback.<locals>.on_event"
    assert caught[0].lines[0] == f"cancelled by a callback at test_cancels.py:{line_of(on_event, 1)} in {name}"
    assert caught[1].lines[0] == "cancelled by a callback"


def test_at_the_end_of_the_program() -> None:
    caught = Caught()

    async def main() -> None:
        cede.create_task(caught.sleep()).set_name("left")
        await asyncio.sleep(0)

    cede.run(main())
    assert caught.lines[0] == "cancelled at the end of the program: what run() had been given was done"


def test_ctrl_c() -> None:
    caught = Caught()

    async def main() -> None:
        cede.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
        await caught.sleep()

    with pytest.raises(KeyboardInterrupt):
        cede.run(main())
    assert caught.lines[0] == "cancelled by Ctrl-C"


def test_a_note_where_the_exception_leaves_the_program() -> None:
    async def main() -> None:
        task = cede.current_task()
        assert task is not None
        cede.get_running_loop().call_soon(task.cancel)
        await read()

    with pytest.raises(asyncio.CancelledError) as raised:
        cede.run(main())
    assert raised.value.__notes__ == ["cancelled by a callback"]
    assert raised.value.args == ()


async def test_no_note_where_another_task_will_get_it(loop: Any) -> None:
    task = cede.create_task(read())
    loop.call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    assert not hasattr(raised.value, "__notes__")


async def test_exceptions_can_be_pickled(loop: Any) -> None:
    with pytest.raises(TimeoutError) as caught:
        await fetch(cede, 0.01)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert copy.__notes__ == caught.value.__notes__
    assert (why_cancelled(copy) or "").startswith("timeout of 0.01 s")


async def test_nothing_is_left_for_the_collector(loop: Any, nothing_for_the_collector: Callable[[], Any]) -> None:
    async def times_out() -> None:
        try:
            await fetch(cede, 0.001)
        except TimeoutError as error:
            why_cancelled(error)

    await times_out()
    with nothing_for_the_collector():
        await cede.create_task(times_out())
        task = cede.create_task(read())
        loop.call_soon(task.cancel)
        await cede.wait([task])
        del task


async def test_nothing_of_it_reaches_the_program(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in it."""

    def fails(*args: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(cancels, "_new", fails)
    monkeypatch.setattr(cancels, "in_words", fails)
    with pytest.raises(TimeoutError):
        await fetch(cede, 0.001)
    task = cede.create_task(read())
    loop.call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_while_nobody_wants_to_know(loop: Any) -> None:
    cancels.stop()
    with pytest.raises(TimeoutError) as caught:
        await fetch(cede, 0.001)
    assert why_cancelled(caught.value) is None
    assert not hasattr(caught.value, "__notes__")
    assert why_cancelled(ValueError()) is None
    cancels.start()
