"""Datagram endpoints: whole datagrams both ways, errors that end nothing, flow control."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import gc
import logging
import os
import socket

import pytest


class Recorder(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = []
        self.errors = []
        self.flow = []
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.received.append((data, addr))

    def error_received(self, exc):
        self.errors.append(exc)

    def pause_writing(self):
        self.flow.append("pause")

    def resume_writing(self):
        self.flow.append("resume")

    def connection_lost(self, exc):
        self.lost.set_result(exc)


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture
def endpoint(loop):
    """Return `endpoint(*args, protocol=Recorder, **kwargs)`; what it opened is closed afterwards."""
    opened = []

    async def endpoint(*args, protocol=Recorder, **kwargs):
        opened.append(await loop.create_datagram_endpoint(protocol, *args, **kwargs))
        return opened[-1]

    yield endpoint

    async def close():
        for transport, protocol in opened:
            transport.abort()
            await protocol.lost

    loop.run_until_complete(close())


LOCAL = ("127.0.0.1", 0)


def address(transport):
    return transport.get_extra_info("sockname")


# --- Carrying datagrams


async def test_there_and_back(loop, endpoint):
    server, at_server = await endpoint(LOCAL)
    client, at_client = await endpoint(remote_addr=address(server))
    assert client is at_client.transport
    assert isinstance(client, asyncio.DatagramTransport)
    assert client.get_extra_info("peername") == address(server)
    assert server.get_extra_info("peername") is None
    for data in (b"bytes", bytearray(b"bytearray"), memoryview(b"memoryview"), b""):
        client.sendto(data)
    client.sendto(b"named", address(server))
    await until(lambda: len(at_server.received) == 5)
    assert [data for data, _ in at_server.received] == [b"bytes", b"bytearray", b"memoryview", b"", b"named"]
    assert {sender for _, sender in at_server.received} == {address(client)}
    server.sendto(b"back", address(client))
    await until(lambda: at_client.received)
    assert at_client.received == [(b"back", address(server))]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("kind", [bytes, bytearray])
async def test_answers_go_to_whoever_asked(loop, endpoint, host, kind):
    class Echo(Recorder):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            self.transport.sendto(kind(data), addr)

    transport, echo = await endpoint(local_addr=(host, 0), protocol=Echo)
    address = transport.get_extra_info("sockname")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one, socket.socket(family, socket.SOCK_DGRAM) as other:
        for asker in (one, other):
            asker.setblocking(False)
            asker.connect(address)
        for number, asker in enumerate((one, one, other, one, other, other)):
            asker.send(b"%d" % number)
            assert await loop.sock_recv(asker, 10) == b"%d" % number
            assert echo.received[-1] == (b"%d" % number, asker.getsockname())


async def test_a_burst_comes_whole_and_in_order(loop, endpoint):
    server, at_server = await endpoint(LOCAL)
    server.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    client, _ = await endpoint(remote_addr=address(server))
    for number in range(200):
        client.sendto(b"%d" % number)
    await until(lambda: len(at_server.received) == 200)
    assert [int(data) for data, _ in at_server.received] == list(range(200))


async def test_the_largest_datagram(loop, endpoint):
    server, at_server = await endpoint(LOCAL)
    client, _ = await endpoint(remote_addr=address(server))
    client.sendto(bytes(65507))
    await until(lambda: at_server.received)
    assert len(at_server.received[0][0]) == 65507


async def test_unix_datagrams(loop, endpoint, unix_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stale:
        stale.bind(unix_path)
    _server, at_server = await endpoint(unix_path, family=socket.AF_UNIX)
    client, _ = await endpoint(remote_addr=unix_path, family=socket.AF_UNIX)
    client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
    client.sendto(bytes(100_000))
    await until(lambda: at_server.received)
    assert len(at_server.received[0][0]) == 100_000
    os.unlink(unix_path)


async def test_a_socket_of_ones_own(loop, endpoint):
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind(LOCAL)
    transport, protocol = await endpoint(sock=sock)
    assert sock.gettimeout() == 0
    transport.sendto(b"self", address(transport))
    await until(lambda: protocol.received)


async def test_the_protocol_runs_in_the_context_of_creation(loop, endpoint):
    var = contextvars.ContextVar("var")
    seen = []

    class Protocol(Recorder):
        def datagram_received(self, data, addr):
            seen.append(var.get())

    var.set("created")
    transport, _ = await endpoint(LOCAL, protocol=Protocol)
    var.set("later")
    transport.sendto(b"", address(transport))
    await until(lambda: seen)
    assert seen == ["created"]


def test_what_was_ready_before_the_datagram_came_runs_first(loop, endpoint):
    order = []

    class Protocol(Recorder):
        def datagram_received(self, data, addr):
            order.append("datagram")

    transport, _ = loop.run_until_complete(endpoint(LOCAL, protocol=Protocol))
    transport.sendto(b"", address(transport))
    loop.call_soon(order.append, "ready")
    loop.run_until_complete(until(lambda: len(order) == 2))
    assert order == ["ready", "datagram"]


async def test_pausing(loop, endpoint):
    transport, protocol = await endpoint(LOCAL)
    assert transport.is_reading()
    transport.pause_reading()
    transport.pause_reading()
    assert not transport.is_reading()
    transport.sendto(b"1", address(transport))
    transport.sendto(b"2", address(transport))
    await asyncio.sleep(0.01)
    assert protocol.received == []
    transport.resume_reading()
    transport.resume_reading()
    await until(lambda: len(protocol.received) == 2)


async def test_pausing_from_inside_takes_effect_at_once(loop, endpoint):
    class Protocol(Recorder):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            self.transport.pause_reading()

    transport, protocol = await endpoint(LOCAL, protocol=Protocol)
    for expected in range(1, 5):
        transport.sendto(b"x", address(transport))
        transport.sendto(b"x", address(transport))
        transport.resume_reading()
        await until(lambda expected=expected: len(protocol.received) >= expected)
        await asyncio.sleep(0.002)
        assert len(protocol.received) == expected


# --- Errors


async def test_no_memory_for_a_datagram_ends_that_endpoint_only(loop, loop_errors):
    """As on asyncio; `error_received` is for what the network says."""

    class Full(socket.socket):
        def recvfrom(self, *args):
            raise MemoryError

    sock = Full(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(LOCAL)
    transport, protocol = await loop.create_datagram_endpoint(Recorder, sock=sock)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", address(transport))
    exc = await protocol.lost
    assert isinstance(exc, MemoryError)
    assert protocol.errors == protocol.received == []
    context = loop_errors.pop()
    assert context["exception"] is exc
    assert context["message"] == "Fatal read error on datagram transport"


async def test_nobody_listens(loop, endpoint, free_port):
    transport, protocol = await endpoint(remote_addr=("127.0.0.1", free_port()))
    transport.sendto(b"hello")
    await until(lambda: protocol.errors)
    assert isinstance(protocol.errors[0], ConnectionRefusedError)
    assert not transport.is_closing()


async def test_a_datagram_that_is_too_large(loop, endpoint):
    transport, protocol = await endpoint(LOCAL)
    transport.sendto(bytes(70000), address(transport))
    assert isinstance(protocol.errors[0], OSError)
    transport.sendto(b"ok", address(transport))
    await until(lambda: protocol.received)


async def test_closing_from_error_received(loop, endpoint):
    class Protocol(Recorder):
        def error_received(self, exc):
            super().error_received(exc)
            self.transport.close()

    transport, protocol = await endpoint(LOCAL, protocol=Protocol)
    for _ in range(2):
        transport.sendto(bytes(70000), address(transport))
    assert await protocol.lost is None
    assert len(protocol.errors) == 2


async def test_an_error_of_the_protocol_ends_nothing(loop, endpoint, loop_errors):
    class Protocol(Recorder):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            raise ZeroDivisionError

    transport, protocol = await endpoint(LOCAL, protocol=Protocol)
    transport.sendto(b"1", address(transport))
    transport.sendto(b"2", address(transport))
    await until(lambda: len(protocol.received) == 2)
    assert [type(error["exception"]) for error in loop_errors] == [ZeroDivisionError] * 2
    assert loop_errors[0]["transport"] is transport
    loop_errors.clear()


async def test_sendto_refuses(loop, endpoint):
    server, _ = await endpoint(LOCAL)
    client, _ = await endpoint(remote_addr=address(server))
    with pytest.raises(TypeError, match="data argument must be a bytes-like object, not 'str'"):
        client.sendto("text")
    with pytest.raises(ValueError, match="Invalid address: must be None or "):
        client.sendto(b"", ("127.0.0.1", 1))


async def test_an_address_that_makes_no_sense_ends_the_transport(loop, endpoint, loop_errors):
    transport, protocol = await endpoint(LOCAL)
    transport.sendto(b"where to?")
    assert isinstance(loop_errors.pop()["exception"], TypeError)
    assert isinstance(await protocol.lost, TypeError)


# --- What waits


async def full_endpoint(endpoint, unix_path):
    """An endpoint whose peer takes nothing more: (transport, protocol, peer's socket, datagrams sent)."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    peer.bind(unix_path)
    peer.setblocking(False)
    transport, protocol = await endpoint(remote_addr=unix_path, family=socket.AF_UNIX)
    sent = 0
    while not transport.get_write_buffer_size():
        transport.sendto(b"%d" % sent)
        sent += 1
    return transport, protocol, peer, sent


def drain(peer):
    got = []
    try:
        while True:
            got.append(int(peer.recv(100)))
    except BlockingIOError:
        return got


async def test_what_the_kernel_does_not_take_waits_its_turn(loop, endpoint, unix_path):
    transport, _, peer, sent = await full_endpoint(endpoint, unix_path)
    with peer:
        data = bytearray(b"%d" % sent)
        transport.sendto(data)
        data[:] = b"x" * len(data)
        # 8 bytes are counted for each datagram.
        assert transport.get_write_buffer_size() == len(str(sent - 1)) + len(str(sent)) + 16
        got = []
        while len(got) <= sent:
            got += drain(peer)
            await asyncio.sleep(0)
        assert got == list(range(sent + 1))
        assert transport.get_write_buffer_size() == 0


async def test_flow_control(loop, endpoint, unix_path):
    transport, protocol, peer, _sent = await full_endpoint(endpoint, unix_path)
    with peer:
        assert transport.get_write_buffer_limits() == (16384, 65536)
        transport.set_write_buffer_limits(high=100)
        assert transport.get_write_buffer_limits() == (25, 100)
        assert protocol.flow == []
        while transport.get_write_buffer_size() <= 100:
            transport.sendto(b"0")
        assert protocol.flow == ["pause"]
        while transport.get_write_buffer_size():
            drain(peer)
            await asyncio.sleep(0)
        assert protocol.flow == ["pause", "resume"]
        with pytest.raises(ValueError, match=r"high \(1\) must be >= low \(2\) must be >= 0"):
            transport.set_write_buffer_limits(1, 2)


async def test_close_sends_what_waits(loop, endpoint, unix_path):
    transport, protocol, peer, sent = await full_endpoint(endpoint, unix_path)
    with peer:
        transport.close()
        assert transport.is_closing()
        await asyncio.sleep(0)
        assert not protocol.lost.done()
        got = []
        while not protocol.lost.done():
            got += drain(peer)
            await asyncio.sleep(0)
        assert got + drain(peer) == list(range(sent))
        assert await protocol.lost is None


async def test_abort_drops_what_waits(loop, endpoint, unix_path):
    transport, protocol, peer, sent = await full_endpoint(endpoint, unix_path)
    with peer:
        transport.abort()
        assert await protocol.lost is None
        assert drain(peer) == list(range(sent - 1))


async def test_sending_after_the_end_is_told_from_the_fifth_time_on(loop, endpoint, caplog):
    transport, protocol = await endpoint(LOCAL)
    destination = address(transport)
    transport.close()
    transport.close()
    await protocol.lost
    for _ in range(6):
        transport.sendto(b"", destination)
    assert [record.getMessage() for record in caplog.records] == ["socket.send() raised exception."]


def drop(held):
    """Let go of what a list holds."""
    held.clear()
    gc.collect()


async def test_an_abandoned_transport_complains(loop):
    held = [*await loop.create_datagram_endpoint(asyncio.DatagramProtocol, LOCAL)]
    held[0].pause_reading()
    with pytest.warns(ResourceWarning, match="unclosed transport <DatagramTransport fd="):
        drop(held)


# --- Arguments


async def test_options_of_the_socket(loop, endpoint, free_port):
    port = free_port()
    first, _ = await endpoint(("127.0.0.1", port), reuse_port=True, allow_broadcast=True)
    await endpoint(("127.0.0.1", port), reuse_port=True)
    sock = first.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)


