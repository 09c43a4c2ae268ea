"""A socket is used as the program made it: through its class's methods, and no more once the program closed it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import threading

import pytest

from tests.idle import idle
from tests.strangers import given_to

from .conftest import turns

_WATCHED = pytest.mark.cede_only("asyncio watches whoever has the number")


@pytest.mark.parametrize("end", [socket.socket.close, socket.socket.detach])
@pytest.mark.parametrize("direction", [pytest.param("read", marks=_WATCHED), "write"])
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


async def test_datagrams_go_through_the_class(loop):
    class Masked(socket.socket):
        def recvfrom(self, size, flags=0):
            data, address = super().recvfrom(size, flags)
            return data.swapcase(), address

        def sendto(self, data, *rest):
            return super().sendto(bytes(data).swapcase(), *rest)

    class Answering(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            came.append(data)
            transport.sendto(data, addr)

    came = []
    sock = Masked(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    transport, _ = await loop.create_datagram_endpoint(Answering, sock=sock)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.setblocking(False)
        await loop.sock_connect(peer, sock.getsockname())
        for text in (b"one", b"two"):  # the second comes from an address that is known
            peer.send(text)
            assert await loop.sock_recv(peer, 10) == text
    assert came == [b"ONE", b"TWO"]
    transport.abort()
    await turns()


async def test_connections_are_accepted_through_the_class(loop, recorder):
    class Counting(socket.socket):
        accepted = 0

        def accept(self):
            pair = super().accept()
            Counting.accepted += 1
            return pair

    listening = Counting(socket.AF_INET, socket.SOCK_STREAM)
    listening.bind(("127.0.0.1", 0))
    server = await loop.create_server(recorder, sock=listening)
    transport, protocol = await loop.create_connection(recorder, *listening.getsockname())
    await turns()
    assert Counting.accepted == 1
    transport.close()
    await protocol.lost
    server.close()
    await turns()


async def test_sockets_that_are_awaited_are_asked_through_the_class(loop):
    near, far = own_pair()
    far.setblocking(False)
    await loop.sock_sendall(near, b"sent")
    assert await loop.sock_recv(far, 10) == b"SENT"
    receiving = asyncio.ensure_future(loop.sock_recv(near, 10))
    await turns()
    await loop.sock_sendall(far, b"came")
    assert await receiving == b"CAME"
    await loop.sock_sendall(far, b"into")
    buffer = bytearray(10)
    assert await loop.sock_recv_into(near, buffer) == 4
    assert buffer[:4] == b"INTO"
    near.close()
    far.close()


async def test_tls_goes_through_the_class(world, loop, recorder):
    class Counting(socket.socket):
        received = sent = 0

        def recv(self, *args):
            data = super().recv(*args)
            Counting.received += len(data)
            return data

        def recv_into(self, *args):
            count = super().recv_into(*args)
            Counting.received += count
            return count

        def send(self, data, *args):
            count = super().send(data, *args)
            Counting.sent += count
            return count

    near, far = world.tcp_pair()
    near = Counting(near.family, near.type, near.proto, near.detach())
    near.setblocking(False)
    peer = world.peer(far, server_side=True)
    shaking = asyncio.ensure_future(peer.shake_hands())
    made = loop.create_connection(recorder, sock=near, ssl=world.client_context(), server_hostname="localhost")
    transport, protocol = await made
    await shaking
    received, sent = Counting.received, Counting.sent
    assert received > 0
    assert sent > 0
    transport.write(b"question")
    assert await peer.receive(8) == b"question"
    assert Counting.sent >= sent + 8
    await peer.send(b"answer")
    assert await protocol.got(6) == b"answer"
    assert Counting.received >= received + 6
    transport.abort()
    peer.close()
    await turns()


# --- TLS


@contextlib.contextmanager
def stranger_at(sock):
    """Close `sock`; give a stranger's two sockets, blocking, of which the first has the number then."""
    stranger, its_peer = given_to(sock, *socket.socketpair())
    try:
        yield stranger, its_peer
        its_peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            its_peer.recv(1)
    finally:
        stranger.close()
        its_peer.close()


@pytest.mark.cede_only("asyncio watches whoever has the number, and ends at the next write")
@pytest.mark.parametrize("step", ["read", "write", "close"])
async def test_no_byte_of_tls_goes_to_who_has_the_number_then(world, loop, recorder, step):
    async with world.connected(recorder) as (transport, protocol, _peer):
        transport.pause_reading()
        with stranger_at(transport.get_extra_info("socket")._sock) as (stranger, its_peer):
            its_peer.send(b"not yours")
            if step == "read":
                transport.resume_reading()
            elif step == "write":
                transport.write(b"secret")
            else:
                transport.close()
            assert transport.is_closing()
            with pytest.raises(OSError, match="Bad file descriptor"):
                raise await asyncio.wait_for(protocol.lost, 5)
            assert protocol.data == b""
            assert stranger.recv(10) == b"not yours"


