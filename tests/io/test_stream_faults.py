"""What goes wrong with a connection: resets in every state, ends with data still to send, a kernel that takes little,
descriptors that somebody else closed, protocols that misbehave in every callback.

Each fault really happens: a real RST, a real full kernel, a real closed descriptor.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import logging
import socket
import struct

import pytest

from tests.io.conftest import LARGE, turns


def reset(sock):
    """Close a TCP socket with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# --- Resets and broken pipes, in every state


async def idle(transport, peer):
    pass


async def paused(transport, peer):
    transport.pause_reading()


async def sending(transport, peer):
    transport.write(LARGE)


async def written(transport, peer):
    await turns()
    transport.write(b"in the same turn as the reset")


async def half_closed(transport, peer):
    transport.write_eof()


async def ending(transport, peer):
    transport.write(LARGE)
    transport.write_eof()


async def closing(transport, peer):
    transport.write(LARGE)
    transport.close()


async def with_data(transport, peer):
    peer.send(b"the last before the reset")


STATES = [idle, paused, sending, written, half_closed, ending, closing, with_data]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
async def test_a_reset_in_every_state(loop, connected, state):
    async with connected() as (transport, protocol, peer):
        await state(transport, peer)
        if state is not written:
            await turns()
        reset(peer)
        if state is paused:
            await asyncio.sleep(0.02)
            assert not protocol.lost.done()  # nobody asked the kernel yet
            transport.write(b"x")
        exc = await asyncio.wait_for(protocol.lost, 5)
        assert isinstance(exc, (ConnectionResetError, BrokenPipeError))
        assert transport.is_closing()
        assert transport.get_write_buffer_size() == 0
        await turns()
        assert protocol.calls.count("lost") == 1
        assert protocol.calls[-1] == "lost"


async def test_a_broken_pipe_on_write(loop, connected):
    """The peer has closed, its RST came, and its FIN was read before: then the kernel says EPIPE."""

    class KeepsOpen(asyncio.Protocol):
        def __init__(self):
            self.eof = loop.create_future()
            self.lost = loop.create_future()

        def eof_received(self):
            self.eof.set_result(None)
            return True

        def connection_lost(self, exc):
            self.lost.set_result(exc)

    async with connected(KeepsOpen) as (transport, protocol, peer):
        peer.close()
        await protocol.eof
        transport.write(b"into the void")
        await asyncio.sleep(0.02)
        assert not protocol.lost.done()  # the kernel took it: nobody knows better yet
        transport.write(b"again")
        assert type(await asyncio.wait_for(protocol.lost, 5)) is BrokenPipeError


async def test_a_broken_pipe_on_a_unix_socket(loop, connected):
    def pair():
        left, right = socket.socketpair()
        left.setblocking(False)
        return left, right

    async with connected(pair=pair) as (transport, protocol, peer):
        transport.pause_reading()
        peer.close()
        transport.write(b"x")
        assert type(await asyncio.wait_for(protocol.lost, 5)) is BrokenPipeError


async def test_writes_after_the_loss_are_told_of_from_the_fifth_on(loop, connected, caplog):
    async with connected() as (transport, protocol, peer):
        transport.write(LARGE)
        await turns()
        reset(peer)
        await protocol.lost
        with caplog.at_level(logging.WARNING, "asyncio"):
            for _ in range(10):
                transport.write(b"x")
        assert {record.message for record in caplog.records} == {"socket.send() raised exception."}
        assert len(caplog.records) == 6
        assert transport.get_write_buffer_size() == 0


# --- Ends with data still to send


@pytest.mark.parametrize("keep_open", [False, True])
async def test_an_end_of_the_peer_with_data_still_to_send(loop, connected, recorder, keep_open):
    """What was written goes to a peer that sends no more and reads on."""

    class Ends(recorder):
        def eof_received(self):
            super().eof_received()
            return keep_open

    async with connected(Ends) as (transport, protocol, peer):
        transport.write(LARGE)
        await turns()
        assert transport.get_write_buffer_size() > 0
        peer.shutdown(socket.SHUT_WR)
        while "eof" not in protocol.calls:
            await asyncio.sleep(0)
        got = bytearray()
        while len(got) < len(LARGE):
            got += await loop.sock_recv(peer, 1 << 20)
        assert got == LARGE
        if keep_open:
            assert not transport.is_closing()
            transport.write(b"more")
            assert await loop.sock_recv(peer, 10) == b"more"
            transport.close()
        assert await protocol.lost is None
        assert await loop.sock_recv(peer, 10) == b""


