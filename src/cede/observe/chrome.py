"""A recording in Chrome's trace format, which Perfetto and chrome://tracing open: a row a task, a bar a step.

Beside a step stands how long the task had to wait for it; arrows lead from who woke to who was woken. What the loop did
by itself has rows of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .schema import DESCRIPTOR, Event, Recording, holdings, wakes
from .turns import in_words

_LOOP_ROWS = {"sleep": (0, "the poller"), "deliver": (0, "the poller"), "call": (1, "callbacks"),
              "collect": (2, "garbage collector"), "mark": (3, "marks"), "bytes": (4, "descriptors"),
              "incoming": (5, "from other threads"), "stall": (6, "stalls"), "held": (7, "locks"),
              "cancel": (8, "cancellations")}  # fmt: skip
_MOMENTS = ("bytes", "incoming", "cancel")  # what takes no time
_FIRST_TASK = 10  # the row of task 1 is the one after it
LARGEST = 128 << 20  # bytes of JSON; what reads it fails at some more


def as_json(recording: Recording) -> str:
    """Return the recording as JSON text, cut off at 128 MiB with a mark that says so."""
    parts: list[str] = []
    size = 0
    for entry in _entries(recording):
        text = json.dumps(entry, separators=(",", ":"))
        size += len(text) + 2
        if size > LARGEST:
            cut = {
                "ph": "i",
                "s": "g",
                "name": "cut off here: the recording is larger than 128 MiB of JSON",
                **_place(0, 0),
            }
            parts.append(json.dumps(cut))
            break
        parts.append(text)
    about = {key: recording.header[key] for key in ("pid", "python", "cede")}
    about |= {"dropped": recording.dropped, "holds": "names, places, numbers and times; no arguments, results or data"}
    return '{"traceEvents":[\n' + ",\n".join(parts) + '],"otherData":' + json.dumps(about) + "}\n"


def _place(row: int, when: float) -> dict[str, Any]:
    return {"pid": 1, "tid": row, "ts": round(when * 1e6, 3)}


def _entries(recording: Recording) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "name": "process_name", "pid": 1, "args": {"name": f"cede, process {recording.header['pid']}"}}
    rows = dict(sorted(set(_LOOP_ROWS.values())))
    rows.update({_FIRST_TASK + number: task.title for number, task in sorted(recording.tasks.items())})
    for row, name in rows.items():
        yield {"ph": "M", "name": "thread_name", "pid": 1, "tid": row, "args": {"name": name}}
        yield {"ph": "M", "name": "thread_sort_index", "pid": 1, "tid": row, "args": {"sort_index": row}}
    for event in recording.events:
        yield from _of(recording, event)
    for event in holdings(recording):
        yield from _of(recording, event)
    for number, (cause, step) in enumerate(wakes(recording)):
        begin = min(max(cause.begin, step.begin - step.queued), cause.end)
        yield {"ph": "s", "id": number, "name": "wakes", "cat": "wake", **_place(_FIRST_TASK + cause.who, begin)}
        yield {"ph": "f", "bp": "e", "id": number, "name": "wakes", "cat": "wake",
               **_place(_FIRST_TASK + step.who, step.begin)}  # fmt: skip


def _of(recording: Recording, event: Event) -> Iterator[dict[str, Any]]:
    if event.kind == "step":
        row = _FIRST_TASK + event.who
        if event.queued > 0:
            waited = event.begin - event.queued
            yield {
                "ph": "X",
                "name": "ready",
                "cat": "queued",
                "dur": round(event.queued * 1e6, 3),
                **_place(row, waited),
            }
        args = {"then": event.how, "woken by": _who(recording, event.woken_by)}
        if event.on or event.text:
            args["waits for"] = _who(recording, event.on) if event.on else event.text
        name = recording.tasks[event.who].coroutine.function if event.who in recording.tasks else "?"
        yield {"ph": "X", "name": name, "cat": "step", "dur": round(event.ran * 1e6, 3), "args": args,
               **_place(row, event.begin)}  # fmt: skip
    elif event.kind == "mark":
        yield {"ph": "i", "s": "g", "name": event.text, **_place(3, event.end)}
    elif event.kind in _MOMENTS:
        yield {"ph": "i", "s": "t", "name": in_words(event, lambda number: _who(recording, number)),
               **_place(_LOOP_ROWS[event.kind][0], event.end)}  # fmt: skip
    elif event.kind in ("stall", "held"):
        yield {"ph": "X", "name": in_words(event, lambda number: _who(recording, number)), "cat": event.kind,
               "dur": round(event.ran * 1e6, 3), **_place(_LOOP_ROWS[event.kind][0], event.begin)}  # fmt: skip
    elif event.kind in _LOOP_ROWS:
        name = event.name.function if event.kind == "call" else event.kind
        yield {"ph": "X", "name": name, "cat": event.kind, "dur": round(event.ran * 1e6, 3),
               **_place(_LOOP_ROWS[event.kind][0], event.begin)}  # fmt: skip


def _who(recording: Recording, number: int) -> str:
    if number & DESCRIPTOR:
        return f"descriptor {number & ~DESCRIPTOR}"
    if not number:
        return "a timer, a callback or another thread"
    task = recording.tasks.get(number)
    return f"task {number}" if task is None else task.label
