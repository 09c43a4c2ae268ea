"""create_connection and its sisters: arguments, addresses in turn or staggered, nothing leaks."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import logging
import socket

import pytest

from cede.net.connect import interleave_families

INET, INET6 = socket.AF_INET, socket.AF_INET6


class Recorder(asyncio.Protocol):
    """Keeps what the transport tells it."""

    def __init__(self):
        self.received = bytearray()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.received += data

    def connection_lost(self, exc):
        self.lost.set_result(exc)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


async def closed(transport, protocol):
    transport.close()
    await protocol.lost


# --- The good case


async def test_it_connects(loop, listener):
    transport, protocol = await loop.create_connection(Recorder, *listener.getsockname())
    assert transport is protocol.transport
    assert isinstance(transport, asyncio.Transport)
    conn, address = listener.accept()
    with conn:
        assert transport.get_extra_info("sockname") == address
        assert transport.get_extra_info("peername") == listener.getsockname()
        assert transport.get_extra_info("socket").getsockname() == address
        transport.write(b"hello")
        conn.settimeout(5)
        await asyncio.sleep(0)
        assert conn.recv(10) == b"hello"
        await closed(transport, protocol)


@pytest.mark.parametrize("host", ["localhost", b"localhost", "127.0.0.1"])
@pytest.mark.parametrize("delay", [None, 0.25])
async def test_hosts(loop, listener, host, delay):
    port = listener.getsockname()[1]
    connecting = loop.create_connection(Recorder, host, port, family=INET, happy_eyeballs_delay=delay)
    await closed(*await connecting)


async def test_a_socket_of_ones_own(loop, listener):
    sock = socket.create_connection(listener.getsockname())
    transport, protocol = await loop.create_connection(Recorder, sock=sock)
    assert sock.gettimeout() == 0
    await closed(transport, protocol)
    assert sock.fileno() == -1


async def test_a_unix_socket_pair_will_do(loop):
    left, right = socket.socketpair()
    with right:
        await closed(*await loop.create_connection(Recorder, sock=left))


async def test_local_addr(loop, listener, free_port):
    port = free_port()
    transport, protocol = await loop.create_connection(
        Recorder, *listener.getsockname(), local_addr=("127.0.0.1", port)
    )
    assert transport.get_extra_info("sockname") == ("127.0.0.1", port)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await closed(transport, protocol)


async def test_the_protocol_runs_in_the_callers_context(loop, listener):
    var = contextvars.ContextVar("var", default="outside")
    seen = []

    class Protocol(Recorder):
        def connection_made(self, transport):
            seen.append(var.get())

        def data_received(self, data):
            seen.append(var.get())
            loop.call_soon(done.set_result, None)

    done = loop.create_future()
    var.set("caller")
    transport, protocol = await loop.create_connection(Protocol, *listener.getsockname())
    var.set("later")
    conn, _ = listener.accept()
    with conn:
        conn.send(b"x")
        await done
    assert seen == ["caller", "caller"]
    await closed(transport, protocol)


# --- Arguments


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "host and port was not specified and no sock specified"),
        ({"host": "h", "server_hostname": "s"}, "server_hostname is only meaningful with ssl"),
        ({"port": 1, "ssl": True}, "You must set server_hostname when using ssl without a host"),
        ({"host": "h", "ssl_handshake_timeout": 1}, "ssl_handshake_timeout is only meaningful with ssl"),
        ({"host": "h", "ssl_shutdown_timeout": 1}, "ssl_shutdown_timeout is only meaningful with ssl"),
    ],
)
async def test_what_does_not_go_together(loop, kwargs, message):
    with pytest.raises(ValueError, match=message):
        await loop.create_connection(Recorder, **kwargs)


async def test_what_does_not_go_with_a_socket(loop, socket_pair):
    with pytest.raises(ValueError, match="host/port and sock can not be specified at the same time"):
        await loop.create_connection(Recorder, "h", sock=socket_pair[0])
    with socket.socket(INET, socket.SOCK_DGRAM) as sock, pytest.raises(ValueError, match="A Stream Socket was expect"):
        await loop.create_connection(Recorder, sock=sock)


# --- No address answers


@pytest.fixture
def refused(free_port):
    """Two addresses on which nobody listens, and the texts of their errors."""
    ports = [free_port(), free_port()]
    infos = [(INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
    return infos, [f"[Errno 111] Connect call failed ('127.0.0.1', {port})" for port in ports]


def resolving_to(loop, infos):
    async def getaddrinfo(host, port, **kwargs):
        return infos

    loop.getaddrinfo = getaddrinfo


@pytest.mark.parametrize("delay", [None, 0.01])
async def test_one_error_is_raised_as_it_is(loop, refused, delay):
    resolving_to(loop, refused[0][:1])
    with pytest.raises(ConnectionRefusedError, match="Connect call failed"):
        await loop.create_connection(Recorder, "name", 1, happy_eyeballs_delay=delay)


@pytest.mark.parametrize("delay", [None, 0.01])
async def test_errors_that_differ_are_told_together(loop, refused, delay):
    resolving_to(loop, refused[0])
    with pytest.raises(OSError, match="Multiple exceptions: ") as info:
        await loop.create_connection(Recorder, "name", 1, happy_eyeballs_delay=delay)
    assert str(info.value) == f"Multiple exceptions: {', '.join(refused[1])}"


@pytest.mark.parametrize("delay", [None, 0.01])
async def test_all_errors(loop, refused, delay):
    resolving_to(loop, refused[0])
    with pytest.raises(ExceptionGroup, match="create_connection failed") as info:
        await loop.create_connection(Recorder, "name", 1, happy_eyeballs_delay=delay, all_errors=True)
    assert [str(exc) for exc in info.value.exceptions] == refused[1]


async def test_equal_errors_are_raised_once(loop, refused):
    resolving_to(loop, refused[0][:1] * 3)
    with pytest.raises(ConnectionRefusedError):
        await loop.create_connection(Recorder, "name", 1)


async def test_a_local_address_that_cannot_be_bound(loop, listener):
    with pytest.raises(OSError, match=r"error while attempting to bind on address \('8\.8\.8\.8', 0\): \[errno 99\]"):
        await loop.create_connection(Recorder, *listener.getsockname(), local_addr=("8.8.8.8", 0))


async def test_a_local_address_of_another_family(loop, listener):
    async def getaddrinfo(host, port, **kwargs):
        if host == "local":
            return [(INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0))]
        return [(INET, socket.SOCK_STREAM, 6, "", listener.getsockname())]

    loop.getaddrinfo = getaddrinfo
    with pytest.raises(OSError, match=r"no matching local address with family=.*AF_INET.* found"):
        await loop.create_connection(Recorder, "name", 1, local_addr=("local", 0))


async def test_an_empty_answer_of_the_resolver(loop):
    resolving_to(loop, [])
    with pytest.raises(OSError, match=r"getaddrinfo\(\) returned empty list"):
        await loop.create_connection(Recorder, "name", 1)


@pytest.fixture
def no_error_stays():
    """Without the collector's help no connection error is alive when the test ends."""
    gc.collect()
    gc.disable()
    yield
    alive = [exc for exc in gc.get_objects() if type(exc) in (ConnectionRefusedError, ExceptionGroup)]
    gc.enable()
    assert alive == []


