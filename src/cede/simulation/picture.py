"""Picture: the event log of a run as a page, in the viewer of the recorder.

A row a host's loop, a row a task, and a row a direction of a connection, where each packet is a bar from when it was
sent to when it came. The choices of the story stand as marks, what was raised as the last one.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from typing import Any

from .._version import __version__
from ..observe.page import KINDS, rendered
from . import trace
from .trace import Event

_MOMENT = 10.0  # microseconds; how long what takes no time is shown, as long as a turn
_SENT = re.compile(r"(?:(?P<bytes>\d+ bytes) )?to (?P<to>.+), connection (?P<connection>[^ ]+)(?: \(.*\))?$")
_CAME = re.compile(r"(?P<what>.+) from (?P<of>.+), connection (?P<connection>[^ ]+)$")
_STEP, _MARK = KINDS.index("step"), KINDS.index("mark")


class Picture:
    """What is shown of a log."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, ...], int] = {}  # (host, task) or (sender, receiver, connection): its number
        self._labels: list[str] = []
        self.shown: list[list[Any]] = []
        self.causes: list[list[int]] = []  # [what led to it, it], as indices of `shown`
        self._on_the_way: dict[tuple[str, ...], list[tuple[str, int]]] = {}  # packets: (what it is, its index)

    def add(self, event: Event) -> None:
        begin = event.time * 1e6
        row = self._row((event.host, event.task), f"{event.host} {event.task}".strip() or "the network")
        how = "failed" if event.kind == "fault" else "done"
        index = self._show(row, begin, _MOMENT, how, f"{event.kind} {event.detail}".strip())
        if event.kind == "arrive" and (came := _CAME.match(event.detail)):
            self._arrived(came, event.host, begin, index)
        elif event.kind in ("send", "connect", "close", "reset") and (sent := _SENT.match(event.detail)):
            self._sent(sent, event, begin, index)

    def _sent(self, sent: re.Match[str], event: Event, begin: float, index: int) -> None:
        flow = (event.host, sent["to"], sent["connection"])
        what = sent["bytes"] or event.kind
        row = self._row(flow, f"{event.host} → {sent['to']}, {sent['connection']}")
        packet = self._show(row, begin, -1.0, "failed", what)
        self.causes.append([index, packet])
        self._on_the_way.setdefault(flow, []).append((what, packet))

    def _arrived(self, came: re.Match[str], host: str, now: float, index: int) -> None:
        waiting = self._on_the_way.get((came["of"], host, came["connection"]), [])
        for place, (what, packet) in enumerate(waiting):
            if what == came["what"]:
                del waiting[place]
                bar = self.shown[packet]
                bar[3], bar[7] = round(now - bar[2], 2), "done"
                self.causes.append([packet, index])
                return

    def _row(self, key: tuple[str, ...], label: str) -> int:
        number = self._rows.get(key)
        if number is None:
            number = self._rows[key] = len(self._rows) + 1
            self._labels.append(label)
        return number

    def _show(self, row: int, begin: float, ran: float, how: str, text: str) -> int:
        self.shown.append([_STEP, row, round(begin, 2), ran, 0.0, 0, 0, how, 0, 0, text])
        return len(self.shown) - 1

    def mark(self, seconds: float, text: str) -> None:
        """Draw a line through all rows, with words."""
        self.shown.append([_MARK, 0, round(seconds * 1e6, 2), 0.0, 0.0, 0, 0, "", 0, 0, text])

    def end(self, seconds: float) -> None:
        """What is still on its way at the end is shown until then."""
        for event in self.shown:
            if event[3] < 0:
                event[3] = round(max(seconds * 1e6 - event[2], _MOMENT), 2)
                event[10] += ", never arrived"

    def rows(self) -> list[list[Any]]:
        """The rows as the page has its tasks: hosts with their tasks first, then connections."""
        return [[number, label, label, "", 0, 0] for number, label in enumerate(self._labels, 1)]

    def in_order(self) -> dict[int, int]:
        """{number of a row: the place where it is shown}: hosts one after the other, then what was between them."""
        keys = sorted(self._rows, key=lambda key: (len(key) > 2, key))
        return {self._rows[key]: place for place, key in enumerate(keys, 1)}


def write(
    events: Sequence[Event], folder: str, name: str, story: Iterable[tuple[float, str]] = (), error: str = ""
) -> None:
    """Write a log into `folder`: as text, as a page, `name`.html, and as `name`.json for Perfetto.

    `story`, (seconds, words) of each choice that is left, and `error` are marked on the page.
    """
    trace.write(events, folder, name)
    with open(os.path.join(folder, f"{name}.html"), "w", encoding="utf-8") as file:
        file.write(as_page(events, story, error))


def as_page(events: Sequence[Event], story: Iterable[tuple[float, str]] = (), error: str = "") -> str:
    """Return the page: HTML that needs nothing else. `story` is (seconds, words) of each choice that is left."""
    picture = Picture()
    for event in events:
        picture.add(event)
    last = events[-1].time if events else 0.0
    picture.end(last)
    last += _MOMENT / 1e6
    for seconds, words in story:
        picture.mark(seconds, words)
    if error:
        picture.mark(last, error)
    places = picture.in_order()
    for bar in picture.shown:
        bar[1] = places.get(bar[1], 0)
    rows = sorted([places[row[0]], *row[1:]] for row in picture.rows())
    headline = f"A run of a simulation: {len(events):,} events in {last:.3f} virtual seconds. "
    headline += f"Python {platform.python_version()}, cede {__version__}"
    return rendered({
        "kinds": KINDS,
        "simulated": True,
        "headline": headline,
        "about": {},
        "dropped": 0,
        "problems": [],
        "names": [["", "", 0]],
        "tasks": rows,
        "events": picture.shown,
        "wakes": picture.causes,
    })  # fmt: skip
