"""What the library makes goes by itself: nothing that is done with is left to the collector of cycles.

First single calls in a loop that goes on; then whole runs, each left by a normal or by a failing road, after which the
loop must be gone too. (What a program's own variables make is its own: a task that failed, kept in a variable of the
frame in which its exception came out, is in a cycle with that frame.)
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import signal
import socket
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import cede


async def answer(value: object = 1) -> object:
    await cede.sleep(0)
    return value


async def fail() -> None:
    await cede.sleep(0)
    raise KeyError


async def stocks_task_failing() -> None:
    task = asyncio.Task(fail())
    await cede.wait([task])
    assert type(task.exception()) is KeyError


async def fail_at_once() -> None:
    raise KeyError


async def eager_failing() -> None:
    loop = cede.get_running_loop()
    assert type(cede.Task(fail_at_once(), loop=loop, eager_start=True).exception()) is KeyError
    assert type(loop.create_task(fail_at_once(), eager_start=True).exception()) is KeyError
    loop.set_task_factory(cede.eager_task_factory)
    assert type(cede.create_task(fail_at_once()).exception()) is KeyError
    loop.set_task_factory(cede.create_eager_task_factory(cede.Task))
    assert type(cede.create_task(fail_at_once(), name="x").exception()) is KeyError
    loop.set_task_factory(None)


async def shield_cancelled() -> None:
    inner = cede.create_task(answer())
    outer = cede.shield(inner)
    cede.get_running_loop().call_soon(outer.cancel)
    with contextlib.suppress(cede.CancelledError):
        await outer
    await inner


async def group() -> None:
    async with cede.TaskGroup() as tasks:
        tasks.create_task(answer())
        tasks.create_task(answer())


async def in_time() -> None:
    async with cede.timeout(60):
        await answer()


async def late() -> None:
    with contextlib.suppress(TimeoutError):
        async with cede.timeout(0.001):
            await cede.sleep(60)


async def completed() -> None:
    for step in cede.as_completed([answer(1), answer(2)]):
        await step


async def cancelled() -> None:
    task = cede.create_task(cede.sleep(60))
    await cede.sleep(0)
    task.cancel()
    with contextlib.suppress(cede.CancelledError):
        await task


async def through_a_queue() -> None:
    queue: cede.Queue[int] = cede.Queue(1)
    getter = cede.create_task(queue.get())
    await queue.put(1)
    await getter


async def under_a_lock() -> None:
    lock = cede.Lock()

    async def hold() -> None:
        async with lock:
            await cede.sleep(0)

    await cede.gather(hold(), hold())


async def left_generator() -> None:
    async def values() -> Any:
        yield 1
        yield 2

    async for _ in values():
        break
    await cede.sleep(0)
    await cede.sleep(0)


PROGRAMS: dict[str, Callable[[], Awaitable[object]]] = {
    "task": lambda: cede.create_task(answer()),
    "sleep": lambda: cede.sleep(0.0001),
    "gather": lambda: cede.gather(answer(), answer()),
    "gather with an error": lambda: cede.gather(answer(), fail(), return_exceptions=True),
    "shield": lambda: cede.shield(answer()),
    "shield, cancelled": shield_cancelled,
    "shield of a future of the stdlib's": lambda: cede.shield(settled()),
    "wait": lambda: cede.wait([cede.create_task(answer()), cede.create_task(answer())]),
    "wait_for": lambda: cede.wait_for(answer(), 60),
    "timeout": in_time,
    "timeout that came": late,
    "as_completed": completed,
    "TaskGroup": group,
    "cancel": cancelled,
    "Queue": through_a_queue,
    "Lock": under_a_lock,
    "to_thread": lambda: cede.to_thread(int, 1),
    "run_in_executor": lambda: cede.get_running_loop().run_in_executor(None, int, 1),
    "asynchronous generator": left_generator,
    "task of the stdlib's, with an error": stocks_task_failing,
    "eager task, with an error": eager_failing,
}


def settled() -> Any:
    future: asyncio.Future[int] = asyncio.Future()
    cede.get_running_loop().call_soon(future.set_result, 1)
    return future


@pytest.mark.parametrize("name", PROGRAMS)
async def test_no_cycle_is_left(name: str, nothing_for_the_collector: Any) -> None:
    program = PROGRAMS[name]
    await program()  # whatever is made only once
    await cede.sleep(0.01)
    with nothing_for_the_collector():
        for _ in range(5):
            await program()
        await cede.sleep(0.01)


# -- whole runs --------------------------------------------------------------------------------------------------------


def boom(*args: object) -> Any:
    raise KeyError


async def in_executor_failing() -> None:
    with contextlib.suppress(KeyError):
        await cede.get_running_loop().run_in_executor(None, boom)


async def in_executor_out() -> None:
    await cede.get_running_loop().run_in_executor(None, boom)


async def in_an_executor_of_its_own() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        await cede.get_running_loop().run_in_executor(pool, int, 1)
        with contextlib.suppress(KeyError):
            await cede.get_running_loop().run_in_executor(pool, boom)


async def in_executor_cancelled() -> None:
    with contextlib.suppress(TimeoutError):
        await cede.wait_for(cede.to_thread(time.sleep, 0.02), 0.001)


async def executor_shut() -> None:
    loop = cede.get_running_loop()
    await cede.to_thread(int)
    await loop.shutdown_default_executor()
    with contextlib.suppress(RuntimeError):
        await cede.to_thread(int)


async def threadsafe() -> None:
    loop = cede.get_running_loop()

    def thread() -> None:
        with contextlib.suppress(KeyError):
            cede.run_coroutine_threadsafe(fail(), loop).result()

    await cede.to_thread(thread)


async def tasks_left() -> None:
    async def ends_badly() -> None:
        try:
            await cede.sleep(60)
        finally:
            raise KeyError

    for coro in (cede.sleep(60), ends_badly(), answer()):
        cede.get_running_loop().create_task(coro)
    await cede.sleep(0)


async def timeout_out() -> None:
    async with cede.timeout(0.001) as limit:
        await cede.sleep(60)
    del limit


async def timeout_left_by_an_error() -> None:
    async with cede.timeout(60) as limit:
        await fail()
    del limit


async def timeout_cancelled() -> None:
    cede.get_running_loop().call_soon(cede.current_task().cancel)
    async with cede.timeout(60):
        await cede.sleep(60)


async def group_out() -> None:
    async with cede.TaskGroup() as tasks:
        tasks.create_task(fail())
        tasks.create_task(cede.sleep(60))


async def group_left_by_an_error() -> None:
    async with cede.TaskGroup() as tasks:
        tasks.create_task(cede.sleep(60))
        await fail()


async def wait_for_failing() -> None:
    for limit in (60, 0, None):
        with contextlib.suppress(KeyError, TimeoutError):
            await cede.wait_for(cede.create_task(fail()), limit)


async def completed_failing() -> None:
    for step in cede.as_completed([fail(), answer()]):
        with contextlib.suppress(KeyError):
            await step


async def echo(reader: cede.StreamReader, writer: cede.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
        await writer.drain()
    writer.close()


async def ask(host: str, port: int) -> None:
    reader, writer = await cede.open_connection(host, port)
    writer.write(b"x")
    assert await reader.read(1) == b"x"
    writer.close()
    await writer.wait_closed()


async def served(handler: Any = echo, host: str = "127.0.0.1", close: bool = True) -> None:
    server = await cede.start_server(handler, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with contextlib.suppress(AssertionError, OSError):
        await ask(host, port)
    if close:
        server.close()
        await server.wait_closed()


async def handler_fails(reader: cede.StreamReader, writer: cede.StreamWriter) -> None:
    await reader.read(1)
    raise KeyError


async def served_until_cancelled() -> None:
    server = await cede.start_server(echo, "127.0.0.1", 0)
    with contextlib.suppress(TimeoutError):
        await cede.wait_for(server.serve_forever(), 0.001)


async def connection_left_open() -> None:
    server = await cede.start_server(echo, "127.0.0.1", 0)
    reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
    writer.write(b"x")
    await reader.read(1)


async def connection_refused(host: str = "127.0.0.1", **kwargs: Any) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with contextlib.suppress(OSError):
            await cede.open_connection(host, sock.getsockname()[1], **kwargs)


async def connection_refused_out() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        await cede.open_connection(*sock.getsockname())


async def no_such_name() -> None:
    with contextlib.suppress(OSError):
        await cede.get_running_loop().getaddrinfo("no such name", 80)


async def process() -> None:
    child = await cede.create_subprocess_exec("cat", stdin=-1, stdout=-1, stderr=-1)
    assert await child.communicate(b"x") == (b"x", b"")


async def process_that_reads_nothing() -> None:
    child = await cede.create_subprocess_exec("true", stdin=-1)
    await child.communicate(bytes(1_000_000))


async def process_that_is_killed() -> None:
    child = await cede.create_subprocess_exec("sleep", "100", stdout=-1)
    child.kill()
    await child.communicate()


async def process_that_still_runs(**pipes: int) -> None:
    child = await cede.create_subprocess_exec("sleep", "100", **pipes)
    if pipes:
        cede.get_running_loop().create_task(child.wait())
        await cede.sleep(0.001)


async def process_that_still_runs_with_a_protocol() -> None:
    await cede.get_running_loop().subprocess_exec(cede.SubprocessProtocol, "sleep", "100")


async def process_that_was_closed() -> None:
    transport, _ = await cede.get_running_loop().subprocess_exec(cede.SubprocessProtocol, "sleep", "100")
    transport.close()


async def no_such_program() -> None:
    await cede.create_subprocess_exec("/no/such/program", stdout=-1)


async def start_cancelled() -> None:
    task = cede.create_task(cede.create_subprocess_exec("sleep", "100"))
    await cede.sleep(0)
    task.cancel()
    with contextlib.suppress(cede.CancelledError):
        await task


class Pong(cede.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.transport.close()
        boom()


async def datagrams() -> None:
    transport, _ = await cede.get_running_loop().create_datagram_endpoint(Pong, ("127.0.0.1", 0))
    transport.sendto(b"x", transport.get_extra_info("sockname"))
    await cede.sleep(0.01)


async def plain_sockets() -> None:
    loop = cede.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for sock in (ours, theirs):
            sock.setblocking(False)
        with contextlib.suppress(TimeoutError):
            await cede.wait_for(loop.sock_recv(ours, 1), 0.001)
        called = loop.create_future()
        loop.add_reader(ours, called.set_result, None)
        loop.add_writer(theirs, int)
        await loop.sock_sendall(theirs, b"x")
        await called
        loop.remove_reader(ours)
        loop.remove_writer(theirs)


async def sendfile_to_one_who_goes() -> None:
    async def go(reader: cede.StreamReader, writer: cede.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    loop = cede.get_running_loop()
    server = await cede.start_server(go, "127.0.0.1", 0)
    transport, _ = await loop.create_connection(cede.Protocol, *server.sockets[0].getsockname())
    with tempfile.TemporaryFile() as file, contextlib.suppress(OSError, RuntimeError):
        file.truncate(50_000_000)
        await loop.sendfile(transport, file)
    transport.abort()
    server.close()
    await server.wait_closed()


async def signals() -> None:
    loop = cede.get_running_loop()
    came = cede.Event()
    loop.add_signal_handler(signal.SIGUSR1, came.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await came.wait()


RUNS: dict[str, Callable[[], Awaitable[object]]] = {
    **{name: program for name, program in PROGRAMS.items() if "error" not in name},
    "nothing": lambda: cede.sleep(0),
    "error": fail,
    "executor, error": in_executor_failing,
    "executor, error out of the run": in_executor_out,
    "executor of its own": in_an_executor_of_its_own,
    "executor, timeout": in_executor_cancelled,
    "executor, shut down": executor_shut,
    "run_coroutine_threadsafe": threadsafe,
    "tasks left": tasks_left,
    "timeout, out of the run": timeout_out,
    "timeout, error": timeout_left_by_an_error,
    "timeout, cancelled": timeout_cancelled,
    "TaskGroup, child's error": group_out,
    "TaskGroup, error": group_left_by_an_error,
    "wait_for, error": wait_for_failing,
    "as_completed, error": completed_failing,
    "server": served,
    "server by name": lambda: served(host="localhost"),
    "server, error in the handler": lambda: served(handler_fails),
    "server, cancelled": served_until_cancelled,
    "server left open": lambda: served(close=False),
    "connection left open": connection_left_open,
    "connection refused": connection_refused,
    "connection refused, by name": lambda: connection_refused("localhost"),
    "connection refused, happy eyeballs": lambda: connection_refused("localhost", happy_eyeballs_delay=0.01),
    "connection refused, out of the run": connection_refused_out,
    "no such name": no_such_name,
    "process": process,
    "process that reads nothing": process_that_reads_nothing,
    "process that is killed": process_that_is_killed,
    "process that still runs": process_that_still_runs,
    "process that still runs, with pipes": lambda: process_that_still_runs(stdin=-1, stdout=-1, stderr=-1),
    "process that still runs, with a protocol": process_that_still_runs_with_a_protocol,
    "process that was closed": process_that_was_closed,
    "no such program": no_such_program,
    "process, start cancelled": start_cancelled,
    "datagrams, error in the protocol": datagrams,
    "plain sockets": plain_sockets,
    "sendfile": sendfile_to_one_who_goes,
    "signals": signals,
}


@pytest.mark.parametrize("name", RUNS)
def test_no_cycle_is_left_of_a_run(name: str, caplog: pytest.LogCaptureFixture, nothing_for_the_collector: Any) -> None:
    async def main() -> None:
        await RUNS[name]()

    def run() -> None:
        roads_out = (KeyError, OSError, ExceptionGroup, cede.CancelledError)
        with contextlib.suppress(*roads_out), warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # of what is left open
            cede.run(main())

    run()  # whatever is made only once
    with caplog.at_level("CRITICAL"), nothing_for_the_collector():
        run()
    if name.startswith("process"):
        with contextlib.suppress(ChildProcessError):  # nobody waits for those that still ran, and were killed
            while os.waitpid(-1, 0):
                pass


# -- the end of the process ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["run", "loop", "exit", "drop"])
def test_what_is_open_when_the_process_ends_is_no_error(run_python, how):
    source = f"""
    import os, socket, sys, warnings
    import cede

    warnings.simplefilter("ignore")  # of what is unclosed, as it should be
    how = {how!r}
    kept = []

    async def main():
        loop = cede.get_running_loop()
        near, far = socket.socketpair()
        near.setblocking(False)
        kept.append(far)
        kept.append(await loop.create_connection(cede.Protocol, sock=near))
        kept.append(await cede.start_server(lambda reader, writer: None, "127.0.0.1", 0))
        reading, writing = os.pipe()
        kept.append(await loop.connect_read_pipe(cede.Protocol, open(reading, "rb", 0)))
        kept.append(await loop.connect_write_pipe(cede.Protocol, open(writing, "wb", 0)))
        kept.append(await loop.create_datagram_endpoint(cede.DatagramProtocol, local_addr=("127.0.0.1", 0)))
        kept.append(await cede.open_connection(*kept[2].sockets[0].getsockname()))
        if how == "exit":
            sys.exit(3)

    if how == "run":
        cede.run(main())
    else:
        loop = cede.new_event_loop()
        loop.run_until_complete(main())
        if how == "drop":
            kept.clear()
    """
    done = run_python(source, check=False)
    assert done.returncode == (3 if how == "exit" else 0)
    assert done.stdout == done.stderr == ""
