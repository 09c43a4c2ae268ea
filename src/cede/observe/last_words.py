"""What a recording tells of a process that is dead: when it ended, who lived then, and what they waited for."""

from __future__ import annotations

import time
from collections.abc import Iterator

from .lints import span
from .schema import ENDED, Event, Recording, Task
from .words import short

_SHOWN = 3  # groups of tasks


def last_words(recording: Recording) -> Iterator[str]:
    """Yield lines about the end of a process that did not end as it should; none if it did."""
    header = recording.header
    if int(header["flags"]) & ENDED:
        return
    if not recording.events:
        yield f"  process {header['pid']} is dead, and nothing was recorded"
        return
    end = recording.events[-1].end
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(header["begun_wall"]) / 1e9 + end))
    yield f"  process {header['pid']} is dead, and was not let end: killed, or crashed; its last event was at {when}"
    yield from _who_lived(recording, end)


def _who_lived(recording: Recording, end: float) -> Iterator[str]:
    """Tell of the tasks that lived at the end, those of one function together."""
    latest: dict[int, Event] = {}
    for event in recording.events:
        if event.kind == "step":
            latest[event.who] = event
    groups: dict[tuple[str, str, str], list[Task]] = {}
    for task in recording.tasks.values():
        if task.died is None and task.coroutine.file:
            step = latest.get(task.number)
            key = (
                task.coroutine.function,
                f"{short(task.coroutine.file)}:{task.coroutine.line}",
                _waits(step, recording),
            )
            groups.setdefault(key, []).append(task)
    for (function, place, waits), tasks in sorted(groups.items(), key=lambda item: -len(item[1]))[:_SHOWN]:
        oldest = max((end - task.born for task in tasks if task.born is not None), default=None)
        age = "" if oldest is None else f", the oldest {span(oldest)} old"
        who = f"{len(tasks):,} tasks" if len(tasks) > 1 else f"task {tasks[0].label!r}"
        yield f"  {who} of {function} ({place}) lived{age}{waits}"


def _waits(step: Event | None, recording: Recording) -> str:
    if step is None or step.how != "waiting":
        return ""
    if step.on:
        other = recording.tasks.get(step.on)
        return f"; waiting for {other.label if other is not None else f'task {step.on}'}"
    kind = step.text.split(" ")[0] if step.text else ""
    return f"; waiting for {'an' if kind[:1] in 'aeiou' else 'a'} {kind}" if kind else ""


def failures(recording: Recording) -> Iterator[str]:
    """Yield a line for each of the latest tasks that ended with an exception."""
    failed = [event for event in recording.events if event.kind == "step" and event.how == "failed"]
    for event in failed[-_SHOWN:]:
        task = recording.tasks.get(event.who)
        if task is not None:
            place = f"{task.coroutine.function}, {task.coroutine.file}:{task.coroutine.line}"
            yield f"  {task.label} ({place}) ended with an exception at {event.end:.6f} s"
    if len(failed) > _SHOWN:
        yield f"  and {len(failed) - _SHOWN:,} more ended with exceptions before"
