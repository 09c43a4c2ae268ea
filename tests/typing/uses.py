"""Typical uses of cede, for type checkers: read by `mypy --strict` and basedpyright (scripts/lint.sh), never run.

`assert_type` says what they must infer: what typeshed's stubs of asyncio infer, or better.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, assert_type

import cede


async def number() -> int:
    return 1


async def text() -> str:
    return ""


async def nothing() -> None: ...


# -- tasks -------------------------------------------------------------------------------------------------------------


async def tasks(factory: Callable[[], Coroutine[Any, Any, bytes]]) -> None:
    task = cede.create_task(number(), name="n", context=contextvars.copy_context(), eager_start=True)
    assert_type(task, cede.Task[int])
    assert_type(await task, int)
    assert_type(task.result(), int)
    assert_type(task.cancel("why"), bool)
    assert_type(task.get_name(), str)
    assert_type(cede.create_task(factory()), cede.Task[bytes])
    assert_type(cede.current_task(), "cede.Task[Any] | None")
    assert_type(cede.all_tasks(), "set[cede.Task[Any]]")
    assert_type(await cede.sleep(1), None)
    assert_type(await cede.sleep(0, "x"), str)
    assert_type(cede.ensure_future(task), cede.Task[int])
    assert_type(cede.ensure_future(number()), cede.Task[int])
    async with cede.TaskGroup() as group:
        first = group.create_task(number(), name="n")
        second = group.create_task(text())
    assert_type(group, cede.TaskGroup)
    assert_type(first, cede.Task[int])
    assert_type(first.result(), int)
    assert_type(second, cede.Task[str])
    group.cancel()
    assert_type(await cede.to_thread(len, "x"), int)
    assert_type(await cede.wrap_future(concurrent.futures.Future[int]()), int)


async def several(many: list[cede.Task[str]], mixed: list[Awaitable[int]]) -> None:
    assert_type(await cede.gather(number()), tuple[int])
    assert_type(await cede.gather(number(), text()), tuple[int, str])
    assert_type(await cede.gather(number(), text(), nothing()), tuple[int, str, None])
    assert_type(
        await cede.gather(number(), text(), number(), text(), number(), text()),
        tuple[int, str, int, str, int, str],
    )
    assert_type(
        await cede.gather(number(), text(), return_exceptions=True), tuple[int | BaseException, str | BaseException]
    )
    assert_type(await cede.gather(*many), list[str])
    assert_type(await cede.gather(*many, return_exceptions=True), list[str | BaseException])
    first, second = await cede.gather(number(), text())
    assert_type(first, int)
    assert_type(second, str)
    done, pending = await cede.wait(many, timeout=1, return_when=cede.FIRST_COMPLETED)
    assert_type(done, set[cede.Task[str]])
    assert_type(pending, set[cede.Task[str]])
    for earliest in cede.as_completed(mixed, timeout=1):
        assert_type(await earliest, int)
    async for future in cede.as_completed(many):
        assert_type(await future, str)
    assert_type(await cede.shield(number()), int)


async def deadlines(future: cede.Future[str]) -> None:
    assert_type(await cede.wait_for(number(), 1), int)
    assert_type(await cede.wait_for(future, timeout=None), str)
    async with cede.timeout(1) as timeout:
        timeout.reschedule(cede.get_running_loop().time() + 2)
    assert_type(timeout, cede.Timeout)
    assert_type(timeout.expired(), bool)
    assert_type(timeout.when(), "float | None")
    async with cede.timeout_at(None):
        pass


def from_outside(loop: cede.AbstractEventLoop) -> None:
    assert_type(cede.run(number()), int)
    assert_type(cede.run(text(), debug=True, loop_factory=cede.new_event_loop), str)
    with cede.Runner(loop_factory=cede.EventLoop) as runner:
        assert_type(runner, cede.Runner)
        assert_type(runner.run(number()), int)
        assert_type(runner.get_loop(), cede.AbstractEventLoop)
    assert_type(cede.run_coroutine_threadsafe(number(), loop).result(1), int)
    assert_type(loop.run_until_complete(number()), int)
    assert_type(cede.new_event_loop(), cede.AbstractEventLoop)
    cede.set_event_loop(loop)
    cede.install()
    cede.uninstall()
    assert_type(cede.compiled, bool)
    assert_type(cede.__version__, str)


# -- what tasks share --------------------------------------------------------------------------------------------------


async def locks() -> None:
    lock = cede.Lock()
    async with lock:
        assert_type(lock.locked(), bool)
    assert_type(await lock.acquire(), bool)
    lock.release()
    event = cede.Event()
    assert_type(await event.wait(), bool)
    assert_type(event.is_set(), bool)
    condition = cede.Condition(lock)
    async with condition:
        assert_type(await condition.wait(), bool)
        assert_type(await condition.wait_for(lambda: True), bool)
        condition.notify(2)
        condition.notify_all()
    async with cede.Semaphore(2), cede.BoundedSemaphore() as semaphore:
        assert_type(semaphore, None)
    barrier = cede.Barrier(2)
    async with barrier as position:
        assert_type(position, int)
    assert_type(await barrier.wait(), int)
    assert_type(barrier.n_waiting, int)


async def queues() -> None:
    queue = cede.Queue[int](10)
    await queue.put(1)
    assert_type(await queue.get(), int)
    assert_type(queue.get_nowait(), int)
    queue.put_nowait(2)
    queue.task_done()
    await queue.join()
    queue.shutdown(immediate=True)
    assert_type(queue.qsize(), int)
    named: cede.Queue[str] = cede.Queue()
    assert_type(await named.get(), str)
    ranked: cede.PriorityQueue[tuple[int, str]] = cede.PriorityQueue(maxsize=3)
    assert_type(await ranked.get(), tuple[int, str])
    try:
        assert_type(cede.LifoQueue[bytes]().get_nowait(), bytes)
    except (cede.QueueEmpty, cede.QueueFull, cede.QueueShutDown):
        pass


# -- connections -------------------------------------------------------------------------------------------------------


async def handle(reader: cede.StreamReader, writer: cede.StreamWriter) -> None:
    assert_type(await reader.read(10), bytes)
    assert_type(await reader.readline(), bytes)
    assert_type(await reader.readexactly(4), bytes)
    assert_type(await reader.readuntil((b"\n", b"\r")), bytes)
    async for line in reader:
        assert_type(line, bytes)
    writer.write(b"")
    writer.writelines([b"", b""])
    assert_type(await writer.drain(), None)
    assert_type(writer.get_extra_info("peername"), Any)
    assert_type(writer.transport, cede.WriteTransport)
    assert_type(writer.is_closing(), bool)
    writer.close()
    await writer.wait_closed()


async def connections(context: ssl.SSLContext) -> None:
    reader, writer = await cede.open_connection("localhost", 80, ssl=context)
    assert_type(reader, cede.StreamReader)
    assert_type(writer, cede.StreamWriter)
    await writer.start_tls(context, server_hostname="x")
    await cede.open_unix_connection("/x")
    server = await cede.start_server(handle, "localhost", 0)
    assert_type(server, cede.Server)
    assert_type((await cede.start_unix_server(handle, "path")).sockets[0].fileno(), int)
    async with server:
        await server.serve_forever()
    await cede.start_unix_server(handle, "/x")


class Echo(cede.Protocol):
    def connection_made(self, transport: cede.BaseTransport) -> None:
        assert isinstance(transport, cede.Transport)
        transport.write(b"")

    def data_received(self, data: bytes) -> None: ...

    def connection_lost(self, exc: Exception | None) -> None: ...


async def protocols() -> None:
    loop = cede.get_running_loop()
    assert_type(loop, cede.AbstractEventLoop)
    transport, protocol = await loop.create_connection(Echo, "localhost", 80)
    assert_type(transport, cede.Transport)
    assert_type(protocol, Echo)
    assert_type(loop.call_soon(print, "x"), cede.Handle)
    assert_type(loop.call_later(1, print), cede.TimerHandle)
    assert_type(loop.create_future(), "cede.Future[Any]")
    assert_type(await loop.run_in_executor(None, len, "x"), int)


async def children() -> None:
    process = await cede.create_subprocess_exec("ls", "-l", stdout=cede.subprocess.PIPE)
    assert_type(process, cede.subprocess.Process)
    assert_type(await process.wait(), int)
    assert_type(process.returncode, "int | None")
    out, err = await process.communicate(b"x")
    assert_type(out, bytes)
    assert_type(err, bytes)
    await cede.create_subprocess_shell("ls")


# -- call graphs -------------------------------------------------------------------------------------------------------


async def graphs(task: cede.Task[int]) -> None:
    assert_type(cede.capture_call_graph(task), "cede.FutureCallGraph | None")
    assert_type(cede.format_call_graph(), str)
    cede.print_call_graph(task, limit=3)


async def generator() -> AsyncIterator[int]:
    yield 1


def iterated(tasks: Iterator[cede.Task[int]]) -> Awaitable[list[int]]:
    return cede.gather(*tasks)


# -- mistakes that must be found: a comment that is not needed is an error ----------------------------------------------


async def mistakes(task: cede.Task[int]) -> None:
    cede.Queue[int]().put_nowait("x")  # type: ignore[arg-type]
    cede.create_task(1)  # type: ignore[arg-type]
    await cede.wait_for(task, "soon")  # type: ignore[arg-type]
    first, second = await cede.gather(number())  # type: ignore[misc]
    with cede.Lock():  # type: ignore[attr-defined]
        pass
    await cede.start_server(number, "x")  # type: ignore[arg-type]
    task.result().upper()  # type: ignore[attr-defined]
    cede.run(number)  # type: ignore[arg-type]
