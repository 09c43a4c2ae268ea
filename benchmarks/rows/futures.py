"""Futures: what it costs to hand a result to a waiting task."""

import asyncio

from benchmarks.row import program


class Ball:
    """What two players share: the future that the one whose turn it is not waits for."""

    def __init__(self, loop):
        self.loop = loop
        self.waiting = loop.create_future()
        self.hits = 0

    async def play(self, count):
        """Hit the ball to the other player and wait until it comes back."""
        for _ in range(count):
            other, self.waiting = self.waiting, self.loop.create_future()
            mine = self.waiting
            self.hits += 1
            other.set_result(self.hits)
            await mine


@program("future-ping-pong", "two tasks hand futures to each other, per hand")
async def ping_pong(meter):
    turns = meter.count(150_000)
    ball = Ball(asyncio.get_running_loop())
    players = [asyncio.create_task(ball.play(turns)) for _ in range(2)]
    with meter.timed(2 * turns):
        await players[0]
    ball.waiting.set_result(None)  # the last hand finds nobody who would answer it
    await players[1]
    meter.check(ball.hits, 2 * turns)


@program("future-call-soon", "a future, resolved by `call_soon`")
async def call_soon(meter):
    loop = asyncio.get_running_loop()
    count = meter.count(200_000)
    total = 0
    with meter.timed(count):
        for value in range(count):
            future = loop.create_future()
            loop.call_soon(future.set_result, value)
            total += await future
    meter.check(total, count * (count - 1) // 2)
