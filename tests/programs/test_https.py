"""aiohttp and httpx, unmodified, on cede, over TLS; and with nginx as the server that they ask and as who asks them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import ssl
import subprocess
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

# With aiodns installed, aiohttp resolves with pycares, whose thread for cleaning up stays to the end of the process.
pytestmark = [pytest.mark.programs, pytest.mark.leaves("threads")]

PIECE = bytes(range(256)) * 256


@pytest.fixture
def aiohttp(library: Any) -> Any:
    library("aiohttp.web")
    return library("aiohttp")


@pytest.fixture
def httpx(library: Any) -> Any:
    return library("httpx")


@contextlib.asynccontextmanager
async def serving(aiohttp: Any, context: ssl.SSLContext | None = None, **handlers: Any) -> AsyncIterator[int]:
    """Serve each handler at /name with aiohttp, on cede; the value is the port."""
    assert type(asyncio.get_running_loop()).__module__.startswith("cede.")
    app = aiohttp.web.Application(client_max_size=0)
    for name, handler in handlers.items():
        app.router.add_route("*", f"/{name}", handler)
    runner = aiohttp.web.AppRunner(app, handle_signals=False)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def server_context(certificates: Any, client: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificates.pair("server"))
    if client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificates.authority)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the tests' authority says little of itself
    return context


def client_context(certificates: Any, name: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates.authority)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if name:
        context.load_cert_chain(*certificates.pair(name))
    return context


# -- TLS ---------------------------------------------------------------------------------------------------------------


async def upload(pieces: int) -> AsyncIterator[bytes]:
    for _ in range(pieces):
        yield PIECE


@pytest.mark.programs(pure=True)
async def test_aiohttp_over_tls(aiohttp: Any, certificates: Any) -> None:
    """Requests share their TLS connections; ten megabytes go both ways at once; a web socket runs inside."""
    peers = set()

    async def answer(request: Any) -> Any:
        peers.add(request.transport.get_extra_info("peername"))
        assert request.transport.get_extra_info("ssl_object").version().startswith("TLSv1.")
        return aiohttp.web.Response(text=request.query["n"])

    async def reflect(request: Any) -> Any:
        response = aiohttp.web.StreamResponse()
        await response.prepare(request)
        async for data in request.content.iter_any():
            await response.write(data)
        return response

    async def echo(request: Any) -> Any:
        connection = aiohttp.web.WebSocketResponse(max_msg_size=0)
        await connection.prepare(request)
        async for message in connection:
            await connection.send_bytes(message.data)
        return connection

    async with serving(aiohttp, server_context(certificates), answer=answer, reflect=reflect, echo=echo) as port:
        connector = aiohttp.TCPConnector(limit=20, ssl=client_context(certificates))
        async with aiohttp.ClientSession(f"https://localhost:{port}/", connector=connector) as session:

            async def ask(number: int) -> str:
                async with session.get("answer", params={"n": number}) as response:
                    return str(await response.text())

            assert await asyncio.gather(*(ask(n) for n in range(300))) == [str(n) for n in range(300)]
            assert len(peers) <= 20
            received = hashlib.sha256()
            async with session.post("reflect", data=upload(160)) as response:
                async for data in response.content.iter_any():
                    received.update(data)
            assert received.digest() == hashlib.sha256(PIECE * 160).digest()
            async with session.ws_connect("echo", max_msg_size=0) as client:
                for size in (0, 1, 1_000_000):
                    await client.send_bytes(b"x" * size)
                    assert await client.receive_bytes() == b"x" * size


async def test_certificates(aiohttp: Any, httpx: Any, certificates: Any) -> None:
    """A server nobody vouches for is refused, and so is a client without a certificate where one is asked for."""

    async def who(request: Any) -> Any:
        subject = dict(item[0] for item in request.transport.get_extra_info("peercert")["subject"])
        return aiohttp.web.Response(text=subject["commonName"])

    async with serving(aiohttp, server_context(certificates, client=True), who=who) as port:
        url = f"https://localhost:{port}/who"
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(url)
            with pytest.raises(aiohttp.ClientError):
                await session.get(url, ssl=client_context(certificates))
            async with session.get(url, ssl=client_context(certificates, "client")) as response:
                assert await response.text() == "A client"
        async with httpx.AsyncClient(verify=client_context(certificates, "client"), trust_env=False) as client:
            assert (await client.get(url)).text == "A client"
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get(url)


async def test_end_of_a_server_over_tls(aiohttp: Any, certificates: Any) -> None:
    """A server that ends lets what is under way be answered, over TLS too."""
    begun = asyncio.Event()

    async def slow(request: Any) -> Any:
        begun.set()
        await asyncio.sleep(0.2)
        return aiohttp.web.Response(text="here")

    async with contextlib.AsyncExitStack() as stack:
        server = contextlib.AsyncExitStack()
        port = await server.enter_async_context(serving(aiohttp, server_context(certificates), slow=slow))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        asking = asyncio.create_task(session.get(f"https://localhost:{port}/slow", ssl=client_context(certificates)))
        await begun.wait()
        await server.aclose()
        async with await asking as response:
            assert await response.text() == "here"


# -- nginx -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def nginx(
    start: Callable[..., Any],
    program: Callable[[str, str], str],
    free_port: Callable[[], int],
    certificates: Any,
    tmp_path: Path,
) -> Callable[[int], tuple[int, int]]:
    """Return `nginx(port)`: start one that serves files, and asks whoever listens on that port for the rest.

    It returns the ports on which it listens, without and with TLS.
    """
    executable = program("nginx", "nginx")
    (tmp_path / "large").write_bytes(PIECE * 300)

    def nginx(behind: int) -> tuple[int, int]:
        ports = free_port(), free_port()
        certificate, key = certificates.pair("server")
        configuration = f"""
            {"user root;" if os.getuid() == 0 else ""}
            daemon off; pid {tmp_path}/pid; error_log stderr; worker_processes 1;
            events {{ worker_connections 256; }}
            http {{
                access_log off; client_max_body_size 0;
                client_body_temp_path {tmp_path}; proxy_temp_path {tmp_path}; fastcgi_temp_path {tmp_path};
                uwsgi_temp_path {tmp_path}; scgi_temp_path {tmp_path};
                upstream behind {{ server 127.0.0.1:{behind}; keepalive 8; }}
                server {{
                    listen 127.0.0.1:{ports[0]}; listen 127.0.0.1:{ports[1]} ssl;
                    ssl_certificate {certificate}; ssl_certificate_key {key};
                    location /files/ {{ alias {tmp_path}/; }}
                    location / {{
                        proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection "";
                        proxy_request_buffering off; proxy_buffering off;
                    }}
                }}
            }}
        """
        (tmp_path / "nginx.conf").write_text(textwrap.dedent(configuration))
        subprocess.run(
            [executable, "-t", "-q", "-c", tmp_path / "nginx.conf", "-p", tmp_path, "-e", "stderr"], check=True
        )
        start(executable, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path), "-e", "stderr")
        return ports

    return nginx


async def listening(port: int) -> None:
    """Wait until somebody listens there."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            await asyncio.sleep(0.02)


