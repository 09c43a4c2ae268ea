"""Numbers of descriptors that were closed behind the loop's back, and are in use again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

import pytest

from cede.engine.handles import Watcher
from cede.engine.pollers.base import READABLE, WRITABLE
from tests.idle import idle


@contextlib.contextmanager
def reused(sock):
    """Close a socket; give a new pair, whose first one has its number."""
    number = sock.fileno()
    sock.close()
    near, far = socket.socketpair()
    assert near.fileno() == number
    near.setblocking(False)
    with near, far:
        yield near, far


@pytest.fixture
def sock():
    left, right = socket.socketpair()
    left.setblocking(False)
    with left, right:
        yield left


def run(loop, coroutine):
    return loop.run_until_complete(asyncio.wait_for(coroutine, 5))


class Got(asyncio.Protocol):
    def __init__(self):
        self.data = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.data.set_result(data)


def test_who_waited_before_does_not_disturb_a_transport(either_loop, sock):
    loop = either_loop

    async def main():
        waiting = loop.create_task(loop.sock_recv(sock, 1))
        await asyncio.sleep(0.01)
        with reused(sock) as (near, far):
            transport, protocol = await loop.create_connection(Got, sock=near)
            waiting.cancel()
            await asyncio.sleep(0.01)
            far.send(b"x")
            assert await protocol.data == b"x"
            transport.abort()
            await asyncio.sleep(0)

    run(loop, main())


@pytest.mark.parametrize("stale", ["reader", "writer"])
def test_one_of_two_callbacks_is_removed_too_late(either_loop, sock, stale):
    loop = either_loop

    async def main():
        loop.add_reader(sock, print, "stale")
        loop.add_writer(sock, print, "stale")
        with reused(sock) as (near, far):
            transport, protocol = await loop.create_connection(Got, sock=near)
            assert not (loop._remove_reader if stale == "reader" else loop._remove_writer)(near.fileno())
            far.send(b"x")
            assert await protocol.data == b"x"
            transport.abort()
            await asyncio.sleep(0)

    run(loop, main())


@pytest.mark.parametrize("kind", ["reader", "writer"])
def test_a_callback_takes_the_place_of_the_stale_one(either_loop, sock, kind):
    loop = either_loop

    async def main():
        add = loop.add_reader if kind == "reader" else loop.add_writer
        add(sock, print, "stale")
        with reused(sock) as (near, far):
            got = loop.create_future()
            far.send(b"x")
            add(near, lambda: got.done() or got.set_result("told"))
            assert await got == "told"
            assert (loop.remove_reader if kind == "reader" else loop.remove_writer)(near)

    run(loop, main())


def test_a_stale_transport_does_not_disturb_a_reader(either_loop, sock, recwarn):
    loop = either_loop

    async def main():
        stale, _ = await loop.create_connection(Got, sock=sock)
        number = sock.fileno()
        with reused(sock) as (near, far):
            got = loop.create_future()
            loop._add_reader(number, lambda: got.done() or got.set_result(near.recv(1)))
            stale.abort()
            await asyncio.sleep(0.01)
            far.send(b"x")
            assert await got == b"x"
            assert loop.remove_reader(number)

    run(loop, main())


def test_a_stale_transport_does_not_let_go_of_the_new_one(loop, sock):
    async def main():
        stale, _ = await loop.create_connection(Got, sock=sock)
        stale.abort()
        with reused(sock) as (near, far):
            transport, protocol = await loop.create_connection(Got, sock=near)
            await asyncio.sleep(0.01)
            with pytest.raises(RuntimeError, match="is used by transport"):
                loop.add_reader(near, print)
            far.send(b"x")
            assert await protocol.data == b"x"
            transport.abort()
            await asyncio.sleep(0)

    run(loop, main())


class Silent(Watcher):
    def on_ready(self, events):
        pass


def watch(loop, fd, watcher, interest):
    """What `Loop._watch`, which only compiled code can call, does for an interest."""
    ask = loop._poller.modify if watcher._interest else loop._poller.add
    ask(fd, watcher, interest)
    watcher._interest = interest


def test_a_poller_says_who_was_displaced(either_loop, sock):
    loop, fd = either_loop, sock.fileno()
    first, second, third = Silent(), Silent(), Silent()
    watch(loop, fd, first, READABLE)
    watch(loop, fd, second, WRITABLE)
    assert (first._interest, second._interest) == (0, WRITABLE)
    third._interest = READABLE  # as if it had watched the number before
    watch(loop, fd, third, READABLE | WRITABLE)
    assert (second._interest, third._interest) == (0, READABLE | WRITABLE)
    loop._poller.remove(fd)


# --- Files that were closed before they were taken out


@pytest.mark.parametrize("kind", ["reader", "writer"])
def test_a_closed_socket_is_taken_out_by_identity(either_loop, kind):
    add, remove = (getattr(either_loop, f"{word}_{kind}") for word in ("add", "remove"))
    left, right = socket.socketpair()
    add(left, print, "never")
    left.close()
    assert remove(left) is True
    with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
        remove(left)
    right.close()


@pytest.mark.cede_only("asyncio says that the file is closed")
@pytest.mark.parametrize("kind", ["reader", "writer"])
def test_a_closed_file_is_taken_out_by_identity(either_loop, kind):
    reading, writing = os.pipe()
    with open(reading, "rb", 0) as read_end, open(writing, "wb", 0) as write_end:
        file = read_end if kind == "reader" else write_end
        getattr(either_loop, f"add_{kind}")(file, print, "never")
        file.close()
        assert getattr(either_loop, f"remove_{kind}")(file) is True
        with pytest.raises(ValueError, match="Invalid file object"):
            getattr(either_loop, f"remove_{kind}")(file)


def test_a_closed_socket_whose_number_is_in_use_again(either_loop, sock):
    """It takes nothing from who has the number now."""
    loop = either_loop

    async def main():
        loop.add_reader(sock, print, "stale")
        with reused(sock) as (near, far):
            transport, protocol = await loop.create_connection(Got, sock=near)
            await asyncio.sleep(0)
            assert loop.remove_reader(sock) is False
            far.send(b"x")
            assert await protocol.data == b"x"
            transport.abort()
            await asyncio.sleep(0)

    run(loop, main())


def test_a_number_that_takes_the_place_of_an_object(either_loop, sock):
    loop = either_loop

    async def main():
        loop.add_reader(sock, print, "stale")
        with reused(sock) as (near, far):
            got = loop.create_future()
            loop.add_reader(near.fileno(), lambda: got.done() or got.set_result(near.recv(1)))
            with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
                loop.remove_reader(sock)
            far.send(b"x")
            assert await got == b"x"
            assert loop.remove_reader(near.fileno())

    run(loop, main())


def test_a_duplicate_that_was_closed_before_it_was_taken_out(loop, sock):
    """The kernel goes on telling of it, and cannot be asked to stop; others are told as before."""

    async def main():
        told = []
        other, far = socket.socketpair()
        with other, far:
            other.setblocking(False)
            loop.add_reader(other, lambda: told.append(other.recv(1)))
            duplicate = os.dup(sock.fileno())
            loop.add_writer(duplicate, print, "never")
            os.close(duplicate)
            assert loop.remove_writer(duplicate) is True
            await asyncio.sleep(0.01)
            with idle():
                await asyncio.sleep(0.2)
            far.send(b"x")
            await asyncio.sleep(0.01)
            assert told == [b"x"]
            loop.remove_reader(other)
            assert await asyncio.to_thread(int) == 0

    run(loop, main())
