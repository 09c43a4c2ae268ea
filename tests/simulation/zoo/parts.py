"""What the programs of the zoo are made of: the list of bugs, and servers and clients that speak in lines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from cede.simulation import World

Program = Callable[[World, bool], Awaitable[None]]


@dataclass
class Bug:
    """A mistake. `program(world, mended)` raises where it shows, and passes always if it is mended."""

    number: int
    name: str
    needs: str  # which faults it takes to show
    program: Program
    seeds: int  # within which it is found
    choices: int  # that are left after shrinking, at most
    settings: dict[str, Any] = field(default_factory=dict)

    async def wrong(self, world: World) -> None:
        await self.program(world, False)

    async def mended(self, world: World) -> None:
        await self.program(world, True)


BUGS: dict[int, Bug] = {}


def bug(
    number: int, name: str, needs: str, *, seeds: int, choices: int, **settings: Any
) -> Callable[[Program], Program]:
    """Put a program into the zoo."""

    def add(program: Program) -> Program:
        BUGS[number] = Bug(number, name, needs, program, seeds, choices, settings)
        return program

    return add


Answer = Callable[[str], Awaitable[str]]


def serving(answer: Answer, port: int = 80) -> Callable[[], Awaitable[None]]:
    """Return the main of a host that answers lines on a port."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := (await reader.readline()).decode():
                writer.write((await answer(line.strip()) + "\n").encode())
        except (OSError, asyncio.CancelledError):
            pass  # asyncio's streams complain of handlers that were cancelled, before 3.13
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(connected, "0.0.0.0", port) as server:
            await server.serve_forever()

    return main


async def ask(host: str, line: str, port: int = 80) -> str:
    """Ask a host one line over a connection of its own, and return its answer."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write((line + "\n").encode())
        return (await reader.readline()).decode().strip()
    finally:
        writer.close()


async def together(*awaitables: Awaitable[Any]) -> None:
    await asyncio.gather(*awaitables)


async def after(seconds: float, awaitable: Awaitable[Any]) -> Any:
    await asyncio.sleep(seconds)
    return await awaitable
