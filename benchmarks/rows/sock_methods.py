"""TCP by the loop's `sock_*` methods."""

import asyncio
import socket

from benchmarks.clients import LimitServer, exchange
from benchmarks.row import KIB, each, server


async def echo(loop, connection):
    with connection:
        while data := await loop.sock_recv(connection, 64 * 1024):
            await loop.sock_sendall(connection, data)


async def accept_for_ever(loop, listener):
    echoing = set()
    while True:
        connection, _ = await loop.sock_accept(listener)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = loop.create_task(echo(loop, connection))
        echoing.add(task)
        task.add_done_callback(echoing.discard)


@server(
    "sock-echo-{size}-{connections}",
    "TCP echo, `sock_recv` and `sock_sendall`, {size}, connections: {connections}",
    each(connections=(1, 10, 100), size=(KIB,)),
    client=exchange,
    limit=LimitServer("echo"),
)
async def sock_echo():
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    sock_echo.accepting = loop.create_task(accept_for_ever(loop, listener))  # a task must be held
    host, port = listener.getsockname()
    return f"{host}:{port}"
