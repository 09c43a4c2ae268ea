"""What the customers of the faulty servers do: `client.py NAME PORT`. It says which requests had to wait, and how long.

Of `kept_lock` it is the warehouse, too: a server at the next port, which has to have pears counted first.
"""

import asyncio
import sys
import time

HANGS = 0.3  # seconds after which a request is told of
REQUESTS = {
    "kept_lock": ["apples", "plums", "apples", "pears", "apples", "plums", "figs"],
    "blocking_dns": ["ann@localhost", "bob@localhost", "eve@slow.example", "tom@localhost", "kim@localhost"],
    "full_queue": ["640x480", "800x600", "big", *(f"{size}x480" for size in range(320, 328))],
    "slow_pattern": ["some words", "more words", "a" * 25 + "!", "the end"],
    "killed": [str(number) for number in range(200)],
}


async def request(port, words):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun = time.monotonic()
    writer.write(f"{words}\n".encode())
    late = asyncio.get_running_loop().call_later(HANGS, print, f"{words[:30]}: no answer yet")
    try:
        answer = (await reader.readline()).decode().strip()
    except ConnectionError:
        answer = ""
    late.cancel()
    if time.monotonic() - begun > HANGS:
        print(f"{words[:30]}: {answer or 'no answer at all'}, after {time.monotonic() - begun:.1f} s", flush=True)
    writer.close()


async def warehouse(reader, writer):
    thing = (await reader.readline()).strip()
    await asyncio.sleep(60 if thing == b"pears" else 0.01)
    writer.write(b"7\n")
    writer.close()


async def main(name, port):
    if name == "kept_lock":
        await asyncio.start_server(warehouse, "127.0.0.1", port + 1)
    async with asyncio.TaskGroup() as group:
        for words in REQUESTS[name]:
            group.create_task(request(port, words))
            await asyncio.sleep(0.02)


try:
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
except KeyboardInterrupt:
    pass
