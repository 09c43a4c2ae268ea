"""What a ring tells of each task that lives: busy time, time in line, latest steps; and who was cancelled."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from .schema import Event, Recording
from .turns import label_of, who_cancels
from .words import short

_KEPT = 128  # steps of a task
_CANCELS = 200  # of all tasks
GROUND = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # seconds: the bounds of `TaskHistory.spread`


class TaskHistory:
    """What was recorded of one task."""

    def __init__(self) -> None:
        self.steps = 0
        self.busy = 0.0  # seconds
        self.again = 0  # steps after which it was ready at once, as after `sleep(0)`
        self.spread = [0] * (len(GROUND) + 1)  # how many steps took up to a microsecond, ten, …, a second, and longer
        self.latest: deque[Event] = deque(maxlen=_KEPT)  # steps

    def add(self, step: Event) -> None:
        """Take in a step."""
        self.steps += 1
        self.busy += step.ran
        self.again += step.how == "scheduled"
        self.spread[next((n for n, bound in enumerate(GROUND) if step.ran <= bound), len(GROUND))] += 1
        self.latest.append(step)

    def queued(self, part: float) -> float:
        """Return the seconds in line that the part (0 to 1) of the latest steps did not exceed."""
        waits = sorted(step.queued for step in self.latest)
        return waits[min(int(part * len(waits)), len(waits) - 1)] if waits else 0.0

    @property
    def rate(self) -> float:
        """The steps a second, of the latest."""
        if len(self.latest) < 2:
            return 0.0
        return (len(self.latest) - 1) / max(self.latest[-1].end - self.latest[0].end, 1e-9)


class Cancel(NamedTuple):
    """That somebody cancelled a task."""

    when: float  # seconds since 1970
    task: int  # its number
    name: str
    by: str
    by_task: int  # the number of the task that did, if one did
    place: str  # where `cancel` was called, or what the timeout or the group is in; "" if that is not known


class History:
    """What is known of the tasks of one ring; `add` takes in what was recorded since the last time."""

    def __init__(self) -> None:
        self.tasks: dict[int, TaskHistory] = {}  # by their numbers
        self._labels: dict[int, str] = {}  # of the tasks that live
        self.cancels: deque[Cancel] = deque(maxlen=_CANCELS)  # the latest, also of tasks that have ended
        self.ended = 0.0  # when the newest event did, in the recording's seconds

    def add(self, recording: Recording) -> None:
        """Take in what is new."""
        self._labels.update((task.number, label_of(task)) for task in recording.tasks.values() if task.coroutine.file)
        for event in recording.events:
            self.ended = max(self.ended, event.end)
            if event.kind == "step":
                task = self.tasks.get(event.who)
                if task is None:
                    task = self.tasks[event.who] = TaskHistory()
                task.add(event)
            elif event.kind == "cancel":
                self.cancels.append(self._told(event, int(recording.header["begun_wall"]) / 1e9))
            elif event.kind == "death":
                self.tasks.pop(event.who, None)
                self._labels.pop(event.who, None)

    def _told(self, event: Event, begun: float) -> Cancel:
        place = f"{short(event.name.file)}:{event.name.line} {event.name.function}" if event.name.file else ""
        by_task = event.woken_by if event.how == "task" else 0
        by = who_cancels(event, self._label)
        return Cancel(begun + event.end, event.who, self._label(event.who), by, by_task, place)

    def _label(self, number: int) -> str:
        return self._labels.get(number, f"task {number}")
