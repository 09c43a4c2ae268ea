"""Fetch every page that can be reached from one: an ordinary aiohttp client.

    cede run examples/crawl.py http://127.0.0.1:8080/      (start examples/linked_pages.py first)
    python examples/crawl.py http://127.0.0.1:8080/        the same on stock asyncio

A fixed number of workers take addresses from a queue and put the new ones they find into it. On a terminal a
progress bar is shown. It needs aiohttp and knows nothing of cede.
"""

import argparse
import asyncio
import json
import re
import sys
import time
from urllib.parse import urljoin

import aiohttp

LINK = re.compile(r'href="([^"#]+)"')


class Crawl:
    def __init__(self, start, workers):
        self.workers = workers
        self.queue = asyncio.Queue()
        self.known = set()  # every address ever put into the queue
        self.pages = {}  # address -> its size in bytes
        self.errors = []
        self.add(start)

    def add(self, address):
        if address not in self.known:
            self.known.add(address)
            self.queue.put_nowait(address)

    async def run(self):
        """Crawl until there is nothing left to fetch."""
        connector = aiohttp.TCPConnector(limit=self.workers)
        async with aiohttp.ClientSession(connector=connector) as session:
            workers = [asyncio.create_task(self.work(session)) for _ in range(self.workers)]
            await self.queue.join()
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def work(self, session):
        while True:
            address = await self.queue.get()
            try:
                await self.fetch(session, address)
            except (aiohttp.ClientError, OSError) as error:
                self.errors.append(f"{address}: {error!r}")
            finally:
                self.queue.task_done()

    async def fetch(self, session, address):
        async with session.get(address) as response:
            response.raise_for_status()
            body = await response.text()
        self.pages[address] = len(body)
        for link in LINK.findall(body):
            self.add(urljoin(address, link))


async def report_progress(crawl, show):
    while True:
        show(len(crawl.pages), len(crawl.known))
        await asyncio.sleep(0.05)


def show_bar(done, known):
    width = 40
    filled = width * done // known
    sys.stderr.write(f"\r{'█' * filled}{'░' * (width - filled)} {done} of {known} pages ")
    sys.stderr.flush()


def show_json(done, known):
    print(json.dumps({"done": done, "known": known}), flush=True)


async def main(options):
    show = show_json if options.json else show_bar if sys.stderr.isatty() else lambda done, known: None
    crawl = Crawl(options.address, options.workers)
    progress = asyncio.create_task(report_progress(crawl, show))
    begun, cpu_begun = time.perf_counter(), time.process_time()
    await crawl.run()
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu_begun
    progress.cancel()
    show(len(crawl.pages), len(crawl.known))

    summary = {
        "pages": len(crawl.pages),
        "errors": len(crawl.errors),
        "bytes": sum(crawl.pages.values()),
        "seconds": round(seconds, 4),
        "cpu_seconds": round(cpu_seconds, 4),
        "requests_per_second": round(len(crawl.pages) / seconds, 1),
    }
    if options.json:
        print(json.dumps(summary), flush=True)
    else:
        if show is show_bar:
            sys.stderr.write("\n")
        print("{pages} pages, {bytes} bytes in {seconds:.2f} s: {requests_per_second:.0f} requests/s".format(**summary))
    for error in crawl.errors[:5]:
        print(error, file=sys.stderr)
    return 1 if crawl.errors else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fetch every page that can be reached from one.")
    parser.add_argument("address", help="where to begin")
    parser.add_argument("--workers", type=int, default=32, help="how many pages are fetched at the same time")
    parser.add_argument("--json", action="store_true", help="progress and summary as one JSON object a line")
    sys.exit(asyncio.run(main(parser.parse_args())))
