"""TCP with protocols: echo, and one message to a thousand."""

import asyncio

from benchmarks.clients import LimitServer, exchange, listeners
from benchmarks.row import KIB, Size, each, large, server

LOADS = each(connections=(1, 10, 100, 1000), size=(KIB,)) + each(
    connections=(10,), size=(Size(100), Size(16 * KIB), Size(100 * KIB))
)


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class BufferedEcho(asyncio.BufferedProtocol):
    def __init__(self):
        self.buffer = memoryview(bytearray(64 * 1024))

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, nbytes):
        self.transport.write(bytes(self.buffer[:nbytes]))


class Listener(asyncio.Protocol):
    """One of many: what one is sent makes the server send a message to all."""

    everyone = set()
    message = bytes(range(256)) * 4

    def connection_made(self, transport):
        self.transport = transport
        self.everyone.add(transport)
        transport.write(b"h")  # now it listens

    def connection_lost(self, exc):
        self.everyone.discard(self.transport)

    def data_received(self, data):
        for transport in self.everyone:
            transport.write(self.message)


async def listen(protocol):
    return await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, backlog=1024)


@server(
    "tcp-echo-{size}-{connections}",
    "TCP echo, Protocol, {size}, connections: {connections:,}",
    LOADS,
    client=exchange,
    limit=LimitServer("echo"),
    twice=large,
)
async def echo():
    return await listen(Echo)


@server(
    "buffered-echo-{size}-{connections}",
    "TCP echo, BufferedProtocol, {size}, connections: {connections:,}",
    LOADS,
    client=exchange,
    limit=LimitServer("echo"),
)
async def buffered_echo():
    return await listen(BufferedEcho)


@server(
    "tcp-broadcast-{connections}",
    "1 KiB to {connections:,} connections, per message",
    each(connections=(1000,)),
    client=listeners,
    limit=LimitServer("broadcast"),
)
async def broadcast():
    return await listen(Listener)
