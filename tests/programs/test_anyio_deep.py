"""anyio, unmodified, on cede, in depth: groups in groups, cancellation at every place, streams of every kind, TLS.

test_http_clients.py has the basics.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cede

pytestmark = [pytest.mark.programs, pytest.mark.programs(pure=True)]


@pytest.fixture
def anyio(library: Any) -> Any:
    for name in ("abc", "from_thread", "to_process", "to_thread"):
        library(f"anyio.{name}")
    for name in ("buffered", "memory", "stapled", "text", "tls"):
        library(f"anyio.streams.{name}")
    return library("anyio")


@pytest.fixture
def run(anyio: Any) -> Callable[..., Any]:
    """Return `run(function)`, which is `anyio.run` with a loop of cede's."""

    def run(function: Callable[..., Any]) -> Any:
        async def main() -> Any:
            assert type(asyncio.get_running_loop()).__module__.startswith("cede.")
            return await function()

        return anyio.run(main, backend="asyncio", backend_options={"loop_factory": cede.new_event_loop})

    return run


def test_task_groups(anyio: Any, run: Callable[..., Any]) -> None:
    """Groups in groups: `start` waits for `started`, an error cancels its group only, all errors are told."""
    ends: list[str] = []

    async def service(name: str, *, task_status: Any) -> None:
        await anyio.sleep(0.01)
        task_status.started(name.upper())
        try:
            await anyio.sleep_forever()
        finally:
            ends.append(name)

    async def fail(text: str) -> None:
        try:
            await anyio.sleep(0.01)
        finally:
            raise ValueError(text)

    async def never_starts(*, task_status: Any) -> None:
        await anyio.sleep(0)

    async def main() -> None:
        async with anyio.create_task_group() as outer:
            assert await outer.start(service, "outer") == "OUTER"
            with pytest.raises(RuntimeError, match="exited without calling"):
                await outer.start(never_starts)
            with pytest.raises(ExceptionGroup) as caught:
                async with anyio.create_task_group() as inner:
                    assert await inner.start(service, "inner") == "INNER"
                    inner.start_soon(fail, "one")
                    inner.start_soon(fail, "two")
            assert sorted(str(error) for error in caught.value.exceptions) == ["one", "two"]
            assert ends == ["inner"]
            with anyio.move_on_after(0.02) as scope:
                await outer.start(never_ready)
            assert scope.cancelled_caught
            outer.cancel_scope.cancel()
        assert ends == ["inner", "never ready", "outer"]

    async def never_ready(*, task_status: Any) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ends.append("never ready")

    run(main)


def test_cancel_scopes(anyio: Any, run: Callable[..., Any]) -> None:
    """Scopes at many depths: the right one catches, shields hold, a deadline may move, checkpoints notice, and native
    cancellation (asyncio's) passes through them.
    """

    async def deep(levels: int, hit: int, caught: list[int]) -> None:
        with anyio.CancelScope() as scope:
            if levels == hit:
                asyncio.get_running_loop().call_later(0.002, scope.cancel)
            if levels:
                await deep(levels - 1, hit, caught)
            else:
                await anyio.sleep_forever()
        if scope.cancelled_caught:
            caught.append(levels)

    async def main() -> None:
        for hit in (0, 7, 20):
            caught: list[int] = []
            await deep(20, hit, caught)
            assert caught == [hit]
        with anyio.move_on_after(0.01) as outer:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.03)
            assert anyio.current_effective_deadline() == float("-inf")
            with pytest.raises(anyio.get_cancelled_exc_class()):
                await anyio.lowlevel.checkpoint()
            await anyio.sleep_forever()
        assert outer.cancelled_caught
        with anyio.move_on_after(20) as moved:
            moved.deadline = anyio.current_time() + 0.01
            await anyio.sleep_forever()
        assert moved.cancelled_caught

        async def scoped() -> None:
            with anyio.CancelScope() as scope:
                await anyio.sleep_forever()
            assert not scope.cancelled_caught

        task = asyncio.create_task(scoped())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            with pytest.raises(TimeoutError):
                with anyio.fail_after(0.01):
                    async with asyncio.TaskGroup() as group:
                        group.create_task(anyio.sleep_forever())
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    run(main)


