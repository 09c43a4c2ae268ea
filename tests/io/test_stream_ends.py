"""What is left of a stream transport that ended, or that nobody ended; and what threads leave to each other."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading

import pytest

import cede
from cede.engine import syscalls


def drop(loop, held):
    """Close a loop and let go of what a list holds."""
    loop.close()
    held.clear()
    gc.collect()


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("end", ["close", "abort", "peer"])
async def test_our_own_name_is_known_after_the_end(loop, world, recorder, end):
    mine, theirs = world.tcp_pair()
    names = mine.getsockname(), mine.getpeername()
    transport, protocol = await loop.create_connection(recorder, sock=mine)
    if end == "peer":
        theirs.close()
    else:
        getattr(transport, end)()
    await asyncio.wait_for(protocol.lost, 5)
    assert (transport.get_extra_info("sockname"), transport.get_extra_info("peername")) == names
    theirs.close()


async def test_our_own_name_is_known_after_the_end_of_tls(loop, certificates, world, recorder):
    if world.road == "bytes":
        pytest.skip("over another transport the names are that one's, as in asyncio")
    async with world.connected(recorder) as (transport, protocol, peer):
        name = peer.sock.getpeername()
        transport.abort()
        await asyncio.wait_for(protocol.lost, 5)
        assert transport.get_extra_info("sockname") == name


def test_an_abandoned_stream_transport_complains():
    near, far = socket.socketpair()
    loop = cede.new_event_loop()

    async def main():
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
        return transport

    held = [loop.run_until_complete(main())]
    with far, pytest.warns(ResourceWarning, match="unclosed transport <StreamTransport fd="):
        drop(loop, held)
    assert near.fileno() == -1


@pytest.mark.parametrize("when", ["handshaking", "open"])
def test_an_abandoned_tls_transport_complains(world, when):
    """Compiled, a class derived from one with __del__ has none unless it says so."""
    loop = cede.new_event_loop()
    mine, theirs = world.tcp_pair()

    async def main():
        peer = world.peer(theirs, server_side=True)
        shaking = None if when == "handshaking" else asyncio.ensure_future(peer.shake_hands())
        made = loop.create_connection(
            asyncio.Protocol, sock=mine, ssl=world.client_context(), server_hostname="localhost"
        )
        if shaking is None:
            made = asyncio.ensure_future(made)
            await turns()
            return made, None
        transport, _ = await made
        await shaking
        return transport, peer

    held = [*loop.run_until_complete(main())]
    kind = "TlsBytesTransport" if world.road == "bytes" else "TlsSocketTransport"
    if when == "handshaking":
        held[0]._log_destroy_pending = False
    with pytest.warns(ResourceWarning) as caught:
        drop(loop, held)
    assert any(f"unclosed transport <{kind}" in str(warning.message) for warning in caught)
    assert mine.fileno() == -1
    theirs.close()


# --- Several threads


def in_threads(function, *letters):
    """Call the function in a thread for each letter; return what they put into their second argument, a list."""
    wrong = []
    threads = [threading.Thread(target=function, args=(letter, wrong)) for letter in letters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


@pytest.mark.skipif(cede.compiled, reason="compiled, no other thread runs between reading and taking away")
def test_threads_do_not_mix_up_what_they_read(quick_switches):
    """Each reads its own pipe's bytes, whenever another thread comes in between."""
    buffer = syscalls.read_buffer(64)
    go = threading.Barrier(4)

    def read(letter, wrong):
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)
            go.wait()
            for _ in range(3000):
                far.send(letter * 40)
                if syscalls.read(near.fileno(), buffer, 64) != letter * 40:
                    wrong.append(letter)

    assert not in_threads(read, b"a", b"b", b"c", b"d")


def test_loops_in_several_threads_read_their_own_bytes(new_loop, quick_switches):
    """Two loops in two threads, each with a stream of its own kind of bytes: none reads what belongs to the other."""

    def run(letter, wrong):
        async def main():
            loop = asyncio.get_running_loop()
            left, right = socket.socketpair()
            left.setblocking(False)
            right.setblocking(False)
            count = 0

            class Checks(asyncio.Protocol):
                def data_received(self, data):
                    nonlocal count
                    count += len(data)
                    if data.count(letter) != len(data):
                        wrong.append(data[:10])

            transport, _ = await loop.create_connection(Checks, sock=left)
            expected = 0
            for _ in range(400):
                expected += right.send(letter * 60_000)
                while count < expected and not wrong:
                    await asyncio.sleep(0)
            transport.abort()
            right.close()
            await turns()

        loop = new_loop()
        try:
            loop.run_until_complete(main())
        finally:
            loop.close()

    assert not in_threads(run, b"a", b"b", b"c")
