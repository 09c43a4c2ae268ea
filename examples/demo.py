"""The same two programs on cede, on asyncio and on uvloop, side by side. `make demo` runs this.

The programs are linked_pages.py, an aiohttp server of a thousand linked pages, and crawl.py, an aiohttp client that
fetches them all. Neither is changed. Each loop has a server process of its own; crawls take turns (cede, asyncio,
uvloop, cede, ...) so that whatever else the machine does meets all alike, and the middle one of the crawls counts.
A crawl that misses a page, or gets other pages than the first one did, fails the demo.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CRAWL_SECONDS = 120  # no crawl may take longer

ON_UVLOOP = """
import asyncio, runpy, sys, uvloop, warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # policies will go, and uvloop has no other way in
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
LAUNCHERS = {
    "cede": [sys.executable, "-m", "cede", "run"],
    "asyncio": [sys.executable],
    "uvloop": [sys.executable, "-c", ON_UVLOOP],
}


class WrongResult(Exception):
    """A program failed, or a crawl did not bring what it should."""


class Contestant:
    """One loop: its server process, its crawls so far."""

    def __init__(self, name: str, pages: int) -> None:
        self.name = name
        self.fetched = 0  # pages, in the crawls that are over
        self.under_way = 0  # pages, in the present crawl
        self.crawls: list[dict[str, Any]] = []  # the summaries
        self._server = self._start("linked_pages.py", "--pages", str(pages))
        self._address = self._server.stdout.readline().strip()  # type: ignore[union-attr]
        if not self._address.startswith("http"):
            raise WrongResult(f"the server on {name} did not start")
        self._cpu_at_start = self._server_cpu()

    def crawl(self, workers: int, show: Callable[[], None]) -> dict[str, Any]:
        """Crawl all pages once; call `show` whenever there is progress."""
        crawler = self._start("crawl.py", self._address, "--workers", str(workers), "--json")
        watchdog = threading.Timer(CRAWL_SECONDS, crawler.kill)
        watchdog.start()
        line: dict[str, Any] = {}
        try:
            with crawler:
                for line in map(json.loads, crawler.stdout):  # type: ignore[arg-type]
                    self.under_way = line.get("done", 0)
                    show()
        finally:
            watchdog.cancel()
        if crawler.returncode != 0 or "pages" not in line:
            raise WrongResult(f"the crawl on {self.name} failed (exit status {crawler.returncode})")
        self.under_way, self.fetched = 0, self.fetched + line["pages"]
        self.crawls.append(line)
        return line

    def requests_per_second(self) -> float:
        """Return the median of the crawls."""
        return statistics.median(crawl["requests_per_second"] for crawl in self.crawls)

    def cpu_per_page(self) -> tuple[float, float]:
        """Return the processor time that server and client took for a page, in microseconds; NaN if unknown."""
        client = sum(crawl["cpu_seconds"] for crawl in self.crawls)
        return (self._server_cpu() - self._cpu_at_start) / self.fetched * 1e6, client / self.fetched * 1e6

    def stop(self) -> None:
        self._server.terminate()
        try:
            self._server.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.communicate()

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[str]:
        command = [*LAUNCHERS[self.name], str(HERE / program), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def _server_cpu(self) -> float:
        """Return the processor time the server has used, in seconds."""
        try:
            fields = Path(f"/proc/{self._server.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("nan")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Board:
    """What is shown: on a terminal one line a loop that moves, elsewhere the same lines once, at the end."""

    def __init__(self, contestants: list[Contestant], pages: int) -> None:
        self._contestants = contestants
        self._pages = pages  # that each fetches in all its crawls together
        self._moving = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self._moving and "NO_COLOR" not in os.environ
        self._drawn = False

    def show(self) -> None:
        if self._moving:
            if self._drawn:
                sys.stdout.write(f"\x1b[{len(self._contestants)}A")
            self._draw("\x1b[K\n")

    def finish(self) -> None:
        if self._moving:
            self.show()
        else:
            self._draw("\n")

    def _draw(self, end: str) -> None:
        for contestant in self._contestants:
            sys.stdout.write(self._line(contestant) + end)
        sys.stdout.flush()
        self._drawn = True

    def _line(self, contestant: Contestant) -> str:
        # A line must fit into 80 columns: a longer one would be two, and could not be drawn over.
        part = (contestant.fetched + contestant.under_way) / self._pages
        line = f"  {contestant.name:8}"
        if self._moving:
            line = (f"\x1b[1m{line}\x1b[0m" if self._colour else line) + self._bar(part)
        if contestant.crawls:
            line += f" {contestant.requests_per_second():8,.0f} requests/s"
        if part >= 1:
            server, client = contestant.cpu_per_page()
            line += f"   CPU {server:.0f} + {client:.0f} us"
        return line

    def _bar(self, part: float) -> str:
        width = 24
        eighths = round(width * 8 * min(part, 1))
        bar = "█" * (eighths // 8) + ("", *"▏▎▍▌▋▊▉")[eighths % 8]
        bar = bar.ljust(width)
        return f"\x1b[36;48;5;236m{bar}\x1b[0m" if self._colour else bar


def compete(options: argparse.Namespace) -> None:
    """Run all crawls and show them; raise WrongResult when one of them is wrong."""
    names = [name for name in options.loops.split(",") if name != "uvloop" or importlib.util.find_spec("uvloop")]
    print(describe(options))
    contestants: list[Contestant] = []
    try:
        for name in names:
            contestants.append(Contestant(name, options.pages))
        board = Board(contestants, options.pages * options.rounds)
        board.show()
        for contestant in in_turn(contestants, options.rounds):
            check(contestant, contestant.crawl(options.workers, board.show), contestants[0].crawls[0], options.pages)
        board.finish()
    finally:
        for contestant in contestants:
            contestant.stop()
    if missing := set(options.loops.split(",")) - set(names):
        print(f"\n  {', '.join(missing)} is not installed here, and was left out.")
    print(f"\n  Every crawl brought all {options.pages} pages.{compared(contestants)}\n  {versions(names)}\n")


def in_turn(contestants: list[Contestant], rounds: int) -> Iterator[Contestant]:
    for _ in range(rounds):
        yield from contestants


def check(contestant: Contestant, crawl: dict[str, Any], first: dict[str, Any], pages: int) -> None:
    """Raise WrongResult unless the crawl brought every page, and the same bytes as the first crawl of all."""
    if crawl["pages"] != pages or crawl["errors"]:
        raise WrongResult(f"{contestant.name} fetched {crawl['pages']} of {pages} pages, {crawl['errors']} failed")
    if crawl["bytes"] != first["bytes"]:
        raise WrongResult(f"{contestant.name} fetched {crawl['bytes']} bytes where there are {first['bytes']}")


def describe(options: argparse.Namespace) -> str:
    return (
        f"\n  An aiohttp server of {options.pages} linked pages and an aiohttp crawler of them, unmodified,"
        f"\n  each in a process of its own; {options.workers} pages at a time."
        f"\n  Crawls in turn, {options.rounds} on each loop."
        " CPU is processor time a page, server + crawler.\n"
    )


def compared(contestants: list[Contestant]) -> str:
    """Return how the first did beside the others, in a sentence."""
    first, *others = contestants
    factors = [
        f"{first.requests_per_second() / other.requests_per_second():.2f} times those of {other.name}"
        for other in others
    ]
    return f"\n  Requests/s of {first.name}: {', '.join(factors)}." if others else ""


def versions(names: list[str]) -> str:
    import cede

    speed = "compiled" if cede.compiled else "plain Python"
    parts = [f"Python {platform.python_version()}", f"aiohttp {importlib.metadata.version('aiohttp')}"]
    parts.append(f"cede {cede.__version__} ({speed})")
    if "uvloop" in names:
        parts.append(f"uvloop {importlib.metadata.version('uvloop')}")
    return ", ".join(parts) + "."


def main() -> int:
    parser = argparse.ArgumentParser(description="Crawl the same site on several event loops.")
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5, help="crawls on each loop")
    parser.add_argument("--workers", type=int, default=32, help="how many pages are fetched at the same time")
    parser.add_argument("--loops", default="cede,asyncio,uvloop")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the servers are stopped then too
    if unknown := set(options.loops.split(",")) - LAUNCHERS.keys():
        parser.error(f"unknown loop: {', '.join(sorted(unknown))}")
    if importlib.util.find_spec("aiohttp") is None:
        print("The demo needs aiohttp: `make demo` installs it in an environment of its own.", file=sys.stderr)
        return 1
    try:
        compete(options)
    except WrongResult as error:
        print(f"\nFAILED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
