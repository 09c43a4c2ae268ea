"""A server that checks whether a text is a list of words. With some texts it stands still for seconds.

cede run --inspect examples/faulty/slow_pattern.py 8001
python examples/faulty/client.py slow_pattern 8001
"""

import asyncio
import re
import sys

PORT = int(sys.argv[1])
WORDS = re.compile(r"(\w+\s?)+$")


async def check(text):
    return "words" if WORDS.match(text) else "no words"


async def serve(reader, writer):
    while line := await reader.readline():
        text = line.decode().strip()
        asyncio.current_task().set_name(f"check of {len(text)} letters")
        writer.write(f"{await check(text)}\n".encode())
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", PORT)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
