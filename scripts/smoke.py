"""What an installed cede must do on any machine; prints which speed ran. (`scripts/release_check.sh` runs it.)"""

from __future__ import annotations

import asyncio
import sys

import cede


async def serve() -> None:
    """A stream server and its client, and a deadline."""

    async def shout(reader: cede.StreamReader, writer: cede.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    async with await cede.start_server(shout, "127.0.0.1", 0) as server:
        reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        assert await reader.read() == b"HELLO\n"
        writer.close()
        await writer.wait_closed()
    try:
        async with cede.timeout(0.01):
            await cede.sleep(60)
    except TimeoutError:
        return
    raise AssertionError("no timeout")


async def main() -> None:
    async with cede.TaskGroup() as group:
        group.create_task(serve())
        numbers = await cede.gather(*(cede.sleep(0.001, n) for n in range(100)))
        assert numbers == list(range(100))
        process = await cede.create_subprocess_exec(sys.executable, "-c", "print(42)", stdout=cede.subprocess.PIPE)
        assert (await process.communicate())[0] == b"42\n"
    assert await cede.to_thread(lambda: 7) == 7


if __name__ == "__main__":
    cede.run(main())
    cede.install()
    asyncio.run(main())
    print("compiled" if cede.compiled else "plain", cede.__version__, cede.__file__)