async def test_files_of_nginx(nginx: Any, aiohttp: Any, httpx: Any, certificates: Any) -> None:
    """Both clients fetch twenty megabytes and parts of them from nginx, with and without TLS, many at a time."""
    plain, tls = nginx(1)
    await listening(tls)
    expected = hashlib.sha256(PIECE * 300).digest()
    for base in (f"http://localhost:{plain}", f"https://localhost:{tls}"):
        async with httpx.AsyncClient(base_url=base, verify=client_context(certificates), trust_env=False) as client:
            received = hashlib.sha256()
            async with client.stream("GET", "/files/large") as response:
                async for data in response.aiter_raw():
                    received.update(data)
            assert received.digest() == expected
            parts = [client.get("/files/large", headers={"Range": f"bytes={n}-{n + 255}"}) for n in range(40)]
            for number, part in enumerate(await asyncio.gather(*parts)):
                assert (part.status_code, part.content) == (206, (PIECE * 2)[number : number + 256])
            assert (await client.get("/files/none")).status_code == 404
        async with aiohttp.ClientSession(
            base, connector=aiohttp.TCPConnector(ssl=client_context(certificates))
        ) as session:
            received = hashlib.sha256()
            async with session.get("/files/large") as response:
                async for data in response.content.iter_any():
                    received.update(data)
            assert received.digest() == expected


async def test_behind_nginx(nginx: Any, aiohttp: Any, httpx: Any, certificates: Any) -> None:
    """aiohttp's server behind nginx, httpx before it: many requests over few connections, streams, a client that leaves."""
    peers, ended = set(), asyncio.Event()

    async def answer(request: Any) -> Any:
        peers.add(request.transport.get_extra_info("peername"))
        return aiohttp.web.Response(text=request.query["n"])

    async def digest(request: Any) -> Any:
        received = hashlib.sha256()
        async for data in request.content.iter_any():
            received.update(data)
        return aiohttp.web.Response(body=received.digest())

    async def endless(request: Any) -> Any:
        response = aiohttp.web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(PIECE)
        except (ConnectionError, asyncio.CancelledError):
            ended.set()
            raise

    async with serving(aiohttp, answer=answer, digest=digest, endless=endless) as behind:
        _, tls = nginx(behind)
        await listening(tls)
        base = f"https://localhost:{tls}"
        limits = httpx.Limits(max_connections=8)
        settings = {"verify": client_context(certificates), "trust_env": False, "limits": limits}
        async with httpx.AsyncClient(base_url=base, **settings) as client:
            asked = [client.get("/answer", params={"n": number}) for number in range(300)]
            assert [response.text for response in await asyncio.gather(*asked)] == [str(n) for n in range(300)]
            assert len(peers) <= 16
            assert (await client.post("/digest", content=upload(160))).content == hashlib.sha256(PIECE * 160).digest()
            async with client.stream("GET", "/endless") as response:
                async for _data in response.aiter_raw():
                    break
            await asyncio.wait_for(ended.wait(), 10)
            assert (await client.get("/answer?n=last")).text == "last"