async def test_a_broadcast_is_answered(loop, endpoint):
    server, at_server = await endpoint(("0.0.0.0", 0))
    port = address(server)[1]
    client, at_client = await endpoint(remote_addr=("127.255.255.255", port), allow_broadcast=True)
    client.sendto(b"who is there?")
    await until(lambda: at_server.received)
    [(data, sender)] = at_server.received
    assert data == b"who is there?"
    server.sendto(b"me", sender)  # from an address that the client has not written to
    await until(lambda: at_client.received)
    assert at_client.received == [(b"me", ("127.0.0.1", port))]


async def test_without_leave_a_broadcast_is_an_error(loop, endpoint):
    client, protocol = await endpoint(LOCAL)
    client.sendto(b"who is there?", ("127.255.255.255", 9))
    await until(lambda: protocol.errors)
    assert isinstance(protocol.errors[0], PermissionError)


async def test_a_broadcaster_is_not_connected(loop, endpoint):
    server, at_server = await endpoint(LOCAL)
    client, _ = await endpoint(remote_addr=address(server), allow_broadcast=True)
    assert client.get_extra_info("peername") is None
    client.sendto(b"hello")
    await until(lambda: at_server.received)


async def test_names_are_looked_up(loop, endpoint):
    transport, _ = await endpoint(("localhost", 0), family=socket.AF_INET)
    assert address(transport)[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "message"),
    [
        ((), {}, ValueError, "unexpected address family"),
        (("127.0.0.1",), {}, TypeError, "2-tuple is expected"),
        ((None, ("127.0.0.1",)), {}, TypeError, "2-tuple is expected"),
        ((b"path",), {"family": socket.AF_UNIX}, TypeError, "string is expected"),
        ((("127.0.0.1", 0), ("::1", 1)), {}, ValueError, "can not get address information"),
        ((("8.8.8.8", 0),), {}, OSError, os.strerror(errno.EADDRNOTAVAIL)),
    ],
)
async def test_it_refuses(loop, args, kwargs, error, message):
    with pytest.raises(error, match=message):
        await loop.create_datagram_endpoint(Recorder, *args, **kwargs)


