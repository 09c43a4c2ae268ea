"""A web site of linked pages, made up on the spot: an ordinary aiohttp server.

    cede run examples/linked_pages.py --port 8080      then open http://127.0.0.1:8080/
    python examples/linked_pages.py --port 8080        the same on stock asyncio

Every page links to a few others; from the first one can reach them all. It needs aiohttp and knows nothing of cede.
"""

import argparse
import random
import socket

from aiohttp import web

FILLER = "The loop lets each have its turn, and nobody waits for nothing. " * 20


def links_of(page, pages):
    """Return the pages a page links to: three further on, which makes a tree of them all, and two anywhere."""
    further = [child for child in range(3 * page + 1, 3 * page + 4) if child < pages]
    anywhere = random.Random(page).choices(range(pages), k=2)
    return further + anywhere


def address_of(page):
    return f"/page/{page}" if page else "/"


def html_of(page, pages):
    items = "\n".join(f'<li><a href="{address_of(other)}">Page {other}</a></li>' for other in links_of(page, pages))
    return f"<title>Page {page} of {pages}</title>\n<h1>Page {page}</h1>\n<p>{FILLER}</p>\n<ul>\n{items}\n</ul>\n"


def make_app(pages):
    async def show(request):
        page = int(request.match_info.get("page", 0))
        if not 0 <= page < pages:
            raise web.HTTPNotFound(text=f"there are {pages} pages\n")
        return web.Response(text=html_of(page, pages), content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", show), web.get(r"/page/{page:[1-9]\d*}", show)])
    return app


def main():
    parser = argparse.ArgumentParser(description="Serve linked pages.")
    parser.add_argument("--port", type=int, default=0, help="default: one that is free")
    parser.add_argument("--pages", type=int, default=1000)
    options = parser.parse_args()

    sock = socket.create_server(("127.0.0.1", options.port), backlog=512)
    print(f"http://127.0.0.1:{sock.getsockname()[1]}/", flush=True)
    web.run_app(make_app(options.pages), sock=sock, print=None, access_log=None)


if __name__ == "__main__":
    main()
