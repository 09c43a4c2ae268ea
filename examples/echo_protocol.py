"""The echo server again, with a Protocol: callbacks instead of coroutines, the layer streams are made of.

    cede run examples/echo_protocol.py

The loop calls the methods of a protocol when something has happened; the protocol answers through its transport.
This is the fastest way to write a server, and what uvicorn, aiohttp and asyncpg do inside.
"""

import asyncio


class Echo(asyncio.Protocol):
    """One connection of the server."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    # When the other side takes too long to read, stop reading from it.
    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


class Client(asyncio.Protocol):
    """Sends a message and collects what comes back; `finished` is the future of all of it."""

    def __init__(self, message):
        self.message = message
        self.received = bytearray()
        self.finished = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.message)

    def data_received(self, data):
        self.received += data
        if len(self.received) == len(self.message):
            self.transport.close()

    def connection_lost(self, error):
        if error is not None:
            self.finished.set_exception(error)
        else:
            self.finished.set_result(bytes(self.received))


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        for message in (b"hello", b"x" * 1_000_000):
            _, client = await loop.create_connection(lambda message=message: Client(message), "127.0.0.1", port)
            answer = await client.finished
            print(f"{len(answer)} bytes came back, {'the same' if answer == message else 'NOT the same'}")


asyncio.run(main())
