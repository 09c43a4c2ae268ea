"""Servers: what they listen on, whom they count, how they end."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import logging
import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from cede.net.serve import Server


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


@contextlib.asynccontextmanager
async def connection(address):
    """A plain, connected client socket."""
    family = socket.AF_UNIX if isinstance(address, (str, bytes)) else socket.AF_INET
    loop = asyncio.get_running_loop()
    with socket.socket(family) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        yield sock


async def says(sock, data=b"hello"):
    """Send `data` and return what comes back."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, data)
    return await asyncio.wait_for(loop.sock_recv(sock, 100), 5)


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


# --- Serving


async def test_it_serves(loop):
    async with await loop.create_server(Echo, "127.0.0.1", 0) as server:
        assert isinstance(server, asyncio.AbstractServer)
        assert server.get_loop() is loop
        assert server.is_serving()
        (sock,) = server.sockets
        assert sock.type == socket.SOCK_STREAM
        async with connection(sock.getsockname()) as client:
            assert await says(client) == b"hello"
    assert not server.is_serving()
    assert server.sockets == ()


async def test_repr(loop):
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    assert repr(server).startswith("<Server sockets=(<asyncio.TransportSocket fd=")
    server.close()
    assert repr(server) == "<Server sockets=()>"


async def test_many_connections_at_once(loop):
    async with await loop.create_server(Echo, "127.0.0.1", 0) as server, contextlib.AsyncExitStack() as stack:
        address = server.sockets[0].getsockname()
        clients = [await stack.enter_async_context(connection(address)) for _ in range(90)]
        assert await asyncio.gather(*(says(c, b"%d" % n) for n, c in enumerate(clients))) == [
            b"%d" % n for n in range(90)
        ]


async def test_not_before_it_is_told(loop):
    server = await loop.create_server(Echo, "127.0.0.1", 0, start_serving=False)
    assert not server.is_serving()
    address = server.sockets[0].getsockname()
    with pytest.raises(ConnectionRefusedError):
        async with connection(address):
            pass
    await server.start_serving()
    await server.start_serving()
    assert server.is_serving()
    async with connection(address) as client:
        assert await says(client) == b"hello"
    server.close()
    await server.wait_closed()
    with pytest.raises(RuntimeError, match="is closed"):
        await server.start_serving()


async def test_a_socket_of_ones_own(loop):
    sock = socket.create_server(("127.0.0.1", 0))
    async with await loop.create_server(Echo, sock=sock):
        assert sock.gettimeout() == 0
        async with connection(sock.getsockname()) as client:
            assert await says(client) == b"hello"
    assert sock.fileno() == -1


async def test_several_hosts(loop):
    async with await loop.create_server(Echo, ["127.0.0.1", "127.0.0.2", "127.0.0.1"], 0) as server:
        assert sorted(sock.getsockname()[0] for sock in server.sockets) == ["127.0.0.1", "127.0.0.2"]


@pytest.mark.parametrize("host", ["", None])
async def test_everywhere(loop, host):
    async with await loop.create_server(Echo, host, 0, family=socket.AF_INET) as server:
        assert server.sockets[0].getsockname()[0] == "0.0.0.0"


async def test_a_name(loop):
    async with await loop.create_server(Echo, "localhost", 0, family=socket.AF_INET) as server:
        assert server.sockets[0].getsockname()[0] == "127.0.0.1"


async def test_socket_options(loop, free_port):
    port = free_port()

    def options(server):
        sock = server.sockets[0]
        names = ("SO_REUSEADDR", "SO_REUSEPORT", "SO_KEEPALIVE")
        return [bool(sock.getsockopt(socket.SOL_SOCKET, getattr(socket, name))) for name in names]

    async with await loop.create_server(Echo, "127.0.0.1", 0) as server:
        assert options(server) == [True, False, False]
    async with await loop.create_server(Echo, "127.0.0.1", port, reuse_address=False, reuse_port=True) as server:
        assert options(server) == [False, True, False]
        async with await loop.create_server(Echo, "127.0.0.1", port, reuse_port=True, keep_alive=True) as another:
            assert options(another) == [True, True, True]


# --- Contexts


async def test_each_connection_runs_in_a_copy_of_the_servers_context(loop):
    var = contextvars.ContextVar("var", default="unset")
    seen = []

    class Protocol(Echo):
        def __init__(self):
            seen.append(("made", var.get()))
            var.set("connection")

        def data_received(self, data):
            seen.append(("data", var.get()))
            super().data_received(data)

        def connection_lost(self, exc):
            seen.append(("lost", var.get()))

    var.set("server")
    async with await loop.create_server(Protocol, "127.0.0.1", 0) as server:
        var.set("later")
        for _ in range(2):
            async with connection(server.sockets[0].getsockname()) as client:
                await says(client)
            while seen[-1][0] != "lost":
                await asyncio.sleep(0)
    assert seen == [("made", "server"), ("data", "connection"), ("lost", "connection")] * 2


