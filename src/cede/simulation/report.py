"""Reports: what failed, what stood still, what ran in circles, and what was not the same twice, in words."""

from __future__ import annotations

import asyncio
import linecache
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..observe.snapshot import capture

if TYPE_CHECKING:
    from .exploring import Failure, Outcome
    from .hosts import Host
    from .trace import Event
    from .world import World

_DEEPEST = 4  # lines of a task's stack that are shown, innermost first
_STDLIB = os.path.dirname(asyncio.__file__) + os.sep
_LIBRARY = os.path.dirname(os.__file__) + os.sep
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def deadlock_report(world: World) -> str:
    """Say who waits for what in a world where nothing can happen any more."""
    head = f"nobody can go on, {world.now:.6f} s after the world began: no host has anything to do, and no timer and "
    return "\n".join([head + "no packet is on its way. These tasks wait:", *_tasks_of(world)])


def livelock_report(world: World, host: Host, turns: int) -> str:
    """Say who runs in circles."""
    head = f"in {turns:,} turns no packet came and no timer was due, {world.now:.6f} s after the world began; the last "
    head += f"turn was one of {host.name}. A loop that polls (`while not flag: await sleep(0)`) for what never comes "
    return "\n".join([head + "looks like this. These tasks wait or run:", *_tasks_of(world)])


def _tasks_of(world: World) -> list[str]:
    """Return lines for each task: whose it is, what it waits for and who holds that, and where it stands."""
    answer = capture()
    names = {row["id"]: f"task {row['name']!r}" for row in answer["tasks"]}
    resources = {row["id"]: row for row in answer["resources"]}
    hosts = {id(loop): host for host in world.hosts.values() for loop in host.loops}
    lines: list[str] = []
    for row in answer["tasks"]:
        if row["loop"] in hosts:
            waits = _waits_for(row, names, resources.get(row["resource"]))
            lines.append(f"  {hosts[row['loop']].name}: {names[row['id']]} waits for {waits}")
            lines += place(row["stack"])
    for host, name, stack in world.threads.standing():
        lines.append(f"  {host}: thread {name!r} stands still")
        lines += place([(frame.name, frame.filename, frame.lineno or 0) for frame in reversed(stack)])
    return lines or ["  (none: main waits for a future that nobody can resolve)"]


def _waits_for(row: dict[str, Any], names: dict[int, str], resource: dict[str, Any] | None) -> str:
    if resource is None:
        return names.get(row["target"]) or (f"a {row['waits']}" if row["waits"] else "its turn")
    what = f"a {resource['kind']}" + (f", `{resource['name']}`" if resource["name"] else "")
    holders = [names[holder] for holder in resource["holders"] if holder in names]
    return what + (f", held by {' and '.join(holders)}" if holders else "")


def place(stack: list[tuple[str, str, int]]) -> list[str]:
    """Return lines that say where a task or a thread stands: its innermost frames that are the program's."""
    program = [entry for entry in stack if not entry[1].startswith((_OURS, _STDLIB, _LIBRARY))]
    lines = []
    for name, file, line in (program or stack)[:_DEEPEST]:
        source = linecache.getline(file, line).strip()
        lines.append(f"      {file}:{line} in {name}" + (f": {source}" if source else ""))
    return lines


def users_line(exc: BaseException) -> str:
    """Return 'file:line' of the innermost frame that is neither cede's nor asyncio's; '' if there is none."""
    found = ""
    traceback = exc.__traceback__
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if not file.startswith((_OURS, _STDLIB)):
            found = f"{file}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number and what it counts: 1 run, 2 runs."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def headline(error: BaseException) -> str:
    """What was raised, in a line."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


# --- Failures --------------------------------------------------------------------------------------


@dataclass
class StoryLine:
    """One choice that a failure needs."""

    time: float  # seconds of the world
    where: str
    what: str
    least: str  # what it is at the least with which the run still fails; "" if that is no less

    def __str__(self) -> str:
        least = f" (fails from {self.least} on)" if self.least else ""
        return f"{self.time:9.3f} s  {self.where}: {self.what}{least}"


def failure_report(failure: Failure) -> str:
    """Tell a failure: what it needs, what happened last, and how to have it again."""
    left = len(failure.shrunk.kept)
    if failure.wild:
        lines = [f"the story: {left} choice{'s' if left != 1 else ''} of {failure.wild}"]
    else:
        lines = ["the story: it fails in the tame run, without any choice"]
    if failure.wild and not left:
        lines = [f"the story: none of {failure.wild} wild choices is needed, it fails in the tame run"]
    if not failure.shrunk.whole:
        lines[0] += ", as far as the budget went"
    lines += [f"  {line}" for line in failure.story]
    lines += [f"  {event.line()}" for event in _last(failure.events)]
    return "\n".join([*lines, f"  {failure.replay}"])


def _last(events: list[Event], count: int = 30) -> list[Event]:
    return [event for event in events if event.kind != "turn"][-count:]


def difference_report(
    outcome: Outcome, runs: tuple[Outcome, Outcome], difference: tuple[int, Event | None, Event | None] | None
) -> str:
    """Say where two runs with the same choices differ, and what the reason may be."""
    lines = [f"seed {outcome.seed}: the same choices did not make the same run."]
    if difference is None:
        kinds = (outcome.kind, *(run.kind for run in runs))
        ends = ["it passed" if kind is None else " at ".join(kind) for kind in kinds]
        lines.append("The logs are the same, the ends are not: " + "; ".join(ends) + ".")
    else:
        index, one, other = difference
        lines.append(f"They differ from event {index + 1} on:")
        lines += [f"  {'it ended' if event is None else event.line().strip()}" for event in (one, other)]
    lines.append(
        "Something is not captured: a set of objects iterated (their order goes by address), an id() that decides, "
        "real time or a real thread from code of C, a finalizer, or state that one run leaves for the next (a "
        "module's global, a class attribute, a cache)."
    )
    return "\n".join(lines)
