"""Pollers: what comes, who is told, and what must not be told; and one written in Python."""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import socket
import threading
import time

import pytest

import cede
from cede.engine.handles import Watcher, deliver
from cede.engine.pollers.base import HANGUP, READABLE, WRITABLE, Poller
from cede.engine.pollers.select import SelectorPoller


def epoll_poller():
    from cede.engine.pollers.epoll import EpollPoller

    return EpollPoller()


KINDS = {
    "epoll": epoll_poller,
    "selector": SelectorPoller,
    "select": lambda: SelectorPoller(selectors.SelectSelector()),
    "poll": lambda: SelectorPoller(selectors.PollSelector()),
}
HERE = [pytest.param("epoll", marks=pytest.mark.linux("epoll is Linux's")), *list(KINDS)[1:]]


@pytest.fixture(params=HERE)
def poller(request):
    poller = KINDS[request.param]()
    yield poller
    poller.close()


class Recorder(Watcher):
    """Notes what it is told."""

    def __init__(self, then=None):
        super().__init__()
        self.told = []
        self.then = then

    def on_ready(self, events):
        self.told.append(events & ~HANGUP)  # whether that is told too is up to the poller
        if self.then is not None:
            self.then()


def watch(poller, sock, interest, then=None):
    watcher = Recorder(then)
    poller.add(sock.fileno(), watcher, interest)
    return watcher


# -- readiness ---------------------------------------------------------------------------------------------------------


def test_readable_and_writable(poller, socket_pair):
    left, right = socket_pair
    reading = watch(poller, left, READABLE)
    poller.wait(0)
    assert reading.told == []
    right.send(b"x")
    poller.wait(1)
    poller.wait(1)
    assert reading.told == [READABLE, READABLE]
    poller.modify(left.fileno(), reading, READABLE | WRITABLE)
    poller.wait(1)
    assert reading.told[-1] == READABLE | WRITABLE
    poller.modify(left.fileno(), reading, WRITABLE)
    poller.wait(1)
    assert reading.told[-1] == WRITABLE


def test_a_removed_descriptor_is_silent(poller, socket_pair):
    left, right = socket_pair
    watcher = watch(poller, left, READABLE)
    right.send(b"x")
    poller.remove(left.fileno())
    poller.wait(0)
    assert watcher.told == []
    poller.remove(left.fileno())


def test_removed_during_the_wait_it_is_silent(poller, socket_pair):
    """Two descriptors are ready; whoever is told first removes the other."""
    left, right = socket_pair
    watchers = {}

    def remove(other):
        return lambda: poller.remove(other.fileno())

    watchers[left] = watch(poller, left, WRITABLE, remove(right))
    watchers[right] = watch(poller, right, WRITABLE, remove(left))
    poller.wait(1)
    assert sorted(len(watcher.told) for watcher in watchers.values()) == [0, 1]


def test_a_watcher_may_remove_itself_and_another_take_its_number(poller, socket_pair):
    left, right = socket_pair
    later = Recorder()

    def replace():
        poller.remove(left.fileno())
        poller.add(left.fileno(), later, WRITABLE)

    first = watch(poller, left, WRITABLE, replace)
    poller.wait(1)
    poller.wait(1)
    assert (len(first.told), len(later.told)) == (1, 1)


def test_another_watcher_takes_over(poller, socket_pair):
    left, right = socket_pair
    first, second = watch(poller, left, READABLE), Recorder()
    right.send(b"x")
    poller.modify(left.fileno(), second, READABLE)
    poller.wait(1)
    assert (first.told, second.told) == ([], [READABLE])


def test_a_hang_up_is_told_as_what_was_asked_for(poller, socket_pair):
    left, right = socket_pair
    watcher = watch(poller, left, READABLE)
    right.close()
    poller.wait(1)
    assert watcher.told == [READABLE]


def test_a_refused_connection_is_told_to_the_writer(poller, free_port):
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", free_port()))
        watcher = watch(poller, sock, WRITABLE)
        poller.wait(1)
        assert watcher.told == [WRITABLE]
        poller.remove(sock.fileno())


def test_a_descriptor_closed_behind_our_back(poller):
    if isinstance(poller, SelectorPoller) and isinstance(poller.selector, selectors.SelectSelector):
        pytest.skip("select itself fails then")
    left, right = socket.socketpair()
    with right:
        watcher = watch(poller, left, READABLE)
        fd = left.fileno()
        left.close()
        poller.wait(0)
        poller.remove(fd)
        os.dup2(right.fileno(), fd)
        poller.add(fd, watcher, WRITABLE)
        poller.wait(1)
        assert watcher.told[-1] == WRITABLE
        poller.remove(fd)
        os.close(fd)


