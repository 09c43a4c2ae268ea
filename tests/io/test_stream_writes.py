"""What is written in pieces: empty ones are nothing, many count as one when it comes to flow control."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

import pytest


class Flow(asyncio.Protocol):
    """Notes what it is told of the flow."""

    def __init__(self):
        self.told = []
        self.lost = asyncio.get_running_loop().create_future()

    def pause_writing(self):
        self.told.append("pause")

    def resume_writing(self):
        self.told.append("resume")

    def connection_lost(self, exc):
        self.lost.set_result(exc)


@contextlib.asynccontextmanager
async def connected(loop):
    near, far = socket.socketpair()
    with far:
        transport, protocol = await loop.create_connection(Flow, sock=near)
        try:
            yield transport, protocol, far
        finally:
            transport.abort()
            await protocol.lost


@pytest.mark.parametrize("chunks", [[b""], [], [b"", bytearray(), memoryview(b"")]])
async def test_nothing_is_written_by_empty_pieces(loop, chunks):
    async with connected(loop) as (transport, protocol, far):
        transport.writelines(chunks)
        assert transport.get_write_buffer_size() == 0
        transport.writelines([b"a", *chunks, b"b"])
        transport.close()
        assert await protocol.lost is None
        assert far.recv(10) == b"ab"
        assert far.recv(10) == b""


async def test_many_pieces_pause_the_protocol(loop):
    async with connected(loop) as (transport, protocol, far):
        transport.writelines([b"x" * 65536] * 64)
        assert protocol.told == ["pause"]
        waiting = transport.get_write_buffer_size()
        assert waiting > transport.get_write_buffer_limits()[1]
        far.setblocking(False)
        got = 0
        while got < 64 * 65536:
            got += len(await loop.sock_recv(far, 1 << 20))
        assert protocol.told == ["pause", "resume"]
        assert transport.get_write_buffer_size() == 0


# -- marks and data of unusual kinds ------------------------------------------------------------------------------------


class Itself(bytes):
    """Bytes that say to be what they are not."""

    def __bytes__(self):
        return self

    def __len__(self):
        return 2**40


@contextlib.asynccontextmanager
async def writing_to(loop, kind):
    """A transport that writes, and a function that gives what came of it."""
    if kind == "socket":
        async with connected(loop) as (transport, _, far):
            yield transport, lambda: far.recv(100)
    elif kind == "pipe":
        reading, writing = os.pipe()
        transport, protocol = await loop.connect_write_pipe(Flow, open(writing, "wb", 0))  # noqa: SIM115  the transport closes it
        try:
            yield transport, lambda: os.read(reading, 100)
        finally:
            transport.abort()
            await protocol.lost
            os.close(reading)
    else:
        with socket.socket(type=socket.SOCK_DGRAM) as far:
            far.bind(("127.0.0.1", 0))
            transport, protocol = await loop.create_datagram_endpoint(Flow, remote_addr=far.getsockname())
            try:
                yield transport, lambda: far.recv(100)
            finally:
                transport.abort()
                await protocol.lost


KINDS_OF_TRANSPORTS = pytest.mark.parametrize("kind", ["socket", "pipe", "datagrams"])


@KINDS_OF_TRANSPORTS
@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ({"high": 2**63}, (2**61, 2**63)),
        ({"high": 2**70, "low": 2**69}, (2**69, 2**70)),
        ({"high": 1.5}, (0.0, 1.5)),
        ({"high": float("inf"), "low": 3}, (3, float("inf"))),
        ({"low": 2**63}, (2**63, 2**65)),
    ],
)
async def test_marks_are_any_numbers(loop, kind, marks, expected):
    async with writing_to(loop, kind) as (transport, _):
        transport.set_write_buffer_limits(**marks)
        assert transport.get_write_buffer_limits() == expected
        with pytest.raises(ValueError, match=r"high \(nan\) must be >= low"):
            transport.set_write_buffer_limits(high=float("nan"))
        with pytest.raises(TypeError):
            transport.set_write_buffer_limits(high="x")
        assert transport.get_write_buffer_limits() == expected


async def test_a_mark_between_two_whole_numbers_counts(loop):
    async with connected(loop) as (transport, protocol, _):
        while not transport.get_write_buffer_size():
            transport.write(bytes(100_000))
        size = transport.get_write_buffer_size()
        protocol.told.clear()
        transport.set_write_buffer_limits(high=size + 0.5)
        transport.write(b"x")
        assert protocol.told in ([], ["pause"])  # it may be paused already, by the marks before


@KINDS_OF_TRANSPORTS
async def test_bytes_of_a_class_of_somebodys(loop, kind):
    async with writing_to(loop, kind) as (transport, received):
        (transport.sendto if kind == "datagrams" else transport.write)(Itself(b"abc"))
        while transport.get_write_buffer_size():
            await asyncio.sleep(0)
        assert received() == b"abc"


async def test_lines_of_bytes_of_a_class_of_somebodys(loop):
    async with connected(loop) as (transport, _, far):
        transport.writelines([Itself(b"abc"), bytearray(b"de"), memoryview(b"f_g_")[::2]])
        await asyncio.sleep(0)
        assert far.recv(100) == b"abcdefg"
