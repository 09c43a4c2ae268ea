"""Names from inside of asyncio's transports, which nobody promises and programs use."""

from __future__ import annotations

import asyncio
import collections
import os
import socket
import sys

import pytest

from .conftest import LARGE, turns


async def test_of_a_connection(connected):
    async with connected() as (transport, protocol, peer):
        sock = transport.get_extra_info("socket")
        assert transport._sock.fileno() == transport._sock_fd == sock.fileno()
        assert transport._loop is asyncio.get_running_loop()
        assert transport._protocol is protocol
        assert (transport._server, transport._eof, transport._paused) == (None, False, False)
        assert (transport._closing, transport._conn_lost) == (False, 0)
        transport.pause_reading()
        assert transport._paused
        transport.close()
        assert transport._closing
        assert transport._conn_lost == 1
        transport.write(b"in vain")
        assert transport._conn_lost == 2


async def test_extra_is_what_get_extra_info_knows(connected):
    async with connected() as (transport, _, peer):
        assert transport._extra["peername"] == peer.getsockname()
        assert transport._extra["sockname"] == peer.getpeername()
        assert transport._extra["socket"] is transport.get_extra_info("socket")
        transport._extra["peername"] = "told otherwise"
        transport._extra["own"] = 1
        assert transport.get_extra_info("peername") == transport._extra["peername"] == "told otherwise"
        assert transport.get_extra_info("own") == 1


async def test_buffer_shows_what_waits(connected):
    async with connected() as (transport, _, _peer):
        assert not transport._buffer
        assert len(transport._buffer) == 0
        transport.write(LARGE)
        transport.write(b"end")
        kind = collections.deque if sys.version_info >= (3, 12) else bytearray
        assert type(transport._buffer) is kind
        waiting = b"".join(transport._buffer) if kind is collections.deque else bytes(transport._buffer)
        assert len(waiting) == transport.get_write_buffer_size()
        assert (LARGE + b"end").endswith(waiting)


async def test_eof_may_be_set_so_that_none_is_sent(connected):
    async with connected() as (transport, _, peer):
        transport._eof = True
        transport.write_eof()
        await turns()
        with pytest.raises(BlockingIOError):
            peer.recv(1)
        with pytest.raises(RuntimeError, match="after write_eof"):
            transport.write(b"x")


async def test_max_size_bounds_what_is_handed_over_at_once(connected):
    sizes = []

    class Sizes(asyncio.Protocol):
        def __init__(self):
            self.lost = asyncio.get_running_loop().create_future()

        def data_received(self, data):
            sizes.append(len(data))

        def connection_lost(self, exc):
            self.lost.set_result(exc)

    async with connected(Sizes) as (transport, _, peer):
        assert transport.max_size == 256 * 1024
        transport.max_size = 1000
        assert transport.max_size == 1000
        peer.send(bytes(5500))
        while sum(sizes) < 5500:
            await asyncio.sleep(0)
        assert sizes == [1000] * 5 + [500]
        transport.max_size = 100_000
        peer.send(bytes(5500))
        while sum(sizes) < 11_000:
            await asyncio.sleep(0)
        assert sizes[6:] == [5500]


@pytest.mark.cede_only("asyncio takes it, and closes the connection at the next read")
async def test_max_size_is_at_least_one(connected):
    async with connected() as (transport, _, _peer):
        with pytest.raises(ValueError, match="max_size"):
            transport.max_size = 0
        with pytest.raises(TypeError):
            transport.max_size = "many"


async def test_server_of_a_connection(loop, recorder):
    accepted = loop.create_future()

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport):
            accepted.set_result(transport)

    server = await loop.create_server(Accepted, "127.0.0.1", 0)
    transport, protocol = await loop.create_connection(recorder, *server.sockets[0].getsockname())
    assert (await accepted)._server is server
    assert transport._server is None
    transport.close()
    await protocol.lost
    server.close()
    await turns()


async def test_of_datagrams(loop):
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind(("127.0.0.1", 0))
    came = loop.create_future()

    class Protocol(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            came.set_result(data)

    transport, protocol = await loop.create_datagram_endpoint(Protocol, remote_addr=peer.getsockname())
    assert transport._address == peer.getsockname()
    assert transport._sock_fd == transport._sock.fileno()
    assert (transport._closing, transport._conn_lost, transport._protocol) == (False, 0, protocol)
    assert transport._extra["sockname"] == transport._sock.getsockname()
    assert transport._buffer == collections.deque()
    transport.max_size = 4
    assert transport.max_size == 4
    peer.sendto(b"too long", transport._sock.getsockname())
    assert await came == b"too "
    transport.close()
    assert transport._closing
    peer.close()
    await turns()


async def test_of_pipes(loop):
    read_end, write_end = (os.fdopen(fd, mode, 0) for fd, mode in zip(os.pipe(), ("rb", "wb")))
    reading, _ = await loop.connect_read_pipe(asyncio.Protocol, read_end)
    writing, protocol = await loop.connect_write_pipe(asyncio.BaseProtocol, write_end)
    for transport, file in ((reading, read_end), (writing, write_end)):
        assert transport._pipe is file
        assert transport._fileno == file.fileno()
        assert transport._extra["pipe"] is file
        assert not transport._closing
    assert not reading._paused
    assert writing._protocol is protocol
    assert (writing._conn_lost, writing._buffer) == (0, bytearray())
    reading.pause_reading()
    await turns()
    writing.write(LARGE)
    assert LARGE.endswith(bytes(writing._buffer))
    assert len(writing._buffer) == writing.get_write_buffer_size() > 0
    writing.abort()
    reading.close()
    assert (writing._closing, writing._conn_lost, reading._closing) == (True, 0, True)
    writing.write(b"in vain")
    assert writing._conn_lost == 1
    await turns()
    assert reading._pipe is None
    assert writing._pipe is None


async def test_a_pipe_taken_from_its_transport_stays_open(loop):
    # aioconsole keeps the standard streams open so.
    read_end, write_end = (os.fdopen(fd, mode, 0) for fd, mode in zip(os.pipe(), ("rb", "wb")))
    reading, _ = await loop.connect_read_pipe(asyncio.Protocol, read_end)
    writing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, write_end)
    await turns()
    for fd, transport in ((read_end.fileno(), reading), (write_end.fileno(), writing)):
        loop.remove_reader(fd)
        transport._pipe = None
        assert transport._pipe is None
    del reading, writing, transport
    await turns()
    write_end.write(b"open")
    assert read_end.read(4) == b"open"
    read_end.close()
    write_end.close()


async def test_of_children(loop):
    transport, protocol = await loop.subprocess_exec(asyncio.SubprocessProtocol, "cat")
    assert transport._proc is transport.get_extra_info("subprocess")
    assert transport._proc.pid == transport._pid == transport.get_pid()
    assert transport._proc.args[0] == "cat"
    transport.close()
    await transport._wait()
    await turns()
