"""What the kernel tells comes after what was ready before it was asked, as in asyncio; on every kind of transport."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import threading

import pytest


class Note(asyncio.Protocol, asyncio.DatagramProtocol):
    """Notes what comes."""

    def __init__(self, order, told):
        self.order = order
        self.told = told

    def data_received(self, data):
        self.order.append((self.told, asyncio.current_task()))

    def datagram_received(self, data, address):
        self.data_received(data)


@contextlib.asynccontextmanager
async def connections(kind, world, order):
    """Two connections and a descriptor that is watched: functions that make each of them readable."""
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        sends = []
        for told in ("first", "second"):
            if kind == "tls":
                connected = world.connected(lambda told=told: Note(order, told))
                _, _, peer = await stack.enter_async_context(connected)
                sends.append(functools.partial(peer.sock.send, peer.sealed(b"x")))
                continue
            kind_of_socket = socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM
            near, far = socket.socketpair(socket.AF_UNIX, kind_of_socket)
            stack.enter_context(far)
            sends.append(functools.partial(far.send, b"x"))
            make = loop.create_datagram_endpoint if kind == "datagram" else loop.create_connection
            transport, _ = await make(lambda told=told: Note(order, told), sock=near)
            stack.callback(transport.abort)
        yield sends
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@pytest.mark.parametrize("kind", ["stream", "tls", "datagram"])
async def test_data_overtakes_no_callback(loop, world, kind):
    order = []
    async with connections(kind, world, order) as sends:
        await asyncio.sleep(0.01)

        def callback():
            for send in sends:
                send()
            for _ in range(3):
                loop.call_soon(order.append, "ready")

        loop.call_soon(callback)
        await asyncio.sleep(0.02)
    assert order[:3] == ["ready"] * 3
    assert sorted(order[3:]) == [("first", None), ("second", None)]


@pytest.mark.parametrize("kind", ["stream", "tls", "datagram"])
async def test_data_overtakes_no_other_task(loop, world, kind):
    """Neither does a task that ran before it count as the current one."""
    order = []

    async def task():
        for send in sends:
            send()
        await asyncio.sleep(0)
        order.append("ready")

    async with connections(kind, world, order) as sends:
        await asyncio.sleep(0.01)
        tasks = [asyncio.ensure_future(task())]
        await asyncio.sleep(0.02)
        assert tasks[0].done()
    assert order[0] == "ready"
    assert sorted(set(order[1:])) == [("first", None), ("second", None)]


@pytest.mark.parametrize("kind", ["stream", "tls", "datagram", "reader"])
def test_data_overtakes_no_callback_of_another_thread(loop, world, kind):
    """What a thread asks for before it sends runs before what it sent is told."""
    order = []

    def thread(sends):
        loop.call_soon_threadsafe(order.append, "ready")
        for send in sends:
            send()

    def callback(sends):
        other = threading.Thread(target=thread, args=(sends,))
        other.start()
        other.join()

    async def main():
        near, far = socket.socketpair()
        with near, far:
            async with connections("stream" if kind == "reader" else kind, world, order) as sends:
                if kind == "reader":
                    loop.add_reader(near, lambda: (near.recv(1), order.append(("first", None))))
                    sends = [lambda: far.send(b"x")]
                await asyncio.sleep(0.01)
                loop.call_soon(callback, sends)
                await asyncio.sleep(0.02)
                loop.remove_reader(near)

    loop.run_until_complete(main())
    assert order[0] == "ready"
    assert order[1:]
    assert set(order[1:]) <= {("first", None), ("second", None)}


async def test_what_is_not_wanted_any_more_is_not_told(loop, socket_pair):
    """A callback that was ready pauses the transport, another one closes it."""
    order, pairs = [], [socket_pair, socket.socketpair()]
    transports = []
    for number, (near, _) in enumerate(pairs):
        transport, _ = await loop.create_connection(lambda number=number: Note(order, number), sock=near)
        transports.append(transport)
    await asyncio.sleep(0.01)

    def callback():
        for _, far in pairs:
            far.send(b"x")
        loop.call_soon(transports[0].pause_reading)
        loop.call_soon(transports[1].abort)

    loop.call_soon(callback)
    await asyncio.sleep(0.02)
    assert order == []
    transports[0].resume_reading()
    await asyncio.sleep(0.02)
    assert order == [(0, None)]
    transports[0].abort()
    pairs[1][1].close()
    await asyncio.sleep(0)


async def test_when_nothing_is_ready_data_is_told_at_once(loop, socket_pair):
    """The callbacks that the first connection's data makes ready do not come before the second one's data."""
    order, pairs = [], [socket_pair, socket.socketpair()]

    class Busy(Note):
        def data_received(self, data):
            super().data_received(data)
            loop.call_soon(order.append, "later")

    transports = [(await loop.create_connection(lambda: Busy(order, "data"), sock=near))[0] for near, _ in pairs]
    await asyncio.sleep(0.01)
    loop.call_soon(lambda: [far.send(b"x") for _, far in pairs])
    await asyncio.sleep(0.02)
    assert order == [("data", None)] * 2 + ["later"] * 2
    for transport in transports:
        transport.abort()
    pairs[1][1].close()
    await asyncio.sleep(0)


async def test_a_protocol_goes_on_writing_in_no_task(loop, socket_pair):
    """It is told to pause by whoever wrote too much, and to go on by the loop."""
    told = []

    class Protocol(asyncio.Protocol):
        def pause_writing(self):
            told.append(asyncio.current_task())

        def resume_writing(self):
            told.append(asyncio.current_task())

    transport, _ = await loop.create_connection(Protocol, sock=socket_pair[0])
    transport.write(bytes(1 << 20))
    socket_pair[1].setblocking(False)
    while transport.get_write_buffer_size():
        await loop.sock_recv(socket_pair[1], 1 << 20)
    assert told == [asyncio.current_task(), None]
    transport.abort()
    await asyncio.sleep(0)