def test_a_number_used_again_without_being_removed(poller):
    """Whoever closed it forgot to say so; the new owner adds or modifies."""
    for method in (poller.add, poller.modify):  # on two numbers
        left, right = socket.socketpair()
        old, new = watch(poller, left, READABLE), Recorder()
        fd = left.fileno()
        os.dup2(right.fileno(), fd)
        method(fd, new, WRITABLE)
        poller.wait(1)
        assert (old.told, new.told) == ([], [WRITABLE])
        poller.remove(fd)
        left.close()
        right.close()


def test_exceptions_of_a_watcher_come_out_of_the_wait(poller, socket_pair):
    def fail():
        raise KeyError

    left, right = socket_pair
    watch(poller, left, WRITABLE, fail)
    watch(poller, right, WRITABLE, fail)
    with pytest.raises(KeyError):
        poller.wait(1)
    with pytest.raises(KeyError):
        poller.wait(1)


def test_more_descriptors_than_one_wait_brings(poller):
    """All are told within some waits, none is forgotten."""
    pairs = [socket.socketpair() for _ in range(300)]
    watchers = [watch(poller, left, WRITABLE) for left, _ in pairs]
    for _ in range(4):
        poller.wait(0)
    assert all(watcher.told for watcher in watchers)
    for left, right in pairs:
        poller.remove(left.fileno())
        left.close()
        right.close()


@pytest.mark.parametrize("wrong", [-1, 10_000])
def test_what_is_not_open_is_refused(poller, wrong):
    if isinstance(poller, SelectorPoller) and wrong > 0:
        pytest.skip("select and poll take any number")
    with pytest.raises((OSError, ValueError)):
        poller.add(wrong, Recorder(), READABLE)


def test_a_closed_poller_forgives_removing(poller):
    left, right = socket.socketpair()
    with left, right:
        watch(poller, left, READABLE)
        poller.close()
        poller.remove(left.fileno())


# -- waiting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0.0, 0.0001, 0.0015, 0.01])
def test_a_wait_is_never_too_short(poller, timeout):
    for _ in range(10):
        begun = time.monotonic()
        poller.wait(timeout)
        assert time.monotonic() - begun >= timeout


def test_a_wait_for_ever_ends_when_something_comes(poller, socket_pair):
    left, right = socket_pair
    watcher = watch(poller, left, READABLE)
    timer = threading.Timer(0.01, right.send, [b"x"])
    timer.start()
    poller.wait(-1)
    timer.join()
    assert watcher.told == [READABLE]


def test_a_signal_interrupts_the_wait_and_its_handler_runs(poller):
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *args: seen.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        begun = time.monotonic()
        while not seen and time.monotonic() - begun < 5:
            poller.wait(1)
        assert time.monotonic() - begun < 4
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_signal_handler_may_raise_out_of_the_wait(poller):
    def handler(*args):
        raise KeyError

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(KeyError):
            poller.wait(5)
    finally:
        signal.signal(signal.SIGALRM, before)


# -- a poller of one's own ---------------------------------------------------------------------------------------------


class Simulated(Poller):
    """A poller without a kernel: tests say what is ready, and waiting moves the clock."""

    def __init__(self):
        self.watchers = {}
        self.ready = []
        self.now = 0.0
        self.waits = []
        self.closed = False

    def time(self):
        return self.now

    def add(self, fd, watcher, interest):
        self.watchers[fd] = (watcher, interest)

    modify = add

    def remove(self, fd):
        self.watchers.pop(fd, None)

    def wait(self, timeout):
        self.waits.append(timeout)
        ready, self.ready = self.ready, []
        for fd, events in ready:
            watcher, interest = self.watchers[fd]
            deliver(watcher, events & interest)
        if not ready and timeout > 0:
            self.now += timeout
        assert ready or timeout >= 0, "it would sleep for ever"

    def close(self):
        self.closed = True


def test_a_simulated_loop():
    """Time that passes only when the loop would sleep, and readiness without a kernel."""
    world = Simulated()
    loop = cede.EventLoop(clock=world, poller=world)
    left, right = socket.socketpair()
    with left, right:
        seen = []

        async def main():
            await asyncio.sleep(3600)
            seen.append(loop.time())
            arrived = loop.create_future()
            loop.add_reader(left, lambda: arrived.done() or arrived.set_result("data"))
            world.ready.append((left.fileno(), READABLE))
            seen.append(await arrived)
            loop.remove_reader(left)
            async with asyncio.timeout(7):
                await asyncio.sleep(10)

        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            loop.run_until_complete(main())
        assert time.monotonic() - begun < 5
    assert seen == [3600.0, "data"]
    assert world.now == 3607.0
    loop.close()
    assert world.closed


def test_a_poller_that_raises_leaves_a_loop_that_can_be_used():
    class Broken(Exception):
        pass

    world = Simulated()
    loop = cede.EventLoop(clock=world, poller=world)
    called = []
    loop.call_soon(called.append, 1)
    world.wait = lambda timeout: (_ for _ in ()).throw(Broken())
    with pytest.raises(Broken):
        loop.run_forever()
    assert not loop.is_running()
    del world.wait
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert called == [1]
    loop.close()