@pytest.mark.parametrize("shaken", [True, False])
async def test_tls_reads_nothing_of_a_stranger_whom_the_same_turn_brought(world, loop, recorder, shaken):
    """The poller told of both sockets; what is called for the one gives the other's number away."""
    strangers = []

    class GivingAway(asyncio.Protocol):
        def data_received(self, data):
            strangers.extend(given_to(near, *socket.socketpair()))

    near, far = world.tcp_pair()
    peer = world.peer(far, server_side=True)
    first, its_peer = socket.socketpair()
    other, _ = await loop.create_connection(GivingAway, sock=first)
    context = world.client_context()
    connecting = asyncio.ensure_future(
        loop.create_connection(recorder, sock=near, ssl=context, server_hostname="localhost")
    )
    if shaken:
        await peer.shake_hands()
        _, protocol = await connecting
        answer = peer.sealed(b"data")
    else:
        assert await peer.receive_raw()
        answer = b"\x15\x03\x03\x00\x02\x02\x28"  # an alert
    await asyncio.sleep(0.01)  # else the poller may tell of the other first, whose last event it has not forgotten
    its_peer.send(b"first")
    far.send(answer)
    await turns()
    assert len(strangers) == 2
    with pytest.raises(OSError, match="Bad file descriptor"):
        if shaken:
            raise await asyncio.wait_for(protocol.lost, 5)
        await asyncio.wait_for(connecting, 5)
    assert not shaken or protocol.data == b""
    other.abort()
    for sock in (its_peer, far, *strangers):
        sock.close()
    await turns()


# --- The new owner of the number


@pytest.mark.parametrize("paused", [True, False])
@pytest.mark.cede_only("asyncio refuses the new owner as long as the old transport is there")
async def test_the_new_owner_is_let_in_and_the_old_transport_ends(loop, recorder, paused):
    near, far = socket.socketpair()
    transport, protocol = await loop.create_connection(recorder, sock=near)
    await turns()
    if paused:
        transport.pause_reading()
    number = near.fileno()
    mine, theirs = given_to(near, *socket.socketpair())
    fresh, its_protocol = await loop.create_connection(recorder, sock=mine)
    with pytest.raises(OSError, match="Bad file descriptor"):
        raise await asyncio.wait_for(protocol.lost, 5)
    with pytest.raises(RuntimeError, match="is used by transport"):
        loop.add_reader(number, turns)
    theirs.send(b"hello")
    assert await its_protocol.got(5) == b"hello"
    fresh.write(b"answer")
    assert theirs.recv(10) == b"answer"
    fresh.abort()
    far.close()
    theirs.close()
    await turns()
    assert transport.is_closing()


@pytest.mark.cede_only("asyncio's old transport goes on as if nothing had happened")
async def test_an_accepted_connection_with_the_number_ends_the_old_transport(loop, recorder):
    class Accepting(socket.socket):
        def accept(self):
            connection, address = super().accept()
            return *given_to(near, connection), address

    near, far = socket.socketpair()
    transport, protocol = await loop.create_connection(recorder, sock=near)
    listening = Accepting()
    listening.bind(("127.0.0.1", 0))
    server = await loop.create_server(recorder, sock=listening)
    with far, socket.create_connection(listening.getsockname()):
        with pytest.raises(OSError, match="Bad file descriptor"):
            raise await asyncio.wait_for(protocol.lost, 5)
        assert transport.is_closing()
    server.close()
    await turns()


@pytest.mark.parametrize("kind", ["datagram", "read", "write"])
@pytest.mark.cede_only("asyncio watches whoever has the number")
async def test_nobody_else_is_watched_by_a_transport_of_another_kind(loop, kind):
    lost = loop.create_future()

    class Protocol(asyncio.DatagramProtocol, asyncio.Protocol):
        def connection_lost(self, exc):
            lost.set_result(exc)

        def datagram_received(self, data, addr):
            came.append(data)

        def data_received(self, data):
            came.append(data)

    came = []
    near, far = socket.socketpair(type=socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM)
    near.setblocking(False)
    if kind == "datagram":
        transport, _ = await loop.create_datagram_endpoint(Protocol, sock=near)
    elif kind == "read":
        transport, _ = await loop.connect_read_pipe(Protocol, near)
    else:
        transport, _ = await loop.connect_write_pipe(Protocol, near)
    await turns()
    if kind == "write":
        loop.remove_reader(near)
        stranger, its_peer = given_to(near, *socket.socketpair())
        stranger.setblocking(False)
        while True:  # so full that what the transport writes has to wait
            try:
                stranger.send(bytes(100_000))
            except BlockingIOError:
                break
        transport.write(b"secret")
    else:
        transport.pause_reading()
        stranger, its_peer = given_to(near, *socket.socketpair())
        its_peer.send(b"not yours")
        transport.resume_reading()
    with pytest.raises(OSError, match="Bad file descriptor"):
        raise await asyncio.wait_for(lost, 5)
    assert came == []
    for sock in (far, stranger, its_peer):
        sock.close()
    await turns()


