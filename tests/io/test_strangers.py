"""A socket is used as the program made it: through its class's methods, and no more once the program closed it."""

from __future__ import annotations

import asyncio
import socket

import pytest

from .conftest import turns


@pytest.mark.parametrize("end", [socket.socket.close, socket.socket.detach])
@pytest.mark.parametrize("direction", ["read", "write"])
async def test_no_byte_goes_to_who_has_the_number_then(loop, recorder, end, direction):
    near, far = socket.socketpair()
    transport, protocol = await loop.create_connection(recorder, sock=near)
    number = near.fileno()
    transport.pause_reading()
    if end(near) is not None:
        socket.socket(fileno=number).close()
    stranger, its_peer = socket.socketpair()
    assert stranger.fileno() == number
    its_peer.setblocking(False)
    stranger.setblocking(False)
    its_peer.send(b"not yours")
    if direction == "read":
        transport.resume_reading()
    else:
        transport.write(b"secret")
    assert transport.is_closing()
    with pytest.raises(OSError, match="Bad file descriptor"):
        raise await protocol.lost
    with pytest.raises(BlockingIOError):
        its_peer.recv(10)
    assert protocol.data == b""
    assert stranger.recv(10) == b"not yours"
    for sock in (far, stranger, its_peer):
        sock.close()


class Own(socket.socket):
    """A class with ways of its own: everything passes through a mask."""

    def recv(self, size, flags=0):
        return super().recv(size, flags).swapcase()

    def recv_into(self, buffer, size=0, flags=0):
        data = self.recv(size or len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def send(self, data, flags=0):
        return super().send(bytes(data).swapcase(), flags)

    def sendmsg(self, chunks, *rest):
        return super().sendmsg([b"".join(chunks).swapcase()], *rest)


def own_pair():
    near, far = socket.socketpair()
    near = Own(near.family, near.type, near.proto, near.detach())
    near.setblocking(False)
    return near, far


async def test_a_class_with_its_own_ways_is_asked(loop, recorder):
    near, far = own_pair()
    transport, protocol = await loop.create_connection(recorder, sock=near)
    transport.write(b"one")
    assert far.recv(10) == b"ONE"
    transport.writelines([b"two", b"three"])
    assert far.recv(10) == b"TWOTHREE"
    far.send(b"answer")
    assert await protocol.got(6) == b"ANSWER"
    transport.abort()
    far.close()
    await turns()


async def test_a_buffered_protocol_reads_through_the_class(loop):
    near, far = own_pair()

    class Buffered(asyncio.BufferedProtocol):
        def __init__(self):
            self.buffer = bytearray(100)
            self.came = loop.create_future()

        def get_buffer(self, size):
            return self.buffer

        def buffer_updated(self, count):
            self.came.set_result(bytes(self.buffer[:count]))

    transport, protocol = await loop.create_connection(Buffered, sock=near)
    far.send(b"answer")
    assert await protocol.came == b"ANSWER"
    transport.abort()
    far.close()
    await turns()


@pytest.mark.parametrize("error", [ValueError("own"), OSError("own")])
async def test_what_a_class_raises_ends_the_connection(loop, recorder, loop_errors, error):
    class Failing(Own):
        def send(self, data, flags=0):
            raise error

    near, far = own_pair()
    near = Failing(near.family, near.type, near.proto, near.detach())
    transport, protocol = await loop.create_connection(recorder, sock=near)
    transport.write(b"x")
    assert await protocol.lost is error
    assert [context["exception"] for context in loop_errors] == ([error] if isinstance(error, ValueError) else [])
    loop_errors.clear()
    far.close()
