"""loop.sendfile: the file arrives between what was written before and after; the transport is as before."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

import pytest

from tests.strangers import given_to

CONTENT = os.urandom(1 << 20)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        yield file


class NotAFile:
    """What sendfile(2) cannot read: it has no descriptor."""

    def __init__(self, file):
        self.readinto, self.seek, self.tell = file.readinto, file.seek, file.tell


class Recorder(asyncio.Protocol):
    def __init__(self):
        self.received = bytearray()
        self.flow = []
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.received += data

    def pause_writing(self):
        self.flow.append("pause")

    def resume_writing(self):
        self.flow.append("resume")

    def connection_lost(self, exc):
        self.lost.set_result(exc)


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        left = socket.create_connection(listener.getsockname())
        right, _ = listener.accept()
    return left, right


@contextlib.asynccontextmanager
async def connected(loop, make_pair=socket.socketpair):
    """A transport, its protocol and the socket of the peer."""
    left, right = make_pair()
    left.setblocking(False)
    right.setblocking(False)
    with right:
        transport, protocol = await loop.create_connection(Recorder, sock=left)
        try:
            yield transport, protocol, right
        finally:
            transport.abort()
            await protocol.lost


async def received(loop, sock, count):
    got = bytearray()
    while len(got) < count:
        data = await loop.sock_recv(sock, 1 << 20)
        if not data:
            break
        got += data
    return bytes(got)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(("offset", "count"), [(0, None), (1000, None), (5, 200_000), (0, len(CONTENT) + 1)])
async def test_between_what_is_written(loop, file, native, offset, count):
    expected = CONTENT[offset : None if count is None else offset + count]
    async with connected(loop) as (transport, protocol, peer):
        receiving = loop.create_task(received(loop, peer, len(expected) + 10))
        transport.write(b"begin")
        sent = await loop.sendfile(transport, file if native else NotAFile(file), offset, count)
        assert sent == len(expected)
        assert file.tell() == offset + len(expected)
        transport.write(b"end..")
        assert await receiving == b"begin" + expected + b"end.."
        assert transport.get_protocol() is protocol
        assert transport.is_reading()
        peer.send(b"answer")
        while not protocol.received:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("native", [True, False])
async def test_over_tcp(loop, file, native):
    async with connected(loop, tcp_pair) as (transport, _, peer):
        receiving = loop.create_task(received(loop, peer, len(CONTENT) + 5))
        sending = loop.sendfile(transport, file if native else NotAFile(file), fallback=not native)
        assert await sending == len(CONTENT)
        transport.write(b"end..")
        assert await receiving == CONTENT + b"end.."


@pytest.mark.parametrize("count", [None, len(CONTENT)])
@pytest.mark.parametrize("native", [True, False])
async def test_a_file_that_shrinks_meanwhile_is_sent_to_its_new_end(loop, file, native, count):
    async with connected(loop) as (transport, protocol, peer):
        task = loop.create_task(loop.sendfile(transport, file if native else NotAFile(file), 0, count))
        await asyncio.sleep(0.02)  # the kernel's buffer is full, and the peer reads nothing yet
        os.truncate(file.name, 600_000)
        assert await received(loop, peer, 600_000) == CONTENT[:600_000]
        assert await asyncio.wait_for(task, 5) == 600_000
        assert file.tell() == 600_000
        assert transport.get_protocol() is protocol


@pytest.mark.parametrize("native", [True, False])
async def test_a_file_that_grows_meanwhile_is_sent_to_its_new_end(loop, file, native):
    async with connected(loop) as (transport, _, peer):
        task = loop.create_task(loop.sendfile(transport, file if native else NotAFile(file)))
        await asyncio.sleep(0.02)
        with open(file.name, "ab") as more:
            more.write(CONTENT)
        assert await received(loop, peer, 2 * len(CONTENT)) == 2 * CONTENT
        assert await asyncio.wait_for(task, 5) == 2 * len(CONTENT)


@pytest.mark.parametrize("native", [True, False])
async def test_from_zero_means_from_the_beginning(loop, file, native):
    file.seek(500)
    async with connected(loop) as (transport, _, peer):
        receiving = loop.create_task(received(loop, peer, 1000))
        assert await loop.sendfile(transport, file if native else NotAFile(file), 0, 1000) == 1000
        assert await receiving == CONTENT[:1000]
        assert file.tell() == 1000


@pytest.mark.parametrize("native", [True, False])
async def test_reading_that_was_paused_stays_paused(loop, file, native):
    async with connected(loop) as (transport, _, peer):
        transport.pause_reading()
        receiving = loop.create_task(received(loop, peer, 1000))
        await loop.sendfile(transport, file if native else NotAFile(file), 0, 1000)
        assert not transport.is_reading()
        await receiving


async def test_writing_beside_it_is_refused(loop, file):
    async with connected(loop) as (transport, _, peer):
        task = loop.create_task(loop.sendfile(transport, file))
        await asyncio.sleep(0.01)
        with pytest.raises(RuntimeError, match="unable to write; sendfile is in progress"):
            transport.write(b"x")
        with pytest.raises(RuntimeError, match="Empty waiter is already set"):
            await loop.sendfile(transport, file)
        assert await received(loop, peer, len(CONTENT)) == CONTENT
        assert await task == len(CONTENT)
        transport.write(b"x")


async def test_what_is_buffered_goes_first(loop, file):
    async with connected(loop) as (transport, _, peer):
        before = bytes(1 << 20)
        transport.write(before)
        assert transport.get_write_buffer_size()
        task = loop.create_task(loop.sendfile(transport, file, 0, 10))
        assert await received(loop, peer, len(before) + 10) == before + CONTENT[:10]
        assert await task == 10


@pytest.mark.parametrize("native", [True, False])
async def test_the_peer_leaves(loop, file, native):
    async with connected(loop) as (transport, protocol, peer):
        task = loop.create_task(loop.sendfile(transport, file if native else NotAFile(file)))
        await received(loop, peer, 1)
        peer.close()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(task, 5)
        assert transport.get_protocol() in (protocol, None)


@pytest.mark.parametrize("native", [True, False])
async def test_the_transport_is_aborted(loop, file, native):
    async with connected(loop) as (transport, protocol, _peer):
        task = loop.create_task(loop.sendfile(transport, file if native else NotAFile(file)))
        await asyncio.sleep(0.02)
        transport.abort()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(task, 5)
        assert await protocol.lost is None


@pytest.mark.parametrize("native", [True, False])
async def test_cancelling_gives_the_transport_back(loop, file, native):
    async with connected(loop) as (transport, protocol, peer):
        task = loop.create_task(loop.sendfile(transport, file if native else NotAFile(file)))
        while not native and not transport._protocol_paused:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert transport.get_protocol() is protocol
        assert transport.is_reading()
        # The protocol knows whether it may write, though somebody else was told meanwhile.
        assert protocol.flow == ([] if native else ["pause"])
        await received(loop, peer, file.tell())
        await asyncio.sleep(0.01)
        assert protocol.flow in ([], ["pause", "resume"])


async def test_a_protocol_that_was_paused_is_resumed(loop, file):
    async with connected(loop) as (transport, protocol, peer):
        transport.write(bytes(1 << 20))
        assert protocol.flow == ["pause"]
        task = loop.create_task(loop.sendfile(transport, NotAFile(file), 0, 10))
        await received(loop, peer, (1 << 20) + 10)
        assert await task == 10
        assert protocol.flow == ["pause", "resume"]


async def test_an_empty_file(loop, tmp_path):
    (tmp_path / "empty").touch()
    async with connected(loop) as (transport, _, _peer):
        with (tmp_path / "empty").open("rb") as file:
            assert await loop.sendfile(transport, file) == 0
            assert await loop.sendfile(transport, NotAFile(file)) == 0


async def test_without_the_fallback(loop, file):
    async with connected(loop) as (transport, _, peer):
        with pytest.raises(asyncio.SendfileNotAvailableError, match="not a regular file"):
            await loop.sendfile(transport, NotAFile(file), fallback=False)
        receiving = loop.create_task(received(loop, peer, 10))
        assert await loop.sendfile(transport, file, 0, 10, fallback=False) == 10
        await receiving


async def test_refusals(loop, file):
    async with connected(loop) as (transport, _, _peer):
        with pytest.raises(ValueError, match="count must be a positive integer"):
            await loop.sendfile(transport, file, 0, 0)
        with pytest.raises(ValueError, match="offset must be a non-negative integer"):
            await loop.sendfile(transport, file, -1)
        with open(file.name) as text, pytest.raises(ValueError, match="file should be opened in binary mode"):
            await loop.sendfile(transport, text)
        assert transport.is_reading()
        with pytest.raises(RuntimeError, match="sendfile is not supported for transport"):
            await loop.sendfile(asyncio.Transport.__new__(NoTransport), file)
    with pytest.raises(RuntimeError, match="Transport is closing"):
        await loop.sendfile(transport, file)


class NoTransport(asyncio.Transport):
    def is_closing(self):
        return False


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.cede_only("asyncio sends what has the number then")
async def test_nothing_is_sent_of_another_file_with_the_number(loop, tmp_path, plain):
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    large = tmp_path / "large"
    large.write_bytes(bytes(4_000_000))
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * 1_000_000)
    with large.open("rb") as file, secret.open("rb") as other:
        if plain:
            sending = asyncio.ensure_future(loop.sock_sendfile(near, file))
        else:
            transport, protocol = await loop.create_connection(Recorder, sock=near)
            sending = asyncio.ensure_future(loop.sendfile(transport, file))
        await asyncio.sleep(0.01)
        number = file.fileno()
        file.close()
        os.dup2(other.fileno(), number)
        with open(number, "rb", 0) as stranger:
            received = b""
            while not sending.done():
                with contextlib.suppress(BlockingIOError):
                    received += far.recv(1_000_000)
                await asyncio.sleep(0)
            with pytest.raises(ValueError, match="closed file"):
                await sending
            assert stranger.tell() == 0
    assert b"secret" not in received
    if not plain:
        transport.abort()
        await protocol.lost
    near.close()
    far.close()


@pytest.mark.parametrize("direction", ["reader", "writer"])
@pytest.mark.cede_only("asyncio waits for ever")
async def test_a_closed_socket_whose_number_another_one_has(loop, file, direction):
    near, far = socket.socketpair()
    transport, protocol = await loop.create_connection(Recorder, sock=near)
    transport.write(bytes(1_000_000))
    far.setblocking(False)
    file.seek(0)
    sending = asyncio.ensure_future(loop.sendfile(transport, file))
    received = 0
    while received < 1_000_000:
        with contextlib.suppress(BlockingIOError):
            received += len(far.recv(min(100_000, 1_000_000 - received)))
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert not sending.done()
    stranger, its_peer = given_to(near, *socket.socketpair())
    called = loop.create_future()
    add = loop.add_reader if direction == "reader" else loop.add_writer
    add(stranger, lambda: called.done() or called.set_result(None))
    with pytest.raises(OSError, match="Bad file descriptor"):
        await asyncio.wait_for(sending, 5)
    with pytest.raises(OSError, match="Bad file descriptor"):
        raise await asyncio.wait_for(protocol.lost, 5)
    its_peer.send(b"x")
    await asyncio.wait_for(called, 5)
    assert (loop.remove_reader if direction == "reader" else loop.remove_writer)(stranger)
    for sock in (far, stranger, its_peer):
        sock.close()
