"""Tornado, unmodified, on cede: its loop is a thin layer over asyncio's, and takes the one that is running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytestmark = [pytest.mark.programs, pytest.mark.programs(pure=True)]


@pytest.fixture
def tornado(library: Any) -> Any:
    for name in (
        "gen",
        "httpclient",
        "httpserver",
        "ioloop",
        "iostream",
        "queues",
        "tcpclient",
        "tcpserver",
        "web",
        "websocket",
    ):
        library(f"tornado.{name}")
    return library("tornado")


@asynccontextmanager
async def serving(tornado: Any, *routes: Any) -> AsyncIterator[int]:
    server = tornado.httpserver.HTTPServer(tornado.web.Application(list(routes)))
    server.listen(0, "127.0.0.1")
    (sock,) = server._sockets.values()
    try:
        yield sock.getsockname()[1]
    finally:
        server.stop()
        await server.close_all_connections()


async def test_web(tornado: Any) -> None:
    """A hundred requests at once to handlers that wait, stream, fail, and use an executor; a web socket."""

    class Double(tornado.web.RequestHandler):
        async def get(self) -> None:
            await tornado.gen.sleep(0.01)
            assert tornado.ioloop.IOLoop.current().asyncio_loop is asyncio.get_running_loop()
            self.write(str(2 * int(self.get_argument("n"))))

    class Stream(tornado.web.RequestHandler):
        async def get(self) -> None:
            for _ in range(100):
                self.write(b"x" * 50_000)
                await self.flush()

    class Thread(tornado.web.RequestHandler):
        async def get(self) -> None:
            self.write(str(await tornado.ioloop.IOLoop.current().run_in_executor(None, sum, range(1000))))

    class Echo(tornado.websocket.WebSocketHandler):
        def on_message(self, message: str) -> None:
            self.write_message(message * 2)

    assert type(asyncio.get_running_loop()).__module__.startswith("cede.")
    routes = [("/double", Double), ("/stream", Stream), ("/thread", Thread), ("/echo", Echo)]
    async with serving(tornado, *routes) as port:
        base = f"http://127.0.0.1:{port}"
        client = tornado.httpclient.AsyncHTTPClient(force_instance=True, max_clients=20)
        answers = await asyncio.gather(*(client.fetch(f"{base}/double?n={number}") for number in range(100)))
        assert [int(answer.body) for answer in answers] == list(range(0, 200, 2))
        assert (await client.fetch(f"{base}/stream")).body == b"x" * 5_000_000
        assert (await client.fetch(f"{base}/thread")).body == b"499500"
        with pytest.raises(tornado.httpclient.HTTPClientError, match="404"):
            await client.fetch(f"{base}/none")
        client.close()
        socket = await tornado.websocket.websocket_connect(f"ws://127.0.0.1:{port}/echo")
        await socket.write_message("twice ")
        assert await socket.read_message() == "twice twice "
        socket.close()
        assert await socket.read_message() is None


async def test_streams(tornado: Any) -> None:
    """IOStream over add_reader and add_writer: lines, large writes, the other side's end."""

    class Shout(tornado.tcpserver.TCPServer):
        async def handle_stream(self, stream: Any, address: Any) -> None:
            try:
                while True:
                    await stream.write((await stream.read_until(b"\n")).upper())
            except tornado.iostream.StreamClosedError:
                ended.set()

    ended, server = asyncio.Event(), Shout(max_buffer_size=10_000_000)
    server.listen(0, "127.0.0.1")
    (sock,) = server._sockets.values()
    stream = await tornado.tcpclient.TCPClient().connect("127.0.0.1", sock.getsockname()[1], max_buffer_size=10_000_000)
    for size in (1, 1000, 3_000_000):
        await stream.write(b"x" * size + b"\n")
        assert await stream.read_until(b"\n") == b"X" * size + b"\n"
    stream.close()
    await asyncio.wait_for(ended.wait(), 5)
    server.stop()


def test_own_loop(tornado: Any, run_python: Any) -> None:
    """A program that knows only tornado's IOLoop: callbacks, timers, periods, threads that call in; on cede at once."""
    run_python(
        """
        import cede
        cede.install()
        import asyncio, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # IOLoop.current() asks for a loop where none runs
        from tornado.ioloop import IOLoop, PeriodicCallback

        async def main():
            assert type(asyncio.get_running_loop()).__module__.startswith("cede.")
            loop, seen, enough = IOLoop.current(), [], asyncio.Event()

            def tick():
                seen.append("tick")
                if seen.count("tick") == 3:
                    enough.set()

            period = PeriodicCallback(tick, 5)
            period.start()
            loop.call_later(0.001, seen.append, "later")
            given_up = loop.call_later(0.001, seen.append, "never")
            loop.remove_timeout(given_up)
            thread = threading.Thread(target=lambda: loop.add_callback(seen.append, "thread"))
            thread.start()
            await enough.wait()
            thread.join()
            period.stop()
            assert sorted(set(seen)) == ["later", "thread", "tick"], seen
            return 42

        assert IOLoop.current().run_sync(main) == 42
        IOLoop.current().close()
        """
    )
