"""asyncpg, redis-py and aiosqlite, unmodified, on cede, for longer and under load; test_databases.py has the basics."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.programs.peers import redis_client, unique

pytestmark = pytest.mark.programs


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


async def test_ten_thousand_queries(asyncpg: Any, postgres: str) -> None:
    """Ten thousand queries of a hundred tasks over a pool of ten: each gets its own answer, no connection is lost."""
    assert type(asyncio.get_running_loop()).__module__.startswith("cede.")
    async with asyncpg.create_pool(postgres, min_size=10, max_size=10) as pool:

        async def ask(first: int) -> int:
            right = 0
            for number in range(first, first + 100):
                row = await pool.fetchrow("SELECT $1::int AS n, $1::int * 2 AS double, repeat('x', 50) AS text", number)
                right += (row["n"], row["double"], row["text"]) == (number, 2 * number, "x" * 50)
            return right

        assert sum(await asyncio.gather(*(ask(100 * task) for task in range(100)))) == 10_000
        assert (pool.get_size(), pool.get_idle_size()) == (10, 10)


async def test_copy(asyncpg: Any, postgres: str) -> None:
    """Ten megabytes are copied in from a generator and out through a slow reader, which the server has to wait for."""
    line = b"x" * 99 + b"\n"

    async def lines() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield line * 1000
            await asyncio.sleep(0)

    connection = await asyncpg.connect(postgres)
    try:
        await connection.execute("CREATE TEMPORARY TABLE lines (text text)")
        assert await connection.copy_to_table("lines", source=lines()) == "COPY 100000"
        size = 0

        async def slowly(data: bytes) -> None:
            nonlocal size
            size += len(data)
            if size % 64 == 0:
                await asyncio.sleep(0)

        assert await connection.copy_from_query("SELECT * FROM lines", output=slowly) == "COPY 100000"
        assert size == 100 * 1000 * len(line)

        async def broken() -> AsyncIterator[bytes]:
            yield line
            raise RuntimeError("on purpose")

        with pytest.raises(RuntimeError, match="on purpose"):
            await connection.copy_to_table("lines", source=broken())
        assert await connection.fetchval("SELECT count(*) FROM lines") == 100_000
    finally:
        await connection.close()


async def test_listening(asyncpg: Any, postgres: str) -> None:
    """Twenty listeners hear five hundred notifications each, in order, while they also ask questions."""
    listeners = [await asyncpg.connect(postgres) for _ in range(20)]
    speaker = await asyncpg.connect(postgres)
    heard: list[list[int]] = [[] for _ in listeners]
    try:
        for connection, numbers in zip(listeners, heard, strict=True):
            await connection.add_listener(unique("news"), lambda *event, to=numbers: to.append(int(event[-1])))

        async def speak() -> None:
            for number in range(500):
                await speaker.execute("SELECT pg_notify($1, $2)", unique("news"), str(number))

        async def ask(connection: Any) -> None:
            for number in range(20):
                assert await connection.fetchval("SELECT $1::int", number) == number

        await asyncio.gather(speak(), *(ask(connection) for connection in listeners))
        async with asyncio.timeout(10):
            while not all(len(numbers) == 500 for numbers in heard):
                await asyncio.sleep(0.01)
        assert heard == [list(range(500))] * 20
    finally:
        for connection in [*listeners, speaker]:
            await connection.close()


async def test_cancelled_queries(asyncpg: Any, postgres: str) -> None:
    """Fifty queries are cancelled at any stage: the pool stays whole and the server works on none of them any more."""
    async with asyncpg.create_pool(postgres, min_size=5, max_size=5) as pool:
        tasks = [asyncio.create_task(pool.fetchval(f"SELECT pg_sleep(20) /* {unique('stop')} */")) for _ in range(50)]
        for number, task in enumerate(tasks):
            await asyncio.sleep(0.02 if number % 5 == 0 else 0)
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends
        assert await asyncio.gather(*(pool.fetchval("SELECT $1::int", n) for n in range(50))) == list(range(50))
        count = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%' || $1 || ' */'"
        async with asyncio.timeout(10):
            while await pool.fetchval(count, unique("stop")):
                await asyncio.sleep(0.02)


# -- Redis -------------------------------------------------------------------------------------------------------------


async def test_pipelines(redis: Any, redis_address: str) -> None:
    """Transactions of many tasks: none sees another's half, and a watched key that changed is tried again."""
    async with redis_client(redis, redis_address, decode_responses=True) as client:
        await client.set(unique("account"), 0)

        async def deposit() -> int:
            tries = 0
            async with client.pipeline() as pipeline:
                while True:
                    tries += 1
                    try:
                        await pipeline.watch(unique("account"))
                        balance = int(await pipeline.get(unique("account")))
                        pipeline.multi()
                        pipeline.set(unique("account"), balance + 1)
                        await pipeline.execute()
                        return tries
                    except redis.WatchError:
                        continue

        tries = await asyncio.gather(*(deposit() for _ in range(30)))
        assert int(await client.getdel(unique("account"))) == 30
        assert sum(tries) > 30, "some met"
        async with client.pipeline(transaction=False) as pipeline:
            for number in range(10_000):
                pipeline.echo(str(number))
            assert await pipeline.execute() == [str(number) for number in range(10_000)]


