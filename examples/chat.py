"""A chat room: what one says, all others hear.

    cede run examples/chat.py                three guests who talk for a moment
    cede run examples/chat.py serve 8888     a real room; come in with: nc 127.0.0.1 8888

A guest's first line is the name. Each guest has a queue of what there is to tell, and a task that writes it: a
guest who reads slowly makes nobody else wait.
"""

import asyncio
import sys


class Room:
    def __init__(self):
        self.guests = {}  # name -> queue of lines to be told

    def tell_others(self, name, line):
        for other, queue in self.guests.items():
            if other != name:
                queue.put_nowait(line)

    async def welcome(self, reader, writer):
        """Look after one guest from the first line to the last."""
        name = (await reader.readline()).decode().strip()
        self.guests[name] = queue = asyncio.Queue()
        self.tell_others(name, f"* {name} comes in")
        telling = asyncio.create_task(tell(writer, queue))
        try:
            async for line in reader:
                self.tell_others(name, f"{name}: {line.decode().strip()}")
        finally:
            del self.guests[name]
            self.tell_others(name, f"* {name} leaves")
            telling.cancel()
            writer.close()


async def tell(writer, queue):
    while True:
        writer.write(f"{await queue.get()}\n".encode())
        await writer.drain()


async def guest(port, name, talk, heard):
    """Come in, give each answer of `talk` to what it answers, and leave after the last; note what was heard."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{name}\n".encode())
    async for line in reader:
        line = line.decode().strip()
        heard.append(f"{name} hears {line}")
        if talk and talk[0][0] == line:
            writer.write(f"{talk.pop(0)[1]}\n".encode())
            if not talk:
                writer.write_eof()
    writer.close()
    await writer.wait_closed()


async def demonstrate():
    room = Room()
    server = await asyncio.start_server(room.welcome, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    talks = {
        "ann": [("* eve comes in", "hello"), ("bob: hello ann", "I must go")],
        "bob": [("ann: hello", "hello ann"), ("* ann leaves", "she has gone")],
        "eve": [("* bob leaves", "anybody there?")],
    }
    heard = []
    async with server, asyncio.TaskGroup() as guests:
        for name, talk in talks.items():
            visit = guests.create_task(guest(port, name, talk, heard))
            while name not in room.guests and not visit.done():
                await asyncio.sleep(0.01)
    print(*heard, sep="\n")


async def serve(port):
    server = await asyncio.start_server(Room().welcome, "127.0.0.1", port)
    print("listening on port", server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if sys.argv[1:2] == ["serve"]:
    asyncio.run(serve(int(sys.argv[2]) if sys.argv[2:] else 8888))
else:
    asyncio.run(demonstrate())
