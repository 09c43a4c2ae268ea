"""A shop that tells how much of a thing is in stock. Now and then all requests hang.

cede run --inspect examples/faulty/kept_lock.py 8001
python examples/faulty/client.py kept_lock 8001
"""

import asyncio
import sys

PORT = int(sys.argv[1])
stock = {}
stock_lock = asyncio.Lock()


async def ask_warehouse(thing):
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT + 1)
    writer.write(f"{thing}\n".encode())
    answer = await reader.readline()
    writer.close()
    return int(answer)


async def in_stock(thing):
    async with stock_lock:
        if thing not in stock:
            stock[thing] = await ask_warehouse(thing)
        return stock[thing]


async def serve(reader, writer):
    while line := await reader.readline():
        thing = line.decode().strip()
        asyncio.current_task().set_name(f"stock of {thing}")
        writer.write(f"{await in_stock(thing)}\n".encode())
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", PORT)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
