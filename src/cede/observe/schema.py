"""What stands in a ring: the one table of its header, its events and their fields, and the decoder.

It imports nothing of cede, so it reads the ring of a process that is dead, or of another Python. What it is given may
be anything: every number is checked before it is believed, and what is no ring is a `NotARing`.

A ring is a header, a table of names, and 2 ** n records of 32 bytes, of which the oldest is overwritten. Numbers are
little-endian. Times are in ticks; two moments in the header, by several clocks, say what a tick is worth.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

MAGIC = b"cedering"
VERSION = 1
HEADER = 4096  # bytes
NAMES = 1 << 20  # bytes
RECORD = 32  # bytes
SMALLEST, LARGEST = 1 << 8, 1 << 26  # records

# The header: name, place, form.
FIELDS = {
    "magic": (0, "8s"),
    "version": (8, "I"),
    "record": (12, "I"),  # bytes of a record
    "records": (16, "Q"),  # how many there is room for
    "names": (24, "Q"),  # bytes of room for names
    "head": (32, "Q"),  # how many records were ever written; after each of them
    "names_length": (40, "Q"),  # bytes of names; after each of them
    "pid": (48, "I"),
    "number": (52, "I"),  # of the ring in its process, from 1
    "flags": (56, "Q"),
    "begun_ticks": (64, "Q"),  # one moment by three clocks: ticks, and nanoseconds of the monotonic and the wall clock
    "begun_monotonic": (72, "Q"),
    "begun_wall": (80, "Q"),
    "latest_ticks": (88, "Q"),  # a later one by two
    "latest_monotonic": (96, "Q"),
    "looks": (112, "Q"),  # the counters of the loop: see `cede.engine.pulse`
    "look_ticks": (120, "Q"),
    "turns": (128, "Q"),
    "busy_ticks": (136, "Q"),
    "idle_ticks": (144, "Q"),
    "longest": (152, "Q"),
    "stalled_since": (160, "Q"),
    "boot": (168, "40s"),  # the machine's boot
    "python": (208, "16s"),
    "cede": (224, "16s"),
    "keeps": (248, "Q"),  # nanoseconds before its end that are shown of it; 0: all of it
    "thread": (240, "Q"),  # of the loop, as the kernel numbers them
}
ENDED = 1  # a flag: the recording ended as it should

# A record: when what it tells of ended; five numbers and three small ones, whose meaning the kind says.
FORM = struct.Struct("<QIIIIIBBH")

# kind: what `who`, `how`, `ran`, `woken_by`, `queued`, `on` are
KINDS = {
    1: "step",  # task; one of STEP_ENDS; ticks; who woke it; ticks / 64 in line; the task awaited
    2: "call",  # -; ok, failed; ticks; -; -; name of the callback
    3: "birth",  # task; scheduled, eager; -; its maker; the N of Task-N; name of its coroutine
    4: "death",  # the same
    5: "name",  # task; part; the four numbers are 16 bytes of the name that the program gave it
    6: "sleep",  # -; -; ticks asleep; -; -; descriptors that the kernel told of
    7: "deliver",  # -; -; ticks; -; timers that were due; descriptors whose watchers were told
    8: "bytes",  # descriptor; one of BYTES; -; -; -; how many
    9: "wait",  # task; one of WAITS; -; -; -; the number of the resource, 0 if it is not told which
    10: "hold",  # task; the same: it got what it had to wait for
    11: "let go",  # task; the same: it gave it to one who waited
    12: "cancel",  # task that is cancelled; one of CANCELS; -; the task that does it; -; name of the code that calls
    13: "stall",  # task whose step it was; -; ticks
    14: "collect",  # -; generation; ticks; -; -; objects found
    15: "incoming",  # -; -; -; -; -; callbacks that other threads, or signals, asked for
    16: "mark",  # -; part; the four numbers are 16 bytes of a word of the program's own
}
BYTES = ("in", "out", "accepted", "closed", "lost")
CANCELS = ("task", "callback", "timeout", "group", "signal", "runner")
WAITS = (
    "?", "lock", "semaphore", "event", "condition", "barrier", "queue get", "queue put", "sleep", "connect", "resolve",
    "executor", "process", "read", "drain", "socket", "tasks",
)  # fmt: skip
_WAIT_WORDS = {
    "queue get": "an item of queue",
    "queue put": "room in queue",
    "sleep": "a timer",
    "connect": "a connection on descriptor",
    "resolve": "an address",
    "executor": "a thread of an executor",
    "process": "the end of process",
    "read": "data",
    "drain": "room to write",
    "socket": "descriptor",
}
FOREIGN = 1 << 26  # in the number of a resource: what follows is a part of its address
STEP_ENDS = ("scheduled", "waiting", "done", "failed", "cancelled")
DESCRIPTOR = 0x80000000  # in `woken_by`: what follows is no task but a descriptor
SATURATED = 0xFFFFFFFF


class NotARing(ValueError):
    """What was read is no ring, or one that this cede does not understand; the text says which."""


@dataclass(frozen=True, slots=True)
class Name:
    """A function, or a class where there is none."""

    function: str
    file: str
    line: int


UNKNOWN = Name("?", "", 0)


@dataclass(frozen=True, slots=True)
class Event:
    """One record. Times are seconds since the recording began."""

    kind: str
    end: float
    ran: float  # seconds; the event began so long before its end
    who: int  # the number of a task, or 0; of bytes: a descriptor
    how: str
    woken_by: int  # the number of a task, DESCRIPTOR and that of a descriptor, or 0; of a birth: the maker
    queued: float  # seconds from being woken to the beginning
    on: int  # the number of the task awaited; how many events or objects
    name: Name  # of a callback or a coroutine
    text: str  # of a mark; of a step: on what the task waits then, "" if that is a task, or not known
    turn: int

    @property
    def begin(self) -> float:
        """When it began."""
        return self.end - self.ran

    @property
    def resource(self) -> str:
        """What to call what is waited for, or held: "lock 3", "an item of queue 5"; "" of other kinds."""
        if self.kind not in ("wait", "hold", "let go"):
            return ""
        words = _WAIT_WORDS.get(self.how, self.how)
        if not self.on:
            return words
        return f"{words} {f'at …{self.on & FOREIGN - 1:07x}0' if self.on & FOREIGN else self.on}"


@dataclass(slots=True)
class Task:
    """What is known of a task that the recording tells of."""

    number: int
    name: str = ""  # as the program calls it; "" if neither its birth nor its death is in the recording
    coroutine: Name = UNKNOWN
    parent: int = 0
    born: float | None = None  # None: before the recording
    died: float | None = None  # None: not within it

    @property
    def label(self) -> str:
        """What to call it."""
        return self.name or f"task {self.number} (born before the recording)"

    @property
    def title(self) -> str:
        """What to call it where nothing else says what it does: with its function, unless the name says as much."""
        function = self.coroutine.function.rpartition(".")[2]
        return self.label if function in self.label or self.coroutine is UNKNOWN else f"{self.label} ({function})"


@dataclass(slots=True)
class Recording:
    """A ring, decoded."""

    header: dict[str, int | str]
    events: list[Event]  # in the order in which they were written
    tasks: dict[int, Task]
    dropped: int  # events that were overwritten before they were read
    seconds: float  # that a tick is worth
    busy: float = 0.0  # seconds, since the loop began to run
    idle: float = 0.0
    problems: list[str] = field(default_factory=list)  # what could not be believed

    @property
    def length(self) -> float:
        """The seconds from the first event to the last."""
        return self.events[-1].end - max(self.events[0].begin, 0.0) if self.events else 0.0


def snapshot(memory: bytes | bytearray | memoryview) -> tuple[bytes, int]:
    """Copy a ring that may be written to meanwhile; return the copy, and how many records ever were in it by then.

    What was overwritten while it was copied counts as dropped: `decode` is told.
    """
    _check(memory)
    copy = bytes(memory)
    return copy, _number(memory, "head")


def decode(copy: bytes, head_after: int | None = None, since: int = 0) -> Recording:
    """Decode a ring; NotARing if it is none.

    `head_after` is how many records there were when it had been copied, `since` how many to pass over.
    """
    _check(copy)
    header = {name: _value(copy, name) for name in FIELDS}
    size, head = _number(copy, "records"), _number(copy, "head")
    if head_after is None or head_after < head:
        head_after = head
    # The one after the last that is known may have been half written.
    first = max(0, head_after - size + (1 if head_after > size else 0))
    seconds = _seconds_per_tick(copy)
    decoder = _Decoder(copy, seconds, _names(copy))
    begin = HEADER + _number(copy, "names")
    for index in range(max(first, since), head):
        decoder.add(FORM.unpack_from(copy, begin + (index % size) * RECORD))
    decoder.finish()
    keeps = _number(copy, "keeps") * 1e-9
    too_old = 0
    if keeps and decoder.events:
        begin_of_it = decoder.events[-1].end - keeps
        too_old = sum(event.end < begin_of_it for event in decoder.events)
        decoder.events[:] = [event for event in decoder.events if event.end >= begin_of_it]
    return Recording(
        header,
        decoder.events,
        decoder.tasks,
        min(first, head) + too_old,
        seconds,
        _number(copy, "busy_ticks") * seconds,
        _number(copy, "idle_ticks") * seconds,
        decoder.problems,
    )


def read(path: str, since: int = 0) -> Recording:
    """Read a ring from a file, which its process may be writing to, without the first `since` records.

    NotARing, or OSError as the system says.
    """
    with open(path, "rb") as file:
        memory = file.read()
        _check(memory)
        file.seek(FIELDS["head"][0])
        after = file.read(8)
    return decode(memory, struct.unpack("<Q", after)[0] if len(after) == 8 else None, since)


def written(path: str) -> int:
    """Return how many records were ever written to a ring; NotARing, or OSError as the system says."""
    with open(path, "rb") as file:
        header = file.read(HEADER)
    if len(header) < HEADER or header[: len(MAGIC)] != MAGIC:
        raise NotARing("this is no recording of cede's")
    return _number(header, "head")


# --- The header and the names -----------------------------------------------------------------------


def _number(memory: bytes | bytearray | memoryview, name: str) -> int:
    place, form = FIELDS[name]
    number: int = struct.unpack_from("<" + form, memory, place)[0]
    return number


def _value(memory: bytes, name: str) -> int | str:
    place, form = FIELDS[name]
    value = struct.unpack_from("<" + form, memory, place)[0]
    return value if isinstance(value, int) else value.split(b"\0")[0].decode(errors="replace")


def _check(memory: bytes | bytearray | memoryview) -> None:
    if len(memory) < HEADER or bytes(memory[:8]) != MAGIC:
        raise NotARing("this is no recording of cede's")
    if _number(memory, "version") != VERSION or _number(memory, "record") != RECORD:
        raise NotARing(
            f"this recording is of version {_number(memory, 'version')}, and this cede reads version {VERSION}: "
            "read it with the cede that wrote it"
        )
    size = _number(memory, "records")
    if not SMALLEST <= size <= LARGEST or size & (size - 1) or _number(memory, "names") != NAMES:
        raise NotARing("the header of this recording contradicts itself")
    if len(memory) < HEADER + NAMES + size * RECORD:
        raise NotARing(f"this recording is cut off: {len(memory):,} bytes of {HEADER + NAMES + size * RECORD:,}")


def _seconds_per_tick(copy: bytes) -> float:
    ticks = _number(copy, "latest_ticks") - _number(copy, "begun_ticks")
    nanoseconds = _number(copy, "latest_monotonic") - _number(copy, "begun_monotonic")
    if ticks <= 0 or nanoseconds <= 0 or not 0.001 < nanoseconds / ticks < 1000:
        return 1e-9
    return nanoseconds / ticks * 1e-9


def _names(copy: bytes) -> list[Name]:
    """Return the table of names; the numbers in records count from 1."""
    names = [UNKNOWN]
    at, end = HEADER, HEADER + min(_number(copy, "names_length"), NAMES)
    while at + 6 <= end:
        size, line = struct.unpack_from("<HI", copy, at)
        if at + 6 + size > end:
            break
        function, _, file = copy[at + 6 : at + 6 + size].decode(errors="replace").partition("\0")
        names.append(Name(function, file, line))
        at += 6 + size
    return names


# --- The records --------------------------------------------------------------------------------------


class _Decoder:
    def __init__(self, copy: bytes, seconds: float, names: list[Name]) -> None:
        self.events: list[Event] = []
        self.tasks: dict[int, Task] = {}
        self.problems: list[str] = []
        self._seconds = seconds
        self._names = names
        self._begun = _number(copy, "begun_ticks")
        self._latest = 0.0
        self._text = (0, 0, 0)  # of what the parts below are: kind, who, the next part
        self._parts = b""

    def add(self, record: tuple[int, ...]) -> None:
        """Take in one record."""
        end, who, ran, woken_by, queued, on, kind, how, turn = record
        if kind not in KINDS:
            self._complain(f"a record of the unknown kind {kind}")
            return
        if kind in (5, 16):
            self._add_part(kind, who, how, struct.pack("<IIII", ran, woken_by, queued, on), end, turn)
            return
        self.finish()
        when = (end - self._begun) * self._seconds
        # What lasted longer than 32 bits of ticks hold lasted from the end of what came before.
        lasted = when - self._latest if ran == SATURATED and self.events else ran * self._seconds
        name = UNKNOWN
        if kind in (2, 3, 4, 12):
            name = self._names[on] if on < len(self._names) else UNKNOWN
        said = (
            (STEP_ENDS[how] if how < len(STEP_ENDS) else "?") if kind == 1 else ("eager" if kind == 3 and how else "")
        )
        if kind == 14:
            said = f"generation {how}"
        elif kind == 2:
            said = "failed" if how else "ok"
        elif kind in (8, 12):
            table = BYTES if kind == 8 else CANCELS
            said = table[how] if how < len(table) else "?"
        elif kind in (9, 10, 11):
            said = WAITS[how] if how < len(WAITS) else "?"
        waited = queued * 64 * self._seconds if kind == 1 else float(queued)
        target = 0 if kind in (2, 3, 4, 12) else on
        self.events.append(
            Event(KINDS[kind], when, max(lasted, 0.0), who, said, woken_by, waited, target, name, "", turn)
        )
        if kind == 9:
            self._explain_step(self.events[-1])
        self._latest = max(self._latest, when)
        if kind in (1, 3, 4) and who:
            self._note_task(kind, who, woken_by, queued, name, when)

    def _explain_step(self, wait: Event) -> None:
        """The step before it ended with this wait."""
        step = self.events[-2] if len(self.events) > 1 else None
        if step is not None and step.kind == "step" and step.who == wait.who:
            self.events[-2] = replace(step, text=wait.resource)

    def _note_task(self, kind: int, who: int, parent: int, number: int, name: Name, when: float) -> None:
        task = self.tasks.get(who)
        if task is None:
            task = self.tasks[who] = Task(who)
        if kind == 1:
            return
        task.coroutine = name
        task.parent = parent
        if not task.name and number:
            task.name = f"Task-{number}"
        if kind == 3:
            task.born = when
        else:
            task.died = when

    def _add_part(self, kind: int, who: int, part: int, text: bytes, end: int, turn: int) -> None:
        if part == 0 or self._text != (kind, who, part):
            self.finish()
            if part:
                return  # its beginning was overwritten
        self._parts += text
        self._text = (kind, who, part + 1)
        if kind == 16 and part == 0:
            when = (end - self._begun) * self._seconds
            self.events.append(Event("mark", when, 0.0, 0, "", 0, 0.0, 0, UNKNOWN, "", turn))
        if b"\0" in text or part == 4:
            self.finish()

    def finish(self) -> None:
        """A text that was gathered is whole."""
        kind, who, _ = self._text
        if not kind:
            return
        text = self._parts.split(b"\0")[0].decode(errors="replace")
        self._text, self._parts = (0, 0, 0), b""
        if kind == 5:
            self.tasks.setdefault(who, Task(who)).name = text
        elif self.events and self.events[-1].kind == "mark":
            last = self.events[-1]
            self.events[-1] = Event("mark", last.end, 0.0, 0, "", 0, 0.0, 0, UNKNOWN, text, last.turn)

    def _complain(self, problem: str) -> None:
        if len(self.problems) < 10:
            self.problems.append(problem)


def wakes(recording: Recording) -> Iterator[tuple[Event, Event]]:
    """Yield pairs of a step that woke a task, and the step of that task which it led to."""
    latest: dict[int, list[Event]] = {}
    for event in recording.events:
        if event.kind == "step":
            if event.woken_by and not event.woken_by & DESCRIPTOR and event.woken_by != event.who:
                woken_at = event.begin - event.queued
                for step in reversed(latest.get(event.woken_by, ())):
                    if step.begin <= woken_at + 1e-6:
                        yield step, event
                        break
            steps = latest.setdefault(event.who, [])
            steps.append(event)
            del steps[:-8]


def holdings(recording: Recording) -> Iterator[Event]:
    """Yield who had a lock while others waited for it, as events of the kind "held", in the order of their ends.

    One that was taken before anybody waited counts from the first who did. `who` is 0 where it is never told.
    """
    since: dict[str, tuple[float, int]] = {}  # by a lock: since when it is held, and by whom
    waiting: dict[int, Event] = {}  # by a task: for which it waits
    last = 0.0
    for event in recording.events:
        last = max(last, event.end)
        if event.kind == "wait" and event.how == "lock":
            waiting[event.who] = event
            since.setdefault(event.resource, (event.end, 0))
        elif event.kind == "step" and event.who in waiting:
            wait = waiting.pop(event.who)
            if wait.on & FOREIGN and event.how != "cancelled":  # of asyncio's own nothing else tells
                yield _held(wait, since.get(wait.resource), event.begin - event.queued, event.woken_by)
                since[wait.resource] = (event.begin, event.who)
        elif event.kind == "let go" and event.how == "lock":
            yield _held(event, since.pop(event.resource, None), event.end, event.who)
        elif event.kind == "hold" and event.how == "lock":
            since[event.resource] = (event.end, event.who)
    for wait in {wait.resource: wait for wait in waiting.values()}.values():
        begun, holder = since.get(wait.resource, (wait.end, 0))
        yield _held(wait, (begun, holder), last, holder)


def _held(told: Event, since: tuple[float, int] | None, end: float, who: int) -> Event:
    begun = end if since is None else since[0]
    return replace(told, kind="held", end=end, ran=max(end - begun, 0.0), who=who, text=told.resource)
