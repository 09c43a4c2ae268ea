"""Names from inside of asyncio's loops that programs use: what they see, and what replacing them does."""

from __future__ import annotations

import asyncio
import functools
import selectors
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

import cede

# --- time(), replaced while the loop runs ---------------------------------------------------------------------------


async def test_a_time_put_on_the_loop_counts_at_once_and_until_it_is_taken_off(loop: Any) -> None:
    with mock.patch.object(loop, "time", return_value=1000.0):
        ahead = loop.call_later(5, print)
        assert ahead.when() == 1005.0
        ahead.cancel()
    real = loop.time()
    timer = loop.call_later(5, print)
    assert real + 5 <= timer.when() < real + 6
    timer.cancel()


async def test_timers_are_due_by_a_time_put_on_the_loop(loop: Any) -> None:
    now = [loop.time()]
    fired: list[str] = []
    with mock.patch.object(loop, "time", new=functools.partial(now.__getitem__, 0)):
        loop.call_later(100, fired.append, "later")
        await asyncio.sleep(0)
        assert fired == []
        now[0] += 100
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert fired == ["later"]
        async with cede.timeout(50) as limit:
            assert limit.when() == now[0] + 50
    began = time.monotonic()
    await asyncio.sleep(0.02)
    assert 0.02 <= time.monotonic() - began < 5


@pytest.mark.parametrize("where", ["class", "base"])
def test_timers_follow_a_time_that_is_put_into_the_class(new_loop: Callable[[], Any], where: str) -> None:
    kind = type(new_loop_closed(new_loop))
    derived = type("Derived", (kind,), {})
    loop = derived()
    owner = derived if where == "class" else type("Between", (kind,), {})
    if where == "base":
        loop.close()
        loop = type("Derived", (owner,), {})()

    async def main() -> None:
        owner.time = lambda self: 5.0
        try:
            timer = loop.call_later(10, print)
            assert timer.when() == 15.0
            timer.cancel()
        finally:
            del owner.time
        await asyncio.sleep(0.01)
        assert loop.call_later(0, int).when() != 5.0

    loop.run_until_complete(main())
    loop.close()


def new_loop_closed(new_loop: Callable[[], Any]) -> Any:
    loop = new_loop()
    loop.close()
    return loop


async def test_a_frozen_machine_does_not_freeze_a_loop_that_is_given_the_real_time(loop: Any) -> None:
    """As freezegun does it with `real_asyncio`: every module's clocks are frozen, and the class gets the real one."""
    real, frozen = time.monotonic, time.monotonic()
    modules = [
        module for name, module in list(sys.modules.items()) if name.split(".")[0] in ("cede", "asyncio", "time")
    ]
    with mock.patch.object(type(loop), "time", new=staticmethod(real)):
        changed = [(module, name) for module in modules for name, value in vars(module).items() if value is real]
        try:
            for module, name in changed:
                setattr(module, name, lambda: frozen)
            await asyncio.sleep(0.01)
        finally:
            for module, name in changed:
                setattr(module, name, real)
    await asyncio.sleep(0.01)


# --- _selector ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["default", "select"])
def either_loop(request: Any, new_loop: Callable[..., Any]) -> Iterator[Any]:
    loop = new_loop() if request.param == "default" else type(new_loop_closed(new_loop))(selectors.SelectSelector())
    yield loop
    loop.close()


def test_the_selector_tells_what_is_watched(either_loop: Any, socket_pair: Any) -> None:
    one, other = socket_pair
    before = len(either_loop._selector.get_map())
    either_loop.add_reader(one, print)
    try:
        registered = either_loop._selector.get_map()
        assert len(registered) == before + 1
        assert registered[one.fileno()].events == selectors.EVENT_READ
        assert one.fileno() in registered and other.fileno() not in registered
        assert registered[one] == either_loop._selector.get_key(one)
        assert either_loop._selector is either_loop._selector
    finally:
        either_loop.remove_reader(one)
    assert len(registered) == before


def test_a_select_put_in_its_place_is_what_the_loop_waits_by(either_loop: Any, socket_pair: Any) -> None:
    one, other = socket_pair
    asked: list[float | None] = []

    def select(real: Callable[..., Any], timeout: float | None) -> Any:
        asked.append(timeout)
        return real(0 if timeout is None else min(timeout, 0.01))

    async def main() -> None:
        selector = either_loop._selector
        with mock.patch.object(selector, "select", new=functools.partial(select, selector.select)):
            received = either_loop.create_task(either_loop.sock_recv(one, 10))
            await asyncio.sleep(0)
            other.send(b"data")
            assert await received == b"data"
            await asyncio.sleep(0.001)
            assert await asyncio.to_thread(int) == 0
        count = len(asked)
        assert any(timeout is None for timeout in asked)
        await asyncio.sleep(0.001)
        assert len(asked) == count

    either_loop.run_until_complete(main())
    either_loop.run_until_complete(either_loop.shutdown_default_executor())


