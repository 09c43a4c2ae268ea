"""Data through TLS: it arrives once and in order, however it was cut, and flow control holds both sides back."""

from __future__ import annotations

import asyncio
import contextvars
import random
import socket
import ssl

import pytest

RECORD = 16 * 1024  # bytes


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


def pattern(size):
    return random.Random(size).randbytes(size)


# --- What comes


async def test_one_byte_at_a_time(world, loop, recorder):
    """The records of two messages and the goodbye, each byte in a segment of its own."""
    async with world.connected(recorder) as (_, protocol, peer):
        for byte in peer.sealed(b"one") + peer.sealed(b"two") + peer.close_notify():
            await peer.send_raw(bytes([byte]))
            await turns(2)
        assert await asyncio.wait_for(protocol.lost, 5) is None
        assert protocol.data == b"onetwo"


async def test_a_handshake_one_byte_at_a_time(world, loop, recorder):
    mine, theirs = world.tcp_pair()
    peer = world.peer(theirs, server_side=False)
    connecting = asyncio.ensure_future(loop.connect_accepted_socket(recorder, mine, ssl=world.server_context()))
    with pytest.raises(ssl.SSLWantReadError):
        peer.tls.do_handshake()
    for byte in peer.sealed_so_far():
        await peer.send_raw(bytes([byte]))
        await turns(1)
    await peer.shake_hands()
    transport, protocol = await connecting
    await peer.send(b"hello")
    assert await protocol.got(5) == b"hello"
    transport.abort()
    await protocol.lost
    peer.close()


@pytest.mark.parametrize("cut", [1, 4, 5, 6, 100, RECORD, RECORD + 10, RECORD + 30])
async def test_records_cut_anywhere(world, loop, recorder, cut):
    data = pattern(3 * RECORD)
    async with world.connected(recorder) as (_, protocol, peer):
        sealed = peer.sealed(data)
        await peer.send_raw(sealed[:cut])
        await turns(3)
        await peer.send_raw(sealed[cut:])
        assert await protocol.got(len(data)) == data


@pytest.mark.parametrize("size", [1, RECORD - 1, RECORD, RECORD + 1, 256 * 1024, 256 * 1024 + 1, 1_000_000])
async def test_sizes_both_ways(world, loop, recorder, size):
    data = pattern(size)
    async with world.connected(recorder) as (transport, protocol, peer):
        sending = asyncio.ensure_future(peer.send(data))
        assert await protocol.got(size) == data
        await sending
        transport.write(data)
        assert await peer.receive(size) == data


async def test_many_small_records_at_once(world, loop, recorder):
    messages = [b"%d," % number for number in range(2000)]
    async with world.connected(recorder) as (_, protocol, peer):
        await peer.send_raw(b"".join(map(peer.sealed, messages)))
        assert await protocol.got(sum(map(len, messages))) == b"".join(messages)


# --- What goes


async def test_lines_are_one_record(world, loop, recorder):
    async with world.connected(recorder) as (transport, _, peer):
        transport.writelines([b"header ", b"and ", b"body", b"", b"!"])
        raw = peer.sock.recv(1000)
        assert int.from_bytes(raw[3:5], "big") + 5 == len(raw)
        peer._incoming.write(raw)
        assert await peer.receive(16) == b"header and body!"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_a_buffer_may_be_used_again_at_once(world, loop, recorder, kind):
    async with world.connected(recorder) as (transport, _, peer):
        original = bytearray(b"x" * 100_000)
        data = kind(original)
        transport.write(data)
        transport.writelines([data, b"", data])
        original[:] = b"y" * 100_000
        if kind is bytearray:
            data[:] = b"y" * 100_000
        assert await peer.receive(300_000) == b"x" * 300_000


async def test_what_cannot_be_written(world, loop, recorder):
    async with world.connected(recorder) as (transport, protocol, _):
        for wrong in ("text", 5, None, [b"x"]):
            with pytest.raises(TypeError, match=f"data: expecting a bytes-like instance, got {type(wrong).__name__}"):
                transport.write(wrong)
        transport.write(b"")
        transport.write(bytearray())
        assert transport.get_write_buffer_size() == 0
        assert protocol.calls == ["made"]


async def test_writes_of_all_sizes_while_the_peer_is_slow(world, loop, recorder):
    """OpenSSL wants an unfinished write again with the same bytes: they stay the same, whatever is added."""
    chance = random.Random(7)
    async with world.connected(recorder) as (transport, _, peer):
        # The kernel takes little at once.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        sent = bytearray()

        async def write():
            for _ in range(120):
                data = chance.randbytes(chance.choice([1, 10, 1000, 5000, RECORD, 20_000, 70_000]))
                sent.extend(data)
                transport.write(data)
                if chance.random() < 0.5:
                    await asyncio.sleep(chance.choice([0, 0.0005]))
            transport.close()

        writing = asyncio.ensure_future(write())
        received = await asyncio.wait_for(peer.receive_to_end(), 25)
        await writing
        assert received == bytes(sent)