@pytest.mark.usefixtures("no_error_stays")
@pytest.mark.parametrize("delay", [None, 0.01])
@pytest.mark.parametrize("all_errors", [False, True])
async def test_a_failure_leaves_no_reference_cycle(loop, refused, delay, all_errors):
    resolving_to(loop, refused[0])
    with contextlib.suppress(OSError, ExceptionGroup):
        await loop.create_connection(Recorder, "name", 1, happy_eyeballs_delay=delay, all_errors=all_errors)
    await asyncio.sleep(0)


@pytest.mark.usefixtures("no_error_stays")
@pytest.mark.parametrize("delay", [None, 0.01])
async def test_success_after_a_failure_leaves_no_reference_cycle(loop, refused, listener, delay):
    resolving_to(loop, [refused[0][0], (INET, socket.SOCK_STREAM, 6, "", listener.getsockname())])
    await closed(*await loop.create_connection(Recorder, "name", 1, happy_eyeballs_delay=delay))


# --- Several addresses


def info(address):
    family = INET6 if ":" in address else INET
    return family, socket.SOCK_STREAM, 6, "", (address, 80)


@pytest.mark.parametrize(
    ("given", "first", "expected"),
    [
        (["a", "b", "::c", "::d", "::e"], 1, ["a", "::c", "b", "::d", "::e"]),
        (["a", "b", "c", "::d"], 2, ["a", "b", "::d", "c"]),
        (["::a", "b"], 1, ["::a", "b"]),
        (["a"], 3, ["a"]),
    ],
)
def test_families_take_turns(given, first, expected):
    infos = [info(address) for address in given]
    assert [entry[4][0] for entry in interleave_families(infos, first)] == expected


class Addresses:
    """A loop's resolver and connector, made up: each address answers, fails or hangs."""

    def __init__(self, loop, listener, behaviour):
        self.tried = []
        self.listener = listener
        self.behaviour = behaviour
        resolving_to(loop, [(INET, socket.SOCK_STREAM, 6, "", (name, 80)) for name in behaviour])
        loop.sock_connect = self.sock_connect
        self.loop = loop

    async def sock_connect(self, sock, address):
        self.tried.append((address[0], self.loop.time()))
        how = self.behaviour[address[0]]
        if how == "hang":
            await self.loop.create_future()
        if how == "fail":
            raise OSError(f"{address[0]} failed")
        sock.setblocking(True)
        sock.connect(self.listener.getsockname())
        sock.setblocking(False)


async def test_addresses_are_tried_in_order(loop, listener):
    addresses = Addresses(loop, listener, {"a": "fail", "b": "answer", "c": "answer"})
    await closed(*await loop.create_connection(Recorder, "name", 1))
    assert [name for name, _ in addresses.tried] == ["a", "b"]