def test_memory_streams(anyio: Any, run: Callable[..., Any]) -> None:
    """Hand-over without a buffer, back-pressure with one, cancelled ends that lose nothing, ends that are told."""

    async def main() -> None:
        send, receive = anyio.create_memory_object_stream[int](0)
        got: list[int] = []

        async def consume() -> None:
            while True:
                with anyio.move_on_after(0.001):
                    try:
                        got.append(await receive.receive())
                    except anyio.EndOfStream:
                        return

        async with anyio.create_task_group() as group:
            group.start_soon(consume)
            async with send:
                for number in range(50):
                    await send.send(number)
                    if number % 10 == 0:
                        await anyio.sleep(0.003)
        assert got == list(range(50))
        await receive.aclose()
        send, receive = anyio.create_memory_object_stream[int](2)
        async with send, receive:
            send.send_nowait(1)
            send.send_nowait(2)
            with pytest.raises(anyio.WouldBlock):
                send.send_nowait(3)
            assert send.statistics().current_buffer_used == 2
        with pytest.raises(anyio.ClosedResourceError):
            await send.send(1)
        send, receive = anyio.create_memory_object_stream[int](0)
        await receive.aclose()
        with pytest.raises(anyio.BrokenResourceError):
            await send.send(1)
        await send.aclose()

    run(main)


def test_byte_streams(anyio: Any, run: Callable[..., Any], certificates: Any, tmp_path: Path) -> None:
    """Buffered reads, text, TLS over TCP, Unix sockets, UDP, a process's three pipes, and files."""
    buffered, text, tls = (sys.modules[f"anyio.streams.{name}"] for name in ("buffered", "text", "tls"))
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(*certificates.pair("server"))
    client_side = ssl.create_default_context(cafile=certificates.authority)
    client_side.verify_flags &= ~ssl.VERIFY_X509_STRICT if hasattr(ssl, "VERIFY_X509_STRICT") else -1

    async def shout(stream: Any) -> None:
        async with stream:
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while True:
                    await stream.send((await stream.receive()).upper())

    async def talk(stream: Any) -> None:
        async with stream:
            await stream.send(b"hello\n" + b"x" * 200_000)
            reader = buffered.BufferedByteReceiveStream(stream)
            assert await reader.receive_until(b"\n", 100) == b"HELLO"
            assert await reader.receive_exactly(200_000) == b"X" * 200_000

    async def main() -> None:
        async with anyio.create_task_group() as group:
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            group.start_soon(listener.serve, shout)
            secure = await anyio.create_tcp_listener(local_host="127.0.0.1")
            secure_port = secure.extra(anyio.abc.SocketAttribute.local_port)
            group.start_soon(tls.TLSListener(secure, server_side).serve, shout)
            unix = await anyio.create_unix_listener(tmp_path / "unix")
            group.start_soon(unix.serve, shout)
            await talk(await anyio.connect_tcp("127.0.0.1", port))
            await talk(await anyio.connect_tcp("localhost", secure_port, ssl_context=client_side))
            await talk(await anyio.connect_unix(tmp_path / "unix"))
            words = text.TextStream(await anyio.connect_tcp("127.0.0.1", port))
            await words.send("ünd")
            assert await words.receive() == "ünd".encode().upper().decode()
            await words.aclose()
            group.cancel_scope.cancel()
        for each in (listener, secure, unix):
            await each.aclose()
        async with await anyio.create_udp_socket(local_host="127.0.0.1") as udp:
            port = udp.extra(anyio.abc.SocketAttribute.local_port)
            async with await anyio.create_connected_udp_socket("127.0.0.1", port) as other:
                await other.send(b"hello")
                packet, (host, peer) = await udp.receive()
                await udp.sendto(packet.upper(), host, peer)
                assert await other.receive() == b"HELLO"
        done = await anyio.run_process(["tr", "a-z", "A-Z"], input=b"x" * 300_000)
        assert done.stdout == b"X" * 300_000
        async with await anyio.open_file(tmp_path / "file", "w+") as file:
            await file.write("one\ntwo\n")
            await file.seek(0)
            assert [line async for line in file] == ["one\n", "two\n"]
        assert await anyio.to_process.run_sync(sum, [1, 2, 3]) == 6

    run(main)
