"""The bars beside the tables: docs/performance/python-X.Y-NAME.svg, drawn from the JSON beside them.

One drawing serves light and dark pages: its colours are those of the page's reader (prefers-color-scheme).
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from . import results
from .rounds import Result

# The pictures of a version: name, title, the rows in them.
PICTURES = (
    ("scheduling", "Scheduling", ("sleep0-100", "task-await", "gather", "taskgroup-child", "call-soon-batch")),
    ("library", "Library", ("timeout-suspended", "queue-1to1-100", "lock-contended", "as-completed")),
    ("sockets", "Sockets", ("tcp-echo-1KiB-10", "streams-echo-1KiB-10", "tls-echo-1KiB-10", "udp-echo-1KiB-10")),
    ("http", "HTTP", ("http-uvicorn-httptools", "http-uvicorn-h11", "http-aiohttp")),
)
PEERS = {"package": "cede, as the package", "loop": "cede, as the loop", "uvloop": "uvloop", "asyncio": "asyncio"}

WIDTH, LABEL, BAR, GAP, HEAD = 720, 150, 14, 3, 36  # pixels
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #333 }
.title { font-size: 15px; font-weight: 600 }
.cede { fill: #2a78c6 } .other { fill: #a5adb8 }
@media (prefers-color-scheme: dark) { text { fill: #ccc } .cede { fill: #4d9de6 } .other { fill: #6b7480 } }
"""


def written(nanoseconds: float) -> str:
    return f"{nanoseconds:.0f} ns" if nanoseconds < 1000 else f"{nanoseconds / 1000:.3g} µs"


def _row(result: Result, top: float) -> tuple[list[str], float]:
    """Return a row's bars from `top` down, and where they end; the longest bar is the slowest peer's."""
    values = {peer: value for peer in PEERS if (value := result.value(peer, result.metrics[0])) is not None}
    lines = [f'<text x="0" y="{top + 12:g}">{escape(result.title.replace("`", ""))}</text>']
    top += 18
    for peer, value in values.items():
        length = max(2.0, (WIDTH - LABEL - 70) * value / max(values.values()))
        kind = "cede" if PEERS[peer].startswith("cede") else "other"
        lines += [
            f'<text x="{LABEL - 8}" y="{top + 11:g}" text-anchor="end">{PEERS[peer]}</text>',
            f'<rect class="{kind}" x="{LABEL}" y="{top:g}" width="{length:.1f}" height="{BAR}" rx="2"/>',
            f'<text x="{LABEL + length + 6:.1f}" y="{top + 11:g}">{written(value)}</text>',
        ]
        top += BAR + GAP
    return lines, top + 12


def picture(title: str, rows: Mapping[str, Result], names: tuple[str, ...]) -> str:
    """Return the drawing of those rows that were measured; "" if none was."""
    found = [rows[name] for name in names if name in rows]
    lines = [f'<text class="title" x="0" y="16">{escape(title)}: CPU time, shorter is better</text>']
    top = float(HEAD)
    for result in found:
        drawn, top = _row(result, top)
        lines += drawn
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:g}" width="{WIDTH}" height="{top:g}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *lines, "</svg>", ""]) if found else ""


def draw(file: Path) -> list[str]:
    """Draw the pictures of a file of results beside it; return the lines that show them on the page."""
    _, rows = results.read(file)
    shown = []
    for name, title, names in PICTURES:
        drawing = picture(f"{title}, Python {file.stem.removeprefix('python-')}", rows, names)
        if drawing:
            target = file.with_name(f"{file.stem}-{name}.svg")
            target.write_text(drawing, encoding="utf-8")
            shown += [f"![{title}: CPU time for one operation](performance/{target.name})", ""]
    return shown