async def test_an_address_that_hangs_is_overtaken(loop, listener):
    addresses = Addresses(loop, listener, {"a": "hang", "b": "hang", "c": "answer", "d": "answer"})
    began = loop.time()  # and not the first one's own time: on a busy machine it runs late
    await closed(*await loop.create_connection(Recorder, "name", 1, happy_eyeballs_delay=0.02))
    names, times = zip(*addresses.tried)
    assert names == ("a", "b", "c")
    assert times[1] - began >= 0.0199
    assert times[2] - began >= 0.0399


async def test_an_address_that_fails_does_not_delay_the_next(loop, listener):
    addresses = Addresses(loop, listener, {"a": "fail", "b": "answer"})
    await asyncio.wait_for(loop.create_connection(Recorder, "name", 1, happy_eyeballs_delay=60), 5)
    assert len(addresses.tried) == 2
    for transport in [ref() for ref in loop._transports.values()]:
        transport.abort()
    await asyncio.sleep(0)


async def test_cancelling_closes_every_socket(loop, listener):
    addresses = Addresses(loop, listener, {"a": "hang", "b": "hang"})
    task = loop.create_task(loop.create_connection(Recorder, "name", 1, happy_eyeballs_delay=0.001))
    while len(addresses.tried) < 2:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelling_in_the_turn_of_success_closes_the_socket(loop, listener):
    addresses = Addresses(loop, listener, {"a": "answer"})
    task = loop.create_task(loop.create_connection(Recorder, "name", 1, happy_eyeballs_delay=60))
    while not addresses.tried:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    conn, _ = listener.accept()
    with conn:
        assert conn.recv(1) == b""


# --- Nothing leaks


async def test_a_protocol_that_cannot_be_made_closes_the_socket(loop, listener):
    def factory():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await loop.create_connection(factory, *listener.getsockname())
    sock = socket.create_connection(listener.getsockname())
    with pytest.raises(ZeroDivisionError):
        await loop.create_connection(factory, sock=sock)
    assert sock.fileno() == -1


async def test_cancelling_before_connection_made_closes_the_transport(loop, listener):
    sock = socket.create_connection(listener.getsockname())
    task = loop.create_task(loop.create_connection(Recorder, sock=sock))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert sock.fileno() == -1


async def test_debug_mode_tells_of_the_connection(loop, listener, caplog):
    loop.set_debug(True)
    caplog.set_level(logging.DEBUG, "asyncio")
    await closed(*await loop.create_connection(Recorder, *listener.getsockname()))
    assert "connected to 127.0.0.1" in caplog.text


# --- Accepted elsewhere, and unix sockets


async def test_connect_accepted_socket(loop, listener):
    with socket.create_connection(listener.getsockname()) as peer:
        conn, _ = listener.accept()
        transport, protocol = await loop.connect_accepted_socket(Recorder, conn)
        peer.send(b"hello")
        while not protocol.received:
            await asyncio.sleep(0.001)
        await closed(transport, protocol)


async def test_connect_accepted_socket_refuses(loop, socket_pair):
    with socket.socket(INET, socket.SOCK_DGRAM) as sock, pytest.raises(ValueError, match="A Stream Socket was expect"):
        await loop.connect_accepted_socket(Recorder, sock)
    with pytest.raises(ValueError, match="ssl_handshake_timeout is only meaningful with ssl"):
        await loop.connect_accepted_socket(Recorder, socket_pair[0], ssl_handshake_timeout=1)


@pytest.mark.parametrize("kind", ["str", "bytes", "path", "abstract"])
async def test_create_unix_connection(loop, unix_path, kind):
    from pathlib import Path

    path = {
        "str": unix_path,
        "bytes": unix_path.encode(),
        "path": Path(unix_path),
        "abstract": "\0" + unix_path,
    }[kind]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(bytes(path) if kind == "path" else path)
        listener.listen()
        transport, protocol = await loop.create_unix_connection(Recorder, path)
        await closed(transport, protocol)


async def test_create_unix_connection_with_a_socket(loop, socket_pair):
    left, _ = socket_pair
    await closed(*await loop.create_unix_connection(Recorder, sock=left))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "no path and sock were specified"),
        ({"path": "p", "sock": 1}, "path and sock can not be specified at the same time"),
        ({"path": "p", "server_hostname": "h"}, "server_hostname is only meaningful with ssl"),
        ({"path": "p", "ssl": True}, "you have to pass server_hostname when using ssl"),
        ({"path": "p", "ssl_handshake_timeout": 1}, "ssl_handshake_timeout is only meaningful with ssl"),
        ({"path": "p", "ssl_shutdown_timeout": 1}, "ssl_shutdown_timeout is only meaningful with ssl"),
    ],
)
async def test_create_unix_connection_refuses(loop, kwargs, message):
    with pytest.raises(ValueError, match=message):
        await loop.create_unix_connection(Recorder, **kwargs)
    with socket.socket() as sock, pytest.raises(ValueError, match="A UNIX Domain Stream Socket was expected"):
        await loop.create_unix_connection(Recorder, sock=sock)


async def test_create_unix_connection_to_nobody(loop, unix_path):
    with pytest.raises(FileNotFoundError):
        await loop.create_unix_connection(Recorder, unix_path)