async def test_what_does_not_go_with_a_socket(loop):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        message = (
            r"socket modifier keyword arguments can not be used when sock is specified. \(flags=1, reuse_port=True\)"
        )
        with pytest.raises(ValueError, match=message):
            await loop.create_datagram_endpoint(Recorder, sock=sock, flags=1, reuse_port=True)
    with (
        socket.socket() as sock,
        pytest.raises(ValueError, match="A (datagram socket|UDP Socket) was expected, got <socket"),
    ):
        await loop.create_datagram_endpoint(Recorder, sock=sock)


async def test_a_protocol_that_cannot_be_made_closes_the_socket(loop):
    def factory():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await loop.create_datagram_endpoint(factory, LOCAL)


async def test_cancelling_closes_the_socket(loop):
    task = loop.create_task(loop.create_datagram_endpoint(Recorder, LOCAL))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)


async def test_debug_mode_tells_of_the_endpoint(loop, endpoint, caplog):
    loop.set_debug(True)
    caplog.set_level(logging.DEBUG, "asyncio")
    await endpoint(LOCAL)
    assert "Datagram endpoint local_addr=('127.0.0.1', 0) remote_addr=None created" in caplog.text


# --- A socket that the program has connected


@pytest.mark.cede_only("asyncio closes the transport, by a TypeError")
async def test_to_a_peer_without_a_name(loop, endpoint):
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with far:
        far.settimeout(5)
        transport, protocol = await endpoint(sock=near)
        for data in (b"bytes", bytearray(b"bytearray"), b""):
            transport.sendto(data)
            assert far.recv(10) == data
        far.send(b"back")
        await until(lambda: protocol.received)
        assert protocol.received[0][0] == b"back"


@pytest.mark.cede_only("asyncio closes the transport, by a TypeError")
async def test_to_a_peer_that_the_program_connects_later(loop, endpoint):
    server, at_server = await endpoint(LOCAL)
    sock = socket.socket(type=socket.SOCK_DGRAM)
    transport, _ = await endpoint(sock=sock)
    sock.connect(address(server))
    transport.sendto(b"x")
    await until(lambda: at_server.received)


async def test_the_methods_of_a_stream_are_refused(loop, endpoint):
    transport, _ = await endpoint(LOCAL)
    for call in (lambda: transport.write(b"x"), transport.write_eof, transport.can_write_eof):
        with pytest.raises(NotImplementedError):
            call()
