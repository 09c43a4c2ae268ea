"""TCP with streams: `read`, `readline`, and lines that come many at once."""

import asyncio
from functools import partial

from benchmarks.clients import LimitServer, exchange
from benchmarks.row import KIB, Size, each, large, server

from .tcp import LOADS


async def echo_reads(reader, writer):
    while data := await reader.read(64 * 1024):
        writer.write(data)
        await writer.drain()
    writer.close()


async def echo_lines(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


@server(
    "streams-echo-{size}-{connections}",
    "TCP echo, streams, {size}, connections: {connections:,}",
    LOADS,
    client=exchange,
    limit=LimitServer("echo"),
    twice=large,
)
async def streams_echo():
    return await asyncio.start_server(echo_reads, "127.0.0.1", 0, backlog=1024)


@server(
    "streams-readline-{size}-{connections}",
    "TCP echo, `readline`, {size}, connections: {connections}",
    each(connections=(10,), size=(KIB,)),
    client=exchange,
    limit=LimitServer("echo"),
)
async def readline():
    return await asyncio.start_server(echo_lines, "127.0.0.1", 0)


@server(
    "streams-lines-{size}-{connections}",
    "lines of {size}, 64 at once, `readline`, connections: {connections}, per line",
    each(connections=(10,), size=(Size(100),)),
    client=partial(exchange, batch=64),
    limit=LimitServer("echo"),
)
async def pipelined_lines():
    return await asyncio.start_server(echo_lines, "127.0.0.1", 0)
