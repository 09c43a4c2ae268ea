"""Memory of a connection that does nothing."""

import asyncio
from functools import partial

from benchmarks.clients import idlers
from benchmarks.row import server

from .streams import echo_reads
from .tcp import Echo
from .tls import context


async def listen(protocol, **options):
    return await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, backlog=1024, **options)


@server("memory-idle-protocol", "an idle connection, Protocol", client=idlers, unit="bytes")
async def idle_protocol():
    return await listen(Echo)


@server("memory-idle-streams", "an idle connection, streams", client=idlers, unit="bytes")
async def idle_streams():
    return await asyncio.start_server(echo_reads, "127.0.0.1", 0, backlog=1024)


@server("memory-idle-tls", "an idle connection, TLS, Protocol", client=partial(idlers, 1000, tls=True), unit="bytes")
async def idle_tls():
    return await listen(Echo, ssl=context())
