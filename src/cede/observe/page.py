"""A recording as one HTML page that needs nothing else: `page.html` with the events put into it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from .schema import DESCRIPTOR, Recording, holdings, wakes
from .turns import in_words

_PLACE = "/*DATA*/null"
KINDS = ("step", "call", "sleep", "deliver", "collect", "mark", "bytes", "incoming", "stall", "cancel", "held")
_TOLD = KINDS[6:]  # of which there is a text in words
MOST = 400_000  # events on a page; of more the newest are shown


def as_html(recording: Recording) -> str:
    """Return the page."""
    return rendered(_data(recording))


def rendered(data: dict[str, Any]) -> str:
    """Return the page of what `_data` gives; `simulated` and `headline` are for logs of simulations."""
    template = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    # What ends a script, or begins a comment in one, cannot stand in it.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return template.replace(_PLACE, text, 1)


def _data(recording: Recording) -> dict[str, Any]:
    shown = [event for event in recording.events if event.kind in KINDS] + list(holdings(recording))

    def label(number: int) -> str:
        task = recording.tasks.get(number)
        return f"task {number}" if task is None else task.label

    left_out = max(0, len(shown) - MOST)
    shown = shown[left_out:]
    index = {id(event): number for number, event in enumerate(shown)}
    names: dict[tuple[str, str, int], int] = {}
    events = []
    for event in shown:
        name = names.setdefault((event.name.function, event.name.file, event.name.line), len(names))
        queued = event.queued if event.kind == "step" else 0.0
        events.append([
            KINDS.index(event.kind), event.who, round(event.begin * 1e6, 2), round(event.ran * 1e6, 2),
            round(queued * 1e6, 2), event.woken_by & ~DESCRIPTOR, 1 if event.woken_by & DESCRIPTOR else 0,
            event.how, event.on, name, in_words(event, label) if event.kind in _TOLD else event.text,
        ])  # fmt: skip
    return {
        "kinds": KINDS,
        "about": {key: recording.header[key] for key in ("pid", "python", "cede", "begun_wall")},
        "dropped": recording.dropped + left_out,
        "problems": recording.problems,
        "names": list(names),
        "tasks": [
            [task.number, task.title, task.coroutine.function, task.coroutine.file, task.coroutine.line, task.parent]
            for _, task in sorted(recording.tasks.items())
        ],
        "events": events,
        "held": [event.text for event in shown if event.kind == "held"],
        "wakes": [
            [index[id(cause)], index[id(step)]]
            for cause, step in wakes(recording)
            if id(cause) in index and id(step) in index
        ],
    }
