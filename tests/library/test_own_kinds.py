"""Locks, queues and protocols that people derive from asyncio's, by the private names that stock asyncio has there."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import pytest

import cede

# --- Queues ---------------------------------------------------------------------------------------------------------


class DequeQueue(cede.Queue[Any]):
    """A queue with two ends, as it is written many times in the public index."""

    def putleft_nowait(self, item: Any) -> None:
        if self.full():
            raise cede.QueueFull
        self._queue.appendleft(item)
        self._unfinished_tasks += 1
        self._finished.clear()
        self._wakeup_next(self._getters)

    async def putleft(self, item: Any) -> None:
        while self.full():
            putter = self._get_loop().create_future()
            self._putters.append(putter)
            try:
                await putter
            except BaseException:
                putter.cancel()
                try:
                    self._putters.remove(putter)
                except ValueError:
                    pass
                if not self.full() and not putter.cancelled():
                    self._wakeup_next(self._putters)
                raise
        self.putleft_nowait(item)

    def replace_last(self, item: Any) -> None:
        if self._queue:
            self._queue[-1] = item
        else:
            self.put_nowait(item)

    async def peek(self) -> Any:
        while self.empty():
            getter = self._get_loop().create_future()
            self._getters.append(getter)
            await getter
        self._wakeup_next(self._getters)
        return self._queue[0]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_queue_with_two_ends() -> None:
    queue = DequeQueue(2)
    getter = asyncio.create_task(queue.get())
    await settle()
    queue.putleft_nowait(1)
    assert await getter == 1
    queue.put_nowait(2)
    await queue.putleft(3)
    with pytest.raises(cede.QueueFull):
        queue.putleft_nowait(4)
    waiting = [asyncio.create_task(queue.putleft(item)) for item in (5, 6)]
    await settle()
    assert len(queue._putters) == 2
    waiting[0].cancel()
    await settle()
    assert len(queue._putters) == 1
    assert queue.get_nowait() == 3
    await waiting[1]
    queue.replace_last(7)
    assert [queue.get_nowait(), queue.get_nowait()] == [6, 7]
    joined = asyncio.create_task(queue.join())
    await settle()
    assert not queue._finished.is_set()
    for _ in range(4):
        queue.task_done()
    await joined
    assert queue._finished.is_set()
    assert await queue._finished.wait()


async def test_a_queue_one_can_look_into() -> None:
    queue = DequeQueue()
    both = [asyncio.create_task(queue.peek()), asyncio.create_task(queue.get())]
    await settle()
    queue.put_nowait("item")
    assert await asyncio.gather(*both) == ["item", "item"]


@pytest.mark.parametrize("kind", [cede.Queue, cede.LifoQueue, cede.PriorityQueue])
async def test_a_way_of_ones_own_to_wake_the_next(kind: Any) -> None:
    class Newest(kind):  # type: ignore[misc]
        """Wakes who came last."""

        woken = 0

        def _wakeup_next(self, waiters: Any) -> None:
            type(self).woken += 1
            waiters = list(waiters)
            while waiters:
                waiter = waiters.pop()
                if not waiter.done():
                    waiter.set_result(None)
                    break

    queue = Newest()
    getters = [asyncio.create_task(queue.get()) for _ in range(3)]
    await settle()
    for item in range(3):
        queue.put_nowait(item)
        await settle()
        assert getters[2 - item].result() == item
    assert Newest.woken >= 3
    queue.put_nowait(1)
    assert Newest.woken >= 4  # also when nobody waits


async def test_a_storage_of_ones_own_with_what_wakes_by_name() -> None:
    class Fair(cede.Queue[Any]):
        def _put(self, item: Any) -> None:
            super()._put((item, "put"))

        def _wakeup_next(self, waiters: Any) -> None:
            super()._wakeup_next(waiters)

    queue = Fair(1)
    putters = [asyncio.create_task(queue.put(item)) for item in range(3)]
    assert [await queue.get() for _ in range(3)] == [(0, "put"), (1, "put"), (2, "put")]
    await asyncio.gather(*putters)


async def test_waking_who_waits_in_a_line_of_ones_own(loop: Any) -> None:
    line = deque([loop.create_future() for _ in range(3)])
    first, second, third = line
    first.cancel()
    cede.Queue()._wakeup_next(line)
    assert second.done() and not third.done() and list(line) == [third]


async def test_a_line_as_a_deque(loop: Any) -> None:
    line = cede.Queue()._getters
    futures = [loop.create_future() for _ in range(100)]
    for future in futures:
        line.append(future)
    assert line and len(line) == 100 and futures[5] in line and line[0] is futures[0]
    line.remove(futures[1])
    assert line.popleft() is futures[0]
    assert [line.popleft() for _ in range(97)] == futures[2:99]
    with pytest.raises(ValueError):
        line.remove(futures[1])
    assert line.popleft() is futures[99]
    assert not line
    with pytest.raises(IndexError):
        line.popleft()
    line.append(futures[0])
    line.clear()
    assert not line
    for wrong in (None, 5, print):
        with pytest.raises(TypeError, match="future"):
            line.append(wrong)


# --- Locks ----------------------------------------------------------------------------------------------------------


async def take(lock: Any, name: str, log: list[str], turns: int = 1) -> None:
    async with lock:
        log.append(name)
        for _ in range(turns):
            await asyncio.sleep(0)


async def test_a_lock_that_is_released_by_its_private_names() -> None:
    class Forced(cede.Lock):
        def release_anyway(self) -> None:
            if self._locked:
                self._locked = False
                self._wake_up_first()

    lock, log = Forced(), list[str]()
    await lock.acquire()
    assert lock._locked
    waiting = [asyncio.create_task(take(lock, str(number), log)) for number in range(2)]
    await settle()
    lock.release_anyway()
    assert not lock.locked()
    await asyncio.gather(*waiting)
    assert log == ["0", "1"] and not lock._locked
    lock._locked = True
    assert lock.locked()
    lock._locked = False
    await lock.acquire()
    lock.release()


async def test_a_lock_with_a_way_of_its_own_to_wake() -> None:
    class Latest(cede.Lock):
        def _wake_up_first(self) -> None:
            for waiter in reversed(list(self._waiters or ())):
                if not waiter.done():
                    waiter.set_result(True)
                    return

    lock, log = Latest(), list[str]()
    tasks = [asyncio.create_task(take(lock, str(number), log)) for number in range(4)]
    await asyncio.gather(*tasks)
    assert log == ["0", "3", "2", "1"]
    tasks = [asyncio.create_task(take(lock, str(number), log, turns=3)) for number in range(3)]
    await settle()
    lock_holder_gone = asyncio.gather(*tasks, return_exceptions=True)
    tasks[2].cancel()
    await lock_holder_gone
    assert log[4:] == ["0", "1"] or log[4:] == ["0", "2", "1"]
    assert not lock.locked()
    await lock.acquire()
    lock.release()


async def test_a_lock_that_counts_and_wakes_as_always() -> None:
    class Counting(cede.Lock):
        released = 0

        def _wake_up_first(self) -> None:
            self.released += 1
            super()._wake_up_first()

    lock, log = Counting(), list[str]()
    await asyncio.gather(*(take(lock, str(number), log) for number in range(3)))
    assert log == ["0", "1", "2"] and lock.released == 3 and not lock.locked()


@pytest.mark.parametrize("kind", [cede.Semaphore, cede.BoundedSemaphore])
async def test_a_semaphore_with_a_way_of_its_own_to_wake(kind: Any) -> None:
    class Latest(kind):  # type: ignore[misc]
        def _wake_up_next(self) -> bool:
            for waiter in reversed(list(self._waiters or ())):
                if not waiter.done():
                    self._value -= 1
                    waiter.set_result(True)
                    return True
            return False

    semaphore, log = Latest(2), list[str]()
    tasks = [asyncio.create_task(take(semaphore, str(number), log)) for number in range(5)]
    await asyncio.gather(*tasks)
    assert log[:3] == ["0", "1", "4"] and sorted(log) == list("01234")
    assert semaphore._value == 2 and not semaphore.locked()


async def test_a_semaphore_that_counts_and_wakes_as_always() -> None:
    class Counting(cede.Semaphore):
        released = 0

        def _wake_up_next(self) -> bool:
            self.released += 1
            return super()._wake_up_next()

    semaphore, log = Counting(1), list[str]()
    waiting = [asyncio.create_task(take(semaphore, str(number), log)) for number in range(4)]
    await asyncio.sleep(0)
    waiting[2].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert log == ["0", "1", "3"] and semaphore.released >= 3 and semaphore._value == 1
    assert not semaphore.locked()


async def test_a_semaphore_woken_by_its_private_names() -> None:
    semaphore, log = cede.Semaphore(0), list[str]()
    waiting = [asyncio.create_task(take(semaphore, str(number), log)) for number in range(3)]
    await settle()
    semaphore._value += 1
    assert semaphore._wake_up_next()
    assert semaphore._value == 0
    await asyncio.gather(*waiting)
    assert not semaphore._wake_up_next()
    assert semaphore._value == 1 and not semaphore.locked()


# --- Servers --------------------------------------------------------------------------------------------------------


async def test_what_a_server_does_by_private_names() -> None:
    server: Any = await cede.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    assert server._serving and server._serving_forever_fut is None
    forever = asyncio.create_task(server.serve_forever())
    await settle()
    assert server._serving_forever_fut is not None
    server._serving_forever_fut.cancel()
    with pytest.raises(asyncio.CancelledError):
        await forever
    assert not server._serving


async def test_those_who_wait_for_the_end_of_a_server_are_let_go_by_hand() -> None:
    server: Any = await cede.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    waiting = asyncio.create_task(server.wait_closed())
    await settle()
    server._wakeup()
    await waiting
    server.close()
    server._wakeup()


# --- Protocols ------------------------------------------------------------------------------------------------------


class Watching(cede.StreamReaderProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.log: list[str] = []
        super().__init__(*args, **kwargs)

    def connection_made(self, transport: Any) -> None:
        self.log.append("made")
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self.log.append("data")
        super().data_received(data.upper())

    def eof_received(self) -> bool | None:
        self.log.append("eof")
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.log.append("lost")
        super().connection_lost(exc)

    async def _drain_helper(self) -> None:
        self.log.append("drain")
        await super()._drain_helper()

    def _get_close_waiter(self, stream: Any) -> Any:
        self.log.append("close waiter")
        return super()._get_close_waiter(stream)


async def test_every_method_of_a_stream_protocol_may_be_overridden(loop: Any) -> None:
    async def echo(reader: Any, writer: Any) -> None:
        writer.write(await reader.read(2))
        await reader.read()
        writer.close()

    server: Any = await cede.start_server(echo, "127.0.0.1", 0)
    async with server:
        reader = cede.StreamReader(loop=loop)
        transport, protocol = await loop.create_connection(
            lambda: Watching(reader, loop=loop), *server.sockets[0].getsockname()
        )
        writer = cede.StreamWriter(transport, protocol, reader, loop)
        writer.write(b"hi")
        await writer.drain()
        assert await reader.readexactly(2) == b"HI"
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert sorted(protocol.log) == ["close waiter", "data", "drain", "eof", "lost", "made"]