async def test_publishing(redis: Any, redis_address: str) -> None:
    """Twenty subscribers hear a thousand messages each, in order, by name and by pattern."""
    async with redis_client(redis, redis_address, decode_responses=True) as client:

        async def subscribe(number: int, ready: asyncio.Semaphore) -> list[int]:
            heard = []
            async with client.pubsub() as subscriber:
                await (subscriber.subscribe if number % 2 else subscriber.psubscribe)(unique("news"))
                assert (await subscriber.get_message(timeout=10))["type"].endswith("subscribe")
                ready.release()
                while len(heard) < 1000:
                    message = await subscriber.get_message(ignore_subscribe_messages=True, timeout=10)
                    if message is not None:
                        heard.append(int(message["data"]))
            return heard

        ready = asyncio.Semaphore(0)
        tasks = [asyncio.create_task(subscribe(number, ready)) for number in range(20)]
        for _ in tasks:
            await ready.acquire()
        for number in range(1000):
            await client.publish(unique("news"), number)
        assert await asyncio.gather(*tasks) == [list(range(1000))] * 20


async def test_blocking_pops(redis: Any, redis_address: str) -> None:
    """Workers block on a list and share a thousand jobs, each done once; those that then wait in vain are told so."""
    async with redis_client(redis, redis_address, decode_responses=True, socket_timeout=None) as client:
        done: list[int] = []

        async def work() -> None:
            while (job := await client.blpop([unique("jobs")], 1)) is not None:
                done.append(int(job[1]))

        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(work())
            for number in range(1000):
                await client.rpush(unique("jobs"), number)
        assert sorted(done) == list(range(1000))


# -- SQLite ------------------------------------------------------------------------------------------------------------


@pytest.mark.programs(pure=True)
async def test_aiosqlite(library: Any, tmp_path: Path) -> None:
    """aiosqlite's thread answers: rows in order, errors as errors, many tasks on one connection, a cancelled query."""
    aiosqlite = library("aiosqlite")
    async with aiosqlite.connect(tmp_path / "data.sqlite") as connection:
        await connection.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)")
        await connection.executemany("INSERT INTO things VALUES (?, ?)", [(n, f"thing {n}") for n in range(5000)])
        await connection.commit()
        async with connection.execute("SELECT id, name FROM things ORDER BY id") as cursor:
            assert [row async for row in cursor] == [(n, f"thing {n}") for n in range(5000)]

        async def name(number: int) -> str:
            async with connection.execute("SELECT name FROM things WHERE id = ?", [number]) as cursor:
                return str((await cursor.fetchone())[0])

        assert await asyncio.gather(*(name(n) for n in range(200))) == [f"thing {n}" for n in range(200)]
        with pytest.raises(sqlite3.IntegrityError):
            await connection.execute("INSERT INTO things VALUES (1, 'again')")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                slow = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 3000000) SELECT sum(n) FROM c"
                await connection.execute_fetchall(slow)
        assert await name(7) == "thing 7"
