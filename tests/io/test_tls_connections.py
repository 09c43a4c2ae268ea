"""TLS connections of every kind: who connects, who serves, what each learns of the other."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

import cede


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def echoes(transport_or_writer, reader, data):
    transport_or_writer.write(data)
    return await asyncio.wait_for(reader.readexactly(len(data)), 10)


async def serve_echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


# --- Connecting and serving


async def test_streams_both_ways(world, loop):
    server = await asyncio.start_server(serve_echo, "127.0.0.1", 0, ssl=world.server_context())
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=world.client_context(), server_hostname="localhost"
    )
    for size in (1, 1000, 16384, 16385, 100_000, 3_000_000):
        data = bytes(size)
        assert await echoes(writer, reader, data) == data
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_who_answers_the_end_meets_no_error(world, loop):
    """asyncio's example of an echo server, and a client that says nothing, as those do that look whether a port answers."""
    ended = []

    async def serve(reader, writer):
        data = await reader.read(100)
        writer.write(data)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        ended.append(data)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=world.server_context())
    _reader, writer = await asyncio.open_connection(
        *server.sockets[0].getsockname(), ssl=world.client_context(), server_hostname="localhost"
    )
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(5):
        while not ended:
            await asyncio.sleep(0.001)
    server.close()
    await server.wait_closed()
    assert ended == [b""]


async def test_unix_sockets(world, loop, unix_path):
    server = await loop.create_unix_server(Echo, unix_path, ssl=world.server_context())
    reader, writer = await asyncio.open_unix_connection(
        unix_path, ssl=world.client_context(), server_hostname="localhost"
    )
    assert await echoes(writer, reader, b"hello") == b"hello"
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_the_default_context_refuses_an_unknown_authority(world, loop, recorder):
    mine, theirs = world.tcp_pair()
    peer = world.peer(theirs, server_side=True)
    shaking = asyncio.ensure_future(peer.shake_hands())
    with pytest.raises(ssl.SSLCertVerificationError):
        await loop.create_connection(recorder, sock=mine, ssl=True, server_hostname="localhost")
    with pytest.raises((ssl.SSLError, EOFError, ConnectionError)):
        await shaking
    peer.close()


async def test_what_the_transport_knows(world, loop, recorder):
    context = world.client_context()
    async with world.connected(recorder, tls=context) as (transport, protocol, peer):
        assert protocol.transport is transport
        assert isinstance(transport, asyncio.Transport)
        assert "ssl" in type(transport).__name__.lower() or "tls" in type(transport).__name__.lower()
        assert "ssl" in transport.__class__.__name__.lower()
        assert transport.get_extra_info("sslcontext") is context
        assert transport._ssl_protocol._sslcontext is context
        assert isinstance(transport.get_extra_info("ssl_object"), ssl.SSLObject)
        assert transport.get_extra_info("ssl_object").server_hostname == "localhost"
        assert transport.get_extra_info("peercert")["subject"] == ((("commonName", "localhost"),),)
        assert transport.get_extra_info("cipher") == transport.get_extra_info("ssl_object").cipher()
        assert transport.get_extra_info("compression") is None
        assert transport.get_extra_info("socket").fileno() == transport.get_extra_info("socket").fileno() >= 0
        assert transport.get_extra_info("peername") == peer.sock.getsockname()
        assert transport.get_extra_info("sockname") == peer.sock.getpeername()
        assert transport.get_extra_info("nothing", 42) == 42
        assert not transport.can_write_eof()
        with pytest.raises(NotImplementedError):
            transport.write_eof()
        assert transport.get_write_buffer_limits() == (128 * 1024, 512 * 1024)
        assert transport.get_read_buffer_limits() == (64 * 1024, 256 * 1024)
        assert transport.get_read_buffer_size() == 0
        assert transport.get_protocol() is protocol
        assert transport.is_reading()
        assert not transport.is_closing()


async def test_the_programs_socket_stays_usable(world, loop, recorder):
    mine, theirs = world.tcp_pair()
    peer = world.peer(theirs, server_side=True)
    shaking = asyncio.ensure_future(peer.shake_hands())
    transport, _ = await loop.create_connection(
        recorder, sock=mine, ssl=world.client_context(), server_hostname="localhost"
    )
    await shaking
    assert mine.getpeername() == theirs.getsockname()
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    transport.abort()
    peer.close()
    await asyncio.sleep(0)