async def test_the_context_is_that_of_creation_not_of_start(loop):
    var = contextvars.ContextVar("var")
    var.set("created")
    seen = []
    server = await loop.create_server(lambda: seen.append(var.get()) or Echo(), "127.0.0.1", 0, start_serving=False)
    var.set("started")
    async with server:
        await server.start_serving()
        async with connection(server.sockets[0].getsockname()) as client:
            await says(client)
    assert seen == ["created"]


# --- Errors


async def test_an_address_in_use(loop):
    async with await loop.create_server(Echo, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        with pytest.raises(OSError, match="error while attempting to bind on address") as info:
            await loop.create_server(Echo, *address)
        assert info.value.errno == errno.EADDRINUSE
        assert str(address) in str(info.value)


async def test_an_address_that_is_not_ours(loop, caplog):
    with pytest.raises(OSError, match=r"could not bind on any address out of \[\('1\.2\.3\.4', 0\)\]"):
        await loop.create_server(Echo, "1.2.3.4", 0)
    assert caplog.records == []
    loop.set_debug(True)
    with pytest.raises(OSError, match="could not bind on any address"):
        await loop.create_server(Echo, "1.2.3.4", 0)
    assert "error while attempting to bind on address" in caplog.text


async def test_of_two_addresses_one_will_do(loop):
    async with await loop.create_server(Echo, ["1.2.3.4", "127.0.0.1"], 0) as server:
        assert len(server.sockets) == 1


async def test_a_name_without_addresses(loop):
    async def getaddrinfo(*args, **kwargs):
        return []

    loop.getaddrinfo = getaddrinfo
    for host in ("name", ["name", "127.0.0.1"]):
        with pytest.raises(OSError, match=r"getaddrinfo\('name'\) returned empty list"):
            await loop.create_server(Echo, host, 0)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({}, ValueError, "Neither host/port nor sock were specified"),
        ({"host": "h", "ssl": True}, TypeError, "ssl argument must be an SSLContext or None"),
        ({"host": "h", "ssl_handshake_timeout": 1}, ValueError, "ssl_handshake_timeout is only meaningful with ssl"),
        ({"host": "h", "ssl_shutdown_timeout": 1}, ValueError, "ssl_shutdown_timeout is only meaningful with ssl"),
    ],
)
async def test_create_server_refuses(loop, socket_pair, kwargs, error, message):
    with pytest.raises(error, match=message):
        await loop.create_server(Echo, **kwargs)
    with pytest.raises(ValueError, match="host/port and sock can not be specified at the same time"):
        await loop.create_server(Echo, "h", sock=socket_pair[0])
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(ValueError, match="A Stream Socket was expected"):
        await loop.create_server(Echo, sock=sock)


async def test_a_protocol_that_cannot_be_made_is_reported(loop, loop_errors):
    def factory():
        raise ZeroDivisionError

    async with await loop.create_server(factory, "127.0.0.1", 0) as server:
        async with connection(server.sockets[0].getsockname()) as client:
            assert await loop.sock_recv(client, 1) == b""
    error = loop_errors.pop()
    assert error["message"] == "Error on transport creation for incoming connection"
    assert isinstance(error["exception"], ZeroDivisionError)


async def test_debug_mode_tells_of_connections(loop, caplog):
    loop.set_debug(True)
    caplog.set_level(logging.DEBUG, "asyncio")
    async with await loop.create_server(Echo, "127.0.0.1", 0) as server:
        assert "is serving" in caplog.text
        async with connection(server.sockets[0].getsockname()) as client:
            await says(client)
        assert "got a new connection from ('127.0.0.1'" in caplog.text


# --- The end


async def test_closing_stops_listening_and_keeps_connections(loop):
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    async with connection(address) as client:
        await says(client)
        server.close()
        server.close()
        with pytest.raises(ConnectionRefusedError):
            async with connection(address):
                pass
        assert await says(client, b"still there") == b"still there"
        waiting = loop.create_task(server.wait_closed())
        await turns()
        assert not waiting.done()
    await asyncio.wait_for(waiting, 5)
    await server.wait_closed()


async def test_wait_closed_waits_for_close_without_any_connection(loop):
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    waiting = [loop.create_task(server.wait_closed()) for _ in range(2)]
    await turns()
    assert not any(task.done() for task in waiting)
    server.close()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)


