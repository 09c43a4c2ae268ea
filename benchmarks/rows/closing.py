"""Connections that live for one exchange: accept, answer, close."""

import asyncio

from benchmarks.clients import LimitServer, short_lived
from benchmarks.row import server


class AnswerAndClose(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)
        self.transport.close()


async def answer_and_close(reader, writer):
    writer.write(await reader.read(1024))
    await writer.drain()
    writer.close()


@server("closing-protocol", "connect, answer, close, Protocol", client=short_lived, limit=LimitServer("close"))
async def protocol():
    return await asyncio.get_running_loop().create_server(AnswerAndClose, "127.0.0.1", 0, backlog=1024)


@server("closing-streams", "connect, answer, close, streams", client=short_lived, limit=LimitServer("close"))
async def streams():
    return await asyncio.start_server(answer_and_close, "127.0.0.1", 0, backlog=1024)
