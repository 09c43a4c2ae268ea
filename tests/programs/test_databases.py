"""redis-py and asyncpg, unmodified, on cede, against real servers."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.programs.peers import redis_client, unique

# -- Redis -------------------------------------------------------------------------------------------------------------


async def test_redis_values(redis: Any, redis_address: str) -> None:
    """Values of all sizes go in and come out, one by one and in a pipeline."""
    async with redis_client(redis, redis_address) as client:
        for value in (b"", b"x", bytes(range(256)), b"large" * 1_000_000):
            await client.set(unique("value"), value)
            assert await client.get(unique("value")) == value
        async with client.pipeline() as pipeline:
            for number in range(1000):
                pipeline.set(f"{unique('many')}_{number}", number, ex=60)
            assert await pipeline.execute() == [True] * 1000
            for number in range(1000):
                pipeline.getdel(f"{unique('many')}_{number}")
            assert await pipeline.execute() == [str(number).encode() for number in range(1000)]
        await client.delete(unique("value"))


async def test_redis_many_connections(redis: Any, redis_address: str) -> None:
    """A hundred tasks count in one place, each over a connection of the pool, and no count is lost."""
    async with redis_client(redis, redis_address) as client:

        async def count() -> None:
            for _ in range(20):
                await client.incr(unique("counter"))

        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(count())
        assert int(await client.getdel(unique("counter"))) == 2000


async def test_redis_publish_and_subscribe(redis: Any, redis_address: str) -> None:
    """What is published reaches who has subscribed, in order."""
    async with redis_client(redis, redis_address) as client, client.pubsub() as subscriber:
        await subscriber.subscribe(unique("news"))

        async def read() -> list[bytes]:
            heard: list[bytes] = []
            async for message in subscriber.listen():
                if message["type"] == "message":
                    heard.append(message["data"])
                    if message["data"] == b"end":
                        return heard
            return heard

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.05)
        for text in ("one", "two", "end"):
            assert await client.publish(unique("news"), text) == 1
        assert await asyncio.wait_for(reading, 5) == [b"one", b"two", b"end"]


async def test_redis_cancelled_wait(redis: Any, redis_address: str) -> None:
    """A blocking command that is given up leaves a client that works."""
    async with redis_client(redis, redis_address) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.blpop([unique("nothing")], 20), 0.1)
        waiting = asyncio.create_task(client.blpop([unique("list")], 5))
        await asyncio.sleep(0.05)
        await client.rpush(unique("list"), "here")
        assert await waiting == (unique("list").encode(), b"here")


async def test_redis_that_is_not_there(redis: Any, free_port: Any) -> None:
    """A refused connection is redis-py's ConnectionError."""
    async with redis_client(redis, f"redis://127.0.0.1:{free_port()}") as client:
        with pytest.raises(redis.ConnectionError, match=r"refused|Connect call failed"):
            await client.ping()


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def connected(asyncpg: Any, address: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(address)
    try:
        yield connection
    finally:
        await connection.close()


async def test_postgres_types(asyncpg: Any, postgres: str) -> None:
    """Values of many types survive the way to the server and back."""
    moment = datetime.datetime(2026, 2, 3, 4, 5, 6, 789, datetime.UTC)
    values = {
        "int8": -(2**63),
        "float8": 1.5,
        "text": "hello, wörld",
        "bytea": bytes(range(256)) * 5000,
        "bool": True,
        "timestamptz": moment,
        "int4[]": [1, None, 3],
        "interval": datetime.timedelta(days=1, microseconds=1),
    }
    async with connected(asyncpg, postgres) as connection:
        for kind, value in values.items():
            assert await connection.fetchval(f"SELECT $1::{kind}", value) == value


async def test_postgres_large_results(asyncpg: Any, postgres: str) -> None:
    """A hundred thousand rows arrive whole, at once and through a cursor."""
    query = "SELECT n, repeat('x', 100) AS text FROM generate_series(1, 100000) AS n"
    async with connected(asyncpg, postgres) as connection:
        rows = await connection.fetch(query)
        assert sum(row["n"] for row in rows) == 100_000 * 100_001 // 2
        assert rows[-1]["text"] == "x" * 100
        async with connection.transaction():
            total = 0
            async for row in connection.cursor(query, prefetch=1000):
                total += row["n"]
        assert total == 100_000 * 100_001 // 2


async def test_postgres_transactions_and_copy(asyncpg: Any, postgres: str) -> None:
    """Rows copied in are there; those of a transaction that fails are not."""
    async with connected(asyncpg, postgres) as connection:
        await connection.execute("CREATE TEMPORARY TABLE things (id int, name text)")
        await connection.copy_records_to_table("things", records=[(n, f"thing {n}") for n in range(10_000)])
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with connection.transaction():
                await connection.execute("DELETE FROM things")
                await connection.execute("SELECT 1 / 0")
        assert await connection.fetchval("SELECT count(*) FROM things WHERE name = 'thing ' || id") == 10_000
        lines = bytearray()

        async def collect(data: bytes) -> None:
            lines.extend(data)

        await connection.copy_from_table("things", output=collect)
        assert lines.count(b"\n") == 10_000


async def test_postgres_pool(asyncpg: Any, postgres: str) -> None:
    """Two hundred tasks share ten connections; each gets the answer to its own question."""
    async with asyncpg.create_pool(postgres, min_size=2, max_size=10) as pool:

        async def ask(number: int) -> int:
            async with pool.acquire() as connection:
                result: int = await connection.fetchval("SELECT $1::int + (pg_sleep(0.001) IS NULL)::int", number)
                return result

        assert await asyncio.gather(*(ask(number) for number in range(200))) == list(range(200))


async def test_postgres_notifications(asyncpg: Any, postgres: str) -> None:
    """LISTEN and NOTIFY between two connections."""
    async with connected(asyncpg, postgres) as listener, connected(asyncpg, postgres) as speaker:
        heard: asyncio.Queue[str] = asyncio.Queue()
        await listener.add_listener(unique("channel"), lambda *event: heard.put_nowait(event[-1]))
        for text in ("one", "two"):
            await speaker.execute("SELECT pg_notify($1, $2)", unique("channel"), text)
        assert [await asyncio.wait_for(heard.get(), 5) for _ in range(2)] == ["one", "two"]


async def test_postgres_given_up(asyncpg: Any, postgres: str) -> None:
    """A query that times out or is cancelled is stopped on the server too, and the connection goes on."""
    async with connected(asyncpg, postgres) as connection:
        with pytest.raises(TimeoutError):
            await connection.execute("SELECT pg_sleep(20)", timeout=0.1)
        assert await connection.fetchval("SELECT 1") == 1
        waiting = asyncio.create_task(connection.execute("SELECT pg_sleep(20)"))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await connection.fetchval("SELECT 2") == 2
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect("postgresql://cede@127.0.0.1:1/cede", timeout=5)
