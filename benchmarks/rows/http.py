"""HTTP: servers that people run, under wrk. They import asyncio themselves, so there is no package column."""

import asyncio

from benchmarks.clients import Wrk
from benchmarks.row import server

BODY = b"Hello, World!"


async def application(scope, receive, send):
    """The smallest ASGI application that answers."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


async def start_uvicorn(http):
    import uvicorn

    quiet = {"lifespan": "off", "log_level": "critical", "access_log": False}
    started = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=0, http=http, loop="none", **quiet))
    start_uvicorn.serving = asyncio.create_task(started.serve())
    while not started.started:
        await asyncio.sleep(0.01)
    return started.servers[0]


@server("http-uvicorn-httptools", "uvicorn, httptools, a request", client=Wrk, package=False)
async def uvicorn_httptools():
    return await start_uvicorn("httptools")


@server("http-uvicorn-h11", "uvicorn, h11, a request", client=Wrk, package=False)
async def uvicorn_h11():
    return await start_uvicorn("h11")


@server("http-aiohttp", "aiohttp server, a request", client=Wrk, package=False)
async def aiohttp_server():
    from aiohttp import web

    async def answer(request):
        return web.Response(body=BODY)

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    return f"{host}:{port}"
