"""An echo server and its client, with streams: asyncio's way to read and write TCP with `await`.

    cede run examples/echo_streams.py              a server and three clients in one process
    cede run examples/echo_streams.py serve 8888   only the server; try: nc 127.0.0.1 8888

A reader and a writer stand for a connection; each `await` lets others have the turn.
"""

import asyncio
import sys


async def echo(reader, writer):
    """Send every line back, until the other side has said its last."""
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()  # waits while the other side reads slower than we write
    writer.close()
    await writer.wait_closed()


async def talk(port, name):
    """Send three lines; return what came back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    for number in range(3):
        writer.write(f"{name} says {number}\n".encode())
        answers.append((await reader.readline()).decode().rstrip())
    writer.write_eof()
    assert await reader.read() == b""  # the server closes when we are done
    writer.close()
    await writer.wait_closed()
    return answers


async def demonstrate():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        for answers in await asyncio.gather(*(talk(port, name) for name in ("ann", "bob", "eve"))):
            print(*answers, sep=", ")


async def serve(port):
    server = await asyncio.start_server(echo, "127.0.0.1", port)
    print("listening on port", server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if sys.argv[1:2] == ["serve"]:
    asyncio.run(serve(int(sys.argv[2]) if sys.argv[2:] else 8888))
else:
    asyncio.run(demonstrate())
