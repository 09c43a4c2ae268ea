"""Bulk in one direction: messages of 1 MiB, sent, received, and sent from a file."""

import asyncio
import tempfile
from functools import partial

from benchmarks.clients import LimitServer, one_way
from benchmarks.row import MIB, large, server

MESSAGE = bytes(range(256)) * (MIB // 256)
sending, receiving = partial(one_way, "send"), partial(one_way, "receive")


class Sender(asyncio.Protocol):
    """Sends a message for every byte it gets."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        for _ in data:
            self.transport.write(MESSAGE)


class Receiver(asyncio.Protocol):
    """Sends a byte for every message it gets."""

    received = 0

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.received += len(data)
        while self.received >= MIB:
            self.received -= MIB
            self.transport.write(b"K")


async def send_messages(reader, writer):
    while await reader.read(1):
        writer.write(MESSAGE)
        await writer.drain()
    writer.close()


async def receive_messages(reader, writer):
    received = 0
    while data := await reader.read(64 * 1024):
        received += len(data)
        while received >= MIB:
            received -= MIB
            writer.write(b"K")
            await writer.drain()
    writer.close()


async def send_file(reader, writer):
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryFile() as file:
        file.write(MESSAGE)
        while await reader.read(1):
            await loop.sendfile(writer.transport, file, 0)
    writer.close()


async def listen(protocol):
    return await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)


@server("bulk-send", "send 1 MiB, Protocol", client=sending, limit=LimitServer("send"), twice=large)
async def send():
    return await listen(Sender)


@server("bulk-receive", "receive 1 MiB, Protocol", client=receiving, limit=LimitServer("receive"), twice=large)
async def receive():
    return await listen(Receiver)


@server("bulk-streams-send", "send 1 MiB, streams", client=sending, limit=LimitServer("send"), twice=large)
async def streams_send():
    return await asyncio.start_server(send_messages, "127.0.0.1", 0)


@server("bulk-streams-receive", "receive 1 MiB, streams", client=receiving, limit=LimitServer("receive"), twice=large)
async def streams_receive():
    return await asyncio.start_server(receive_messages, "127.0.0.1", 0)


@server("bulk-sendfile", "`sendfile` of 1 MiB", client=sending)
async def sendfile():
    return await asyncio.start_server(send_file, "127.0.0.1", 0)