async def test_connection_made_comes_after_the_handshake(world, loop, recorder):
    mine, theirs = world.tcp_pair()
    peer = world.peer(theirs, server_side=False)
    protocol = recorder()
    connecting = asyncio.ensure_future(loop.connect_accepted_socket(lambda: protocol, mine, ssl=world.server_context()))
    await asyncio.sleep(0.02)
    assert protocol.calls == []
    await peer.shake_hands()
    transport, _ = await connecting
    assert protocol.calls == ["made"]
    transport.abort()
    peer.close()
    await protocol.lost


async def test_data_that_follows_the_handshake_at_once(world, loop, recorder):
    async with world.connected(recorder, server_side=True) as (_, protocol, peer):
        await peer.send(b"early")
        assert await protocol.got(5) == b"early"
        assert protocol.calls == ["made", "data"]


async def test_a_protocol_may_write_in_connection_made(world, loop, recorder):
    class Greeter(recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.write(b"welcome")

    async with world.connected(Greeter, server_side=True) as (_, _, peer):
        assert await peer.receive(7) == b"welcome"


# --- Negotiation


async def test_alpn(world, loop, recorder):
    context = world.server_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=context)
    client = world.client_context()
    client.set_alpn_protocols(["http/1.1"])
    transport, protocol = await loop.create_connection(
        recorder, *server.sockets[0].getsockname(), ssl=client, server_hostname="localhost"
    )
    assert transport.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    transport.close()
    await protocol.lost
    server.close()
    await server.wait_closed()


async def test_a_server_chooses_its_certificate_by_name(world, loop, recorder):
    asked = []
    other = world.server_context("other")
    context = world.server_context()

    def by_name(ssl_object, name, initial):
        asked.append((type(ssl_object), name, initial is context))
        if name == "other.example":
            ssl_object.context = other

    context.sni_callback = by_name
    server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=context)
    for name in ("localhost", "other.example"):
        transport, protocol = await loop.create_connection(
            recorder, *server.sockets[0].getsockname(), ssl=world.client_context(), server_hostname=name
        )
        assert transport.get_extra_info("peercert")["subject"][0][0][1] == name
        transport.close()
        await protocol.lost
    assert asked == [(ssl.SSLObject, "localhost", True), (ssl.SSLObject, "other.example", True)]
    server.close()
    await server.wait_closed()


async def test_client_certificates(world, loop, recorder):
    context = world.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(world.certificates.authority)
    server_protocols = []

    def factory():
        server_protocols.append(recorder())
        return server_protocols[-1]

    server = await loop.create_server(factory, "127.0.0.1", 0, ssl=context)
    client = world.client_context()
    client.load_cert_chain(*world.certificates.pair("client"))
    address = server.sockets[0].getsockname()
    transport, protocol = await loop.create_connection(recorder, *address, ssl=client, server_hostname="localhost")
    transport.write(b"x")
    await server_protocols[0].got(1)
    theirs = server_protocols[0].transport.get_extra_info("peercert")
    assert theirs["subject"] == ((("commonName", "A client"),),)
    transport.close()
    assert await protocol.lost is None

    # In TLS 1.3 a client without a certificate learns of it after its own handshake.
    transport, protocol = await loop.create_connection(
        recorder, *address, ssl=world.client_context(), server_hostname="localhost"
    )
    lost = await asyncio.wait_for(protocol.lost, 10)
    assert isinstance(lost, (ssl.SSLError, ConnectionResetError))
    server.close()
    await server.wait_closed()


async def test_a_session_can_be_seen(world, loop, recorder):
    async with world.connected(recorder) as (transport, protocol, peer):
        await peer.send(b"x")  # TLS 1.3 gives out sessions after the handshake
        await protocol.got(1)
        ssl_object = transport.get_extra_info("ssl_object")
        assert isinstance(ssl_object.session, ssl.SSLSession)
        assert ssl_object.session_reused is False


# --- What is refused


async def test_a_certificate_for_another_name_is_refused(world, loop, recorder):
    server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=world.server_context("other"))
    with pytest.raises(ssl.SSLCertVerificationError, match="localhost"):
        await loop.create_connection(
            recorder, *server.sockets[0].getsockname(), ssl=world.client_context(), server_hostname="localhost"
        )
    server.close()
    await server.wait_closed()


async def test_a_name_to_check_must_be_given(world, loop, recorder):
    """Without a name a memory BIO would accept any certificate (gh-156793)."""
    mine, theirs = world.tcp_pair()
    with pytest.raises(ValueError, match="check_hostname requires server_hostname"):
        await loop.create_connection(recorder, sock=mine, ssl=world.client_context(), server_hostname="")
    assert mine.fileno() < 0
    theirs.close()


