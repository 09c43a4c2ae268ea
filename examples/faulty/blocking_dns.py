"""A mail server that looks whether the sender's domain exists. Now and then it stands still for seconds.

cede run --inspect examples/faulty/blocking_dns.py 8001
python examples/faulty/client.py blocking_dns 8001
"""

import asyncio
import socket
import sys

PORT = int(sys.argv[1])


def exists(domain):
    try:
        return bool(socket.getaddrinfo(domain, 25))
    except OSError:
        return False


async def check(sender):
    domain = sender.partition("@")[2]
    return "accepted" if exists(domain) else "refused"


async def serve(reader, writer):
    while line := await reader.readline():
        sender = line.decode().strip()
        asyncio.current_task().set_name(f"mail from {sender}")
        writer.write(f"{await check(sender)}\n".encode())
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", PORT)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
