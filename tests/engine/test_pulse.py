"""What the engine counts of itself: looks at the kernel, busy and idle time, and of each task who made it and its steps."""

import asyncio
import threading
import time

import pytest

import cede
from cede.engine import pulse, ticks
from cede.engine.handles import Watcher, deliver
from cede.engine.pollers.base import READABLE, Poller


def turn_of(loop):
    """Let a loop do a turn or two."""
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_a_loop_that_does_not_run_is_at_rest(loop):
    assert loop._looks % 2 == 1
    turn_of(loop)
    assert loop._looks % 2 == 1


async def test_looks_are_even_while_something_runs(loop):
    seen = []
    for _ in range(5):
        seen.append(loop._looks)
        await cede.sleep(0.001)
    assert [looks % 2 for looks in seen] == [0] * 5
    assert seen == sorted(set(seen))


async def test_looks_are_even_in_what_a_transport_calls(loop):
    """Though the poller calls it: the kernel has answered then."""
    seen = []

    class Protocol(asyncio.Protocol):
        def data_received(self, data):
            seen.append(loop._looks % 2)
            done.set_result(None)

    done = loop.create_future()
    server = await loop.create_server(Protocol, "127.0.0.1", 0)
    _, writer = await cede.open_connection(*server.sockets[0].getsockname())
    writer.write(b"x")
    await done
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    assert seen == [0]


async def test_another_thread_sees_a_loop_that_sleeps_and_one_that_is_stuck(loop):
    seen = []

    def look():
        began = loop._looks
        while loop._looks == began or loop._looks % 2 == 0:
            time.sleep(0.001)
        seen.append(loop._looks)

    thread = threading.Thread(target=look)
    thread.start()
    while thread.is_alive():
        await cede.sleep(0.05)
    assert seen[0] % 2 == 1


def test_an_interrupt_in_the_poller_leaves_the_count_in_step():
    class Interrupted(Poller):
        def __init__(self):
            self.interrupts = 1

        def add(self, fd, watcher, interest): ...

        modify = add

        def remove(self, fd): ...

        def wait(self, timeout):
            if self.interrupts:
                self.interrupts = 0
                raise KeyboardInterrupt

        def close(self): ...

    loop = cede.EventLoop(poller=Interrupted())
    seen = []
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert loop._looks % 2 == 1
    loop.call_soon(lambda: seen.append(loop._looks % 2))
    turn_of(loop)
    loop.close()
    assert seen == [0]


def test_a_poller_of_ones_own_may_say_that_the_kernel_has_answered():
    seen = []

    class Told(Watcher):
        def on_ready(self, events):
            seen.append(loop._looks % 2)

    class Own(Poller):
        answers = False

        def wait(self, timeout):
            if self.answers:
                self.answered()
            deliver(told, READABLE)

        def add(self, fd, watcher, interest): ...

        modify = add

        def remove(self, fd): ...

        def close(self): ...

    told = Told()
    loop = cede.EventLoop(poller=Own())
    loop._poller.answers = True
    turn_of(loop)
    loop._poller.answers = False
    turn_of(loop)
    loop.close()
    assert set(seen[: len(seen) // 2]) == {0}
    assert seen[-1] == 1


async def test_time_is_busy_or_idle(loop):
    def counted():
        return loop._look_ticks, loop._busy_ticks, loop._idle_ticks

    await cede.sleep(0.001)
    before = counted()
    for _ in range(10):
        await cede.sleep(0.002)
        sum(range(1000))
    after = counted()
    passed, busy, idle = (later - earlier for later, earlier in zip(after, before, strict=True))
    assert busy + idle == passed
    assert busy > 0 and idle > 0
    assert loop._longest <= loop._busy_ticks


def test_each_stretch_is_counted_once_by_its_length(loop):
    looks = loop._looks
    turn_of(loop)
    lags = loop._lags()
    assert sum(lags) == (loop._looks - looks) // 2
    assert len(lags) == 64
    assert lags[ticks.bits(loop._longest)] >= 1


def test_turns_are_counted(loop):
    before = loop._turns
    turn_of(loop)
    turn_of(loop)
    assert loop._turns == before + 2


async def test_a_task_has_a_number_and_that_of_who_made_it(loop):
    async def parent():
        return [cede.create_task(cede.sleep(0)), cede.create_task(cede.sleep(0), name="named")]

    mine = cede.current_task()
    task = cede.create_task(parent())
    children = await task
    await cede.gather(*children)
    assert task._parent == mine._id
    assert [child._parent for child in children] == [task._id] * 2
    assert len({mine._id, task._id, *(child._id for child in children)}) == 4
    assert 0 not in {mine._id, task._id}


async def test_what_a_callback_makes_has_no_parent(loop):
    made = []
    loop.call_soon(lambda: made.append(loop.create_task(cede.sleep(0))))
    await cede.sleep(0)
    await made[0]
    assert made[0]._parent == 0


async def test_an_eager_task_is_the_parent_of_what_it_makes_in_its_first_step(loop):
    made = []

    async def eager():
        made.append(cede.Task(cede.sleep(0), loop=loop))

    mine = cede.current_task()
    task = cede.Task(eager(), loop=loop, eager_start=True)
    after = cede.create_task(cede.sleep(0))
    assert task.done() and task._steps == 1
    assert (task._parent, made[0]._parent, after._parent) == (mine._id, task._id, mine._id)
    await cede.gather(made[0], after)


async def test_steps_are_counted(loop):
    async def five():
        for _ in range(4):
            await cede.sleep(0)

    task = cede.create_task(five())
    assert task._steps == 0
    await task
    assert task._steps == 5


async def test_a_task_says_since_when_it_waits(loop):
    future = loop.create_future()

    async def wait():
        await future

    task = cede.create_task(wait())
    before = loop._look_ticks >> 24
    await cede.sleep(0)
    await cede.sleep(0.04)
    assert before <= task._since <= loop._look_ticks >> 24
    since = task._since
    await cede.sleep(0.04)
    assert task._since == since
    future.set_result(None)
    await task


def test_ticks_only_grow_and_are_no_coarser_than_a_microsecond():
    readings = [ticks.now() for _ in range(1000)]
    assert readings == sorted(readings)
    assert [ticks.bits(number) for number in (0, 1, 2, 3, 4, 2**63)] == [0, 1, 2, 2, 3, 64]


@pytest.mark.skipif(cede.compiled, reason="compiled, the clocks are C")
def test_a_moment_by_two_clocks_is_that_during_which_nobody_else_ran(monkeypatch):
    """The reading with another process in it would make a tick worth something else."""
    now = 0

    def read():
        nonlocal now
        now += 10
        return now

    def read_late():
        nonlocal now
        now += 5_000_000 if now < 100 else 10
        return now

    monkeypatch.setattr(ticks, "now", read)
    monkeypatch.setattr(ticks, "nanoseconds", read_late)
    ours, monotonic = pulse.by_two_clocks()
    assert abs(ours - monotonic) <= 10


def test_what_a_tick_is_worth_is_known_at_once(loop):
    """A recording that has just begun goes by it, and so does a watcher of a loop that was just made."""
    first = pulse.by_two_clocks()
    time.sleep(0.02)
    last = pulse.by_two_clocks()
    worth = (last[1] - first[1]) / (last[0] - first[0])
    ticks_passed, passed = (now - then for now, then in zip(loop._moment(), (loop._made_ticks, loop._made_at)))
    assert passed / ticks_passed == pytest.approx(worth, rel=0.01)
