"""aiodns and pyzmq, unmodified, on cede: two libraries in C that ask the loop to watch descriptors of theirs."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Any

import pytest

# pycares keeps a thread for cleaning up, and zmq's context its own, until the process ends.
pytestmark = [pytest.mark.programs, pytest.mark.leaves("threads")]


# -- aiodns ------------------------------------------------------------------------------------------------------------


class Names(asyncio.DatagramProtocol):
    """A name server on cede: N.example is 10.0.0.N; what ends in .none does not exist; it never answers .silent."""

    def __init__(self) -> None:
        self.asked = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.asked += 1
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode())
            at += 1 + data[at]
        question = data[12 : at + 5]
        kind = struct.unpack("!H", question[-4:-2])[0]
        if labels[-1] == "silent":
            return
        answers = b""
        if labels[-1] == "example" and kind == 1:
            answers = b"\xc0\x0c" + struct.pack("!HHIH4B", 1, 1, 60, 4, 10, 0, 0, int(labels[0]))
        flags = 0x8183 if labels[-1] == "none" else 0x8180
        head = data[:2] + struct.pack("!5H", flags, 1, bool(answers), 0, 0)
        self.transport.sendto(head + question + answers, address)


async def test_aiodns(library: Any) -> None:
    """Two hundred names are asked for at once; an unknown one, and a server that keeps silent, are aiodns's errors."""
    aiodns = library("aiodns")
    loop = asyncio.get_running_loop()
    assert type(loop).__module__.startswith("cede.")
    transport, names = await loop.create_datagram_endpoint(Names, ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    resolver = aiodns.DNSResolver(nameservers=["127.0.0.1"], udp_port=port, timeout=0.3, tries=1, lookups="b")

    async def ask(number: int) -> str:
        found = await resolver.query_dns(f"{number}.example", "A")
        return str(found.answer[0].data.addr)

    assert await asyncio.gather(*(ask(number) for number in range(200))) == [f"10.0.0.{n}" for n in range(200)]
    assert names.asked >= 200
    with pytest.raises(aiodns.error.DNSError) as unknown:
        await resolver.query_dns("who.none", "A")
    assert unknown.value.args[0] == 4  # ARES_ENOTFOUND
    begun = time.monotonic()
    with pytest.raises(aiodns.error.DNSError):
        await resolver.query_dns("who.silent", "A")
    assert 0.1 < time.monotonic() - begun < 5
    await resolver.close()
    transport.close()


# -- pyzmq -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def zmq(library: Any) -> Any:
    library("zmq.asyncio")
    return library("zmq")


async def test_zmq_requests(zmq: Any) -> None:
    """Ten clients each get the answers to their own requests through a ROUTER; one that times out is told so."""
    with zmq.asyncio.Context() as context, context.socket(zmq.ROUTER) as router:
        port = router.bind_to_random_port("tcp://127.0.0.1")

        async def serve() -> None:
            while True:
                who, empty, text = await router.recv_multipart()
                await router.send_multipart([who, empty, text.upper()])

        async def ask(name: int) -> list[bytes]:
            with context.socket(zmq.REQ) as client:
                client.connect(f"tcp://127.0.0.1:{port}")
                heard = []
                for number in range(50):
                    await client.send(b"client %d asks %d" % (name, number))
                    heard.append(await client.recv())
                return heard

        serving = asyncio.create_task(serve())
        expected = [[b"CLIENT %d ASKS %d" % (name, number) for number in range(50)] for name in range(10)]
        assert await asyncio.gather(*(ask(name) for name in range(10))) == expected
        serving.cancel()
        with context.socket(zmq.PULL) as silent:
            silent.bind_to_random_port("tcp://127.0.0.1")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(silent.recv(), 0.05)


async def test_zmq_flow(zmq: Any) -> None:
    """A PUSH that is faster than its PULL is held back at its high-water mark; twenty thousand messages come in order."""
    with zmq.asyncio.Context() as context, context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        push.set_hwm(100)
        pull.set_hwm(100)
        push.connect(f"tcp://127.0.0.1:{pull.bind_to_random_port('tcp://127.0.0.1')}")
        sent = 0

        async def produce() -> None:
            nonlocal sent
            for number in range(20_000):
                await push.send(b"%d" % number + b" " * 2000)
                sent += 1

        producing = asyncio.create_task(produce())
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.1)
        assert sent < 20_000
        for number in range(20_000):
            assert int(await pull.recv()) == number
        await producing


async def test_zmq_publishing_and_poller(zmq: Any) -> None:
    """Subscribers get their topics only; an asyncio poller tells which of two sockets has something."""
    with zmq.asyncio.Context() as context, context.socket(zmq.PUB) as news:
        port = news.bind_to_random_port("tcp://127.0.0.1")
        with context.socket(zmq.SUB) as one, context.socket(zmq.SUB) as both:
            one.subscribe(b"a")
            both.subscribe(b"")
            for sub in (one, both):
                sub.connect(f"tcp://127.0.0.1:{port}")
            poller = zmq.asyncio.Poller()
            poller.register(one, zmq.POLLIN)
            poller.register(both, zmq.POLLIN)
            ready: dict[Any, int] = {}
            async with asyncio.timeout(10):
                while len(ready) < 2:  # a subscription takes its time
                    await news.send(b"a0")
                    ready |= dict(await poller.poll(50))
            for text in (b"a1", b"b2", b"a3"):
                await news.send(text)

            async def heard(sub: Any, last: bytes) -> set[bytes]:
                texts = set()
                while last not in texts:
                    texts.add(await sub.recv())
                return texts

            assert await asyncio.wait_for(heard(one, b"a3"), 5) == {b"a0", b"a1", b"a3"}
            assert await asyncio.wait_for(heard(both, b"a3"), 5) == {b"a0", b"a1", b"b2", b"a3"}
