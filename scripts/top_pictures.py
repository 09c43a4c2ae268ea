"""Take the pictures of `cede top` in docs/inspecting.md anew: `python scripts/top_pictures.py`, with Textual at hand.

They show a real run of the program below, in both themes: SVGs of Textual's own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import cede
from cede._command.console import Console

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
WARNED = 7.0  # seconds after which what is wrong has been so for long enough

SHOP = """\
import asyncio
import time

stock_lock = asyncio.Lock()
jobs = asyncio.Queue(4)


async def ask_warehouse():
    await asyncio.sleep(60)


async def in_stock():
    async with stock_lock:
        await ask_warehouse()


async def picture():
    await jobs.put("picture")


async def report():
    while True:
        await asyncio.sleep(3)
        time.sleep(0.6)  # what blocks: everybody waits for it


async def beat():
    while True:
        await asyncio.sleep(0.02)


async def main():
    async with asyncio.TaskGroup() as group:
        for thing in ("pears", "apples", "plums", "figs", "nuts"):
            group.create_task(in_stock(), name=f"stock of {thing}")
        for number in range(8):
            group.create_task(picture(), name=f"picture {number}")
        group.create_task(report(), name="GET /report")
        group.create_task(beat(), name="heartbeat")
        await asyncio.sleep(0.1)
        print("ready", flush=True)


asyncio.run(main())
"""


async def take(pid: int) -> None:
    """Open the console on the program and take the pictures."""
    await cede.sleep(WARNED)
    for theme in ("dark", "light"):
        app = Console(pid, 0.5, theme)
        async with app.run_test(size=(132, 24)) as pilot:
            while app.view is None or app.view.rates == {}:
                await pilot.pause(0.1)
            await pilot.pause(1)
            for name, keys in (("tasks", ()), ("warnings", ("w",)), ("task", ("t", "home", "enter"))):
                await pilot.press(*keys)
                await pilot.pause(0.5)
                picture = app.export_screenshot(title=f"cede top {pid}", simplify=True)
                picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)  # no font from the network
                (PICTURES / f"top-{name}-{theme}.svg").write_text(picture, encoding="utf-8")
        assert app.thread is not None
        await cede.to_thread(app.thread.join)


def main() -> None:
    """Run the program, and take the pictures."""
    with tempfile.TemporaryDirectory(prefix="cede-") as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        (Path(folder) / "shop.py").write_text(SHOP)
        process = subprocess.Popen(
            [sys.executable, "-m", "cede", "run", "--inspect", "--record", "shop.py"],
            cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            cede.run(take(process.pid))
        finally:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    main()
