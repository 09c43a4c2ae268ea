"""A recording in words: each turn a line, who ran, who woke whom, who waits. What `cede watch` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .schema import DESCRIPTOR, Event, Name, Recording, Task
from .words import is_librarys

_ENDS = {"scheduled": "is ready again", "done": "has ended", "failed": "failed", "cancelled": "was cancelled"}
# What cede and asyncio do themselves, in words: the names of their callbacks tell nobody anything.
_OWN_CALLBACKS = {
    "_set_result_unless_cancelled": "a sleep is over",
    "_stop_its_loop": "the loop stops, for what it ran has ended",
    "gather.<locals>._done_callback": "gather sees that one of its tasks has ended",
    "Task._wakeup": "what a task waited for is there",
    "StreamReaderProtocol.connection_made": "a connection is made",
    "StreamTransport._started": "the transport begins to read",
    "StreamTransport._call_connection_lost": "a connection is closed",
    "TaskGroup._on_task_done": "the group sees that one of its tasks has ended",
    "_GatheringFuture._done_callback": "gather sees that one of its tasks has ended",
}
_SHORTEST_SLEEP = 50e-6  # seconds; shorter ones are no news


class Teller:
    """Tells a recording that comes in pieces."""

    def __init__(self) -> None:
        self._labels: dict[int, str] = {}  # of tasks, as long as they are spoken of
        self._turn = -1
        self._line: list[str] = []
        self._when = 0.0

    def lines(self, recording: Recording) -> Iterator[str]:
        """Yield the lines of what this piece completes."""
        for number, task in recording.tasks.items():
            if task.name or number not in self._labels:
                self._labels[number] = label_of(task)
        for event in recording.events:
            if event.kind in ("step", "call") and event.turn != self._turn:
                yield from self.rest()
                self._turn, self._when = event.turn, event.begin
            if event.kind == "sleep":
                if event.ran > _SHORTEST_SLEEP:
                    yield from self.rest()
                    yield f"{_clock(event.begin)}  asleep for {_span(event.ran)}{_why_awake(event)}"
            elif event.kind == "mark":
                yield from self.rest()
                yield f"{_clock(event.end)}  -- {event.text}"
            elif event.kind == "step":
                self._line.append(self._step(event))
            elif event.kind == "call":
                failed = ", and failed" if event.how == "failed" else ""
                said = _own_callback(event.name) or f"callback {event.name.function}"
                self._line.append(f"{said} ran {_span(event.ran)}{failed}" if said.startswith("callback") else said)
            elif event.kind in ("cancel", "bytes", "incoming"):
                self._line.append(in_words(event, self._label))
            elif event.kind == "stall":
                yield from self.rest()
                yield f"{_clock(event.begin)}  {in_words(event, self._label)}"
            elif event.kind == "birth":
                maker = f" by {self._label(event.woken_by)}" if event.woken_by else ""
                self._line.append(f"{self._label(event.who)} is made{maker}")

    def rest(self) -> Iterator[str]:
        """Yield the line of the turn that is told of so far."""
        if self._line:
            turn = "before the first turn" if self._turn < 0 else f"turn {self._turn}"
            yield f"{_clock(self._when)}  {turn}: {'; '.join(self._line)}"
            self._line = []

    def _step(self, event: Event) -> str:
        by = ""
        if event.woken_by & DESCRIPTOR:
            by = f", woken by descriptor {event.woken_by & ~DESCRIPTOR},"
        elif event.woken_by and event.woken_by != event.who:
            by = f", woken by {self._label(event.woken_by)},"
        awaited = self._label(event.on) if event.on else event.text
        then = _ENDS.get(event.how) or (f"waits for {awaited}" if awaited else "waits")
        return f"{self._label(event.who)}{by} ran {_span(event.ran)}, then {then}"

    def _label(self, number: int) -> str:
        return self._labels.get(number, f"task {number}")


def label_of(task: Task) -> str:
    """Return what to call a task: by its name and function, unless the name says as much."""
    name = task.name or f"task {task.number}"
    function = task.coroutine.function.rpartition(".")[2]
    return name if function in name or function == "?" else f"{name} ({function})"


def _own_callback(name: Name) -> str:
    """Return in words what a callback of cede's or asyncio's does; "" for others. What is compiled has no file."""
    own = not name.file or is_librarys(("", name.file)) or "cede/" in name.file
    return _OWN_CALLBACKS.get(name.function, "") if own else ""


def in_words(event: Event, label: Callable[[int], str]) -> str:
    """Say what an event is that is no step and no call; `label` names a task."""
    if event.kind == "bytes":
        if event.how in ("in", "out"):
            return f"descriptor {event.who}: {event.on:,} bytes {event.how}"
        return f"descriptor {event.who} {'is accepted' if event.how == 'accepted' else f'is {event.how}'}"
    if event.kind == "cancel":
        place = f" in {event.name.function} ({event.name.file}:{event.name.line})" if event.name.file else ""
        return f"{label(event.who)} is cancelled by {who_cancels(event, label)}{place}"
    if event.kind == "incoming":
        return f"{event.on} callback{'s' if event.on != 1 else ''} from other threads or signals"
    if event.kind == "stall":
        return f"the loop was blocked for {_span(event.ran)} by {label(event.who) if event.who else 'a callback'}"
    if event.kind == "held":
        return f"{event.text} is held by {label(event.who) if event.who else 'somebody'} for {_span(event.ran)}"
    return event.text or event.kind


def who_cancels(event: Event, label: Callable[[int], str]) -> str:
    """Say by whom a task is cancelled."""
    return label(event.woken_by) if event.how == "task" else "Ctrl-C" if event.how == "signal" else f"a {event.how}"


def _why_awake(event: Event) -> str:
    return f", woken by {event.on} descriptor{'s' if event.on != 1 else ''}" if event.on else ", until a timer"


def _clock(seconds: float) -> str:
    return f"{max(seconds, 0.0) * 1e3:10.3f} ms"


def _span(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"


def summary(recording: Recording) -> Iterator[str]:
    """Yield a few lines on what a recording has: how much, how busy, and the steps that others had to wait for."""
    steps = [event for event in recording.events if event.kind == "step"]
    asleep = sum(event.ran for event in recording.events if event.kind == "sleep")
    length = max(recording.length, 1e-9)
    yield (
        f"{len(recording.events):,} events of {len(recording.tasks):,} task{'s' * (len(recording.tasks) != 1)} in "
        f"{_span(length)}, "
        f"{100 * (1 - min(asleep / length, 1)):.0f} % of it busy"
        + (f"; {recording.dropped:,} older events are not in it" if recording.dropped else "")
    )
    for step in sorted(steps, key=lambda step: step.ran, reverse=True)[:3]:
        task = recording.tasks.get(step.who)
        behind = [later for later in steps if later.begin - later.queued < step.end <= later.begin and later.queued]
        late = [later for later in behind if later.begin - step.end < step.ran and later.turn == step.turn]
        label = task.label if task else f"task {step.who}"
        place = f" ({task.coroutine.function}, {task.coroutine.file}:{task.coroutine.line})" if task else ""
        others = f", and {len(late)} other{'s' * (len(late) != 1)} waited for it" if late else ""
        yield f"  the step of {label}{place} at {step.begin:.6f} s took {_span(step.ran)}{others}"
