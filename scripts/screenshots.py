"""Take the pictures of docs/recording.md and docs/simulation.md anew.

`python scripts/screenshots.py`, with Playwright and Chromium at hand.

They show real runs of the programs below, in both themes; a recording also on a wide and on a narrow screen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
SCREENS = {"wide": (1200, 560), "narrow": (400, 680)}

SHOP = """\
import asyncio
import time


async def worker(queue):
    for _ in range(3):
        number = await queue.get()
        if number == 6:
            time.sleep(0.02)  # what blocks: everybody waits for it


async def clock():
    for _ in range(20):
        await asyncio.sleep(0.002)


async def main():
    queue = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        group.create_task(clock(), name="clock")
        for number in range(4):
            group.create_task(worker(queue), name=f"worker {number}")
        for number in range(12):
            await queue.put(number)
            await asyncio.sleep(0.001)


asyncio.run(main())
"""


# The bank of docs/simulation.md.
BANK = """\
import asyncio
import cede.simulation


async def withdraw(account, amount):
    if account["balance"] >= amount:
        reader, writer = await asyncio.open_connection("10.0.0.2", 7000)
        writer.write(b"%d\\n" % amount)
        await reader.readline()
        account["balance"] -= amount
        writer.close()


async def auditor():
    async def answer(reader, writer):
        await reader.readline()
        writer.write(b"fine\\n")
        writer.close()

    async with await asyncio.start_server(answer, "0.0.0.0", 7000) as server:
        await server.serve_forever()


async def test_two_withdrawals(world):
    world.host("audit", auditor)
    account = {"balance": 100}

    async def later():
        await asyncio.sleep(0.008)
        await withdraw(account, 80)

    await asyncio.gather(withdraw(account, 80), later())
    assert account["balance"] >= 0, f"balance is {account['balance']}"


for failure in cede.simulation.explore(test_two_withdrawals, seeds=range(300), first=True).failures:
    failure.write(".", "bank")
"""


def main() -> None:
    """Run the programs, open their pages, and take the pictures."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        (Path(folder) / "shop.py").write_text(SHOP)
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        subprocess.run([sys.executable, "-m", "cede", "record", "shop.py"], cwd=folder, env=environment, check=True)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            for screen, (width, height) in SCREENS.items():
                viewport = {"width": width, "height": height}
                tab = browser.new_page(viewport=viewport, color_scheme=scheme)
                tab.goto(f"file://{folder}/recording.html")
                for key in ("l", "w", "j", "l"):
                    tab.keyboard.press(key)
                tab.screenshot(path=PICTURES / f"recording-{screen}-{scheme}.png")
                tab.close()
        (Path(folder) / "bank.py").write_text(BANK)
        subprocess.run([sys.executable, "bank.py"], cwd=folder, env=environment, check=True)
        for scheme in ("light", "dark"):
            tab = browser.new_page(viewport={"width": 1200, "height": 420}, color_scheme=scheme)
            tab.goto(f"file://{folder}/bank.html")
            for key in ("l",):
                tab.keyboard.press(key)
            tab.screenshot(path=PICTURES / f"failure-{scheme}.png")
            tab.close()
        browser.close()


if __name__ == "__main__":
    main()
