"""TLS by blocking sockets, in threads of a world: http.client, and what programs do with `ssl.SSLSocket` itself."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cede import simulation
from cede.simulation import World, explore
from tests.io.conftest import Certificates


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of the server, and of a client that trusts it."""
    folder: Path = tmp_path_factory.mktemp("certificates")
    made = Certificates(folder)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*made.pair("server"))
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(made.authority)
    return server, client


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = await reader.readuntil(b"\r\n\r\n")
    path = request.split()[1]
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path) * 5000, path * 5000))
    await writer.drain()
    writer.close()


def test_http_client_speaks_tls_with_a_server_of_another_host(contexts: Contexts) -> None:
    async def serve() -> None:
        async with await asyncio.start_server(answer, "0.0.0.0", 443, ssl=contexts[0]) as server:
            await server.serve_forever()

    def get(path: str) -> tuple[int, bytes, Any]:
        connection = http.client.HTTPSConnection("localhost", context=contexts[1], timeout=5)
        connection.connect()
        version = connection.sock.version()
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, body, version

    async def main(world: World) -> list[tuple[int, bytes, Any]]:
        serving = asyncio.ensure_future(serve())
        await asyncio.sleep(0.1)
        world.faults(chunks=True)
        got = await asyncio.gather(*(asyncio.to_thread(get, path) for path in ("/one", "/two")))
        serving.cancel()
        return got

    for seed in range(3):
        assert simulation.run(main, seed=seed) == [
            (200, b"/one" * 5000, "TLSv1.3"),
            (200, b"/two" * 5000, "TLSv1.3"),
        ]
    assert not explore(main, seeds=range(3)).failures  # compared: the same run each time


def test_both_ends_may_block_and_unwrap(contexts: Contexts) -> None:
    def serve(listener: socket.socket, heard: list[Any]) -> None:
        with contexts[0].wrap_socket(listener, server_side=True) as tls:
            sock, _ = tls.accept()
            assert isinstance(sock, ssl.SSLSocket)
            heard.append(sock.recv(100))
            sock.sendall(b"x" * 100_000)
            plain = sock.unwrap()
            heard.append(plain.recv(100))
            plain.close()

    async def main() -> tuple[list[Any], int]:
        heard: list[Any] = []
        listener = socket.create_server(("127.0.0.1", 0))
        address = listener.getsockname()
        thread = threading.Thread(target=serve, args=(listener, heard))
        thread.start()

        def speak(address: Any) -> int:
            with contexts[1].wrap_socket(socket.create_connection(address), server_hostname="localhost") as tls:
                assert tls.getpeercert() and tls.cipher() and tls.context is contexts[1]
                assert tls.selected_alpn_protocol() is None and not tls.session_reused
                tls.sendall(b"hello")
                count = 0
                while count < 100_000:
                    count += len(tls.recv(1 << 16))
                plain = tls.unwrap()
                plain.sendall(b"plain")
                plain.close()
            return count

        count = await asyncio.to_thread(speak, address)
        await asyncio.to_thread(thread.join)
        return heard, count

    assert simulation.run(main) == ([b"hello", b"plain"], 100_000)


def test_timeouts_non_blocking_calls_and_the_end_without_a_word(contexts: Contexts) -> None:
    def serve(listener: socket.socket) -> None:
        with listener, contexts[0].wrap_socket(listener.accept()[0], server_side=True) as sock:
            sock.recv(1)
            sock.shutdown(socket.SHUT_RDWR)  # no close_notify

    def speak(address: Any) -> list[Any]:
        found: list[Any] = []
        with contexts[1].wrap_socket(socket.create_connection(address), server_hostname="localhost") as tls:
            tls.settimeout(3)
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                tls.recv(10)
            found.append(round(time.monotonic() - began))
            tls.setblocking(False)
            with pytest.raises(ssl.SSLWantReadError):
                tls.recv(10)
            tls.setblocking(True)
            tls.send(b"x")
            found.append(tls.recv(10))
        return found

    async def main() -> list[Any]:
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        found = await asyncio.to_thread(speak, listener.getsockname())
        thread.join()
        return found

    assert simulation.run(main) == [3, b""]


def test_a_certificate_that_nobody_trusts_is_refused(contexts: Contexts) -> None:
    async def main() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 443, ssl=contexts[0]):

            def speak() -> None:
                with socket.create_connection(("127.0.0.1", 443)) as sock:
                    ssl.create_default_context().wrap_socket(sock, server_hostname="localhost")

            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.to_thread(speak)

    simulation.run(main)
