"""Pipes: a message there and back, both ends in this process."""

import asyncio
import os

from benchmarks.row import KIB, program


class Pipe(asyncio.Protocol):
    """One direction: hands each whole message that arrives to `on_message`."""

    def __init__(self, on_message):
        self.on_message = on_message
        self.parts = bytearray()

    @classmethod
    async def open(cls, on_message):
        """Make a pipe; return the transport of its writing end."""
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        await loop.connect_read_pipe(lambda: cls(on_message), os.fdopen(reading, "rb", 0))
        transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(writing, "wb", 0))
        return transport

    def data_received(self, data):
        self.parts += data
        if len(self.parts) >= KIB:
            message = bytes(self.parts)
            self.parts.clear()
            self.on_message(message)


@program("pipes-echo", "pipes, 1 KiB there and back", unit="us")
async def there_and_back(meter):
    count, message = meter.count(15_000), bytes(range(256)) * 4
    done = asyncio.get_running_loop().create_future()
    seen = 0

    def at_home(answer):
        nonlocal seen
        seen += answer == message
        if seen == count:
            done.set_result(seen)
        else:
            there.write(message)

    back = await Pipe.open(at_home)
    there = await Pipe.open(back.write)
    with meter.timed(count):
        there.write(message)
        answers = await done
    there.close()
    back.close()
    meter.check(answers, count)