async def test_writing_more_while_closing(loop, connected, recorder):
    """As long as there is something to send, a closing transport takes more, be it from resume_writing."""

    class WritesOn(recorder):
        def resume_writing(self):
            super().resume_writing()
            self.transport.write(b"the end")

    async with connected(WritesOn) as (transport, protocol, peer):
        transport.write(LARGE)
        transport.close()
        transport.write(b"and ")
        got = bytearray()
        while chunk := await loop.sock_recv(peer, 1 << 20):
            got += chunk
        assert got == LARGE + b"and the end"
        assert await protocol.lost is None


async def test_resume_writing_may_write_behind_write_eof_only_an_error(loop, connected, recorder):
    class WritesOn(recorder):
        def resume_writing(self):
            super().resume_writing()
            with pytest.raises(RuntimeError, match=r"Cannot call write\(\) after write_eof\(\)"):
                self.transport.write(b"x")

    async with connected(WritesOn) as (transport, protocol, peer):
        transport.write(LARGE)
        transport.write_eof()
        got = 0
        while chunk := await loop.sock_recv(peer, 1 << 20):
            got += len(chunk)
        assert got == len(LARGE)
        assert not transport.is_closing()


async def test_nothing_is_resumed_once_it_is_aborted(loop, connected, recorder):
    class Aborts(recorder):
        def pause_writing(self):
            super().pause_writing()
            self.transport.abort()

    async with connected(Aborts) as (transport, protocol, _):
        transport.write(LARGE)
        transport.write(LARGE)
        assert await protocol.lost is None
        assert protocol.calls == ["made", "pause", "lost"]


# --- Protocols that misbehave in every callback


class Oops(Exception):
    pass


CALLBACKS = ["connection_made", "data_received", "eof_received", "pause_writing", "resume_writing", "connection_lost"]
BUFFERED = ["get_buffer", "buffer_updated"]
DEEDS = ["raise", "close", "abort", "pause", "resume", "write", "write_eof", "switch", "limits", "pause and resume"]


class Misbehaves:
    """Does `deed` in the callback `where`, once; notes all calls."""

    def __init__(self, where, deed):
        self.loop = asyncio.get_running_loop()
        self.where = where
        self.deed = deed
        self.calls = []
        self.data = bytearray()
        self.lost = self.loop.create_future()
        self.transport = None

    def called(self, name):
        self.calls.append(name)
        if name == self.where:
            self.where = None
            self.act()

    def act(self):
        transport = self.transport
        if self.deed == "raise":
            raise Oops
        if self.deed == "close":
            transport.close()
        elif self.deed == "abort":
            transport.abort()
        elif self.deed == "pause":
            transport.pause_reading()
            self.loop.call_later(0.002, transport.resume_reading)
        elif self.deed == "resume":
            transport.resume_reading()
        elif self.deed == "pause and resume":
            transport.pause_reading()
            transport.resume_reading()
        elif self.deed == "write":
            transport.write(b"!")
        elif self.deed == "write_eof":
            transport.write_eof()
        elif self.deed == "limits":
            transport.set_write_buffer_limits(0)
        elif self.deed == "switch":
            successor = type(self)(None, None)
            successor.__dict__ = self.__dict__  # another object, the same record
            transport.set_protocol(successor)

    def connection_made(self, transport):
        self.transport = transport
        self.called("connection_made")

    def eof_received(self):
        self.called("eof_received")

    def pause_writing(self):
        self.called("pause_writing")

    def resume_writing(self):
        self.called("resume_writing")

    def connection_lost(self, exc):
        self.calls.append("connection_lost")
        self.lost.set_result(exc)
        if self.where == "connection_lost":
            self.where = None
            self.act()


class MisbehavesPlainly(Misbehaves, asyncio.Protocol):
    def data_received(self, data):
        self.data += data
        self.called("data_received")


class MisbehavesBuffered(Misbehaves, asyncio.BufferedProtocol):
    def get_buffer(self, sizehint):
        self.called("get_buffer")
        self.buffer = bytearray(50_000)
        return self.buffer

    def buffer_updated(self, count):
        self.data += self.buffer[:count]
        self.called("buffer_updated")


