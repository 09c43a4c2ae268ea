"""Races: two tasks, a thing they share, and an await in the wrong place."""

from __future__ import annotations

import asyncio
import socket
import threading

from cede.simulation import World

from .parts import after, ask, bug, serving, together


@bug(1, "lost update across an await", "latency", seeds=20, choices=2)
async def lost_update(world: World, mended: bool) -> None:
    values = {"visits": 0}

    async def store(line: str) -> str:
        command, name, *value = line.split()
        if command == "set":
            values[name] = int(value[0])
        if command == "add":
            values[name] += int(value[0])
        return str(values[name])

    async def visit() -> None:
        if mended:
            await ask("store", "add visits 1")
        else:
            count = int(await ask("store", "get visits"))
            await ask("store", f"set visits {count + 1}")

    world.host("store", serving(store))
    await asyncio.sleep(0.1)
    await together(visit(), after(0.02, visit()))
    assert values["visits"] == 2, "a visit was lost"


@bug(2, "check, await, act (two withdrawals)", "latency", seeds=20, choices=2)
async def two_withdrawals(world: World, mended: bool) -> None:
    balance = 100
    lock = asyncio.Lock()

    async def withdraw(amount: int) -> None:
        nonlocal balance
        if balance >= amount:
            await ask("audit", f"withdraw {amount}")
            balance -= amount

    async def withdraw_locked(amount: int) -> None:
        async with lock:
            await withdraw(amount)

    async def audit(line: str) -> str:
        return "fine"

    world.host("audit", serving(audit))
    await asyncio.sleep(0.1)
    action = withdraw_locked if mended else withdraw
    await together(action(80), after(0.02, action(80)))
    assert balance >= 0, "overdrawn"


@bug(3, "reply after its timeout: paid twice", "latency", seeds=10, choices=1)
async def paid_twice(world: World, mended: bool) -> None:
    paid: list[str] = []

    async def shop(line: str) -> str:
        if not mended or line not in paid:
            paid.append(line)
        return "ok"

    async def pay(order: str) -> None:
        while True:
            try:
                async with asyncio.timeout(0.15):
                    await ask("shop", order)
                return
            except TimeoutError:
                pass

    world.host("shop", serving(shop))
    world.link("main", "shop", latency=(0.001, 0.2))
    await asyncio.sleep(0.1)
    for number in range(5):
        await pay(f"order {number}")
    assert len(paid) == len(set(paid)), "paid twice"


@bug(9, "condition waited for with `if`", "latency", seeds=50, choices=2)
async def condition_with_if(world: World, mended: bool) -> None:
    things: list[int] = []
    condition = asyncio.Condition()

    async def take() -> int:
        async with condition:
            if mended:
                await condition.wait_for(lambda: things)
            elif not things:
                await condition.wait()
            return things.pop()

    async def fetch(line: str) -> str:
        return line

    async def consumer() -> None:
        await take()
        await asyncio.sleep(0.03)
        await ask("work", "done")
        await take()

    async def producer() -> None:
        for number in range(4):
            await asyncio.sleep(0.02)
            async with condition:
                things.append(number)
                condition.notify_all()

    world.host("work", serving(fetch))
    await asyncio.sleep(0.1)
    await together(consumer(), after(0.025, consumer()), producer())


@bug(10, "event made anew: missed wake-up", "latency", seeds=50, choices=2)
async def event_made_anew(world: World, mended: bool) -> None:
    news: list[str] = []
    event = asyncio.Event()

    def publish(text: str) -> None:
        nonlocal event
        news.append(text)
        event.set()
        event = asyncio.Event()

    async def is_wanted(line: str) -> str:
        return "yes"

    async def subscribe() -> None:
        current = event
        if not news:
            await ask("rights", "may I")  # meanwhile the news may come
            if not (mended and news):
                await (current if mended else event).wait()
        assert news

    world.host("rights", serving(is_wanted))
    await asyncio.sleep(0.1)
    asyncio.get_running_loop().call_later(0.015, publish, "hello")
    await subscribe()


@bug(11, "two locks in opposite order", "latency", seeds=20, choices=2)
async def two_locks(world: World, mended: bool) -> None:
    locks = {"a": asyncio.Lock(), "b": asyncio.Lock()}

    async def bank(line: str) -> str:
        return "ok"

    async def transfer(source: str, target: str) -> None:
        first, second = sorted((source, target)) if mended else (source, target)
        async with locks[first]:
            await ask("bank", f"look at {first}")
            async with locks[second]:
                await ask("bank", f"move {source} {target}")

    world.host("bank", serving(bank))
    await asyncio.sleep(0.1)
    await together(transfer("a", "b"), after(0.015, transfer("b", "a")))


@bug(22, "cache stampede", "latency", seeds=20, choices=1)
async def cache_stampede(world: World, mended: bool) -> None:
    cache: dict[str, asyncio.Future[str]] = {}
    values: dict[str, str] = {}
    loads = 0

    async def load(line: str) -> str:
        nonlocal loads
        loads += 1
        return line.upper()

    async def get(key: str) -> str:
        if mended:
            if key not in cache:
                cache[key] = asyncio.ensure_future(ask("origin", key))
            return await cache[key]
        if key not in values:
            values[key] = await ask("origin", key)
        return values[key]

    world.host("origin", serving(load))
    await asyncio.sleep(0.1)
    await together(*(after(number * 0.01, get("page")) for number in range(3)))
    assert loads <= 1, "loaded more than once"


@bug(33, "worker thread resolves a future itself", "threads, latency", seeds=50, choices=2)
async def future_of_another_thread(world: World, mended: bool) -> None:
    """A thread that touches the loop does not wake it: it goes unnoticed as long as something else does."""
    loop = asyncio.get_running_loop()

    async def fine(line: str) -> str:
        return "fine"

    def work(future: asyncio.Future[bytes]) -> None:
        with socket.create_connection(("server", 80)) as sock:
            sock.sendall(b"hello\n")
            answer = sock.recv(100)
        if mended:
            loop.call_soon_threadsafe(future.set_result, answer)
        else:
            future.set_result(answer)

    async def progress() -> None:
        for _ in range(15):
            await asyncio.sleep(0.01)

    world.host("server", serving(fine))
    world.link("main", "server", latency=(0.0002, 0.1))
    await asyncio.sleep(0.1)
    future: asyncio.Future[bytes] = loop.create_future()
    thread = threading.Thread(target=work, args=(future,))
    thread.start()
    await asyncio.gather(progress(), future)
    thread.join()
