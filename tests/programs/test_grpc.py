"""grpcio's aio API, unmodified, on cede: server and client, whose C core talks to the loop through a socket of its own.

The messages are plain bytes, so that nothing has to be generated.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

# The core keeps threads and descriptors of its own until the process ends.
pytestmark = [pytest.mark.programs, pytest.mark.leaves("threads", "fds"), pytest.mark.timeout(60)]


@pytest.fixture
def aio(library: Any) -> Any:
    library("grpc")
    return library("grpc.aio")


class Service:
    """One method of each of gRPC's four kinds."""

    def __init__(self) -> None:
        self.cancelled = 0
        self.sent = 0

    async def double(self, request: bytes, context: Any) -> bytes:
        if request == b"bad":
            import grpc

            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "on purpose")
        if request == b"slow":
            try:
                await asyncio.sleep(20)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return request * 2

    async def count(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            self.sent = number
            yield b"%d " % number * 100

    async def total(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        return b"%d" % sum([len(request) async for request in requests])

    async def echo(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request


@asynccontextmanager
async def connected(aio: Any) -> AsyncIterator[tuple[Service, Any, Any]]:
    """A server and a channel to it; the value is the service, the channel and the server."""
    import grpc

    assert type(asyncio.get_running_loop()).__module__.startswith("cede.")
    service, server = Service(), aio.server()
    methods = {
        "double": grpc.unary_unary_rpc_method_handler(service.double),
        "count": grpc.unary_stream_rpc_method_handler(service.count),
        "total": grpc.stream_unary_rpc_method_handler(service.total),
        "echo": grpc.stream_stream_rpc_method_handler(service.echo),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield service, channel, server
    finally:
        await server.stop(None)


@pytest.mark.programs(pure=True)
async def test_calls_of_each_kind(aio: Any) -> None:
    """One answer to one request, streams in either direction and in both, a thousand calls at a time."""
    async with connected(aio) as (_, channel, _):
        double = channel.unary_unary("/test.Service/double")
        answers = await asyncio.gather(*(double(b"%d," % number) for number in range(1000)))
        assert answers == [b"%d,%d," % (number, number) for number in range(1000)]
        numbers = [number async for number in channel.unary_stream("/test.Service/count")(b"500")]
        assert numbers == [b"%d " % number * 100 for number in range(500)]

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b"x" * 10_000

        assert await channel.stream_unary("/test.Service/total")(pieces()) == b"1000000"
        call = channel.stream_stream("/test.Service/echo")()
        for number in range(200):
            await call.write(b"%d" % number)
            assert await call.read() == b"%d" % number
        await call.done_writing()
        assert await call.read() == aio.EOF


async def test_errors_and_cancellation(aio: Any) -> None:
    """A refusal comes with its status; a deadline and a cancellation reach the server's handler; the next call works."""
    import grpc

    async with connected(aio) as (service, channel, _):
        double = channel.unary_unary("/test.Service/double")
        with pytest.raises(aio.AioRpcError) as refused:
            await double(b"bad")
        assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "on purpose")
        with pytest.raises(aio.AioRpcError) as late:
            await double(b"slow", timeout=0.1)
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await double(b"slow")
        async with asyncio.timeout(10):
            while service.cancelled < 2:
                await asyncio.sleep(0.01)
        assert await double(b"fine") == b"finefine"


async def test_slow_reader(aio: Any) -> None:
    """A client that does not read holds the server's stream back."""
    async with connected(aio) as (service, channel, _):
        call = channel.unary_stream("/test.Service/count")(b"100000")
        assert await call.read() == b"0 " * 100
        before = -1
        while service.sent != before:
            before = service.sent
            await asyncio.sleep(0.2)
        assert before < 50_000
        call.cancel()


async def test_end_with_calls_under_way(aio: Any) -> None:
    """A server that stops with grace answers what it has begun to answer."""
    async with connected(aio) as (_, channel, server):
        call = channel.stream_stream("/test.Service/echo")()
        await call.write(b"begun")
        assert await call.read() == b"begun"
        stopping = asyncio.create_task(server.stop(10))
        await asyncio.sleep(0.05)
        await call.write(b"last")
        assert await call.read() == b"last"
        await call.done_writing()
        assert await call.read() == aio.EOF
        await stopping