# --- Closed, and the number nobody's


@pytest.mark.cede_only("asyncio raises what epoll says")
async def test_a_closed_socket_is_noticed_while_data_waits(loop, recorder):
    near, far = socket.socketpair()
    transport, protocol = await loop.create_connection(recorder, sock=near)
    await turns()
    transport.write(bytes(10_000_000))
    near.close()
    transport.pause_reading()
    with pytest.raises(OSError, match="Bad file descriptor"):
        raise await asyncio.wait_for(protocol.lost, 5)
    far.close()


@pytest.mark.parametrize("end", ["abort", "write"])
@pytest.mark.cede_only("asyncio raises what epoll says")
async def test_a_closed_pipe_is_noticed_while_data_waits(loop, recorder, end):
    near, far = socket.socketpair()
    transport, protocol = await loop.connect_write_pipe(recorder, near)
    await turns()
    transport.write(bytes(10_000_000))
    near.close()
    if end == "write":
        transport.write(b"more")
    else:
        transport.abort()
    exc = await asyncio.wait_for(protocol.lost, 5)
    assert exc is None or "Bad file descriptor" in str(exc)
    far.close()


@pytest.mark.parametrize("order", ["reader", "writer"])
@pytest.mark.cede_only("asyncio raises what epoll says")
async def test_a_reader_and_a_writer_of_a_closed_socket_can_be_taken_out(loop, order):
    near, far = socket.socketpair()
    loop.add_reader(near, int)
    loop.add_writer(near, int)
    near.close()
    both = [loop.remove_reader, loop.remove_writer]
    for remove in both if order == "reader" else both[::-1]:
        assert remove(near) is True
    far.close()


@pytest.mark.cede_only("asyncio gives None for an address")
async def test_a_datagram_to_the_peer_of_a_closed_socket_is_an_error_of_the_system(loop):
    class Protocol(asyncio.DatagramProtocol):
        errors = []

        def error_received(self, exc):
            self.errors.append(exc)

    near, far = socket.socketpair(type=socket.SOCK_DGRAM)
    near.setblocking(False)
    transport, protocol = await loop.create_datagram_endpoint(Protocol, sock=near)
    transport.sendto(b"data")
    assert far.recv(10) == b"data"
    near.close()
    transport.sendto(b"data")
    assert [exc.errno for exc in protocol.errors] == [errno.EBADF]
    transport.close()
    far.close()
    await turns()


@pytest.mark.parametrize("touch", ["write", "resume", "close", "abort", "shutdown"])
@pytest.mark.parametrize("kind", ["stream", "tls", "datagram", "pipe"])
@pytest.mark.cede_only("asyncio's old transport goes on as if nothing had happened")
async def test_a_paused_transport_leaves_an_accepted_connection_with_its_number_alone(
    world, loop, recorder, kind, touch
):
    """Nothing tells it that its socket was closed, until it is touched."""

    class Old(recorder, asyncio.DatagramProtocol):
        pass

    with contextlib.ExitStack() as stack:
        near, far = socket.socketpair(type=socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM)
        for sock in (near, far):
            sock.setblocking(False)
        stack.enter_context(far)
        if kind == "stream":
            transport, protocol = await loop.create_connection(Old, sock=near)
        elif kind == "tls":
            peer = world.peer(far, server_side=True)
            shaking = asyncio.ensure_future(peer.shake_hands())
            made = loop.create_connection(Old, sock=near, ssl=world.client_context(), server_hostname="localhost")
            transport, protocol = await made
            await shaking
        elif kind == "datagram":
            transport, protocol = await loop.create_datagram_endpoint(Old, sock=near)
        else:
            transport, protocol = await loop.connect_read_pipe(Old, near)
        transport.pause_reading()
        server = await loop.create_server(recorder, "127.0.0.1", 0)
        client = stack.enter_context(socket.create_connection(server.sockets[0].getsockname()))
        number = near.fileno()
        while (lower := os.dup(client.fileno())) < number:  # so that the number is the lowest that is free
            stack.callback(os.close, lower)
        os.close(lower)
        near.close()
        await turns()
        fresh = loop._transports[number]()
        assert fresh is not transport
        client.sendall(b"question")
        assert await fresh.get_protocol().got(8) == b"question"
        if touch == "write" and hasattr(transport, "write"):
            transport.sendto(b"secret") if kind == "datagram" else transport.write(b"secret")
        elif touch == "resume":
            transport.resume_reading()
        elif touch == "abort" and hasattr(transport, "abort"):
            transport.abort()
        elif touch == "shutdown" and kind == "stream":
            transport.write_eof()
        else:
            transport.close()
        await turns()
        client.sendall(b"another")
        assert await fresh.get_protocol().got(15) == b"questionanother"
        fresh.write(b"answer")
        assert client.recv(100) == b"answer"
        assert not fresh.is_closing()
        assert protocol.data == b""
        transport.close()
        fresh.abort()
        server.close()
        await turns()


