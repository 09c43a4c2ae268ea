"""httpx, and anyio with its asyncio backend, unmodified, on cede."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

import cede


@pytest.fixture
def address(http_site: int) -> str:
    """The address of an HTTP server of the standard library's."""
    return f"http://127.0.0.1:{http_site}"


# -- httpx -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def httpx(library: Any) -> Any:
    return library("httpx")


async def test_httpx_requests(httpx: Any, address: str) -> None:
    """Requests one after the other and fifty at a time get each its own answer."""
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        assert (await client.get("/one")).text == "GET /one"
        body = bytes(range(256)) * 4000
        assert (await client.post("/", content=body)).content == body
        responses = await asyncio.gather(*(client.get(f"/{number}") for number in range(50)))
        assert [response.text for response in responses] == [f"GET /{number}" for number in range(50)]


async def test_httpx_stream(httpx: Any, address: str) -> None:
    """A large response can be read piece by piece, and left in the middle."""
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        async with client.stream("GET", "/large") as response:
            assert sum([len(piece) async for piece in response.aiter_raw()]) == 5_000_000
        async with client.stream("GET", "/large") as response:
            async for _piece in response.aiter_raw(1000):
                break
        assert (await client.get("/after")).text == "GET /after"


async def test_httpx_failures(httpx: Any, address: str, free_port: Callable[[], int]) -> None:
    """A timeout and a refused connection are httpx's errors; a cancelled request leaves a client that works."""
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/slow", timeout=0.1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.get("/slow")
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{free_port()}/")
        assert (await client.get("/after")).text == "GET /after"


# -- anyio -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def anyio(library: Any) -> Any:
    return library("anyio")


@pytest.fixture
def run(library: Any) -> Callable[..., Any]:
    """Return `run(function)`, which is `anyio.run` with a loop of cede."""
    anyio = library("anyio")

    def run(function: Callable[..., Any]) -> Any:
        return anyio.run(function, backend="asyncio", backend_options={"loop_factory": cede.new_event_loop})

    return run


def test_anyio_runs_on_cede(run: Callable[..., Any]) -> None:
    """`anyio.run` takes cede's loop and returns what the function does."""

    async def main() -> tuple[str, bool]:
        task = asyncio.current_task()
        return type(asyncio.get_running_loop()).__module__, isinstance(task, asyncio.Task)

    module, is_task = run(main)
    assert module.startswith("cede.")
    assert is_task


def test_anyio_tcp(anyio: Any, run: Callable[..., Any]) -> None:
    """A listener and clients echo; the end of one direction leaves the other open."""

    async def echo(stream: Any) -> None:
        async with stream:
            async for data in stream:
                await stream.send(data)
            await stream.send(b" the end")

    async def talk(port: int, text: bytes) -> bytes:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(text)
            await stream.send_eof()
            return b"".join([data async for data in stream])

    async def main() -> list[bytes]:
        answers: list[bytes] = []
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as group,
        ):
            group.start_soon(listener.serve, echo)
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            for text in (b"hello", b"x" * 500_000):
                answers.append(await talk(port, text))
            group.cancel_scope.cancel()
        return answers

    assert run(main) == [b"hello the end", b"x" * 500_000 + b" the end"]


def test_anyio_cancel_scopes(anyio: Any, run: Callable[..., Any]) -> None:
    """Scopes cancel what is inside them and nothing else: nested, shielded, with a deadline, from outside."""
    seen = []

    async def stubborn() -> None:
        try:
            await anyio.sleep(20)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.02)
                seen.append("cleaned up")

    async def main() -> None:
        with anyio.move_on_after(0.05) as outer:
            with anyio.move_on_after(20) as inner:
                await stubborn()
        seen.append((outer.cancelled_caught, inner.cancelled_caught))
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.02):
                await anyio.sleep_forever()
        async with anyio.create_task_group() as group:
            group.start_soon(stubborn)
            await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        with pytest.raises(ExceptionGroup) as caught:
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep_forever)
                raise ValueError("no")
        seen.append([str(error) for error in caught.value.exceptions])

    run(main)
    assert seen == ["cleaned up", (True, False), "cleaned up", ["no"]]


def test_anyio_does_not_spin(anyio: Any, run: Callable[..., Any]) -> None:
    """A cancelled scope that waits for a shielded task takes no processor time worth the name."""

    async def shielded() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.5)

    async def main() -> float:
        begun = time.process_time()
        async with anyio.create_task_group() as group:
            group.start_soon(shielded)
            await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        return time.process_time() - begun

    assert run(main) < 0.4


def test_anyio_threads(anyio: Any, run: Callable[..., Any], library: Any) -> None:
    """Threads are called and call back."""
    library("anyio.from_thread")
    library("anyio.to_thread")

    async def double(number: int) -> int:
        await anyio.sleep(0.001)
        return 2 * number

    def in_thread(number: int) -> int:
        return int(anyio.from_thread.run(double, number)) + 1

    async def main() -> list[int]:
        return [await anyio.to_thread.run_sync(in_thread, number) for number in range(5)]

    assert run(main) == [1, 3, 5, 7, 9]
    with anyio.from_thread.start_blocking_portal("asyncio", {"loop_factory": cede.new_event_loop}) as portal:
        assert portal.call(double, 21) == 42


def test_anyio_synchronisation(anyio: Any, run: Callable[..., Any]) -> None:
    """Memory streams, events, limiters and locks work between tasks."""

    async def main() -> list[int]:
        sender, receiver = anyio.create_memory_object_stream[int](3)
        received: list[int] = []
        limiter, ready = anyio.CapacityLimiter(2), anyio.Event()

        async def produce(stream: Any) -> None:
            await ready.wait()
            async with stream:
                for number in range(20):
                    async with limiter:
                        await stream.send(number)

        async def consume(stream: Any) -> None:
            async with stream:
                async for number in stream:
                    received.append(number)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(produce, sender.clone())
                group.start_soon(consume, receiver.clone())
            sender.close()
            receiver.close()
            ready.set()
        return sorted(received)

    assert run(main) == sorted(list(range(20)) * 3)