PLAIN_CASES = [(MisbehavesPlainly, *case) for case in itertools.product(CALLBACKS, DEEDS)]
BUFFERED_CASES = [
    (MisbehavesBuffered, *case)
    for case in itertools.product([c for c in CALLBACKS if c != "data_received"] + BUFFERED, DEEDS)
]
FATAL = ["data_received", "buffer_updated", "get_buffer", "eof_received"]  # an exception there ends the connection


@pytest.mark.parametrize(
    ("kind", "where", "deed"),
    PLAIN_CASES + BUFFERED_CASES,
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_every_deed_in_every_callback(loop, connected, loop_errors, kind, where, deed):
    """The connection goes on as the deed allows, and ends in one connection_lost."""
    async with connected(lambda: kind(where, deed)) as (transport, protocol, peer):
        got = bytearray()
        ended = asyncio.ensure_future(exchange(loop, transport, peer, got))
        lost = await asyncio.wait_for(protocol.lost, 5)
        with contextlib.suppress(OSError):
            await asyncio.wait_for(ended, 5)
        await asyncio.sleep(0.003 if deed == "pause" else 0)

        calls = protocol.calls
        assert calls.count("connection_made") == calls.count("connection_lost") == 1
        assert calls.count("eof_received") <= 1
        assert calls[0] == "connection_made"
        assert calls[-1] == "connection_lost"
        flow = [call for call in calls if call.endswith("_writing")]
        assert all(pair == ("pause_writing", "resume_writing") for pair in zip(flow[::2], flow[1::2]))
        assert transport.is_closing()
        ends_it = where in FATAL if deed == "raise" else deed in ("close", "abort")
        if deed == "raise":
            (error,) = loop_errors
            assert isinstance(error["exception"], Oops)
            loop_errors.clear()
            assert isinstance(lost, Oops) if where in FATAL else lost is None
        elif deed not in ("close", "abort"):
            assert lost is None
        if not ends_it or where in ("eof_received", "connection_lost"):
            assert protocol.data == LARGE[:200_000]
            if deed not in ("raise", "abort", "write", "write_eof"):
                assert got == LARGE


async def exchange(loop, transport, peer, got):
    """Have the protocol send much, send it much, and end."""
    if not transport.is_closing():
        with contextlib.suppress(RuntimeError):  # write_eof was called
            transport.write(LARGE)
    await turns()
    sending = asyncio.ensure_future(loop.sock_sendall(peer, LARGE[:200_000]))
    try:
        while len(got) < len(LARGE):
            chunk = await loop.sock_recv(peer, 1 << 20)
            if not chunk:
                break
            got += chunk
        await sending
        peer.shutdown(socket.SHUT_WR)
        while chunk := await loop.sock_recv(peer, 1 << 20):
            got += chunk
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await sending
        with contextlib.suppress(OSError):
            peer.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", CALLBACKS)
def test_an_interrupt_in_a_callback(loop, tcp_pair, interrupt, where):
    """It leaves the loop; run again, the loop and the connection go on."""

    class Interrupted(MisbehavesPlainly):
        def act(self):
            raise interrupt

    mine, theirs = tcp_pair()
    protocol = loop.run_until_complete(made(Interrupted, where))
    got = bytearray()

    async def main():
        transport, _ = await loop.create_connection(lambda: protocol, sock=mine)
        await exchange(loop, transport, theirs, got)
        await protocol.lost

    task = loop.create_task(main())
    with pytest.raises(interrupt):
        loop.run_until_complete(task)
    assert not loop.is_running()
    try:
        if task.done():  # it was interrupted in a step of its own: the rest of `exchange`
            loop.run_until_complete(received(loop, theirs, got))
        loop.run_until_complete(asyncio.wait_for(protocol.lost, 5))
        if not task.done():
            loop.run_until_complete(task)
        assert protocol.calls.count("connection_lost") == 1
        assert protocol.data == LARGE[: len(protocol.data)]
        assert got == LARGE[: len(got)]
    finally:
        theirs.close()


async def made(kind, where):
    return kind(where, None)


async def received(loop, peer, got):
    """Take what is still on its way, and end the connection."""
    async with asyncio.timeout(5):
        while len(got) < len(LARGE) and (chunk := await loop.sock_recv(peer, 1 << 20)):
            got += chunk
    with contextlib.suppress(OSError):
        peer.shutdown(socket.SHUT_WR)


# --- Descriptors that somebody else closed


@pytest.mark.parametrize("deed", ["write", "read", "close", "abort", "pause and resume", "nothing"])
async def test_a_socket_closed_behind_our_back(loop, connected, deed):
    """It is an error at the next use, at the latest when the transport is closed; the loop goes on."""
    async with connected() as (transport, protocol, peer):
        sock = transport.get_extra_info("socket")._sock
        sock.close()
        await turns()
        if deed == "write":
            transport.write(b"x")
            assert (await asyncio.wait_for(protocol.lost, 5)).errno == errno.EBADF
        elif deed == "read":
            peer.send(b"x")
            await asyncio.sleep(0.01)
        elif deed == "pause and resume":
            transport.pause_reading()
            with contextlib.suppress(OSError, ValueError):
                transport.resume_reading()
        elif deed == "close":
            transport.close()
        elif deed == "abort":
            transport.abort()
        if not transport.is_closing():
            transport.abort()
        await asyncio.wait_for(protocol.lost, 5)
        await turns()
        assert protocol.calls.count("lost") == 1


# --- The kernel takes little, and slowly


async def test_a_slow_reader_with_a_hundred_megabytes_queued(loop, tcp_pair):
    """drain waits, what waits in memory stays below a few megabytes, and all arrives in order."""
    mine, theirs = tcp_pair()
    reader, writer = await asyncio.open_connection(sock=mine)
    chunk = bytes(range(256)) * 1024
    count = 400
    most = 0

    async def write():
        nonlocal most
        for index in range(count):
            writer.write(index.to_bytes(4, "big") + chunk[4:])
            most = max(most, writer.transport.get_write_buffer_size())
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def read():
        buffer = bytearray(len(chunk))
        for index in range(count):
            view = memoryview(buffer)
            while view:
                if index % 50 == 0:
                    await asyncio.sleep(0.001)
                view = view[await loop.sock_recv_into(theirs, view[:70_000]) :]
            assert buffer[:4] == index.to_bytes(4, "big")
            assert buffer[4:] == chunk[4:]
        assert await loop.sock_recv(theirs, 1) == b""

    try:
        await asyncio.gather(write(), read())
        assert most <= len(chunk) + 64 * 1024
    finally:
        theirs.close()
        writer.close()


async def test_a_hundred_megabytes_written_at_once(loop, tcp_pair):
    """They are kept without a copy, and every drain that waits is woken once they have gone."""
    mine, theirs = tcp_pair()
    _, writer = await asyncio.open_connection(sock=mine)
    data = bytes(100_000_000)
    writer.write(data)
    drains = [asyncio.ensure_future(writer.drain()) for _ in range(10)]
    await turns()
    assert not any(drain.done() for drain in drains)
    buffer = bytearray(1 << 20)
    got = 0
    while got < len(data):
        got += await loop.sock_recv_into(theirs, buffer)
    await asyncio.wait_for(asyncio.gather(*drains), 5)
    writer.close()
    await writer.wait_closed()
    theirs.close()


async def test_a_reset_wakes_everybody_who_drains(loop, tcp_pair):
    mine, theirs = tcp_pair()
    _, writer = await asyncio.open_connection(sock=mine)
    writer.write(LARGE)
    drains = [asyncio.ensure_future(writer.drain()) for _ in range(10)]
    await turns()
    reset(theirs)
    results = await asyncio.wait_for(asyncio.gather(*drains, return_exceptions=True), 5)
    assert {type(result) for result in results} == {ConnectionResetError}
    with pytest.raises(ConnectionResetError):
        await writer.drain()
    writer.close()
    with pytest.raises(ConnectionResetError):
        await writer.wait_closed()


async def test_a_peer_that_sends_a_byte_at_a_time(loop, connected):
    async with connected() as (_, protocol, peer):
        for index in range(300):
            peer.send(LARGE[index : index + 1])
            await asyncio.sleep(0)
        assert await protocol.got(300) == LARGE[:300]


async def test_a_peer_that_reads_a_byte_at_a_time(loop, connected):
    def pair():
        left, right = socket.socketpair()
        left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        left.setblocking(False)
        right.setblocking(False)
        return left, right

    data = LARGE[:20_000]
    async with connected(pair=pair) as (transport, protocol, peer):
        for start in range(0, len(data), 1000):
            transport.writelines([data[start : start + 1], data[start + 1 : start + 1000]])
        transport.close()
        got = bytearray()
        while len(got) < 3000:
            got += await loop.sock_recv(peer, 1)
        while chunk := await loop.sock_recv(peer, 777):
            got += chunk
        assert got == data
        assert await protocol.lost is None