# --- Flow control


async def test_writing_is_paused_in_bytes(world, loop, recorder):
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.set_write_buffer_limits(high=100_000)
        assert transport.get_write_buffer_limits() == (25_000, 100_000)
        written = 0
        while "pause" not in protocol.calls:
            transport.write(bytes(50_000))
            written += 50_000
            await asyncio.sleep(0)
        assert transport.get_write_buffer_size() > 100_000
        assert await peer.receive(written) == bytes(written)
        await turns()
        assert protocol.calls == ["made", "pause", "resume"]
        assert transport.get_write_buffer_size() == 0


async def test_a_burst_in_one_turn_pauses_at_once(world, loop, recorder):
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.write(bytes(8_000_000))
        assert protocol.calls == ["made", "pause"]
        await peer.receive(8_000_000)
        await turns()
        assert protocol.calls == ["made", "pause", "resume"]


async def test_the_marks_of_flow_control(world, loop, recorder):
    async with world.connected(recorder) as (transport, _, _):
        for kwargs, expected in (
            ({}, (128 * 1024, 512 * 1024)),
            ({"high": 100}, (25, 100)),
            ({"low": 100}, (100, 400)),
            ({"high": 5, "low": 1}, (1, 5)),
            ({"high": 0}, (0, 0)),
        ):
            transport.set_write_buffer_limits(**kwargs)
            assert transport.get_write_buffer_limits() == expected
        for set_limits in (transport.set_write_buffer_limits, transport.set_read_buffer_limits):
            with pytest.raises(ValueError, match="must be >= low"):
                set_limits(high=1, low=2)


async def test_reading_can_be_paused(world, loop, recorder):
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.pause_reading()
        assert not transport.is_reading()
        transport.pause_reading()
        await peer.send(b"waits")
        await turns(10)
        assert protocol.data == b""
        transport.resume_reading()
        transport.resume_reading()
        assert transport.is_reading()
        assert await protocol.got(5) == b"waits"


async def test_pausing_in_each_callback_loses_nothing(world, loop, recorder):
    data = pattern(500_000)

    class Pauses(recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()
            loop.call_later(0.0001, self.transport.resume_reading)

    async with world.connected(Pauses) as (_, protocol, peer):
        sending = asyncio.ensure_future(peer.send(data))
        assert await protocol.got(len(data)) == data
        await sending
        await asyncio.sleep(0.01)


async def test_an_end_behind_data_while_reading_is_paused(world, loop, recorder):
    """Neither the data nor the end is told before reading goes on."""
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.pause_reading()
        await peer.send_raw(peer.sealed(b"the rest") + peer.close_notify())
        peer.close()
        await asyncio.sleep(0.02)
        assert protocol.calls == ["made"]
        transport.resume_reading()
        assert await asyncio.wait_for(protocol.lost, 5) is None
        assert protocol.data == b"the rest"
        assert protocol.calls == ["made", "data", "eof", "lost"]


async def test_a_slow_reader_holds_the_peer_back(world, loop, recorder):
    async with world.connected(recorder) as (transport, protocol, peer):
        transport.pause_reading()
        sending = asyncio.ensure_future(peer.send(bytes(30_000_000)))
        await asyncio.sleep(0.05)
        assert not sending.done()
        transport.resume_reading()
        await protocol.got(30_000_000)
        await sending


# --- Protocols


class IntoBuffer(asyncio.BufferedProtocol):
    """Reads into a buffer of `size` bytes."""

    size = 1000

    def __init__(self):
        self.data = bytearray()
        self.buffer = bytearray(self.size)
        self.lost = asyncio.get_running_loop().create_future()
        self.eof = False

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, count):
        self.data += self.buffer[:count]
        self.buffer.extend(b"x")  # nobody holds on to it meanwhile
        del self.buffer[-1:]

    def eof_received(self):
        self.eof = True

    def connection_lost(self, exc):
        self.lost.set_result(exc)


@pytest.mark.parametrize("size", [1, 7, RECORD - 1, RECORD, RECORD + 1, 300_000])
async def test_buffered_protocols(world, loop, size):
    """What a small buffer leaves of a record waits inside OpenSSL, where no poller sees it."""
    data = pattern(1000 if size == 1 else 70_000)
    kind = type("Sized", (IntoBuffer,), {"size": size})
    async with world.connected(kind) as (_, protocol, peer):
        await peer.send_raw(peer.sealed(data) + peer.close_notify())
        assert await asyncio.wait_for(protocol.lost, 10) is None
        assert protocol.data == data
        assert protocol.eof


