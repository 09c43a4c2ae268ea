"""What the loop remembers of a plain socket between two waits: it must never be taken for another one's."""

import asyncio
import gc
import os
import socket

import pytest

import cede
from tests.idle import idle


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


async def waiting(coroutine):
    """Start it, and let it get as far as waiting."""
    task = cede.create_task(coroutine)
    for _ in range(3):
        await cede.sleep(0)
    return task


async def test_many_waits_in_a_row(pair):
    ours, theirs = pair
    loop = cede.get_running_loop()
    for number in range(50):
        receiver = await waiting(loop.sock_recv(ours, 10))
        theirs.send(b"%d" % number)
        assert await receiver == b"%d" % number
    theirs.close()
    assert await loop.sock_recv(ours, 10) == b""


async def test_what_comes_while_nobody_waits_is_received_later(pair):
    ours, theirs = pair
    loop = cede.get_running_loop()
    receiver = await waiting(loop.sock_recv(ours, 3))
    theirs.send(b"one")
    assert await receiver == b"one"
    theirs.send(b"two")
    await cede.sleep(0.01)  # the poller has told of it by now
    theirs.send(b"three")
    await cede.sleep(0.01)
    assert await loop.sock_recv(ours, 3) == b"two"
    assert await loop.sock_recv(ours, 100) == b"three"


async def test_a_descriptor_that_is_used_again_is_another_socket(pair):
    loop = cede.get_running_loop()
    for round in range(10):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        fd = ours.fileno()
        receiver = await waiting(loop.sock_recv(ours, 10))
        theirs.send(b"%d" % round)
        assert await receiver == b"%d" % round
        ours.close()
        again = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        assert again.fileno() == fd
        again.close()
        theirs.close()


async def test_closing_one_of_two_descriptors_of_a_connection_does_not_keep_the_loop_busy(pair):
    ours, theirs = pair
    loop = cede.get_running_loop()
    receiver = await waiting(loop.sock_recv(ours, 10))
    theirs.send(b"x")
    assert await receiver == b"x"
    with ours.dup() as other:
        ours.close()
        theirs.send(b"y")
        theirs.shutdown(socket.SHUT_WR)
        await cede.sleep(0.01)
        with idle():
            await cede.sleep(0.2)
        assert await loop.sock_recv(other, 10) == b"y"


async def test_two_tasks_receive_from_one_socket(pair):
    ours, theirs = pair
    loop = cede.get_running_loop()
    first = await waiting(loop.sock_recv(ours, 1))
    second = await waiting(loop.sock_recv(ours, 1))
    theirs.send(b"a")
    await cede.sleep(0.01)
    theirs.send(b"b")
    assert {await first, await second} == {b"a", b"b"}


async def test_one_task_receives_while_another_sends(pair):
    ours, theirs = pair
    loop = cede.get_running_loop()
    data = bytes(2_000_000)
    receiver = await waiting(loop.sock_recv(ours, 10))
    sender = await waiting(loop.sock_sendall(ours, data))
    assert not sender.done()
    theirs.send(b"hello")
    assert await receiver == b"hello"
    got = 0
    while got < len(data):
        got += len(await loop.sock_recv(theirs, 100_000))
    await sender


@pytest.mark.parametrize("first", ["callback", "task"])
async def test_receiving_beside_a_writer_callback(pair, first):
    ours, theirs = pair
    loop = cede.get_running_loop()
    told = []
    if first == "task":
        receiver = await waiting(loop.sock_recv(ours, 10))
    loop.add_writer(ours, told.append, 1)
    if first == "callback":
        receiver = await waiting(loop.sock_recv(ours, 10))
    await cede.sleep(0.01)
    theirs.send(b"hello")
    assert await receiver == b"hello"
    assert told
    assert loop.remove_writer(ours)
    assert not loop.remove_reader(ours)
    receiver = await waiting(loop.sock_recv(ours, 10))
    theirs.send(b"again")
    assert await receiver == b"again"


