"""Recordings against what is known to have happened: random programs in simulated worlds, step by step."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cede
from cede import observe, simulation
from cede.observe import recorder, schema

pytestmark = pytest.mark.cede_only("only cede's loops are recorded")


class Program:
    """Tasks that sleep, wait for futures, hand a lock on and wait for each other; each notes its own steps."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.steps: list[tuple[str, int, float]] = []  # task, which of its steps, when it began at the latest
        self.wakes: list[tuple[str, int, str]] = []  # task, which of its steps, who resolved what it had waited for
        self.waits: list[tuple[str, int, str]] = []  # task, the step that ended so, for what
        self.made = 0

    def note(self) -> tuple[str, int]:
        task: Any = cede.current_task()
        name, number = task.get_name(), task._steps
        if not self.steps or self.steps[-1][:2] != (name, number):
            self.steps.append((name, number, cede.get_running_loop()._own_clock.peek()))
        return name, number

    async def node(self, depth: int) -> None:
        loop = cede.get_running_loop()
        self.note()
        for _ in range(self.random.randrange(1, 5)):
            kind = self.random.choice(("turn", "sleep", "future", "lock", "child", "child"))
            name, number = self.note()
            if kind == "turn":
                await cede.sleep(0)
            elif kind == "sleep":
                self.waits.append((name, number, "sleep"))
                await cede.sleep(self.random.choice((0.001, 0.5, 60.0)))
            elif kind == "future":
                future = loop.create_future()
                resolver = self.start(self.resolve(future))
                await future
                _, number = self.note()
                self.wakes.append((name, number, resolver.get_name()))
            elif kind == "lock":
                async with self.lock:
                    self.note()
                    await cede.sleep(0.25)
                    self.note()
            elif depth < 3:
                await self.start(self.node(depth + 1))
            self.note()

    async def resolve(self, future: Any) -> None:
        self.note()
        await cede.sleep(0)
        self.note()
        future.set_result(None)

    def start(self, coro: Any) -> Any:
        self.made += 1
        return cede.create_task(coro, name=f"task {self.made}")

    async def main(self) -> None:
        cede.current_task().set_name("the program")
        self.lock = cede.Lock()
        self.note()
        async with cede.TaskGroup() as group:
            for number in range(3):
                group.create_task(self.node(0), name=f"top {number}")
        self.note()


def play(seed: int, record: bool) -> tuple[Program, str, schema.Recording | None]:
    program = Program(seed)
    digest = []

    async def main(world: simulation.World) -> None:
        await program.main()
        digest.append(world.log.digest())

    if record:
        observe.start("1MiB", file=False)
    try:
        simulation.run(main, seed=seed, log=True)
        recording = schema.decode(*schema.snapshot(recorder.rings()[-1][0])) if record else None
    finally:
        observe.stop()
    return program, digest[0], recording


@pytest.mark.parametrize("seed", range(8))
def test_each_step_of_a_random_program_in_virtual_time(seed: int) -> None:
    program, digest, recording = play(seed, True)
    assert recording is not None and not recording.problems and not recording.dropped
    assert digest == play(seed, False)[1]  # it only looked on

    labels = {number: task.name for number, task in recording.tasks.items()}
    counts: dict[int, int] = {}
    told = []  # task, which of its steps, the event
    for event in recording.events:
        if event.kind == "step":
            counts[event.who] = counts.get(event.who, 0) + 1
            told.append((labels[event.who], counts[event.who], event))
    known = {(name, number) for name, number, _ in program.steps}
    assert [(name, number) for name, number, _ in told if (name, number) in known] == [
        step[:2] for step in program.steps
    ]
    ended = [key for key in ((name, number) for name, number, _ in told) if key not in known]
    assert len(ended) <= 3 + 2  # of `main`: a step that only found tasks of the group unfinished

    begun = int(recording.header["begun_ticks"]) * 1e-9
    events = {(name, number): event for name, number, event in told}
    for name, number, when in program.steps:
        event = events[name, number]
        assert event.begin - 1e-6 <= when - begun <= event.end + 1e-6
    for name, number, resolver in program.wakes:
        assert labels[events[name, number].woken_by] == resolver
    for name, number, what in program.waits:
        event = events[name, number]
        assert (event.how, event.text) == ("waiting", "a timer"), what
    assert (
        recording.length >= max(when for _, _, when in program.steps) - min(when for _, _, when in program.steps) - 1e-6
    )
    assert recording.busy == 0 and recording.idle > 0


@pytest.mark.parametrize("end", ["html", "json", "ring"])
def test_ctrl_c_ends_a_recorded_program_as_any_other_and_what_was_recorded_is_kept(tmp_path: Path, end: str) -> None:
    """What is imported to write the recording must not let the interpreter forget that it was Ctrl-C."""
    (tmp_path / "app.py").write_text("import asyncio\nasyncio.run(asyncio.sleep(0))\nraise KeyboardInterrupt\n")
    command = [sys.executable, "-m", "cede", "record", "-o", f"kept.{end}", "app.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert done.returncode == -signal.SIGINT
    assert f"kept.{end}: " in done.stderr and (tmp_path / f"kept.{end}").stat().st_size > 0