async def test_wait_closed_can_be_cancelled(loop):
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    waiting = loop.create_task(server.wait_closed())
    await turns()
    waiting.cancel()
    await turns()
    server.close()
    await server.wait_closed()


async def test_close_clients_sends_what_is_buffered(loop):
    size = 4 << 20

    class Talker(asyncio.Protocol):
        def connection_made(self, transport):
            transport.write(bytes(size))

    server = await loop.create_server(Talker, "127.0.0.1", 0)
    async with connection(server.sockets[0].getsockname()) as client:
        await loop.sock_recv(client, 1)
        server.close()
        server.close_clients()
        count = 1
        while data := await loop.sock_recv(client, 1 << 20):
            count += len(data)
        assert count == size
        await asyncio.wait_for(server.wait_closed(), 5)


async def test_abort_clients(loop):
    class Talker(asyncio.Protocol):
        def connection_made(self, transport):
            transport.write(bytes(32 << 20))

    server = await loop.create_server(Talker, "127.0.0.1", 0)
    async with connection(server.sockets[0].getsockname()) as client:
        await loop.sock_recv(client, 1)
        server.close()
        server.abort_clients()
        await asyncio.wait_for(server.wait_closed(), 5)


async def test_a_connection_closed_while_the_server_closes(loop):
    """A connection that the kernel had accepted already gets no protocol once the server is closed."""
    made = []
    server = await loop.create_server(lambda: made.append(1) or Echo(), "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        server.close()
        await asyncio.wait_for(server.wait_closed(), 5)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert made == []


async def test_a_factory_may_close_the_server(loop):
    def factory():
        server.close()
        return Echo()

    server = await loop.create_server(factory, "127.0.0.1", 0)
    clients = [socket.create_connection(server.sockets[0].getsockname()) for _ in range(3)]
    clients[0].setblocking(False)
    assert await says(clients[0]) == b"hello"
    for client in clients:
        client.close()
    await asyncio.wait_for(server.wait_closed(), 5)


async def test_serve_forever_ends_with_the_server(loop):
    server = await loop.create_server(Echo, "127.0.0.1", 0, start_serving=False)
    task = loop.create_task(server.serve_forever())
    await turns()
    assert server.is_serving()
    with pytest.raises(RuntimeError, match=r"server <.*> is already being awaited on serve_forever\(\)"):
        await server.serve_forever()
    server.close()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(RuntimeError, match=r"server <.*> is closed"):
        await server.serve_forever()


async def test_cancelling_serve_forever_closes_the_connections(loop):
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    task = loop.create_task(server.serve_forever())
    async with connection(server.sockets[0].getsockname()) as client:
        await says(client)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
        assert await loop.sock_recv(client, 1) == b""
    assert server.sockets == ()


async def test_a_server_of_ones_own(loop):
    """Server's signature is known to people who build one."""
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    async with Server(loop, [sock], Echo, None, 5, None) as server:
        await server.start_serving()
        async with connection(sock.getsockname()) as client:
            assert await says(client) == b"hello"


# --- Unix sockets


@pytest.mark.parametrize("kind", ["str", "bytes", "path"])
async def test_create_unix_server(loop, unix_path, kind):
    path = {"str": unix_path, "bytes": os.fsencode(unix_path), "path": Path(unix_path)}[kind]
    async with await loop.create_unix_server(Echo, path, cleanup_socket=True) as server:
        assert stat.S_ISSOCK(os.stat(unix_path).st_mode)
        assert server.sockets[0].getsockname() == unix_path
        async with connection(unix_path) as client:
            assert await says(client) == b"hello"
    assert not os.path.exists(unix_path)


@pytest.mark.parametrize("prefix", ["\0", b"\0"])
async def test_an_abstract_unix_server(loop, unix_path, prefix):
    path = prefix + (unix_path if isinstance(prefix, str) else os.fsencode(unix_path))
    async with await loop.create_unix_server(Echo, path):
        async with connection(b"\0" + os.fsencode(unix_path)) as client:
            assert await says(client) == b"hello"


async def test_a_unix_socket_of_ones_own(loop, unix_path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(unix_path)
    async with await loop.create_unix_server(Echo, sock=sock, cleanup_socket=True):
        pass
    assert not os.path.exists(unix_path)


async def test_a_stale_socket_file_is_replaced(loop, unix_path):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(unix_path)
    async with await loop.create_unix_server(Echo, unix_path):
        async with connection(unix_path) as client:
            assert await says(client) == b"hello"


async def test_what_is_no_socket_is_not_replaced(loop, unix_path):
    Path(unix_path).write_text("precious")
    with pytest.raises(OSError, match=f"Address '{unix_path}' is already in use") as info:
        await loop.create_unix_server(Echo, unix_path)
    assert info.value.errno == errno.EADDRINUSE
    assert Path(unix_path).read_text() == "precious"


async def test_cleanup_is_optional(loop, unix_path):
    async with await loop.create_unix_server(Echo, unix_path, cleanup_socket=False):
        pass
    assert os.path.exists(unix_path)


async def test_cleanup_is_the_interpreters_default(loop, unix_path):
    async with await loop.create_unix_server(Echo, unix_path):
        pass
    assert os.path.exists(unix_path) is (sys.version_info < (3, 13))


async def test_a_file_that_is_ours_no_more_is_not_removed(loop, unix_path):
    async with await loop.create_unix_server(Echo, unix_path, cleanup_socket=True):
        os.rename(unix_path, unix_path + ".ours")  # keeps its inode in use
        Path(unix_path).write_text("another's")
    assert Path(unix_path).read_text() == "another's"


async def test_a_file_that_is_gone_is_no_error(loop, unix_path):
    async with await loop.create_unix_server(Echo, unix_path, cleanup_socket=True):
        os.unlink(unix_path)


async def test_a_path_without_a_folder(loop, unix_path):
    with pytest.raises(FileNotFoundError):
        await loop.create_unix_server(Echo, unix_path + "/missing/socket")


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({}, ValueError, "path was not specified, and no sock specified"),
        ({"path": "p", "sock": 1}, ValueError, "path and sock can not be specified at the same time"),
        ({"path": "p", "ssl": True}, TypeError, "ssl argument must be an SSLContext or None"),
        ({"path": "p", "ssl_handshake_timeout": 1}, ValueError, "ssl_handshake_timeout is only meaningful with ssl"),
        ({"path": "p", "ssl_shutdown_timeout": 1}, ValueError, "ssl_shutdown_timeout is only meaningful with ssl"),
    ],
)
async def test_create_unix_server_refuses(loop, kwargs, error, message):
    with pytest.raises(error, match=message):
        await loop.create_unix_server(Echo, **kwargs)
    with socket.socket() as sock, pytest.raises(ValueError, match="A UNIX Domain Stream Socket was expected"):
        await loop.create_unix_server(Echo, sock=sock)


