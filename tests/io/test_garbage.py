"""A run with TLS, left by a normal or by a failing road, leaves nothing to the collector of cycles, nor its loop."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import cede
from tests.io.conftest import World


async def echo(reader: cede.StreamReader, writer: cede.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(100):
            writer.write(data)
    writer.close()


async def silent(reader: cede.StreamReader, writer: cede.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def plain(reader: cede.StreamReader, writer: cede.StreamWriter) -> None:
    writer.write(b"this is no TLS\n" * 10)
    await reader.read(10)
    writer.close()


async def gone(reader: cede.StreamReader, writer: cede.StreamWriter) -> None:
    writer.close()


async def ask(address: Any, **kwargs: Any) -> None:
    reader, writer = await cede.open_connection(*address, **kwargs)
    writer.write(b"x")
    assert await reader.read(1) == b"x"
    writer.close()
    await writer.wait_closed()


async def upgrade(address: Any, **kwargs: Any) -> None:
    loop = cede.get_running_loop()
    transport, protocol = await loop.create_connection(cede.Protocol, *address)
    try:
        transport = await loop.start_tls(transport, protocol, kwargs["ssl"], server_hostname="localhost")
    finally:
        transport.abort()


async def abort(address: Any, **kwargs: Any) -> None:
    reader, writer = await cede.open_connection(*address, **kwargs)
    writer.write(b"x")
    await reader.read(1)
    writer.transport.abort()


async def leave(address: Any, **kwargs: Any) -> None:
    reader, writer = await cede.open_connection(*address, **kwargs)
    writer.write(b"x")
    await reader.read(1)


async def impatient(address: Any, **kwargs: Any) -> None:
    await cede.wait_for(ask(address, **kwargs), 0.02)


# What the client does, what answers it (None: an echo by TLS), whether the server's certificate is trusted, and more.
ROADS: dict[str, tuple[Callable[..., Awaitable[None]], Any, bool, dict[str, Any]]] = {
    "closed": (ask, None, True, {}),
    "aborted": (abort, None, True, {}),
    "left open": (leave, None, True, {}),
    "not trusted": (ask, None, False, {}),
    "wrong name": (ask, None, True, {"server_hostname": "another.example"}),
    "no TLS": (ask, plain, True, {}),
    "closed in the handshake": (ask, gone, True, {}),
    "handshake too long": (ask, silent, True, {"ssl_handshake_timeout": 0.02}),
    "handshake cancelled": (impatient, silent, True, {}),
    "start_tls without an answer": (upgrade, gone, True, {}),
    "start_tls with one who speaks no TLS": (upgrade, plain, True, {}),
}


@pytest.mark.parametrize("name", ROADS)
def test_no_cycle_is_left_of_a_run_with_tls(
    name: str, world: World, caplog: pytest.LogCaptureFixture, nothing_for_the_collector: Any
) -> None:
    client, handler, trusted, kwargs = ROADS[name]
    server_context, client_context = world.server_context(), world.client_context(trusting=trusted)

    async def main() -> None:
        server = await cede.start_server(handler or echo, "127.0.0.1", 0, ssl=None if handler else server_context)
        address = server.sockets[0].getsockname()
        try:
            await client(address, ssl=client_context, **kwargs)
        finally:
            server.close()
            await cede.sleep(0.02)

    def run() -> None:
        with contextlib.suppress(OSError), warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # of what is left open
            cede.run(main())

    run()  # whatever is made only once
    with caplog.at_level("CRITICAL"), nothing_for_the_collector():
        run()