async def test_start_tls_without_a_name_leaves_the_transport_alone(world, loop, recorder):
    mine, theirs = world.tcp_pair()
    transport, protocol = await loop.create_connection(recorder, sock=mine)
    for name in (None, ""):
        with pytest.raises(ValueError, match="check_hostname requires server_hostname"):
            await loop.start_tls(transport, protocol, world.client_context(), server_hostname=name)
    await loop.sock_sendall(theirs, b"plain")
    assert await protocol.got(5) == b"plain"
    transport.close()
    theirs.close()
    await protocol.lost


async def test_a_server_needs_a_context(world, loop, recorder):
    mine, theirs = world.tcp_pair()
    with pytest.raises(ValueError, match="Server side SSL needs a valid SSLContext"):
        await loop.connect_accepted_socket(recorder, mine, ssl=True)
    theirs.close()


@pytest.mark.parametrize("seconds", [0, -1, 0.0])
@pytest.mark.parametrize("name", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
async def test_timeouts_are_positive(world, loop, recorder, name, seconds):
    mine, theirs = world.tcp_pair()
    with pytest.raises(ValueError, match=f"{name} should be a positive number, got {seconds}"):
        await loop.create_connection(
            recorder, sock=mine, ssl=world.client_context(), server_hostname="localhost", **{name: seconds}
        )
    theirs.close()


async def test_start_tls_refuses_what_is_no_context_and_no_transport(world, loop, recorder):
    mine, theirs = world.tcp_pair()
    transport, protocol = await loop.create_connection(recorder, sock=mine)
    with pytest.raises(TypeError, match="sslcontext is expected to be an instance of ssl.SSLContext, got None"):
        await loop.start_tls(transport, protocol, None)
    with pytest.raises(TypeError, match=r"is not supported by start_tls\(\)"):
        await loop.start_tls(object(), protocol, world.client_context())
    transport.abort()
    await protocol.lost
    with pytest.raises(ConnectionAbortedError):
        await loop.start_tls(transport, protocol, world.client_context(), server_hostname="localhost")
    theirs.close()


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_start_tls_on_a_transport_that_is_closing_gives_none(world, loop, recorder, how):
    mine, theirs = world.tcp_pair()
    transport, protocol = await loop.create_connection(recorder, sock=mine)
    getattr(transport, how)()
    assert await loop.start_tls(transport, protocol, world.client_context(), server_hostname="localhost") is None
    assert await protocol.lost is None
    assert protocol.calls == ["made", "lost"]
    theirs.close()


async def test_start_tls_on_a_stream_that_is_closing(world, loop):
    mine, theirs = world.tcp_pair()
    _, writer = await cede.open_connection(sock=mine)
    writer.close()
    with pytest.raises(ConnectionError):
        await writer.start_tls(world.client_context(), server_hostname="localhost")
    theirs.close()


@pytest.mark.parametrize("package", [asyncio, cede])
async def test_the_end_of_a_stream_that_the_loop_upgraded_is_no_warning(world, loop, package, caplog):
    mine, theirs = world.tcp_pair()
    reader, writer = await package.open_connection(sock=mine)
    peer = world.peer(theirs, server_side=True)
    shaking = asyncio.ensure_future(peer.shake_hands())
    protocol = writer.transport.get_protocol()
    upgraded = await loop.start_tls(writer.transport, protocol, world.client_context(), server_hostname="localhost")
    await shaking
    await loop.sock_sendall(theirs, peer.close_notify())
    assert await asyncio.wait_for(reader.read(), 5) == b""
    upgraded.close()
    writer.close()
    await asyncio.sleep(0.01)
    peer.close()
    assert caplog.records == []


# --- start_tls


@pytest.mark.parametrize("package", [asyncio, cede])
async def test_start_tls_by_both_sides(world, loop, package):
    """A server greets in plain text, both upgrade, and the streams stay the same objects."""
    failures = []

    async def serve(reader, writer):
        try:
            writer.write(b"ready\n")
            assert await reader.readline() == b"STARTTLS\n"
            writer.write(b"go\n")
            await writer.start_tls(world.server_context())
            await serve_echo(reader, writer)
        except Exception as exc:
            failures.append(exc)

    server = await package.start_server(serve, "127.0.0.1", 0)
    reader, writer = await package.open_connection(*server.sockets[0].getsockname())
    assert await reader.readline() == b"ready\n"
    writer.write(b"STARTTLS\n")
    assert await reader.readline() == b"go\n"
    await writer.start_tls(world.client_context(), server_hostname="localhost")
    assert writer.get_extra_info("ssl_object") is not None
    for size in (5, 300_000):
        assert await echoes(writer, reader, bytes(size)) == bytes(size)
    writer.close()
    await writer.wait_closed()
    server.close()
    await asyncio.wait_for(server.wait_closed(), 5)
    assert failures == []


@pytest.mark.parametrize("package", [asyncio, cede])
async def test_start_tls_with_the_handshake_already_read(world, loop, package):
    """The client's hello comes with its last plain words, and the server's reader has it all."""
    if package is asyncio and not hasattr(asyncio.StreamReaderProtocol, "_replace_transport"):
        pytest.skip("this asyncio's streams lose what was buffered")
    done = loop.create_future()

    async def serve(reader, writer):
        assert await reader.readline() == b"STARTTLS\n"
        await asyncio.sleep(0.02)
        await writer.start_tls(world.server_context())
        done.set_result(await reader.readexactly(5))
        writer.close()

    server = await package.start_server(serve, "127.0.0.1", 0)
    sock = socket.socket()
    sock.setblocking(False)
    await loop.sock_connect(sock, server.sockets[0].getsockname())
    peer = world.peer(sock, server_side=False)
    with pytest.raises(ssl.SSLWantReadError):
        peer.tls.do_handshake()
    await loop.sock_sendall(sock, b"STARTTLS\n" + peer.sealed_so_far())
    await peer.shake_hands()
    await peer.send(b"hello")
    assert await asyncio.wait_for(done, 5) == b"hello"
    peer.close()
    server.close()
    await server.wait_closed()


async def test_the_old_transport_is_spent(world, loop, recorder):
    mine, theirs = world.tcp_pair()
    old, protocol = await loop.create_connection(recorder, sock=mine)
    old.write(b"plain ")
    peer = world.peer(theirs, server_side=True)
    upgrading = asyncio.ensure_future(
        loop.start_tls(old, protocol, world.client_context(), server_hostname="localhost")
    )
    assert await loop.sock_recv(theirs, 6) == b"plain "
    await peer.shake_hands()
    new = await upgrading
    assert new is not old
    assert new.get_protocol() is protocol
    assert new.get_extra_info("peername") == theirs.getsockname()
    assert protocol.calls == ["made"]
    new.write(b"sealed")
    assert await peer.receive(6) == b"sealed"
    await peer.send(b"answer")
    assert await protocol.got(6) == b"answer"
    new.abort()
    assert await protocol.lost is None
    assert protocol.calls == ["made", "data", "lost"]
    peer.close()


async def test_a_server_counts_an_upgraded_connection_once(world, loop, recorder):
    protocols = []

    def factory():
        protocols.append(recorder())
        return protocols[-1]

    server = await loop.create_server(factory, "127.0.0.1", 0)
    sock = socket.socket()
    sock.setblocking(False)
    await loop.sock_connect(sock, server.sockets[0].getsockname())
    peer = world.peer(sock, server_side=False)
    shaking = asyncio.ensure_future(peer.shake_hands())
    while not (protocols and protocols[0].transport):
        await asyncio.sleep(0)
    new = await loop.start_tls(protocols[0].transport, protocols[0], world.server_context(), server_side=True)
    await shaking
    server.close()
    waiting = asyncio.ensure_future(server.wait_closed())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    new.abort()
    await asyncio.wait_for(waiting, 5)
    peer.close()


async def test_tls_in_tls(world, loop, recorder):
    class Inner(asyncio.Protocol):
        """A server that speaks TLS a second time, inside the first."""

        def connection_made(self, transport):
            self.task = asyncio.ensure_future(self.upgrade(transport))

        async def upgrade(self, transport):
            echo = Echo()
            echo.transport = await loop.start_tls(transport, echo, world.server_context(), server_side=True)

    server = await loop.create_server(Inner, "127.0.0.1", 0, ssl=world.server_context())
    outer, first = await loop.create_connection(
        recorder, *server.sockets[0].getsockname(), ssl=world.client_context(), server_hostname="localhost"
    )
    second = recorder()
    inner = await loop.start_tls(outer, second, world.client_context(), server_hostname="localhost")
    data = bytes(range(256)) * 2000
    inner.write(data)
    assert await second.got(len(data)) == data
    assert inner.get_extra_info("peername") == outer.get_extra_info("peername")
    inner.close()
    assert await asyncio.wait_for(second.lost, 5) is None
    assert first.calls == ["made"]  # the inner one has taken its place
    server.close()
    await asyncio.wait_for(server.wait_closed(), 5)