@pytest.mark.parametrize("kind", ["stream", "datagram", "pipe", "tls"])
@pytest.mark.cede_only("asyncio's loop never rests again")
async def test_a_closed_socket_of_which_there_is_a_duplicate_ends_once_something_comes(world, loop, recorder, kind):
    """The kernel goes on telling of the number that nobody has."""

    class Both(recorder, asyncio.DatagramProtocol):
        def error_received(self, exc):
            raise AssertionError

    if kind == "tls":
        near, far = world.tcp_pair()
        peer = world.peer(far, server_side=True)
        shaking = asyncio.ensure_future(peer.shake_hands())
        made = loop.create_connection(Both, sock=near, ssl=world.client_context(), server_hostname="localhost")
        transport, protocol = await made
        await shaking
    else:
        near, far = socket.socketpair(type=socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM)
        near.setblocking(False)
        if kind == "stream":
            transport, protocol = await loop.create_connection(Both, sock=near)
        elif kind == "datagram":
            transport, protocol = await loop.create_datagram_endpoint(Both, sock=near)
        else:
            transport, protocol = await loop.connect_read_pipe(Both, near)
    await turns()
    with near.dup(), far:
        near.close()
        far.send(b"data")
        with pytest.raises(OSError, match="Bad file descriptor"):
            raise await asyncio.wait_for(protocol.lost, 5)
        await asyncio.sleep(0.01)
        with idle():
            await asyncio.sleep(0.1)
    transport.close()


# --- A close is heard of


@pytest.mark.parametrize("how", ["close", "detach", "thread", "with"])
@pytest.mark.parametrize("kind", ["stream", "datagram", "tls", "accepted"])
@pytest.mark.cede_only("asyncio never hears of it")
async def test_a_connection_that_only_reads_ends_when_its_socket_is_closed(world, loop, recorder, kind, how):
    class Both(recorder, asyncio.DatagramProtocol):
        pass

    near, far = socket.socketpair(type=socket.SOCK_DGRAM) if kind == "datagram" else world.tcp_pair()
    near.setblocking(False)
    if kind == "stream":
        transport, protocol = await loop.create_connection(Both, sock=near)
    elif kind == "accepted":
        transport, protocol = await loop.connect_accepted_socket(Both, near)
    elif kind == "datagram":
        transport, protocol = await loop.create_datagram_endpoint(Both, sock=near)
    else:
        peer = world.peer(far, server_side=True)
        shaking = asyncio.ensure_future(peer.shake_hands())
        made = loop.create_connection(Both, sock=near, ssl=world.client_context(), server_hostname="localhost")
        transport, protocol = await made
        await shaking
    assert not near._closed
    number = -1
    if how == "close":
        near.close()
    elif how == "detach":
        number = near.detach()
    elif how == "thread":
        thread = threading.Thread(target=near.close)
        thread.start()
    else:
        with near:
            pass
    with pytest.raises(OSError, match="Bad file descriptor"):
        raise await asyncio.wait_for(protocol.lost, 5)
    assert transport.is_closing()
    if number >= 0:
        os.close(number)
    if how == "thread":
        thread.join()
    far.close()
    await turns()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
async def test_a_close_in_a_forked_child_is_none_of_the_loops_business(loop, recorder):
    near, far = socket.socketpair()
    transport, protocol = await loop.create_connection(recorder, sock=near)
    pid = os.fork()
    if not pid:
        try:
            near.close()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    far.send(b"data")
    assert await protocol.got(4) == b"data"
    transport.close()
    await protocol.lost
    far.close()


def test_a_close_after_the_loop_was_closed_is_quiet(new_loop, recorder):
    loop = new_loop()
    near, far = socket.socketpair()
    transport, _ = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=near))
    loop.close()
    near.close()
    far.close()
    del transport


async def test_a_socket_that_a_file_still_uses_is_not_closed(loop, recorder):
    near, far = socket.socketpair()
    transport, protocol = await loop.create_connection(recorder, sock=near)
    with near.makefile("rb"):
        near.close()
        await asyncio.sleep(0.15)  # so long it is looked at
        far.send(b"data")
        assert await protocol.got(4) == b"data"
        transport.abort()
        await protocol.lost
    far.close()
