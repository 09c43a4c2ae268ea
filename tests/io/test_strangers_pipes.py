"""Pipes: their files know the number, and no more is read or written by it once the program closed them."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from tests.strangers import given_to

from .conftest import turns

pytestmark = pytest.mark.cede_only("asyncio goes by the number")


class OwnFile:
    """A file of a class of its own, which says in its own way that it is closed."""

    def __init__(self, fd, mode):
        self._fd = fd

    def fileno(self):
        if self._fd is None:
            raise OSError("handle is closed")
        return self._fd

    def close(self):
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


FILES = {
    "raw": lambda fd, mode: os.fdopen(fd, mode + "b", 0),
    "buffered": lambda fd, mode: os.fdopen(fd, mode + "b"),
    "text": os.fdopen,
    "socket": lambda fd, mode: socket.socket(fileno=fd),
    "own": OwnFile,
}
BAD = "Bad file descriptor"


@pytest.fixture(params=FILES)
def made(request):
    """A function that makes a file of a descriptor."""
    return FILES[request.param]


@pytest.fixture
def pair():
    """Two connected sockets: the descriptor of the one, which is a pipe's, and the other."""
    near, far = socket.socketpair()
    far.setblocking(False)
    with far:
        yield near.detach(), far


@pytest.fixture
def strangers():
    """A function that closes a file and has a stranger get its number; returns the stranger, and its peer."""
    given = []

    def give(file):
        stranger, its_peer = given_to(file, *socket.socketpair())
        stranger.setblocking(False)
        its_peer.setblocking(False)
        given.extend([stranger, its_peer])
        return stranger, its_peer

    yield give
    for sock in given:
        sock.close()


async def ended(protocol):
    with pytest.raises(OSError, match=BAD):
        raise await asyncio.wait_for(protocol.lost, 5)


async def test_writing_ends_when_the_number_is_a_strangers(loop, recorder, made, pair, strangers):
    file = made(pair[0], "w")
    transport, protocol = await loop.connect_write_pipe(recorder, file)
    _stranger, its_peer = strangers(file)
    transport.write(b"secret")
    assert transport.is_closing()
    await ended(protocol)
    with pytest.raises(BlockingIOError):
        its_peer.recv(10)


async def test_what_waits_does_not_go_to_a_stranger(loop, recorder, made, pair, strangers):
    file = made(pair[0], "w")
    transport, protocol = await loop.connect_write_pipe(recorder, file)
    transport.write(bytes(10_000_000))
    _stranger, its_peer = strangers(file)
    transport._write_ready()  # as a turn does in which the loop was told before
    await ended(protocol)
    with pytest.raises(BlockingIOError):
        its_peer.recv(10)


@pytest.mark.parametrize("how", ["told", "resumed"])
async def test_reading_ends_when_the_number_is_a_strangers(loop, recorder, made, pair, strangers, how):
    file = made(pair[0], "r")
    transport, protocol = await loop.connect_read_pipe(recorder, file)
    if how == "told":
        # The poller tells of the pipe; what runs before it in the same turn gives the number away.
        pair[1].send(b"its own")
        loop.call_soon(lambda: strangers(file)[1].send(b"not yours"))
        loop.call_soon(transport._read_ready)
    else:
        transport.pause_reading()
        strangers(file)[1].send(b"not yours")
        transport.resume_reading()
    await ended(protocol)
    assert protocol.data == b""


@pytest.mark.parametrize("end", ["write", "close", "abort"])
async def test_the_reader_of_the_new_owner_stays(loop, recorder, pair, strangers, end):
    file = FILES["raw"](pair[0], "w")
    transport, protocol = await loop.connect_write_pipe(recorder, file)
    stranger, its_peer = strangers(file)
    came = loop.create_future()
    loop.add_reader(stranger.fileno(), lambda: came.done() or came.set_result(stranger.recv(10)))
    if end == "write":
        transport.write(b"secret")
    elif end == "close":
        transport.close()
    else:
        transport.abort()
    await asyncio.wait_for(protocol.lost, 5)
    its_peer.send(b"hello")
    assert await asyncio.wait_for(came, 5) == b"hello"
    assert loop.remove_reader(stranger.fileno())


@pytest.mark.parametrize("direction", ["read", "write"])
@pytest.mark.parametrize("owner", ["reader", "writer", "connection", "read pipe", "write pipe", "sock_recv"])
async def test_a_pipe_ends_when_the_loop_meets_its_number_again(
    loop, recorder, made, pair, strangers, direction, owner
):
    file = made(pair[0], direction[0])
    connect = loop.connect_read_pipe if direction == "read" else loop.connect_write_pipe
    transport, protocol = await connect(recorder, file)
    await turns()
    stranger, its_peer = strangers(file)
    fresh = its_protocol = None
    if owner == "reader":
        loop.add_reader(stranger, int)
    elif owner == "writer":
        loop.add_writer(stranger, int)
    elif owner == "connection":
        fresh, its_protocol = await loop.create_connection(recorder, sock=stranger)
    elif owner == "read pipe":
        fresh, its_protocol = await loop.connect_read_pipe(recorder, stranger)
    elif owner == "write pipe":
        fresh, its_protocol = await loop.connect_write_pipe(recorder, stranger)
    else:
        receiving = asyncio.ensure_future(loop.sock_recv(stranger, 10))
        await turns()
        its_peer.send(b"hello")
        assert await receiving == b"hello"
    await ended(protocol)
    assert transport.is_closing()
    if owner == "reader":
        assert loop.remove_reader(stranger)
    elif owner == "writer":
        assert loop.remove_writer(stranger)
    elif fresh is not None:
        if owner != "write pipe":
            its_peer.send(b"hello")
            assert await its_protocol.got(5) == b"hello"
        if owner != "read pipe":
            fresh.write(b"answer")
            assert its_peer.recv(10) == b"answer"
        fresh.close()
        await its_protocol.lost


async def test_the_strangers_mode_is_its_own(loop, recorder):
    """Both ends of a pipe are the same file to `fstat`."""
    reading, writing = os.pipe()
    with open(reading, "rb", 0) as file:
        _transport, protocol = await loop.connect_read_pipe(recorder, file)
        number = file.fileno()
        _transport.close()
        file.close()
        os.dup2(writing, number)
        os.set_blocking(number, False)
        await protocol.lost
        assert not os.get_blocking(number)
    os.close(number)
    os.close(writing)


async def test_a_pipe_that_the_program_took_goes_by_number(loop, recorder, pair):
    """As of a terminal that it wants to keep."""
    file = os.fdopen(pair[0], "wb", 0)
    transport, protocol = await loop.connect_write_pipe(recorder, file)
    transport._pipe = None
    transport.write(b"data")
    assert pair[1].recv(10) == b"data"
    transport.close()
    await protocol.lost
    assert file.write(b"more") == 4
    file.close()


async def test_a_buffer_that_is_detached_ends_nothing(loop, recorder, pair):
    file = os.fdopen(pair[0], "wb")
    transport, protocol = await loop.connect_write_pipe(recorder, file)
    raw = file.detach()
    transport.write(b"data")
    assert pair[1].recv(10) == b"data"
    transport._pipe = raw
    transport.close()
    await protocol.lost
