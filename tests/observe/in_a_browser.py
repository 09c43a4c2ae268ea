"""What `test_page` has a browser do: `in_a_browser.py CHROMIUM FOLDER [AXE]`, with small.html and large.html in the folder.

AXE is a file of axe-core, which knows the rules of accessibility. By itself it says how quick the large page was.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

# How many bars are drawn where all of the time is seen: only those of rows that are seen, and none below another.
DRAWN = """() => {
    let drawn = 0;
    const fillRect = pen.fillRect.bind(pen);
    pen.fillRect = (...place) => { drawn++; fillRect(...place); };
    setView(first, last);
    draw();
    return drawn;
}"""

# What axe-core does not see: texts on the canvas. Each as [colour, what it is on, how much they differ].
CONTRASTS = """() => {
    const light = text => {
        const probe = document.createElement("canvas").getContext("2d");
        probe.fillStyle = text; probe.fillRect(0, 0, 1, 1);
        const parts = [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3).map(
            part => part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const pairs = [["weak", "back"], ["text", "sleep"]];
    for (const text of ["text", "chosen", "failed"]) pairs.push([text, "back"], [text, "band"]);
    for (const bar of ["step", "failed", "cancelled", "ready", "call", "deliver", "collect"]) pairs.push(["back", bar]);
    return pairs.map(([text, on]) => {
        const [dark, bright] = [light(colours[text]), light(colours[on])].sort((a, b) => a - b);
        return [text, on, (bright + 0.05) / (dark + 0.05)];
    });
}"""

# The times between frames, in milliseconds and in order, while each frame brings a turn of the wheel.
FRAMES = """async zooms => {
    const frame = () => new Promise(requestAnimationFrame), place = canvas.getBoundingClientRect(), times = [];
    await frame();
    for (let n = 0, last = await frame(); n < 60; n++) {
        canvas.dispatchEvent(new WheelEvent("wheel", {cancelable: true, ctrlKey: zooms, clientX: place.left + 700,
            clientY: place.top + 300, deltaY: n < 30 === zooms ? -100 : 100}));
        const now = await frame();
        times.push(now - last);
        last = now;
    }
    return times.sort((a, b) => a - b);
}"""


class Page:
    """A page that says nothing, and asks for nothing."""

    def __init__(self, browser: Any, path: str, **settings: Any) -> None:
        self.said: list[str] = []
        self.tab = browser.new_page(**settings)
        self.tab.on("pageerror", lambda error: self.said.append(str(error)))
        self.tab.on("console", lambda message: self.said.append(message.text))
        self.tab.on("request", lambda request: request.url.startswith("file:") or self.said.append(request.url))
        self.tab.goto(f"file://{path}")

    def text(self, selector: str) -> str:
        """Return what stands there."""
        return str(self.tab.locator(selector).inner_text())

    def close(self) -> None:
        """Close it."""
        assert self.said == [], self.said
        self.tab.close()


def by_keyboard(browser: Any, path: str, scheme: str) -> None:
    """Everything there is to do, without a pointer."""
    page = Page(browser, path, color_scheme=scheme, viewport={"width": 1000, "height": 600})
    keys = page.tab.keyboard
    keys.press("l")
    assert page.text("#details h2") == "</script><b>slow"
    assert "test_page.py" in page.text("#details dl")
    before = page.text("#state")
    keys.press("+")
    assert page.text("#state") != before
    for key in ("Enter", "-", "ArrowLeft", "ArrowRight", "n", "p", "j", "k", "w", "PageDown", "End", "Home", "0"):
        keys.press(key)
    keys.press("/")
    keys.type("fails")
    assert "1 of" in page.text("#state")
    keys.press("Escape")
    keys.press("Escape")
    assert page.text("#details") == ""
    assert page.tab.evaluate("document.activeElement.id") == "canvas"
    for key in ("/", "n", "o", " ", "s", "u", "c", "h", "Enter", "n", "p", "j", "k", "w", "Enter"):
        keys.press(key)
    assert page.text("#state").split(", ")[1].startswith("0 of")
    page.close()


def by_tab(browser: Any, path: str) -> None:
    """Tab comes to all that can be used, and out again; Enter presses what it is on, arrows move the text beside."""
    page = Page(browser, path, viewport={"width": 1000, "height": 400})
    keys = page.tab.keyboard
    page.tab.evaluate("by('find').focus()")
    seen = []
    for _ in range(6):
        seen.append(page.tab.evaluate("document.activeElement.id || document.activeElement.localName"))
        keys.press("Tab")
    assert seen == ["find", "out", "in", "all", "canvas", "aside"], seen
    page.tab.focus("#in")
    before = page.text("#state")
    keys.press("Enter")
    assert page.text("#state") != before
    page.tab.focus("aside")
    keys.press("End")
    page.tab.wait_for_function("document.querySelector('aside').scrollTop > 0")
    page.close()


def readable(browser: Any, path: str, scheme: str, width: int, axe: str) -> None:
    """Contrasts are those that WCAG 2 asks for, and axe-core, where it is there, finds nothing serious."""
    page = Page(browser, path, color_scheme=scheme, viewport={"width": width, "height": 600}, bypass_csp=True)
    page.tab.keyboard.press("l")
    poor = [pair for pair in page.tab.evaluate(CONTRASTS) if pair[2] < 4.5]
    assert poor == [], (scheme, poor)
    if axe:
        page.tab.evaluate(Path(axe).read_text(encoding="utf-8"))
        found = page.tab.evaluate("axe.run()")["violations"]
        assert [one for one in found if one["impact"] in ("serious", "critical")] == [], (scheme, found)
    page.close()


def how_quick(browser: Any, path: str) -> str:
    """Open the large page, scroll and zoom; the best median of three is bounded, for others work here too."""
    page = Page(browser, path, viewport={"width": 1400, "height": 900})
    begun = time.perf_counter()
    page.tab.reload()
    page.tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    told = [f"opened in {time.perf_counter() - begun:.2f} s"]
    for what, zooms in (("scrolling", False), ("zooming", True)):
        frames = min((page.tab.evaluate(FRAMES, zooms) for _ in range(3)), key=lambda times: times[30])
        told.append(f"{what}: a frame each {frames[30]:.0f} ms, of 60 the third longest {frames[57]:.0f} ms")
        assert frames[30] < 50, told
    page.close()
    return "; ".join(told)


def main(chromium: str, folder: str, axe: str = "") -> None:
    """Do all of it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            by_keyboard(browser, f"{folder}/small.html", scheme)
            for width in (1000, 400):
                readable(browser, f"{folder}/small.html", scheme, width, axe)
        by_tab(browser, f"{folder}/small.html")
        narrow = Page(browser, f"{folder}/small.html", viewport={"width": 360, "height": 640})
        assert narrow.tab.evaluate("document.documentElement.scrollWidth") <= 360
        narrow.close()
        large = Page(browser, f"{folder}/large.html", viewport={"width": 1400, "height": 900})
        drawn = large.tab.evaluate(DRAWN)
        assert 1000 < drawn < 25_000, drawn  # of 100,000 events
        large.close()
        sys.stderr.write(how_quick(browser, f"{folder}/large.html") + "\n")
        browser.close()
    sys.stdout.write("all seen\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