async def test_a_buffered_protocol_that_pauses_with_half_a_record_read(world, loop):
    class Pauses(IntoBuffer):
        def buffer_updated(self, count):
            super().buffer_updated(count)
            self.transport.pause_reading()

    async with world.connected(Pauses) as (transport, protocol, peer):
        await peer.send(pattern(3500))
        while len(protocol.data) < 3500:
            before = len(protocol.data)
            await asyncio.sleep(0.005)
            assert len(protocol.data) in (before, before + 1000, 3500)
            transport.resume_reading()
        assert protocol.data == pattern(3500)


async def test_an_empty_buffer_is_an_error(world, loop, loop_errors):
    class Empty(IntoBuffer):
        size = 0

    async with world.connected(Empty) as (_, protocol, peer):
        await peer.send(b"x")
        assert isinstance(await asyncio.wait_for(protocol.lost, 5), (RuntimeError, ValueError))
        loop_errors.clear()


async def test_protocols_can_be_switched(world, loop, recorder):
    """Between kinds, in the middle of a record."""

    class First(IntoBuffer):
        def buffer_updated(self, count):
            super().buffer_updated(count)
            self.transport.set_protocol(second)

    second = recorder()
    async with world.connected(First) as (transport, protocol, peer):
        await peer.send(pattern(2500))
        assert await second.got(1500) == pattern(2500)[1000:]
        assert protocol.data == pattern(2500)[:1000]
        assert transport.get_protocol() is second
        transport.set_protocol(protocol)
        await peer.send(b"back")
        while len(protocol.data) < 1004:
            await asyncio.sleep(0)


async def test_callbacks_run_in_the_connections_context(world, loop, recorder):
    var = contextvars.ContextVar("var", default="outside")
    seen = []

    class Looks(recorder):
        def connection_made(self, transport):
            seen.append(("made", var.get()))
            super().connection_made(transport)
            var.set("inside")

        def data_received(self, data):
            seen.append(("data", var.get()))
            super().data_received(data)

        def eof_received(self):
            seen.append(("eof", var.get()))

        def connection_lost(self, exc):
            seen.append(("lost", var.get()))
            super().connection_lost(exc)

    var.set("connecting")
    async with world.connected(Looks) as (_, protocol, peer):
        var.set("elsewhere")
        await peer.send(b"x")
        await protocol.got(1)
        await peer.send_raw(peer.close_notify())
        await asyncio.wait_for(protocol.lost, 5)
    assert seen == [("made", "connecting"), ("data", "inside"), ("eof", "inside"), ("lost", "inside")]


async def test_the_programs_write_in_place_of_ours(world, loop, recorder):
    """Tests of libraries put a mock in the transport's place for `write`."""
    async with world.connected(recorder) as (transport, _, _):
        written = []
        transport.write = written.append
        transport.write(b"x")
        assert written == [b"x"]


async def test_close_in_data_received(world, loop, recorder):
    class Closes(recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.write(b"answer")
            self.transport.close()

    async with world.connected(Closes) as (_, protocol, peer):
        await peer.send(b"question")
        assert await peer.receive_to_end() == b"answer"
        await peer.send_raw(peer.close_notify())
        assert await asyncio.wait_for(protocol.lost, 5) is None
        assert protocol.calls == ["made", "data", "eof", "lost"]


async def test_abort_in_data_received(world, loop, recorder):
    class Aborts(recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.abort()

    async with world.connected(Aborts) as (_, protocol, peer):
        await peer.send(pattern(100_000))
        assert await asyncio.wait_for(protocol.lost, 5) is None
        assert protocol.calls == ["made", "data", "lost"]


async def test_sendfile_through_tls(world, loop, recorder, tmp_path):
    data = pattern(300_000)
    (tmp_path / "file").write_bytes(data)
    async with world.connected(recorder) as (transport, _, peer):
        with open(tmp_path / "file", "rb") as file:
            receiving = asyncio.ensure_future(peer.receive(len(data)))
            assert await loop.sendfile(transport, file) == len(data)
            assert await receiving == data
            with pytest.raises(RuntimeError, match="fallback is disabled"):
                await loop.sendfile(transport, file, fallback=False)


async def test_an_old_version_of_tls(world, loop, recorder):
    """TLS 1.2 keeps the same promises."""
    context = world.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with world.connected(recorder, tls=context) as (transport, protocol, peer):
        assert transport.get_extra_info("ssl_object").version() == "TLSv1.2"
        await peer.send(pattern(50_000))
        assert await protocol.got(50_000) == pattern(50_000)
        transport.write(pattern(50_000))
        transport.close()
        assert await peer.receive_to_end() == pattern(50_000)
        await peer.send_raw(peer.close_notify())
        assert await asyncio.wait_for(protocol.lost, 5) is None
