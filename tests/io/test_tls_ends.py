"""How TLS connections end, and fail: each ends in one connection_lost that says why, or never began."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import socket
import ssl
import weakref

import pytest

RECORD = 16 * 1024  # bytes; no TLS record carries more


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


# --- close


async def test_close_says_goodbye_and_waits_for_the_answer(world, loop, recorder):
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.write(b"last words")
        transport.close()
        assert transport.is_closing()
        transport.close()  # once more does nothing
        assert await peer.receive_to_end() == b"last words"
        await asyncio.sleep(0.02)
        assert not protocol.lost.done()
        await peer.send_raw(peer.close_notify())
        assert await asyncio.wait_for(protocol.lost, 5) is None
        assert protocol.calls == ["made", "eof", "lost"]


async def test_close_is_content_with_a_peer_that_hangs_up(world, loop, recorder):
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.close()
        assert await peer.receive_to_end() == b""
        peer.close()
        assert await asyncio.wait_for(protocol.lost, 5) is None


async def test_close_with_much_to_send(world, loop, recorder):
    data = bytes(range(256)) * 40_000
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.write(data)
        transport.close()
        assert await peer.receive_to_end() == data
        await peer.send_raw(peer.close_notify())
        assert await asyncio.wait_for(protocol.lost, 5) is None


async def test_a_peer_that_does_not_answer_is_given_up(world, loop, recorder):
    async with world.connected(recorder, ssl_shutdown_timeout=0.05) as (transport, protocol, peer):
        transport.close()
        lost = await asyncio.wait_for(protocol.lost, 5)
        assert type(lost) is TimeoutError
        assert str(lost) == "SSL shutdown timed out"
        assert await peer.receive_to_end() == b""


async def test_a_peer_that_does_not_read_is_given_up(world, loop, recorder):
    async with world.connected(recorder, ssl_shutdown_timeout=0.05) as (transport, protocol, _):
        for _ in range(100):
            transport.write(bytes(100_000))
        transport.close()
        assert type(await asyncio.wait_for(protocol.lost, 5)) is TimeoutError


async def test_data_behind_the_goodbye_is_an_error(world, loop, recorder):
    """As in asyncio: who closes drops what the peer still sends, and is told."""
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.close()
        await turns()
        await peer.send(b"too late")
        lost = await asyncio.wait_for(protocol.lost, 5)
        assert isinstance(lost, ssl.SSLError)
        assert lost.reason == "APPLICATION_DATA_AFTER_CLOSE_NOTIFY"
        assert protocol.data == b""


async def test_writes_after_close_are_dropped(world, loop, recorder, caplog):
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.write(b"before")
        transport.close()
        with caplog.at_level(logging.WARNING):
            for _ in range(5):
                transport.write(b"after")
            assert not caplog.records
            transport.writelines([b"after"])
            assert [record.message for record in caplog.records] == ["SSL connection is closed"]
        assert await peer.receive_to_end() == b"before"


# --- abort


async def test_abort(world, loop, recorder):
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.abort()
        assert transport.is_closing()
        assert protocol.calls == ["made"]
        assert await protocol.lost is None
        assert protocol.calls == ["made", "lost"]
        transport.abort()
        transport.close()
        await turns()
        assert protocol.calls == ["made", "lost"]
        with pytest.raises((EOFError, ConnectionError)):
            await peer.receive_to_end()


async def test_what_was_written_in_the_turn_of_the_abort_is_tried(world, loop, recorder):
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.write(b"sent")
        transport.abort()
        assert await peer.receive(4) == b"sent"
        await protocol.lost


async def test_abort_while_shutting_down(world, loop, recorder):
    async with world.connected(recorder) as (transport, protocol, _):
        transport.close()
        transport.abort()
        assert await asyncio.wait_for(protocol.lost, 5) is None
        assert protocol.calls == ["made", "lost"]


# --- The peer's end


async def test_the_peers_goodbye(world, loop, recorder):
    async with world.connected(recorder) as (transport, protocol, peer):
        await peer.send_raw(peer.sealed(b"last") + peer.close_notify())
        assert await protocol.got(4) == b"last"
        assert await asyncio.wait_for(protocol.lost, 5) is None
        assert protocol.calls == ["made", "data", "eof", "lost"]
        assert await peer.receive_to_end() == b""  # it was answered


async def test_what_is_buffered_goes_before_the_answer(world, loop, recorder):
    data = bytes(range(256)) * 20_000
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.write(data)
        await turns()
        assert transport.get_write_buffer_size() > 0
        await peer.send_raw(peer.close_notify())
        await turns()
        assert protocol.calls[-1] == "eof"
        assert await peer.receive_to_end() == data
        assert await asyncio.wait_for(protocol.lost, 5) is None


async def test_a_peer_that_vanishes_without_a_word(world, loop, recorder):
    async with world.connected(recorder) as (_, protocol, peer):
        await peer.send(b"cut")
        peer.close()
        assert await asyncio.wait_for(protocol.lost, 5) is None
        assert protocol.data == b"cut"
        assert protocol.calls == ["made", "data", "eof", "lost"]


async def test_half_a_record_and_the_end(world, loop, recorder):
    async with world.connected(recorder) as (_, protocol, peer):
        await peer.send_raw(peer.sealed(b"never whole")[:-3])
        await turns()
        peer.close()
        assert await asyncio.wait_for(protocol.lost, 5) is None
        assert protocol.calls == ["made", "eof", "lost"]


async def test_a_half_closing_peer_gets_what_was_written(world, loop, recorder):
    """It sends a FIN without close_notify, and reads on: nothing is lost, and no alert is sent."""
    data = bytes(range(256)) * 20_000
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.write(data)
        await turns()
        assert transport.get_write_buffer_size() > 0
        peer.sock.shutdown(socket.SHUT_WR)
        await turns()
        assert protocol.calls[-1] == "eof"
        assert await peer.receive(len(data)) == data
        assert await peer.receive_raw() == b""
        assert await asyncio.wait_for(protocol.lost, 5) is None


@pytest.mark.parametrize("front", [b"", bytes(RECORD)], ids=["tickets", "tickets and a full record"])
async def test_what_stands_before_the_end_does_not_keep_the_rest_from_being_sent(world, loop, recorder, front):
    """OpenSSL reads on behind a ticket, so nobody can keep it from meeting the end."""
    data = bytes(range(256)) * 20_000
    mine, theirs = world.tcp_pair()
    peer = world.peer(theirs, server_side=True)
    shaking = asyncio.ensure_future(peer._doing(peer.tls.do_handshake))  # whose tickets are not sent yet
    transport, protocol = await loop.create_connection(
        recorder, sock=mine, ssl=world.client_context(), server_hostname="localhost"
    )
    await shaking
    transport.write(data)
    await turns()
    assert transport.get_write_buffer_size() > 0
    tickets = peer.sealed_so_far()
    assert tickets
    peer.sock.send(tickets + (peer.sealed(front) if front else b""))
    peer.sock.shutdown(socket.SHUT_WR)
    await turns()
    assert protocol.data == front
    assert protocol.calls[-1] == "eof"
    assert await peer.receive(len(data)) == data
    assert await peer.receive_raw() == b""
    assert await asyncio.wait_for(protocol.lost, 5) is None
    peer.close()


async def test_a_reset(world, loop, recorder):
    async with world.connected(recorder) as (_, protocol, peer):
        peer.reset()
        lost = await asyncio.wait_for(protocol.lost, 5)
        assert type(lost) is ConnectionResetError
        assert lost.errno == errno.ECONNRESET
        assert protocol.calls == ["made", "lost"]


async def test_a_reset_while_reading_is_paused(world, loop, recorder):
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.pause_reading()
        await turns()
        peer.reset()
        for _ in range(100):
            if protocol.lost.done():
                break
            transport.write(bytes(1000))
            await asyncio.sleep(0.001)
        lost = await asyncio.wait_for(protocol.lost, 5)
        # With OpenSSL 3.5, Python 3.11.2's ssl does not look at what the system said.
        assert isinstance(lost, ConnectionError) or lost.errno == ssl.SSL_ERROR_SYSCALL


async def test_a_reset_while_shutting_down(world, loop, recorder):
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.close()
        await turns()
        peer.reset()
        assert isinstance(await asyncio.wait_for(protocol.lost, 5), ConnectionResetError)


async def test_a_reset_with_much_to_send(world, loop, recorder):
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.write(bytes(10_000_000))
        await turns()
        peer.reset()
        assert isinstance(await asyncio.wait_for(protocol.lost, 5), ConnectionError)
        assert transport.get_write_buffer_size() == 0


async def test_garbage(world, loop, recorder):
    async with world.connected(recorder) as (_, protocol, peer):
        await peer.send_raw(peer.sealed(b"good"))
        assert await protocol.got(4) == b"good"
        await peer.send_raw(b"this is no TLS record, whatever else it may be")
        lost = await asyncio.wait_for(protocol.lost, 5)
        assert isinstance(lost, ssl.SSLError)
        assert protocol.calls == ["made", "data", "lost"]


async def test_data_and_garbage_at_once(world, loop, recorder):
    """What is good is handed on before the error."""
    async with world.connected(recorder) as (_, protocol, peer):
        await peer.send_raw(peer.sealed(bytes(3 * 16384)) + b"this is no TLS record")
        assert isinstance(await asyncio.wait_for(protocol.lost, 5), ssl.SSLError)
        assert len(protocol.data) == 3 * 16384


async def test_true_from_eof_received_keeps_nothing_open(world, loop, recorder, caplog):
    class KeepsOpen(recorder):
        def eof_received(self):
            super().eof_received()
            return True

    async with world.connected(KeepsOpen) as (_, protocol, peer):
        await peer.send_raw(peer.close_notify())
        assert await asyncio.wait_for(protocol.lost, 5) is None
        assert "returning true from eof_received() has no effect when using ssl" in caplog.text


# --- Protocols that raise


class Oops(Exception):
    pass


@pytest.mark.parametrize("call", ["data_received", "eof_received", "connection_made"])
async def test_a_protocol_that_raises_loses_its_connection(world, loop, recorder, loop_errors, call):
    def raising(self, *args):
        getattr(recorder, call)(self, *args)
        raise Oops

    broken = type("Broken", (recorder,), {call: raising})
    protocol = broken()
    mine, theirs = world.tcp_pair()
    peer = world.peer(theirs, server_side=True)
    shaking = asyncio.ensure_future(peer.shake_hands())
    connecting = loop.create_connection(
        lambda: protocol, sock=mine, ssl=world.client_context(), server_hostname="localhost"
    )
    if call == "connection_made":
        with pytest.raises(Oops):
            await connecting
        await shaking
    else:
        await connecting
        await shaking
        await peer.send_raw(peer.sealed(b"x") + peer.close_notify())
    assert isinstance(await asyncio.wait_for(protocol.lost, 5), Oops)
    assert protocol.calls.count("lost") == 1
    (error,) = loop_errors
    assert isinstance(error["exception"], Oops)
    assert error["transport"] is protocol.transport
    loop_errors.clear()
    peer.close()
    await turns()


# --- Failed handshakes


async def test_garbage_instead_of_a_handshake(world, loop, recorder):
    mine, theirs = world.tcp_pair()
    protocol = recorder()
    connecting = asyncio.ensure_future(
        loop.create_connection(lambda: protocol, sock=mine, ssl=world.client_context(), server_hostname="localhost")
    )
    await loop.sock_sendall(theirs, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ssl.SSLError) as caught:
        await connecting
    assert caught.value.reason == "WRONG_VERSION_NUMBER"
    assert protocol.calls == []
    theirs.close()
    await turns()
    assert mine.fileno() < 0


@pytest.mark.parametrize("server_side", [False, True])
@pytest.mark.parametrize("how", ["close", "reset", "after a word"])
async def test_a_peer_that_leaves_while_hands_are_shaken(world, loop, recorder, server_side, how):
    mine, theirs = world.tcp_pair()
    peer = world.peer(theirs, server_side=not server_side)
    if server_side:
        connecting = loop.connect_accepted_socket(recorder, mine, ssl=world.server_context())
    else:
        connecting = loop.create_connection(
            recorder, sock=mine, ssl=world.client_context(), server_hostname="localhost"
        )
    connecting = asyncio.ensure_future(connecting)
    await turns()
    if how == "reset":
        peer.reset()
    elif how == "close":
        if not server_side:
            await peer.receive_raw()
        peer.close()
    else:
        if not server_side:
            await peer.receive_raw()
        await peer.send_raw(b"\x16\x03\x01")
        peer.close()
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(connecting, 5)
    await turns()
    assert mine.fileno() < 0


@pytest.mark.parametrize("server_side", [False, True])
async def test_a_handshake_that_takes_too_long(world, loop, recorder, server_side):
    mine, theirs = world.tcp_pair()
    if server_side:
        connecting = loop.connect_accepted_socket(
            recorder, mine, ssl=world.server_context(), ssl_handshake_timeout=0.05
        )
    else:
        connecting = loop.create_connection(
            recorder, sock=mine, ssl=world.client_context(), server_hostname="localhost", ssl_handshake_timeout=0.05
        )
    with pytest.raises(ConnectionAbortedError) as caught:
        await asyncio.wait_for(connecting, 5)
    assert str(caught.value) == "SSL handshake is taking longer than 0.05 seconds: aborting the connection"
    assert mine.fileno() < 0
    theirs.close()


async def test_a_cancelled_connection_attempt(world, loop, recorder):
    mine, theirs = world.tcp_pair()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(
            loop.create_connection(recorder, sock=mine, ssl=world.client_context(), server_hostname="localhost"), 0.02
        )
    await turns()
    assert mine.fileno() < 0
    theirs.close()


async def test_a_server_reports_failed_handshakes_in_debug_mode_only(world, loop, recorder, loop_errors):
    server = await loop.create_server(recorder, "127.0.0.1", 0, ssl=world.server_context())
    for debug in (False, True):
        loop.set_debug(debug)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        await reader.read()
        writer.close()
        await turns(10)
        assert bool(loop_errors) is debug
    (error,) = loop_errors
    assert error["message"] == "Error on transport creation for incoming connection"
    assert isinstance(error["exception"], ssl.SSLError)
    loop_errors.clear()
    server.close()
    await asyncio.wait_for(server.wait_closed(), 5)


async def test_a_server_aborts_clients_that_shake_hands(world, loop, recorder):
    made = []
    server = await loop.create_server(
        lambda: made.append(recorder()) or made[-1], "127.0.0.1", 0, ssl=world.server_context()
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    while not made:
        await asyncio.sleep(0)
    await turns()
    server.close()
    server._living()[0].abort()
    await asyncio.wait_for(server.wait_closed(), 5)
    assert made[0].calls == []
    assert await reader.read() == b""
    writer.close()


# --- Failed upgrades


async def test_a_failed_upgrade_ends_the_connection(world, loop, recorder):
    mine, theirs = world.tcp_pair()
    transport, protocol = await loop.create_connection(recorder, sock=mine)
    upgrading = asyncio.ensure_future(
        loop.start_tls(transport, protocol, world.client_context(), server_hostname="localhost")
    )
    await turns()
    await loop.sock_sendall(theirs, b"no such command\r\n")
    with pytest.raises(ssl.SSLError):
        await asyncio.wait_for(upgrading, 5)
    assert isinstance(await asyncio.wait_for(protocol.lost, 5), ssl.SSLError)
    assert protocol.calls == ["made", "lost"]
    assert transport.is_closing()
    theirs.close()


async def test_an_upgrade_that_takes_too_long(world, loop, recorder):
    mine, theirs = world.tcp_pair()
    transport, protocol = await loop.create_connection(recorder, sock=mine)
    with pytest.raises(ConnectionAbortedError):
        await loop.start_tls(
            transport, protocol, world.client_context(), server_hostname="localhost", ssl_handshake_timeout=0.05
        )
    assert isinstance(await asyncio.wait_for(protocol.lost, 5), ConnectionAbortedError)
    theirs.close()


async def test_a_cancelled_upgrade(world, loop, recorder):
    mine, theirs = world.tcp_pair()
    transport, protocol = await loop.create_connection(recorder, sock=mine)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(
            loop.start_tls(transport, protocol, world.client_context(), server_hostname="localhost"), 0.02
        )
    assert await asyncio.wait_for(protocol.lost, 5) is None
    assert mine.fileno() < 0
    theirs.close()


# --- What is left behind


@pytest.mark.parametrize("how", ["garbage", "timeout", "certificate", "hang up"])
async def test_a_failed_handshake_leaves_no_cycles(world, loop, recorder, how):
    """gh-159049: with the collector off, everything is gone as soon as the error is."""

    async def attempt(mine, context, protocol):
        name = "elsewhere.example" if how == "certificate" else "localhost"
        seconds = 0.05 if how == "timeout" else None
        try:
            await loop.create_connection(
                lambda: protocol, sock=mine, ssl=context, server_hostname=name, ssl_handshake_timeout=seconds
            )
        except (ssl.SSLError, ConnectionError) as exc:
            return type(exc)

    mine, theirs = world.tcp_pair()
    peer = world.peer(theirs, server_side=True)
    context = world.client_context()
    protocol = recorder()
    gone = [weakref.ref(protocol), weakref.ref(context)]
    gc.collect()
    gc.disable()
    try:
        connecting = asyncio.ensure_future(attempt(mine, context, protocol))
        del context, protocol
        await turns()
        if how == "garbage":
            await loop.sock_sendall(theirs, b"garbage garbage garbage")
        elif how == "hang up":
            peer.close()
        elif how == "certificate":
            with pytest.raises((ssl.SSLError, EOFError, ConnectionError)):
                await peer.shake_hands()
        assert await asyncio.wait_for(connecting, 5)
        del connecting
        await turns()
        assert [reference() for reference in gone] == [None, None]
    finally:
        gc.enable()
    peer.close()


async def test_a_closed_connection_leaves_no_cycles(world, loop, recorder):
    gc.collect()
    gc.disable()
    try:
        async with world.connected(recorder) as (transport, protocol, peer):
            gone = [weakref.ref(transport), weakref.ref(protocol)]
            await peer.send(b"x")
            await protocol.got(1)
            transport.close()
            await peer.receive_to_end()
            peer.close()
            await asyncio.wait_for(protocol.lost, 5)
            protocol.transport = None
            del transport, protocol
        await turns()
        assert [reference() for reference in gone] == [None, None]
    finally:
        gc.enable()
