"""What `test_page` has a browser do: `in_a_browser.py CHROMIUM FOLDER`, with small.html and large.html in the folder."""

from __future__ import annotations

import sys
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
    page.close()


def main(chromium: str, folder: str) -> None:
    """Do all of it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            by_keyboard(browser, f"{folder}/small.html", scheme)
        narrow = Page(browser, f"{folder}/small.html", viewport={"width": 360, "height": 640})
        assert narrow.tab.evaluate("document.documentElement.scrollWidth") <= 360
        narrow.close()
        large = Page(browser, f"{folder}/large.html", viewport={"width": 1400, "height": 900})
        drawn = large.tab.evaluate(DRAWN)
        assert 1000 < drawn < 25_000, drawn  # of 100,000 events
        large.close()
        browser.close()
    sys.stdout.write("all seen\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
