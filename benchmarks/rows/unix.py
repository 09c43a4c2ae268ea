"""Unix sockets: echo."""

import asyncio
import os
import tempfile

from benchmarks.clients import LimitServer, exchange
from benchmarks.row import KIB, each, server

from .streams import echo_reads
from .tcp import Echo

LOADS = each(connections=(10,), size=(KIB,))


def path():
    return os.path.join(tempfile.gettempdir(), "echo.sock")  # a fresh directory in every run


@server(
    "unix-protocol-{size}-{connections}",
    "unix socket echo, Protocol, {size}, connections: {connections}",
    LOADS,
    client=exchange,
    limit=LimitServer("echo", unix=True),
)
async def unix_protocol():
    unix_protocol.server = await asyncio.get_running_loop().create_unix_server(Echo, path())
    return f"unix:{path()}"


@server(
    "unix-streams-{size}-{connections}",
    "unix socket echo, streams, {size}, connections: {connections}",
    LOADS,
    client=exchange,
    limit=LimitServer("echo", unix=True),
)
async def unix_streams():
    unix_streams.server = await asyncio.start_unix_server(echo_reads, path())
    return f"unix:{path()}"
