"""The application that test_asgi.py has served: FastAPI's routes, Starlette's streams and web sockets."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncIterator

import pydantic
from fastapi import BackgroundTasks, FastAPI, Request, WebSocket, WebSocketDisconnect
from starlette.responses import StreamingResponse

PIECE = b"0123456789abcdef" * 4096
PIECES = 480  # 30 MB


class Order(pydantic.BaseModel):
    """What /orders is asked for."""

    name: str
    count: int


app = FastAPI()
app.state.sent = app.state.noted = 0


@app.get("/loop")
async def which_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


@app.get("/number/{number}")
async def same_number(number: int) -> int:
    return number


@app.get("/thread")
def in_a_thread() -> bool:
    return threading.current_thread() is not threading.main_thread()


@app.get("/slow")
async def slow() -> str:
    await asyncio.sleep(0.4)
    return "done"


@app.post("/orders")
async def order(order: Order, background: BackgroundTasks) -> Order:
    async def note() -> None:
        app.state.noted += order.count

    background.add_task(note)
    return order


@app.get("/state")
async def state() -> dict[str, int]:
    return {"sent": app.state.sent, "noted": app.state.noted, "pid": os.getpid()}


@app.post("/digest")
async def digest(request: Request) -> str:
    received = hashlib.sha256()
    async for piece in request.stream():
        received.update(piece)
    return received.hexdigest()


@app.get("/large")
async def large() -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        app.state.sent = 0
        for _ in range(PIECES):
            yield PIECE
            app.state.sent += 1

    return StreamingResponse(pieces())


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        app.state.noted += 1000
