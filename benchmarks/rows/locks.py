"""Locks, semaphores, events and conditions."""

import asyncio

from benchmarks.row import program


class Room:
    """Counts who is inside at once."""

    def __init__(self):
        self.inside = self.most = self.visits = 0

    async def visit(self, lock, turns):
        """Hold the lock over a suspension, `turns` times."""
        for _ in range(turns):
            async with lock:
                self.inside += 1
                if self.inside > self.most:
                    self.most = self.inside
                await asyncio.sleep(0)
                self.inside -= 1
                self.visits += 1


async def contend(meter, lock, room_for):
    """Let ten tasks want the lock, which has room for so many at once; time the visits."""
    turns, room = meter.count(10_000), Room()
    with meter.timed(turns * 10):
        for visitor in [asyncio.create_task(room.visit(lock, turns)) for _ in range(10)]:
            await visitor
    meter.check((room.visits, room.most), (turns * 10, room_for))


@program("lock-free", "Lock that nobody else wants")
async def free_lock(meter):
    count, lock = meter.count(500_000), asyncio.Lock()
    held = 0
    with meter.timed(count):
        for _ in range(count):
            async with lock:
                held += lock.locked()
    meter.check(held, count)


@program("lock-contended", "Lock that ten tasks want, held over a `sleep(0)`")
async def contended_lock(meter):
    await contend(meter, asyncio.Lock(), room_for=1)


@program("semaphore-contended", "Semaphore(3) that ten tasks want, held over a `sleep(0)`")
async def contended_semaphore(meter):
    await contend(meter, asyncio.Semaphore(3), room_for=3)


async def wait_and_count(event, woken):
    await event.wait()
    woken.append(1)


@program("event-1000", "Event with 1,000 waiters, per waiter")
async def event(meter):
    rounds = meter.count(150)
    woken = []
    with meter.timed(rounds * 1000):
        for _ in range(rounds):
            event = asyncio.Event()
            waiters = [asyncio.create_task(wait_and_count(event, woken)) for _ in range(1000)]
            await asyncio.sleep(0)
            event.set()
            for waiter in waiters:
                await waiter
    meter.check(len(woken), rounds * 1000)


async def follow(condition, turns, seen):
    """Wait for every new value of `seen[0]`, and say so in `seen[1]`."""
    async with condition:
        for turn in range(turns):
            while seen[0] <= turn:
                await condition.wait()
            seen[1] += 1


@program("condition-100", "Condition with 100 waiters, per waiter")
async def condition(meter):
    turns, seen = meter.count(1000), [0, 0]
    condition = asyncio.Condition()
    followers = [asyncio.create_task(follow(condition, turns, seen)) for _ in range(100)]
    await asyncio.sleep(0)
    with meter.timed(turns * 100):
        for turn in range(turns):
            async with condition:
                seen[0] = turn + 1
                condition.notify_all()
            while seen[1] < (turn + 1) * 100:
                await asyncio.sleep(0)
    for follower in followers:
        await follower
    meter.check(seen[1], turns * 100)