def test_a_virtual_clock_made_of_select_and_time(either_loop: Any) -> None:
    now = [0.0]

    def select(real: Callable[..., Any], timeout: float | None) -> Any:
        now[0] += timeout or 0.0
        return real(0)

    async def main() -> None:
        selector = either_loop._selector
        began = time.monotonic()
        with (
            mock.patch.object(selector, "select", new=functools.partial(select, selector.select)),
            mock.patch.object(either_loop, "_clock_resolution", new=0.001),
            mock.patch.object(either_loop, "time", new=functools.partial(now.__getitem__, 0)),
        ):
            assert either_loop._clock_resolution == 0.001
            await asyncio.sleep(10_000)
            assert 10_000 - 0.001 <= now[0] <= 10_001
        assert time.monotonic() - began < 20
        assert either_loop._clock_resolution < 0.001

    either_loop.run_until_complete(main())


def test_nobody_registers_with_the_selector_of_a_loop_on_epoll(loop: Any) -> None:
    if isinstance(loop._selector, selectors._BaseSelectorImpl):  # type: ignore[attr-defined]
        pytest.skip("there is a real selector")
    for method in (loop._selector.register, loop._selector.modify, loop._selector.unregister):
        with pytest.raises(NotImplementedError, match="add_reader"):
            method(0, selectors.EVENT_READ)


# --- Turning the loop -----------------------------------------------------------------------------------------------


def test_a_run_forever_made_of_its_three_parts(new_loop: Callable[[], Any]) -> None:
    kind: Any = type(new_loop_closed(new_loop))

    class Driven(kind):  # type: ignore[misc]
        turns = 0

        def run_forever(self) -> None:
            self._run_forever_setup()
            try:
                while not self.turns or not self._stopping:
                    self.turns += 1
                    self._run_once()
            finally:
                self._run_forever_cleanup()

    loop = Driven()

    async def main() -> str:
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0.001)
        await asyncio.to_thread(int)
        with pytest.raises(RuntimeError, match="already running"):
            loop._run_forever_setup()
        return "done"

    assert loop.run_until_complete(main()) == "done"
    assert loop.turns > 3
    assert not loop.is_running()
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_an_overridden_turn_is_the_one_that_is_run(new_loop: Callable[[], Any]) -> None:
    kind: Any = type(new_loop_closed(new_loop))

    class Counting(kind):  # type: ignore[misc]
        turns = 0

        def _run_once(self) -> None:
            self.turns += 1
            super()._run_once()

    loop = Counting()
    loop.run_until_complete(asyncio.sleep(0.001))
    assert loop.turns >= 2
    loop.close()


def test_one_turn_at_a_time(loop: Any) -> None:
    ran: list[str] = []
    loop.call_soon(loop.call_soon, ran.append, "second")
    loop.call_soon(ran.append, "first")
    loop._run_once()
    assert ran == ["first"]
    loop._run_once()
    assert ran == ["first", "second"]


# --- What is ready, and what waits ----------------------------------------------------------------------------------


def test_what_is_ready_is_seen_as_handles(loop: Any) -> None:
    ran: list[str] = []

    async def coroutine() -> None:
        ran.append("task")

    assert not loop._ready
    handle = loop.call_soon(ran.append, "handle")
    task = loop.create_task(coroutine())
    assert len(loop._ready) == 2
    assert loop._ready[0] is handle
    assert all(isinstance(each, asyncio.Handle) for each in loop._ready)
    cede._set_running_loop(loop)  # tasks enter the loop that runs
    try:
        loop._ready.popleft()._run()
        loop._ready.popleft()._run()
        assert ran == ["handle", "task"] and task.done()
        loop._ready.append(handle)
        loop._run_once()
        assert ran == ["handle", "task", "handle"]
        with pytest.raises(IndexError):
            loop._ready.popleft()
        loop.call_soon(ran.append, "cleared")
        loop._ready.clear()
        loop.call_soon(ran.append, "last")
        loop._run_once()
        assert ran[3:] == ["last"]
    finally:
        cede._set_running_loop(None)


@pytest.mark.cede_only("a deque takes anything")
def test_only_handles_are_made_ready(loop: Any) -> None:
    for handle in (None, 5, print, asyncio.Future):
        with pytest.raises(TypeError, match="a handle"):
            loop._ready.append(handle)


def test_timers_that_wait_are_seen_and_can_be_run(loop: Any) -> None:
    ran: list[int] = []
    late, soon = loop.call_later(100, ran.append, 100), loop.call_later(50, ran.append, 50)
    assert loop._scheduled[0] is soon and late in loop._scheduled and len(loop._scheduled) == 2
    assert all(isinstance(timer, asyncio.TimerHandle) for timer in loop._scheduled)
    for timer in list(loop._scheduled):
        timer._run()
        timer.cancel()
    assert sorted(ran) == [50, 100]


def test_a_callback_made_ready_without_more_ado(loop: Any) -> None:
    ran: list[int] = []
    handle = loop._call_soon(ran.append, (1,), None)
    assert isinstance(handle, asyncio.Handle)
    loop._run_once()
    assert ran == [1]


