"""What is written in pieces: empty ones are nothing, many count as one when it comes to flow control."""

from __future__ import annotations

import asyncio
import contextlib
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
