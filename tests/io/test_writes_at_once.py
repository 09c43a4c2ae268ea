"""What is written is with the kernel when `write` returns, if nothing waited before it; on every kind of transport."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

import pytest

from .conftest import turns

MUCH = 1 << 22  # bytes; more than any socket or pipe takes


@contextlib.asynccontextmanager
async def stream(loop, recorder, *, family):
    """A transport, its protocol, and a function that says what the peer has."""
    if family == "tcp":
        with socket.create_server(("127.0.0.1", 0)) as listening:
            # Left alone, the kernel makes its buffers as large as it likes.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
            far = socket.socket()
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            far.connect(listening.getsockname())
            near, _ = listening.accept()
    else:
        near, far = socket.socketpair()
    with far:
        far.setblocking(False)
        transport, protocol = await loop.create_connection(recorder, sock=near)
        try:
            yield transport, protocol, lambda: far.recv(MUCH)
        finally:
            transport.abort()
            await protocol.lost


@contextlib.asynccontextmanager
async def pipe(loop, recorder):
    read, write = os.pipe()
    with open(read, "rb", 0) as read_end:
        os.set_blocking(read, False)
        transport, protocol = await loop.connect_write_pipe(recorder, open(write, "wb", 0))  # noqa: SIM115  the transport closes it
        try:
            yield transport, protocol, lambda: read_end.read(MUCH)
        finally:
            transport.abort()
            await protocol.lost


@pytest.fixture(params=["tcp", "unix", "pipe"])
def kind(request, loop, recorder):
    """Return an asynchronous context manager of a connection."""
    return pipe(loop, recorder) if request.param == "pipe" else stream(loop, recorder, family=request.param)


@pytest.mark.parametrize("data", [b"one", bytearray(b"one"), memoryview(b"one")])
async def test_each_write_is_sent_at_once(kind, data):
    async with kind as (transport, _, received):
        transport.write(data)
        assert received() == b"one"
        transport.write(b"two")
        assert received() == b"two"
        transport.writelines([b"th", b"", bytearray(b"ree")])
        assert received() == b"three"
        assert transport.get_write_buffer_size() == 0


async def test_what_waits_goes_first(kind):
    """A large chunk is split where the kernel is full, and what is written behind it keeps its place."""
    expected = bytes(range(256)) * (MUCH // 256)
    async with kind as (transport, protocol, received):
        transport.write(expected)
        waiting = transport.get_write_buffer_size()
        assert 0 < waiting < len(expected)
        assert protocol.calls[-1] == "pause"
        transport.write(b"last")
        transport.writelines([b" of", b" all"])
        assert transport.get_write_buffer_size() == waiting + 11
        got = bytearray()
        while len(got) < len(expected) + 11:
            with contextlib.suppress(BlockingIOError):
                got += received() or b""
            await asyncio.sleep(0)
        assert got == expected + b"last of all"
        assert transport.get_write_buffer_size() == 0
        assert protocol.calls[-1] == "resume"
        transport.write(b"!")
        assert received() == b"!"


async def test_a_write_from_pause_writing_waits_behind(kind):
    async with kind as (transport, protocol, received):
        protocol.pause_writing = lambda: transport.write(b"paused")
        transport.write(bytes(MUCH))
        got = bytearray()
        while len(got) < MUCH + 6:
            with contextlib.suppress(BlockingIOError):
                got += received() or b""
            await asyncio.sleep(0)
        assert got[-6:] == b"paused"


async def test_aborting_from_pause_writing(kind):
    async with kind as (transport, protocol, _):
        protocol.pause_writing = transport.abort
        transport.write(bytes(MUCH))
        assert transport.is_closing()
        assert transport.get_write_buffer_size() == 0
        transport.write(b"in vain")
        await protocol.lost
    assert protocol.calls[-1] == "lost"


async def test_an_error_ends_the_connection_in_the_next_turn(loop, recorder):
    near, far = socket.socketpair()
    transport, protocol = await loop.create_connection(recorder, sock=near)
    transport.pause_reading()
    far.close()
    transport.write(b"x")
    assert transport.is_closing()
    assert protocol.calls == ["made"]
    with pytest.raises(BrokenPipeError):
        raise await protocol.lost


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_what_was_written_is_there_after_the_end(kind, end):
    async with kind as (transport, _, received):
        transport.write(b"last words")
        getattr(transport, end)()
        assert received() == b"last words"


def test_a_loop_that_does_not_run_sends_too(loop, recorder):
    async def connect():
        near, far = socket.socketpair()
        transport, protocol = await loop.create_connection(recorder, sock=near)
        return transport, protocol, far

    transport, protocol, far = loop.run_until_complete(connect())
    far.setblocking(False)
    transport.write(b"between")
    assert far.recv(10) == b"between"
    transport.write(bytes(MUCH))
    transport.close()
    got = 0

    async def rest():
        nonlocal got
        while chunk := await loop.sock_recv(far, MUCH):
            got += len(chunk)

    loop.run_until_complete(rest())
    assert got == MUCH
    far.close()
    loop.run_until_complete(protocol.lost)


async def test_the_answer_is_sent_while_the_protocol_goes_on(loop, recorder, socket_pair):
    """A protocol that answers and then blocks has answered."""
    near, far = socket_pair
    answers = []

    class Answering(recorder):
        def data_received(self, data):
            self.transport.write(data[::-1])
            answers.append(far.recv(10))
            super().data_received(data)

    transport, protocol = await loop.create_connection(Answering, sock=near)
    far.send(b"abc")
    await protocol.got(3)
    assert answers == [b"cba"]
    transport.abort()
    await turns(2)


async def test_tls_is_sealed_and_sent_at_once(world, recorder):
    async with world.connected(recorder) as (transport, _, peer):
        for words in (b"header", b"body"):
            transport.write(words)
            peer._incoming.write(peer.sock.recv(1000))
            assert peer.tls.read(10) == words


async def test_standard_input_of_a_child_has_it_at_once(loop):
    child = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    child.stdin.write(b"x")
    assert child.stdin.transport.get_write_buffer_size() == 0
    assert await child.stdout.readexactly(1) == b"x"
    child.stdin.close()
    assert await child.wait() == 0
