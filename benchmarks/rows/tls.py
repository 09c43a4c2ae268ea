"""TLS: echo with protocols and streams, and handshakes."""

import asyncio
import ssl
from functools import partial

from benchmarks.build import certificate
from benchmarks.clients import LimitServer, exchange, short_lived
from benchmarks.row import KIB, Size, each, large, server

from .closing import AnswerAndClose
from .streams import echo_reads
from .tcp import Echo

LOADS = each(size=(KIB, Size(100 * KIB)), connections=(10,)) + each(size=(KIB,), connections=(1, 100))
TLS_LIMIT = LimitServer("echo", tls=True)


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*certificate())
    return made


async def listen(protocol):
    return await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=context(), backlog=1024)


@server(
    "tls-echo-{size}-{connections}",
    "TLS echo, Protocol, {size}, connections: {connections}",
    LOADS,
    client=partial(exchange, tls=True),
    limit=TLS_LIMIT,
    twice=large,
)
async def tls_echo():
    return await listen(Echo)


@server(
    "tls-streams-{size}-{connections}",
    "TLS echo, streams, {size}, connections: {connections}",
    LOADS,
    client=partial(exchange, tls=True),
    limit=TLS_LIMIT,
    twice=large,
)
async def tls_streams():
    return await asyncio.start_server(echo_reads, "127.0.0.1", 0, ssl=context(), backlog=1024)


@server(
    "tls-handshakes",
    "TLS connect, handshake, answer, close",
    client=partial(short_lived, tls=True),
    limit=LimitServer("close", tls=True),
)
async def handshakes():
    return await listen(AnswerAndClose)
