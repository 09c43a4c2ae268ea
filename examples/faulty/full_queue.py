"""Pictures are made small by a worker, one after the other. After some time nobody gets an answer any more.

cede run --inspect examples/faulty/full_queue.py 8001
python examples/faulty/client.py full_queue 8001
"""

import asyncio
import sys

PORT = int(sys.argv[1])
workers = set()  # so that nobody collects them


async def shrink(jobs):
    while True:
        size, done = await jobs.get()
        width, height = size.split("x")
        await asyncio.sleep(0.01)
        done.set_result(f"{int(width) // 2}x{int(height) // 2}")


async def serve(jobs, reader, writer):
    while line := await reader.readline():
        size = line.decode().strip()
        asyncio.current_task().set_name(f"picture {size}")
        done = asyncio.get_running_loop().create_future()
        await jobs.put((size, done))
        writer.write(f"{await done}\n".encode())
    writer.close()


async def main():
    jobs = asyncio.Queue(3)
    workers.add(asyncio.create_task(shrink(jobs), name="shrink"))
    server = await asyncio.start_server(lambda reader, writer: serve(jobs, reader, writer), "127.0.0.1", PORT)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
