"""open_connection and start_server on real sockets: echo, errors of handlers, backpressure, contexts, other loops."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import socket
import struct
import weakref

import pytest

import cede

MIB = 1024 * 1024


async def turns(n=3):
    for _ in range(n):
        await cede.sleep(0)


async def until(condition, seconds=5):
    async with cede.timeout(seconds):
        while not condition():
            await cede.sleep(0.001)


@pytest.fixture(params=["tcp", "unix"])
def place(request, unix_path):
    """Where to serve: `place.serve(handler)` and `place.connect(server)` for TCP and for Unix sockets."""

    class Tcp:
        @staticmethod
        async def serve(handler, **kwds):
            return await cede.start_server(handler, "127.0.0.1", 0, **kwds)

        @staticmethod
        async def connect(server, **kwds):
            return await cede.open_connection(*server.sockets[0].getsockname(), **kwds)

    class Unix:
        @staticmethod
        async def serve(handler, **kwds):
            return await cede.start_unix_server(handler, unix_path, **kwds)

        @staticmethod
        async def connect(server, **kwds):
            return await cede.open_unix_connection(unix_path, **kwds)

    return Tcp if request.param == "tcp" else Unix


async def stop(server):
    server.close()
    await server.wait_closed()


async def close(writer):
    writer.close()
    await writer.wait_closed()


async def echo_lines(reader, writer):
    async for line in reader:
        writer.write(line)
        await writer.drain()
    await close(writer)


# --- Talking


async def test_echo(place):
    server = await place.serve(echo_lines)
    reader, writer = await place.connect(server)
    for number in range(100):
        writer.write(b"line %d\n" % number)
        await writer.drain()
        assert await reader.readline() == b"line %d\n" % number
    writer.writelines([b"a\n", b"b", b"\n"])
    writer.write_eof()
    assert await reader.read() == b"a\nb\n"
    await close(writer)
    await stop(server)


async def test_many_at_once(place):
    server = await place.serve(echo_lines)

    async def talk(number):
        reader, writer = await place.connect(server)
        for turn in range(20):
            text = b"%d %d\n" % (number, turn) * (number + 1)
            writer.write(text)
            assert await reader.readexactly(len(text)) == text
        await close(writer)

    await cede.gather(*(talk(number) for number in range(50)))
    await stop(server)


async def test_a_plain_function_may_take_the_connection(place):
    tasks = []

    def connected(reader, writer):
        tasks.append(cede.create_task(echo_lines(reader, writer)))

    server = await place.serve(connected)
    reader, writer = await place.connect(server)
    writer.write(b"line\n")
    assert await reader.readline() == b"line\n"
    await close(writer)
    await cede.gather(*tasks)
    await stop(server)


async def test_the_limit_is_the_readers(place):
    limits = []

    async def connected(reader, writer):
        limits.append(reader._limit)
        await close(writer)

    server = await place.serve(connected, limit=123)
    reader, writer = await place.connect(server, limit=45)
    await reader.read()
    assert (limits, reader._limit) == ([123], 45)
    await close(writer)
    await stop(server)


async def test_one_side_may_end_and_the_other_go_on(place):
    async def answer(reader, writer):
        question = await reader.read()
        await turns()
        writer.write(question.upper())
        await close(writer)

    server = await place.serve(answer)
    reader, writer = await place.connect(server)
    assert writer.can_write_eof()
    writer.write(b"question")
    writer.write_eof()
    assert await reader.read() == b"QUESTION"
    await close(writer)
    await stop(server)


# --- Large amounts


async def test_a_slow_reader_makes_the_writer_wait(place):
    total, written, go = 20 * MIB, [0], cede.Event()

    async def send(reader, writer):
        while written[0] < total:
            writer.write(b"x" * 65536)
            written[0] += 65536
            await writer.drain()
        await close(writer)

    server = await place.serve(send)
    reader, writer = await place.connect(server)
    await cede.sleep(0.1)
    stuck = written[0]
    assert stuck < total / 2  # the kernel's buffers and ours are full, and no more
    await cede.sleep(0.05)
    assert written[0] == stuck
    go.set()
    assert len(await reader.read()) == total
    await close(writer)
    await stop(server)


async def test_lines_arrive_whole_and_in_order(place):
    async def send(reader, writer):
        for number in range(20_000):
            writer.write(b"%d %s\n" % (number, b"x" * (number % 300)))
            if number % 100 == 0:
                await writer.drain()
        await close(writer)

    server = await place.serve(send)
    reader, writer = await place.connect(server)
    number = 0
    async for line in reader:
        assert line == b"%d %s\n" % (number, b"x" * (number % 300))
        number += 1
    assert number == 20_000
    await close(writer)
    await stop(server)


# --- Errors


async def test_an_error_of_the_handler_is_reported_and_closes_the_connection(place, loop_errors):
    async def fail(reader, writer):
        await reader.readline()
        raise ZeroDivisionError("handler")

    server = await place.serve(fail)
    reader, writer = await place.connect(server)
    writer.write(b"line\n")
    assert await reader.read() == b""
    (context,) = loop_errors
    assert context["message"] == "Unhandled exception in client_connected_cb"
    assert isinstance(context["exception"], ZeroDivisionError)
    assert context["transport"].is_closing()
    loop_errors.clear()
    await close(writer)
    await stop(server)


async def test_an_error_of_a_plain_function_too(place, loop_errors):
    def fail(reader, writer):
        raise ZeroDivisionError("handler")

    server = await place.serve(fail)
    reader, writer = await place.connect(server)
    assert await reader.read() == b""
    (context,) = loop_errors
    assert context["message"] == "Unhandled exception in client_connected_cb"
    assert isinstance(context["exception"], ZeroDivisionError)
    loop_errors.clear()
    await close(writer)
    await stop(server)


async def test_a_cancelled_handler_closes_the_connection_and_nothing_is_reported(place, loop_errors):
    tasks = []

    async def wait(reader, writer):
        tasks.append(cede.current_task())
        await reader.read()

    server = await place.serve(wait)
    reader, writer = await place.connect(server)
    await until(lambda: tasks)
    tasks[0].cancel()
    assert await reader.read() == b""
    assert loop_errors == []
    await close(writer)
    await stop(server)


async def test_a_reset_reaches_both_sides_of_the_stream():
    ended = cede.get_running_loop().create_future()

    async def handle(reader, writer):
        try:
            await reader.read()
        except ConnectionResetError as exc:
            ended.set_result((exc, writer))

    server = await cede.start_server(handle, "127.0.0.1", 0)
    sock = socket.create_connection(server.sockets[0].getsockname())
    await turns(10)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    _, writer = await ended
    with pytest.raises(ConnectionResetError):
        await writer.drain()
    with pytest.raises(ConnectionResetError):
        await writer.wait_closed()
    assert writer.is_closing()
    await stop(server)


async def test_a_refused_connection(free_port):
    with pytest.raises(ConnectionRefusedError):
        await cede.open_connection("127.0.0.1", free_port())


async def test_who_only_writes_learns_of_the_end(place):
    async def hang_up(reader, writer):
        await close(writer)

    server = await place.serve(hang_up)
    _, writer = await place.connect(server)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        while True:
            writer.write(b"line\n")
            await writer.drain()
    writer.close()
    await stop(server)


# --- What lives how long


async def test_the_handlers_task_is_held_as_long_as_there_is_a_connection(place):
    done = []

    async def wait(reader, writer):
        try:
            done.append(await reader.read())
        finally:
            writer.close()

    server = await place.serve(wait)
    _, writer = await place.connect(server)
    await turns(10)
    gc.collect()
    writer.write(b"data")
    await close(writer)
    await until(lambda: done)
    assert done == [b"data"]
    await stop(server)


async def test_nothing_is_left_of_a_connection():
    kept = []

    async def handle(reader, writer):
        kept.extend(map(weakref.ref, (reader, writer, writer._protocol)))
        writer.write(await reader.readline())
        await close(writer)

    server = await cede.start_server(handle, "127.0.0.1", 0)
    gc.collect()
    gc.disable()
    try:
        reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
        kept.extend(map(weakref.ref, (reader, writer, writer._protocol)))
        writer.write(b"line\n")
        assert await reader.read() == b"line\n"
        await close(writer)
        del reader, writer
        await until(lambda: not any(ref() for ref in kept))  # without the collector: there are no cycles left
    finally:
        gc.enable()
    await stop(server)


async def test_a_handler_that_drops_its_writer_closes_the_connection():
    async def forget(reader, writer):
        pass

    server = await cede.start_server(forget, "127.0.0.1", 0)
    with pytest.warns(ResourceWarning, match="unclosed <StreamWriter"):  # noqa: PT031  the server drops it meanwhile
        reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b""
    await close(writer)
    await stop(server)


# --- Contexts


async def test_each_connection_runs_in_a_copy_of_the_servers_context(place):
    var, seen = contextvars.ContextVar("var", default="none"), []

    async def handle(reader, writer):
        seen.append(var.get())
        var.set("changed")
        await turns()
        seen.append(var.get())
        await close(writer)

    var.set("server")
    server = await place.serve(handle)
    var.set("later")
    for _ in range(2):
        reader, writer = await place.connect(server)
        await reader.read()
        await close(writer)
    assert seen == ["server", "changed", "server", "changed"]
    await stop(server)


# --- Pipes


async def test_a_pipe_read_through_a_protocol_of_ones_own(loop):
    import os

    read_end, write_end = os.pipe()
    reader = cede.StreamReader(limit=1)
    protocol = cede.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_read_pipe(lambda: protocol, open(read_end, "rb", 0))  # noqa: SIM115
    os.write(write_end, b"data")
    os.close(write_end)
    assert await reader.read(-1) == b"data"
    transport.close()
    await protocol._get_close_waiter(None)


# --- Loops of another kind


def test_on_a_loop_that_is_not_cedes():
    async def main():
        server = await cede.start_server(echo, "127.0.0.1", 0)
        reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
        writer.write(b"x" * MIB)
        await writer.drain()
        assert await reader.readexactly(MIB) == b"x" * MIB
        writer.write(b"line\n")
        assert await reader.readline() == b"line\n"
        writer.close()
        await writer.wait_closed()
        await asyncio.gather(*handlers)
        server.close()
        await server.wait_closed()

    async def echo(reader, writer):
        handlers.append(asyncio.current_task())
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    handlers = []
    loop = asyncio.SelectorEventLoop()
    loop.run_until_complete(main())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


async def test_asyncios_streams_on_our_loop():
    server = await asyncio.start_server(echo_lines, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"line\n")
    assert await reader.readline() == b"line\n"
    await close(writer)
    await stop(server)


def unread_and_reset(sock):
    sock.sendall(b"last words\n")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.cede_only("asyncio throws the data away")
@pytest.mark.parametrize("package", [cede, asyncio])
@pytest.mark.parametrize(
    "read",
    [
        lambda reader: reader.readexactly(11),
        lambda reader: reader.readline(),
        lambda reader: reader.readuntil(b"\n"),
        lambda reader: reader.read(100),
    ],
    ids=["readexactly", "readline", "readuntil", "read"],
)
async def test_what_came_before_a_reset_can_still_be_read(package, read):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        reader, writer = await package.open_connection(*listening.getsockname())
        sock, _ = listening.accept()
        unread_and_reset(sock)
        await until(lambda: reader._buffer)
        sock.close()
        await until(lambda: reader.exception() is not None)
        for missing in (reader.readexactly(100), reader.readuntil(b"?"), reader.read()):
            with pytest.raises(ConnectionResetError):
                await missing
        assert await read(reader) == b"last words\n"
        for nothing in (reader.read(1), reader.readline(), reader.readexactly(1), reader.read()):
            with pytest.raises(ConnectionResetError):
                await nothing
        writer.close()


async def test_an_error_that_is_set_by_hand_comes_before_the_data():
    reader = cede.StreamReader()
    reader.feed_data(b"data")
    reader.set_exception(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await reader.read(1)


async def test_reading_to_an_end_that_is_an_error_keeps_what_came():
    reader = cede.StreamReader()
    reading = cede.create_task(reader.read())
    for part in (b"one ", b"two"):
        reader.feed_data(part)
        await turns()
    reading.cancel()
    with pytest.raises(cede.CancelledError):
        await reading
    assert await reader.read(100) == b"one two"
