"""Trace: what happened in a run, in order: the event log of a world.

An event is (time of the world, host, task, kind, detail). The same run has the same log, byte for byte, in whatever
process and compiled or interpreted: so nothing in it is an address, a number given by the real system, or a count that
does not begin with the world. Tasks are named after their coroutines, and numbered by host in the order in which they
first show here.

Law: the log only looks. It reads no clock and draws nothing, and a run with it is the run without it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from .notes import Notes

if TYPE_CHECKING:
    from .world import World


class Event(NamedTuple):
    """One thing that happened."""

    time: float  # seconds since the world began
    host: str
    task: str  # "" where no task ran
    kind: str  # a short word: turn, send, receive, timeout, …
    detail: str

    def line(self) -> str:
        """Return the event as a line of text."""
        who = f"task {self.task}" if self.task else ""
        return f"{self.time:11.6f}  {self.host:<8}  {who:<20}  {self.kind} {self.detail}".rstrip()


class Trace(Notes):
    """The log of one world."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._events: list[Event] = []  # of the first notes

    @property
    def events(self) -> list[Event]:
        """What happened so far."""
        events = self._events
        for note in self.notes[len(events) :]:
            if len(note) == 2:
                events.append(Event(*note, "", "turn", ""))
                continue
            time, host, task, kind, detail = note
            words = detail if isinstance(detail, str) else detail[0].format(*detail[1:])
            events.append(Event(time, host, task, kind, words))
        return events

    def digest(self) -> str:
        """Return a hash of the whole log."""
        hasher = hashlib.blake2b(digest_size=16)
        for event in self.events:
            hasher.update(repr(tuple(event)).encode())
        return hasher.hexdigest()

    def tail(self, count: int = 30) -> list[Event]:
        """Return the last events in which something happened, turns left out."""
        return [event for event in self.events if event.kind != "turn"][-count:]


def first_difference(left: Iterable[Event], right: Iterable[Event]) -> tuple[int, Event | None, Event | None] | None:
    """Return (index, event, event) where two logs begin to differ, None where one has ended; None if they are equal."""
    mine, others = list(left), list(right)
    for index, (one, other) in enumerate(zip(mine, others)):
        if one != other:
            return index, one, other
    if len(mine) == len(others):
        return None
    index = min(len(mine), len(others))
    left_event, right_event = (events[index] if index < len(events) else None for events in (mine, others))
    return index, left_event, right_event


def write(events: Iterable[Event], folder: str, name: str) -> None:
    """Write a log into `folder`: as text, and as the JSON that chrome://tracing and ui.perfetto.dev show."""
    kept = list(events)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, f"{name}.txt"), "w", encoding="utf-8") as file:
        file.writelines(f"{event.line()}\n" for event in kept)
    with open(os.path.join(folder, f"{name}.json"), "w", encoding="utf-8") as file:
        json.dump({"traceEvents": list(_as_chrome(kept))}, file)


def _as_chrome(events: Iterable[Event]) -> Iterable[dict[str, Any]]:
    """Return events of the trace format: a process a host, a thread a task; each takes no time."""
    hosts: dict[str, int] = {}
    tasks: dict[tuple[str, str], int] = {}
    for event in events:
        pid = hosts.setdefault(event.host, len(hosts) + 1)
        tid = tasks.setdefault((event.host, event.task), len(tasks) + 1)
        yield {
            "name": f"{event.kind} {event.detail}".strip(),
            "cat": event.kind,
            "ph": "i",
            "s": "t",
            "ts": event.time * 1e6,  # microseconds
            "pid": pid,
            "tid": tid,
        }
    for host, pid in hosts.items():
        yield {"name": "process_name", "ph": "M", "pid": pid, "args": {"name": host or "network"}}
    for (host, task), tid in tasks.items():
        yield {"name": "thread_name", "ph": "M", "pid": hosts[host], "tid": tid, "args": {"name": task or "loop"}}
