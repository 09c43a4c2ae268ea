"""What tests of transports get: a connection with a plain peer; for TLS certificates, contexts for either road, and a
peer that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

LARGE = bytes(range(256)) * 40_000  # bytes; ten megabytes fill any socket
RECORD = 16 * 1024  # bytes; no TLS record carries more


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
def connected(loop: Any, tcp_pair: Any, recorder: Any) -> Callable[..., Any]:
    """Return a context manager: a transport, its protocol, and the plain socket of its peer."""

    @contextlib.asynccontextmanager
    async def connect(factory: Any = recorder, pair: Any = tcp_pair) -> AsyncIterator[tuple[Any, Any, socket.socket]]:
        mine, theirs = pair()
        transport, protocol = await loop.create_connection(factory, sock=mine)
        try:
            yield transport, protocol, theirs
        finally:
            theirs.close()
            if not protocol.lost.done():
                transport.abort()
            await turns()

    return connect


class OwnWay(ssl.SSLContext):
    """A context with a `wrap_bio` of its own, as truststore's: it is asked, so TLS takes the memory road."""

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return super().wrap_bio(*args, **kwargs)


class Certificates:
    """A certificate authority and what it signed: for the server (localhost, other.example) and for a client."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = folder / "authority.pem"
        new = ["-newkey", "rsa:2048", "-nodes", "-days", "30"]
        self._openssl(
            "req", "-x509", *new, "-subj", "/CN=Test authority", "-keyout", "authority.key", "-out", "authority.pem"
        )
        for name, common, alternatives in (
            ("server", "localhost", "DNS:localhost,IP:127.0.0.1"),
            ("other", "other.example", "DNS:other.example"),
            ("client", "A client", "DNS:client.example"),
        ):
            (folder / "extensions").write_text(f"subjectAltName={alternatives}\n")
            self._openssl("req", *new, "-subj", f"/CN={common}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
            self._openssl(
                "x509",
                "-req",
                "-in",
                f"{name}.csr",
                "-CA",
                "authority.pem",
                "-CAkey",
                "authority.key",
                "-CAcreateserial",
                "-days",
                "30",
                "-extfile",
                "extensions",
                "-out",
                f"{name}.pem",
            )

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self._folder, check=True, capture_output=True)

    def pair(self, name: str) -> tuple[Path, Path]:
        """Return the paths of the certificate and the key."""
        return self._folder / f"{name}.pem", self._folder / f"{name}.key"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


class World:
    """Contexts, servers and connections of one test; `road` says which kind of context they use."""

    def __init__(self, certificates: Certificates, road: str) -> None:
        self.certificates = certificates
        self.road = road
        self._kind = OwnWay if road == "bytes" else ssl.SSLContext

    tcp_pair = staticmethod(lambda: tcp_pair())

    def peer(self, sock: socket.socket, *, server_side: bool) -> Peer:
        """Return a Peer that is the server's side, or the client's."""
        return Peer(sock, self.server_context(kind=ssl.SSLContext) if server_side else None, self)

    def server_context(self, name: str = "server", kind: type[ssl.SSLContext] | None = None) -> ssl.SSLContext:
        context = (kind or self._kind)(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificates.pair(name))
        return context

    def client_context(self, kind: type[ssl.SSLContext] | None = None, *, trusting: bool = True) -> ssl.SSLContext:
        context = (kind or self._kind)(ssl.PROTOCOL_TLS_CLIENT)
        if trusting:
            context.load_verify_locations(self.certificates.authority)
        return context

    @contextlib.asynccontextmanager
    async def connected(
        self, protocol: Callable[[], Any], *, server_side: bool = False, **kwargs: Any
    ) -> AsyncIterator[tuple[Any, Any, Peer]]:
        """A connection of the loop's: its transport, its protocol and the Peer at the other end, hands shaken."""
        loop = asyncio.get_running_loop()
        mine, theirs = tcp_pair()
        peer = Peer(theirs, None if server_side else self.server_context(kind=ssl.SSLContext), self)
        shaking = asyncio.ensure_future(peer.shake_hands())
        if server_side:
            tls = kwargs.pop("tls", None) or self.server_context()
            made = loop.connect_accepted_socket(protocol, mine, ssl=tls, **kwargs)
        else:
            tls = kwargs.pop("tls", None) or self.client_context()
            made = loop.create_connection(protocol, sock=mine, ssl=tls, server_hostname="localhost", **kwargs)
        try:
            transport, made_protocol = await made
            await shaking
            yield transport, made_protocol, peer
        finally:
            shaking.cancel()
            peer.close()
            if "transport" in locals():
                transport.abort()
            for _ in range(5):
                await asyncio.sleep(0)


