"""Pipes: bytes one way, the end told, the other end's leaving noticed."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import gc
import logging
import os
import pty
import socket

import pytest


class Recorder(asyncio.Protocol):
    def __init__(self):
        self.events = []
        self.received = bytearray()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def data_received(self, data):
        self.received += data

    def eof_received(self):
        self.events.append("eof")

    def pause_writing(self):
        self.events.append("pause")

    def resume_writing(self):
        self.events.append("resume")

    def connection_lost(self, exc):
        self.events.append("lost")
        self.lost.set_result(exc)


@pytest.fixture
def pipe():
    """The two ends of a pipe as unbuffered files, closed afterwards."""
    read_fd, write_fd = os.pipe()
    with open(read_fd, "rb", 0) as read_end, open(write_fd, "wb", 0) as write_end:
        yield read_end, write_end


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def closed(transport, protocol):
    transport.close()
    await protocol.lost


# --- Reading


async def test_reading(loop, pipe):
    read_end, write_end = pipe
    transport, protocol = await loop.connect_read_pipe(Recorder, read_end)
    assert protocol.events == ["made"]
    assert protocol.transport is transport
    assert isinstance(transport, asyncio.ReadTransport)
    assert transport.get_extra_info("pipe") is read_end
    assert transport.get_extra_info("nothing", 3) == 3
    assert repr(transport) == f"<ReadPipeTransport fd={read_end.fileno()} open>"
    write_end.write(b"hello")
    await until(lambda: protocol.received == b"hello")
    write_end.close()
    assert await protocol.lost is None
    assert protocol.events == ["made", "eof", "lost"]
    assert read_end.closed
    assert "closed" in repr(transport)


async def test_all_of_a_large_stream_is_read(loop, pipe):
    read_end, write_end = pipe
    _transport, protocol = await loop.connect_read_pipe(Recorder, read_end)
    data = os.urandom(1 << 20)
    await loop.run_in_executor(None, lambda: (write_end.write(data[: 1 << 19]), write_end.write(data[1 << 19 :])))
    write_end.close()
    await protocol.lost
    assert protocol.received == data


async def test_pausing(loop, pipe):
    read_end, write_end = pipe
    transport, protocol = await loop.connect_read_pipe(Recorder, read_end)
    assert transport.is_reading()
    transport.pause_reading()
    transport.pause_reading()
    assert not transport.is_reading()
    write_end.write(b"x")
    await asyncio.sleep(0.01)
    assert protocol.received == b""
    transport.resume_reading()
    transport.resume_reading()
    await until(lambda: protocol.received)
    await closed(transport, protocol)
    transport.resume_reading()
    assert not transport.is_reading()


async def test_pausing_in_connection_made(loop, pipe):
    class Protocol(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.pause_reading()

    read_end, write_end = pipe
    write_end.write(b"x")
    transport, protocol = await loop.connect_read_pipe(Protocol, read_end)
    await asyncio.sleep(0.01)
    assert protocol.received == b""
    await closed(transport, protocol)


async def test_closing_the_reader(loop, pipe):
    transport, protocol = await loop.connect_read_pipe(Recorder, pipe[0])
    transport.close()
    assert transport.is_closing()
    transport.close()
    await protocol.lost
    assert protocol.events == ["made", "lost"]
    transport.close()


async def test_the_context_is_that_of_creation(loop, pipe):
    var = contextvars.ContextVar("var")
    seen = []

    class Protocol(Recorder):
        def data_received(self, data):
            seen.append(var.get())

        def connection_lost(self, exc):
            seen.append(var.get())
            super().connection_lost(exc)

    var.set("created")
    transport, protocol = await loop.connect_read_pipe(Protocol, pipe[0])
    var.set("later")
    pipe[1].write(b"x")
    await until(lambda: seen)
    await closed(transport, protocol)
    assert seen == ["created"] * 2


async def test_an_error_of_the_protocol_is_reported_and_reading_goes_on(loop, pipe, loop_errors):
    class Protocol(Recorder):
        def data_received(self, data):
            super().data_received(data)
            raise ZeroDivisionError

    transport, protocol = await loop.connect_read_pipe(Protocol, pipe[0])
    pipe[1].write(b"1")
    await until(lambda: loop_errors)
    pipe[1].write(b"2")
    await until(lambda: len(loop_errors) == 2)
    assert protocol.received == b"12"
    assert {type(error["exception"]) for error in loop_errors} == {ZeroDivisionError}
    loop_errors.clear()
    await closed(transport, protocol)


async def test_a_terminal_that_hangs_up(loop):
    master, slave = pty.openpty()
    _transport, protocol = await loop.connect_read_pipe(Recorder, os.fdopen(master, "rb", 0))
    os.write(slave, b"hello")
    await until(lambda: protocol.received)
    os.close(slave)
    exc = await protocol.lost
    assert exc is None or exc.errno == errno.EIO  # Linux says EIO


# --- Writing


async def test_writing(loop, pipe):
    read_end, write_end = pipe
    transport, protocol = await loop.connect_write_pipe(Recorder, write_end)
    assert isinstance(transport, asyncio.WriteTransport)
    assert transport.get_extra_info("pipe") is write_end
    assert transport.can_write_eof()
    data = bytearray(b"bytearray ")
    transport.write(b"bytes ")
    transport.write(data)
    transport.write(memoryview(b"memoryview "))
    transport.write(b"")
    transport.writelines([b"line ", b"", bytearray(b"line")])
    data[:] = b"x" * 10
    await closed(transport, protocol)
    assert read_end.read() == b"bytes bytearray memoryview line line"
    assert protocol.events == ["made", "lost"]
    with pytest.raises(TypeError, match="data argument must be a bytes-like object, not 'str'"):
        transport.write("text")


async def test_what_does_not_fit_waits_and_is_not_changed(loop, pipe):
    read_end, write_end = pipe
    transport, protocol = await loop.connect_write_pipe(Recorder, write_end)
    data = bytearray(os.urandom(1 << 18))
    expected = bytes(data) + b"end"
    transport.write(data)
    data[:] = bytes(len(data))
    transport.write(b"end")
    waiting = transport.get_write_buffer_size()
    assert waiting == len(expected) - (1 << 16)
    assert f"bufsize={waiting}" in repr(transport)
    transport.write_eof()
    assert transport.is_closing()
    assert await loop.run_in_executor(None, read_all, read_end) == expected
    assert await protocol.lost is None


def read_all(file):
    os.set_blocking(file.fileno(), True)
    return file.read()


async def test_flow_control(loop, pipe):
    read_end, write_end = pipe
    transport, protocol = await loop.connect_write_pipe(Recorder, write_end)
    assert transport.get_write_buffer_limits() == (16384, 65536)
    transport.write(bytes(1 << 16))
    transport.write(bytes(1 << 16))
    assert protocol.events == ["made"]
    transport.write(b"x")
    assert protocol.events == ["made", "pause"]
    left = (1 << 17) + 1
    while left:
        left -= len(read_end.read(4096))
        if protocol.events[-1] == "resume":
            assert transport.get_write_buffer_size() <= 16384
            break
        await asyncio.sleep(0)
    assert protocol.events == ["made", "pause", "resume"]
    transport.abort()
    await protocol.lost


async def test_the_reader_leaves(loop, pipe):
    read_end, write_end = pipe
    _transport, protocol = await loop.connect_write_pipe(Recorder, write_end)
    read_end.close()
    assert await protocol.lost is None


async def test_the_reader_leaves_with_data_on_its_way(loop, pipe):
    read_end, write_end = pipe
    transport, protocol = await loop.connect_write_pipe(Recorder, write_end)
    transport.write(bytes(1 << 20))
    read_end.close()
    assert isinstance(await protocol.lost, BrokenPipeError)
    assert transport.get_write_buffer_size() == 0


async def test_writing_to_a_reader_who_has_left(loop, pipe):
    read_end, write_end = pipe
    transport, protocol = await loop.connect_write_pipe(Recorder, write_end)
    read_end.close()
    transport.write(b"x")
    assert isinstance(await protocol.lost, BrokenPipeError)


async def test_writing_after_the_end_is_told_from_the_fifth_time_on(loop, pipe, caplog):
    transport, protocol = await loop.connect_write_pipe(Recorder, pipe[1])
    await closed(transport, protocol)
    for _ in range(6):
        transport.write(b"x")
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["pipe closed by peer or os.write(pipe, data) raised exception."]


async def test_abort_drops_what_waits(loop, pipe):
    transport, protocol = await loop.connect_write_pipe(Recorder, pipe[1])
    transport.write(bytes(1 << 20))
    transport.abort()
    assert await protocol.lost is None
    assert len(pipe[0].read()) == 1 << 16


# --- One descriptor, both ways


async def test_a_terminal_both_ways(loop):
    master, slave = pty.openpty()
    import tty

    tty.setraw(slave)
    reading, reader = await loop.connect_read_pipe(Recorder, os.fdopen(master, "rb", 0, closefd=False))
    writing, writer = await loop.connect_write_pipe(Recorder, os.fdopen(master, "wb", 0))
    writing.write(b"ping")
    await until(lambda: select_readable(slave))
    assert os.read(slave, 10) == b"ping"
    os.write(slave, b"pong")
    await until(lambda: reader.received == b"pong")
    await closed(reading, reader)
    await closed(writing, writer)
    os.close(slave)


def select_readable(fd):
    import select

    return select.select([fd], [], [], 0)[0]


async def test_a_socket_will_do(loop):
    left, right = socket.socketpair()
    _reading, reader = await loop.connect_read_pipe(Recorder, left)
    writing, writer = await loop.connect_write_pipe(Recorder, right)
    writing.write(b"hello")
    await closed(writing, writer)
    await reader.lost
    assert reader.received == b"hello"


async def test_a_fifo_both_ends_of_which_are_ours(loop, tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    # Opened so that neither end waits for the other.
    read_fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write_fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    _reading, reader = await loop.connect_read_pipe(Recorder, os.fdopen(read_fd, "rb", 0))
    writing, writer = await loop.connect_write_pipe(Recorder, os.fdopen(write_fd, "wb", 0))
    data = os.urandom(300_000)  # more than a FIFO holds
    writing.write(data)
    await closed(writing, writer)
    assert await reader.lost is None
    assert reader.received == data
    assert reader.events == ["made", "eof", "lost"]


class Zeros(Recorder):
    """Takes two pieces, pausing at each."""

    def data_received(self, data):
        super().data_received(data)
        self.events.append("data")
        self.transport.pause_reading()


@pytest.mark.cede_only("asyncio reports an error, and nothing is ever read")
async def test_reading_from_a_character_device_that_is_always_ready(loop):
    """epoll does not take it: a program whose input is /dev/null reads its end all the same."""
    transport, protocol = await loop.connect_read_pipe(Recorder, open("/dev/null", "rb", 0))  # noqa: SIM115
    assert await asyncio.wait_for(protocol.lost, 5) is None
    assert protocol.events == ["made", "eof", "lost"]
    transport, protocol = await loop.connect_read_pipe(Zeros, open("/dev/zero", "rb", 0))  # noqa: SIM115
    await until(lambda: protocol.received)
    for _ in range(3):
        await asyncio.sleep(0)
    assert protocol.events == ["made", "data"]
    transport.resume_reading()
    await until(lambda: protocol.events[2:])
    transport.resume_reading()
    transport.pause_reading()
    transport.resume_reading()
    assert protocol.events == ["made", "data", "data"]
    await closed(transport, protocol)
    assert set(protocol.received) == {0}


async def test_writing_to_a_character_device_that_is_always_ready(loop):
    writing, writer = await loop.connect_write_pipe(Recorder, open("/dev/null", "wb", 0))  # noqa: SIM115
    writing.write(bytes(1 << 20))
    assert writing.get_write_buffer_size() == 0
    await closed(writing, writer)
    assert writer.events == ["made", "lost"]


# --- Refusals and leftovers


async def test_a_regular_file_is_refused_and_left_alone(loop, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"precious")
    with path.open("rb") as file:
        with pytest.raises(ValueError, match=r"Pipe transport is for pipes/sockets only\."):
            await loop.connect_read_pipe(Recorder, file)
        assert file.read() == b"precious"
    with path.open("ab") as file:
        with pytest.raises(ValueError, match="Pipe transport is only for pipes, sockets and character devices"):
            await loop.connect_write_pipe(Recorder, file)
        assert not file.closed


@pytest.mark.parametrize("direction", ["read", "write"])
async def test_cancelling_closes_the_pipe(loop, pipe, direction):
    connect = getattr(loop, f"connect_{direction}_pipe")
    end = pipe[direction == "write"]
    task = loop.create_task(connect(Recorder, end))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert end.closed


def drop(held):
    """Let go of what a list holds."""
    held.clear()
    gc.collect()


@pytest.mark.parametrize("direction", ["read", "write"])
async def test_an_abandoned_transport_complains(loop, pipe, direction):
    connect = getattr(loop, f"connect_{direction}_pipe")
    held = [*await connect(asyncio.Protocol, pipe[direction == "write"])]
    if direction == "read":
        held[0].pause_reading()
    else:
        loop._remove_reader(pipe[1].fileno())
    with pytest.warns(ResourceWarning, match=f"unclosed transport <{direction.title()}PipeTransport fd="):
        drop(held)


async def test_debug_mode_tells(loop, pipe, caplog):
    loop.set_debug(True)
    caplog.set_level(logging.DEBUG, "asyncio")
    reading, reader = await loop.connect_read_pipe(Recorder, pipe[0])
    writing, writer = await loop.connect_write_pipe(Recorder, pipe[1])
    reading.pause_reading()
    reading.resume_reading()
    await closed(writing, writer)
    await reader.lost
    for text in ("Read pipe", "Write pipe", "pauses reading", "resumes reading", "was closed by peer"):
        assert text in caplog.text


# --- The mode of a file that others share


@pytest.mark.cede_only("asyncio leaves it non-blocking")
@pytest.mark.parametrize("end", ["closed", "aborted", "abandoned", "peer"])
async def test_a_shared_file_is_given_back_blocking(loop, pipe, end):
    kept = [os.dup(file.fileno()) for file in pipe]
    reading = [*await loop.connect_read_pipe(Recorder, pipe[0])]
    writing = [*await loop.connect_write_pipe(Recorder, pipe[1])]
    assert [os.get_blocking(fd) for fd in kept] == [False, False]
    if end == "abandoned":
        reading[0].pause_reading()
        loop._remove_reader(pipe[1].fileno())
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            drop(reading)
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            drop(writing)
    else:
        if end == "peer":
            writing[0].write(b"x")
        writing[0].abort() if end == "aborted" else writing[0].close()
        reading[0].close()
        await writing[1].lost
        await reading[1].lost
    await asyncio.sleep(0)
    assert [os.get_blocking(fd) for fd in kept] == [True, True]
    for fd in kept:
        os.close(fd)


async def test_a_file_that_did_not_block_is_left_so(loop, pipe):
    kept = os.dup(pipe[1].fileno())
    os.set_blocking(kept, False)
    transport, protocol = await loop.connect_write_pipe(Recorder, pipe[1])
    await closed(transport, protocol)
    assert not os.get_blocking(kept)
    os.close(kept)


@pytest.mark.cede_only("asyncio leaves it non-blocking")
async def test_a_terminal_used_twice_is_given_back_by_the_second(loop):
    master, slave = pty.openpty()
    kept = os.dup(slave)
    reading, reader = await loop.connect_read_pipe(Recorder, os.fdopen(slave, "rb", 0, closefd=False))
    writing, writer = await loop.connect_write_pipe(Recorder, os.fdopen(slave, "wb", 0))
    await closed(reading, reader)
    assert not os.get_blocking(kept)
    await closed(writing, writer)
    assert os.get_blocking(kept)
    for fd in (master, kept):
        os.close(fd)


async def test_a_stranger_with_the_number_keeps_its_mode(loop, pipe):
    transport, protocol = await loop.connect_read_pipe(Recorder, pipe[0])
    transport.pause_reading()
    number = pipe[0].fileno()
    left, right = socket.socketpair()
    os.set_blocking(left.fileno(), False)
    os.dup2(left.fileno(), number)
    transport.close()
    await protocol.lost
    assert not os.get_blocking(left.fileno())
    left.close()
    right.close()


async def test_a_pipe_to_write_to_is_both_and_refuses_to_read(loop, pipe):
    transport, protocol = await loop.connect_write_pipe(Recorder, pipe[1])
    for kind in (asyncio.Transport, asyncio.ReadTransport, asyncio.WriteTransport):
        assert isinstance(transport, kind)
    for name in ("is_reading", "pause_reading", "resume_reading"):
        with pytest.raises(NotImplementedError):
            getattr(transport, name)()
    await closed(transport, protocol)