async def test_cancelled_receivers_leave_the_bytes(pair):
    ours, theirs = pair
    loop = cede.get_running_loop()
    for _ in range(5):
        receiver = await waiting(loop.sock_recv(ours, 10))
        theirs.send(b"x")
        receiver.cancel()
        with pytest.raises(cede.CancelledError):
            await receiver
        assert await loop.sock_recv(ours, 10) == b"x"


async def test_nothing_is_kept_of_a_socket_that_is_gone(pair):
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    loop = cede.get_running_loop()
    receiver = await waiting(loop.sock_recv(ours, 10))
    theirs.send(b"x")
    await receiver
    fd = ours.fileno()
    kept = cede.io.socket_waits.waits_of(loop, ours)
    ours.close()
    theirs.close()
    del ours, receiver
    gc.collect()
    reading, writing = os.pipe()
    other = os.dup2(reading, fd) if reading != fd else reading
    told = loop.create_future()
    loop.add_reader(other, told.set_result, "told")  # the number in use again
    os.write(writing, b"!")
    assert await told == "told"
    loop.remove_reader(other)
    for each in {reading, writing, other}:
        os.close(each)
    assert kept is not None


def test_the_portable_poller(pair):
    from cede.engine.pollers.select import SelectorPoller

    async def main():
        ours, theirs = pair
        loop = asyncio.get_running_loop()
        for _ in range(3):
            receiver = await waiting(loop.sock_recv(ours, 2))
            theirs.send(b"abcd")
            assert await receiver == b"ab"
            await cede.sleep(0.01)
            with idle():
                await cede.sleep(0.05)  # "cd" is there, and nobody waits
            assert await loop.sock_recv(ours, 2) == b"cd"

    with cede.Runner(loop_factory=lambda: cede.EventLoop(poller=SelectorPoller())) as runner:
        runner.run(main())


def test_the_portable_poller_with_room_to_send_all_the_time(pair):
    from cede.engine.pollers.select import SelectorPoller

    async def receive(loop, sock, size):
        got = 0
        while got < size:
            got += len(await loop.sock_recv(sock, 65536))

    async def main():
        ours, theirs = pair
        loop = asyncio.get_running_loop()
        data = bytes(1_000_000)
        receiver = await waiting(receive(loop, theirs, len(data)))
        await loop.sock_sendall(ours, data)
        await receiver
        answer = await waiting(loop.sock_recv(ours, 10))
        await cede.sleep(0.01)
        theirs.send(b"answer")
        assert await answer == b"answer"

    with cede.Runner(loop_factory=lambda: cede.EventLoop(poller=SelectorPoller())) as runner:
        runner.run(main())


def test_the_portable_poller_and_a_socket_that_was_closed(pair):
    from cede.engine.pollers.select import SelectorPoller

    async def main():
        ours, theirs = pair
        loop = asyncio.get_running_loop()
        receiver = await waiting(loop.sock_recv(ours, 10))
        theirs.send(b"x")
        assert await receiver == b"x"
        ours.close()
        await cede.sleep(0.01)

    with cede.Runner(loop_factory=lambda: cede.EventLoop(poller=SelectorPoller())) as runner:
        runner.run(main())


async def test_a_blocking_socket_does_not_block_the_loop(pair):
    if not cede.compiled:
        pytest.skip("interpreted it blocks, as on asyncio")
    ours, theirs = pair
    ours.setblocking(True)
    loop = cede.get_running_loop()
    receiver = await waiting(loop.sock_recv(ours, 10))
    theirs.send(b"hello")
    assert await receiver == b"hello"


@pytest.mark.parametrize("size", [-1, 2**70, "x", None, 1.5])
async def test_wrong_sizes_are_refused_as_the_socket_refuses_them(pair, size):
    with pytest.raises((ValueError, TypeError, OverflowError)):
        await cede.get_running_loop().sock_recv(pair[0], size)


async def test_receiving_from_a_closed_socket(pair):
    pair[0].close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        await cede.get_running_loop().sock_recv(pair[0], 10)
    with pytest.raises(OSError, match="Bad file descriptor"):
        await cede.get_running_loop().sock_sendall(pair[0], b"x")