@pytest.fixture(name="tcp_pair")
def tcp_pair_fixture() -> Callable[[], tuple[socket.socket, socket.socket]]:
    """Return a function that gives two connected, non-blocking TCP sockets."""
    return tcp_pair


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected, non-blocking TCP sockets."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        left = socket.create_connection(listening.getsockname())
        right, _ = listening.accept()
    for sock in (left, right):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return left, right


@pytest.fixture(params=["socket", "bytes"])
def world(request: pytest.FixtureRequest, certificates: Certificates) -> World:
    return World(certificates, request.param)


class Peer:
    """The other end of a connection, TLS in its own hands: it sends what it is told, when and in the pieces it is told.

    `context` makes it a server; None a client.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None, world: World) -> None:
        self.sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server_side = context is not None
        context = context or world.client_context(ssl.SSLContext)
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side, None if server_side else "localhost")

    async def _doing(self, step: Callable[[], Any]) -> Any:
        """Take a step of OpenSSL as often as it takes, carrying bytes meanwhile."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await self.flush()
                data = await loop.sock_recv(self.sock, 65536)
                if not data:
                    raise EOFError
                self._incoming.write(data)

    async def flush(self) -> None:
        if self._outgoing.pending:
            await self.send_raw(self._outgoing.read())

    async def send_raw(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def shake_hands(self) -> None:
        await self._doing(self.tls.do_handshake)
        await self.flush()

    def sealed_so_far(self) -> bytes:
        """Return the bytes that TLS has ready to be sent."""
        return self._outgoing.read()

    def sealed(self, data: bytes) -> bytes:
        """Return `data` as the bytes of TLS records."""
        self.tls.write(data)
        return self._outgoing.read()

    async def send(self, data: bytes) -> None:
        await self.send_raw(self.sealed(data))

    async def receive(self, count: int) -> bytes:
        """Return `count` bytes of what the other end sent."""
        data = b""
        while len(data) < count:
            chunk = await self._doing(functools.partial(self.tls.read, count - len(data)))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    async def receive_to_end(self) -> bytes:
        """Return all there is up to close_notify; EOFError if the connection ends without one."""
        data = []
        with contextlib.suppress(ssl.SSLZeroReturnError):  # how OpenSSL says it once close_notify was sent, too
            while chunk := await self._doing(lambda: self.tls.read(65536)):
                data.append(chunk)
        return b"".join(data)

    async def receive_raw(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.sock, 65536)

    def close_notify(self) -> bytes:
        """Return close_notify as bytes of TLS."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self._outgoing.read()

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Vanish with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Recorder(asyncio.Protocol):
    """Notes every call; `data` has the bytes, `lost` the argument of connection_lost in a future."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.data = bytearray()
        self.lost: Any = asyncio.get_running_loop().create_future()
        self.transport: Any = None
        self._arrived = asyncio.Event()

    def note(self, call: str) -> None:
        if not self.calls or self.calls[-1] != call:
            self.calls.append(call)

    def connection_made(self, transport: Any) -> None:
        self.note("made")
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.note("data")
        self.data += data
        self._arrived.set()

    def eof_received(self) -> bool | None:
        self.note("eof")
        self._arrived.set()
        return None

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.calls.append("lost")
        self.lost.set_result(exc)
        self._arrived.set()

    async def got(self, count: int) -> bytes:
        """Wait for `count` bytes; return all that came."""
        while len(self.data) < count and not self.lost.done():
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), 10)
        return bytes(self.data)


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder
