"""Waker: the bell that other threads and signals ring."""

from __future__ import annotations

import os
import platform
import resource
import socket
import threading

import pytest

import cede
from cede.engine.waker import Waker


@pytest.fixture
def signals():
    return []


@pytest.fixture
def waker(signals):
    waker = Waker(signals.append)
    yield waker
    waker.close()


def written(waker):
    """What stands in the pipe, taken out of it."""
    try:
        return waker._reader.recv(4096)
    except BlockingIOError:
        return b""


def test_many_notifications_are_one_byte(waker):
    for _ in range(5):
        waker.notify()
    assert written(waker) == b"\0"


def test_after_a_drain_it_rings_again(waker, signals):
    for _ in range(3):
        waker.notify()
        waker.drain()
        assert written(waker) == b""
    waker.drain()
    waker.notify()
    assert written(waker) == b"\0"
    assert signals == []


def test_other_bytes_are_signals(waker, signals):
    waker._writer.send(b"\x0a\x0c")
    waker.notify()
    waker._writer.send(b"\x0a")
    waker.drain()
    assert signals == [b"\x0a\x0c\x0a"]


def test_the_bell_may_be_full(waker):
    try:
        while True:
            waker._writer.send(b"\0" * 4096)
    except BlockingIOError:
        pass
    waker.notify()
    while written(waker):
        pass
    waker.drain()
    waker.notify()
    assert written(waker)


def test_a_signal_for_which_there_was_no_room(waker, signals):
    waker.signal_came(10)
    waker.drain()
    assert signals == []  # its number was written, or will be
    try:
        while True:
            waker._writer.send(b"\0" * 4096)
    except BlockingIOError:
        pass
    waker.signal_came(10)
    waker.signal_came(10)
    waker.drain()
    assert signals == [b"\x0a"]
    while written(waker):
        pass
    waker.close()
    waker.signal_came(10)


def test_a_closed_bell_is_silent(waker):
    waker.close()
    waker.notify()
    waker.close()


def test_no_notification_is_lost(loop):
    """Each thread waits until the loop has run its callback: a lost notification hangs."""
    counts = [0] * 4

    def ring(index):
        for _ in range(300):
            ran = threading.Event()
            loop.call_soon_threadsafe(lambda ran=ran: (counts.__setitem__(index, counts[index] + 1), ran.set()))
            assert ran.wait(10), "a notification was lost"
        loop.call_soon_threadsafe(finished)

    def finished():
        nonlocal left
        left -= 1
        if not left:
            loop.stop()

    left = 4
    threads = [threading.Thread(target=ring, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    loop.run_forever()
    for thread in threads:
        thread.join()
    assert counts == [300] * 4


def test_a_notification_between_reading_and_forgetting_is_not_lost(waker):
    """The one dangerous moment of `drain`, made to happen: a notification during its `recv`."""

    class Reader:
        def __init__(self, reader):
            self.reader = reader

        def recv(self, size):
            waker.notify()
            return self.reader.recv(size)

        def __getattr__(self, name):
            return getattr(self.reader, name)

    if not _replace_reader(waker, Reader(waker._reader)):
        pytest.skip("compiled, the reader cannot be replaced")
    waker.notify()
    waker.drain()
    _replace_reader(waker, waker._reader.reader)
    waker.notify()
    assert written(waker) == b"\0"


def _replace_reader(waker, reader):
    try:
        waker._reader = reader
    except AttributeError:
        return False
    return True


def test_a_loop_that_is_awake_is_not_rung_for(loop):
    seen = []

    async def main():
        await cede.sleep(0)
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(seen.append, "other"))
        thread.start()
        thread.join()
        loop.call_soon_threadsafe(seen.append, "own")
        rung = written(loop._waker)
        await cede.sleep(0)
        return rung

    assert loop.run_until_complete(main()) == b""
    assert sorted(seen) == ["other", "own"]


def test_a_loop_that_sleeps_is_rung_for(loop):
    async def main():
        done = loop.create_future()
        timer = threading.Timer(0.02, loop.call_soon_threadsafe, (done.set_result, "woken"))
        timer.start()
        try:
            return await done
        finally:
            timer.join()

    assert loop.run_until_complete(main()) == "woken"


def ring_from_a_thread(loop, times=1):
    async def main():
        for _ in range(times):
            done = loop.create_future()
            # Order: the thread begins when the loop is about to sleep, or sleeps.
            timer = threading.Timer(0.01, loop.call_soon_threadsafe, (done.set_result, None))
            timer.start()
            await done
            timer.join()

    loop.run_until_complete(main())


@pytest.mark.linux("an eventfd")
@pytest.mark.skipif(not cede.compiled, reason="interpreted, the socket pair will do")
def test_from_the_second_time_on_threads_ring_by_a_counter(loop):
    def counters():
        found = [link for link in map(file_of, os.listdir("/proc/self/fd")) if "eventfd" in link]
        return len(found)

    def file_of(fd):
        try:
            return os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            return ""  # that of the folder that was listed

    before = counters()
    for _ in range(100):
        ring_from_a_thread(loop)
        if counters() > before:
            break  # else the machine let the thread ring before the loop slept, which then had no need of it
    assert counters() == before + 1
    assert len(loop._poller.watched()) == 2
    ring_from_a_thread(loop, times=3)
    assert written(loop._waker) == b""
    loop.close()
    assert counters() == before


@pytest.mark.linux("an eventfd")
def test_without_descriptors_threads_ring_by_the_socket(loop):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in os.listdir("/proc/self/fd"))
    taken = [os.dup(0) for _ in range(highest)]  # fills what is free below
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 1, limit[1]))
        ring_from_a_thread(loop, times=2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        for fd in taken:
            os.close(fd)
    assert len(loop._poller.watched()) == 1


@pytest.mark.linux("an eventfd")
def test_a_ring_that_an_interrupt_swallows_is_not_the_last(loop):
    """The counter's change is told of once. Whatever comes between that and the loop, the next ring wakes it."""
    ring_from_a_thread(loop)
    reader, writer = socket.socketpair()

    def interrupt():
        reader.recv(1)
        raise KeyboardInterrupt

    def ring_both():
        writer.send(b"x")
        loop.call_soon_threadsafe(seen.append, 1)

    seen = []
    with reader, writer:
        loop.add_reader(reader, interrupt)
        for _ in range(5):
            timer = threading.Timer(0.01, ring_both)
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                loop.run_forever()
            timer.join()
        loop.remove_reader(reader)
    ring_from_a_thread(loop)
    assert seen == [1] * 5


@pytest.mark.linux("an eventfd")
def test_a_child_rings_no_counter_of_its_parents(run_python):
    done = run_python(CHILD)
    assert done.stdout.split() == ["child", "woken", "parent", "woken"]


CHILD = """
import os, threading, warnings
import cede
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside a thread, which has ended
loop = cede.new_event_loop()
def ring():
    done = loop.create_future()
    timer = threading.Timer(0.02, loop.call_soon_threadsafe, (done.set_result, "woken"))
    timer.start()
    print(loop.run_until_complete(done), flush=True)
    timer.join()
async def warm_up():
    await loop.run_in_executor(None, int)
    await loop.shutdown_default_executor()
loop.run_until_complete(warm_up())
child = os.fork()
if child == 0:
    print("child", flush=True)
    ring()
    loop.close()
    os._exit(0)
os.waitpid(child, 0)
print("parent", flush=True)
ring()
loop.close()
"""


SANDBOX = """
import ctypes, platform, struct, sys, threading, time
import cede
libc = ctypes.CDLL(None, use_errno=True)
def deny(*numbers):
    last = len(numbers) - 1
    steps = [(0x20, 0, 0, 0)]
    steps += [(0x15, last - i, i == last, number) for i, number in enumerate(numbers)]
    steps += [(0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]  # EPERM; else allow
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    filters = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
    assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filters, 0, 0) == 0, ctypes.get_errno()
async def main():
    loop = cede.get_running_loop()
    for _ in range(3):
        woken = loop.create_future()
        timer = threading.Timer(0.05, loop.call_soon_threadsafe, (woken.set_result, 1))
        timer.start()
        await cede.wait_for(woken, 5)
        timer.join()
deny(*map(int, sys.argv[1:]))
cede.run(main())
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of the system's calls are x86-64's")
@pytest.mark.parametrize("denied", [(44, 46), (44, 46, 45, 47), (290,)], ids=["send", "send and recv", "eventfd"])
def test_where_a_sandbox_denies_what_rings(run_python, denied):
    run_python(SANDBOX, *map(str, denied))