async def test_a_socket_that_accepts_in_its_own_way_is_asked(loop):
    accepted = []

    class Own(socket.socket):
        def accept(self):
            pair = super().accept()
            accepted.append(pair[0])
            return pair

    sock = Own()
    sock.bind(("127.0.0.1", 0))
    async with await loop.create_server(Echo, sock=sock) as server, connection(sock.getsockname()) as client:
        assert await says(client) == b"hello"
        assert len(accepted) == 1
        server.close_clients()
        await turns()


async def test_what_is_accepted_is_a_socket_like_any_other(loop):
    made = []

    class Protocol(Echo):
        def connection_made(self, transport):
            super().connection_made(transport)
            made.append(transport.get_extra_info("socket"))

    async with await loop.create_server(Protocol, "127.0.0.1", 0) as server:
        (listening,) = server.sockets
        async with connection(listening.getsockname()) as client:
            assert await says(client) == b"hello"
            (sock,) = made
            assert (sock.family, sock.type, sock.proto) == (listening.family, listening.type, listening.proto)
            assert sock.gettimeout() == 0
            assert not os.get_inheritable(sock.fileno())
            server.close_clients()
            await turns()


@pytest.mark.parametrize("backlog", [0, 1])
async def test_a_small_backlog_still_lets_one_in(loop, tmp_path, backlog):
    """asyncio accepts one more than the backlog in a turn: with none at all nobody would get in (gh-90871)."""
    path = str(tmp_path / "socket")
    async with await loop.create_unix_server(Echo, path, backlog=backlog):
        for _ in range(3):
            async with connection(path) as sock:
                await says(sock)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_a_connection_knows_its_own_address_to_the_end(loop, host):
    made, ended = [], loop.create_future()

    class Ends(asyncio.Protocol):
        def connection_made(self, transport):
            made.append(transport)
            transport.close()

        def connection_lost(self, exc):
            ended.set_result(exc)

    async with await loop.create_server(Ends, host, 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connection(("127.0.0.1", port)) as client:
            await ended
            await turns()
            assert made[0].get_extra_info("sockname") == ("127.0.0.1", port)
            assert made[0].get_extra_info("peername") == client.getsockname()
            assert made[0].get_extra_info("socket").fileno() == -1
