"""A server that takes orders, and needs more and more memory, until the kernel kills it (kill -9).

cede run --record examples/faulty/killed.py 8001
python examples/faulty/client.py killed 8001
"""

import asyncio
import sys

PORT = int(sys.argv[1])
shipped = {}  # by the number of an order: the event that it was shipped


async def tell_customer(number, letter):
    await shipped[number].wait()
    print("told", number, len(letter))


async def serve(reader, writer):
    while line := await reader.readline():
        number = int(line)
        shipped[number] = asyncio.Event()
        letter = bytearray(100_000)
        asyncio.create_task(tell_customer(number, letter), name=f"letter {number}")
        writer.write(b"ordered\n")
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", PORT)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