def test_the_loops_own_descriptor(loop: Any) -> None:
    assert loop._internal_fds == 1
    assert loop._ssock.fileno() in loop._selector.get_map()
    assert loop._csock.fileno() >= 0


def test_a_thread_wakes_the_loop(loop: Any) -> None:
    timer = loop.call_later(60, print)
    waker = threading.Timer(0.05, loop._write_to_self)
    waker.start()
    began = time.monotonic()
    loop._run_once()
    waker.join()
    assert time.monotonic() - began < 20
    timer.cancel()


# --- Handles whose `_run` is replaced -------------------------------------------------------------------------------


async def test_a_run_put_into_asyncios_handle_runs_every_callback(loop: Any) -> None:
    seen: list[str] = []
    real = asyncio.Handle._run  # type: ignore[attr-defined]

    def watched(self: Any) -> None:
        assert isinstance(self, asyncio.Handle)
        owner = getattr(self._callback, "__self__", None)  # type: ignore[attr-defined]
        seen.append(owner.get_name() if isinstance(owner, asyncio.Task) else self._callback.__name__)  # type: ignore[attr-defined]
        real(self)

    async def coroutine() -> None:
        await asyncio.sleep(0)
        raise LookupError

    def callback() -> None:
        pass

    def timer() -> None:
        pass

    with mock.patch.object(asyncio.Handle, "_run", new=watched):
        await asyncio.sleep(0.001)
        seen.clear()
        loop.call_soon(callback)
        loop.call_later(0.001, timer)
        loop.call_later(0.001, print, "never").cancel()
        loop.call_soon_threadsafe(callback)
        with pytest.raises(LookupError):
            await loop.create_task(coroutine(), name="worker")
        await asyncio.sleep(0.01)
    assert {"callback", "timer", "worker"} <= set(seen)
    await asyncio.sleep(0.001)
    seen.clear()
    loop.call_soon(callback)
    await asyncio.sleep(0.001)
    assert seen == []


# --- Mixins ---------------------------------------------------------------------------------------------------------


def test_a_mixin_that_derives_from_asyncios_loop_brings_only_what_is_its_own(new_loop: Callable[[], Any]) -> None:
    class Shifted(asyncio.BaseEventLoop):
        def time(self) -> float:
            return super().time() + 1000

    loop = new_loop()
    loop.__class__ = types.new_class("Mixed", (Shifted, type(loop)))
    real = time.monotonic()
    assert 999 < loop.time() - real < 1100
    timer = loop.call_later(1, print)
    assert timer.when() - real > 1000
    timer.cancel()

    async def main() -> int:
        await asyncio.sleep(0.001)
        return await asyncio.to_thread(lambda: 5)

    assert loop.run_until_complete(main()) == 5
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_a_mixin_of_asyncios_loop_calls_what_stands_above_it(new_loop: Callable[[], Any]) -> None:
    """As looptime's classes do: their `super()` would be BaseEventLoop, which knows nothing of cede's loops."""
    made = new_loop()
    made.close()
    calls = []

    class Mixin(asyncio.BaseEventLoop):
        def __init__(self, *args: Any, start: float, **options: Any) -> None:
            super().__init__(*args, **options)
            self.start = start

        def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
            calls.append(func)
            return super().run_in_executor(executor, func, *args)

    class Mixed(Mixin, type(made)):  # type: ignore[misc]
        pass

    class Further(Mixed):
        pass

    for kind in (Mixed, Further):
        loop = kind(start=5)
        assert isinstance(loop, (Mixin, asyncio.BaseEventLoop)) and loop.start == 5
        assert kind.__mro__.index(type(made)) < kind.__mro__.index(asyncio.BaseEventLoop)

        async def main() -> int:
            await asyncio.sleep(0.001)
            return await asyncio.get_running_loop().run_in_executor(None, len, "abc")

        assert loop.run_until_complete(main()) == 3
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    assert calls == [len, len]


class Counted(selectors.SelectSelector):
    """A selector that counts its waits."""

    waits = 0

    def select(self, timeout: float | None = None) -> Any:
        self.waits += 1
        return super().select(timeout)


def test_another_selector_may_be_put_in_its_place_and_the_first_put_back(loop: Any, socket_pair: Any) -> None:
    """Who was watched is watched on, by the one that is there."""
    here, there = socket_pair
    got: list[bytes] = []

    def read() -> None:
        got.append(here.recv(100))
        loop.stop()

    loop.add_reader(here, read)
    first, other = loop._selector, Counted()
    for selector, data in ((first, b"1"), (other, b"2"), (first, b"3")):
        loop._selector = selector
        assert loop._selector is selector
        there.send(data)
        loop.run_forever()
        loop.run_until_complete(asyncio.sleep(0.001))
        loop.call_soon_threadsafe(loop.stop)
        loop.run_forever()
    assert got == [b"1", b"2", b"3"]
    assert other.waits > 0 and not other.get_map()
    loop.remove_reader(here)
    other.close()
