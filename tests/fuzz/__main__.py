"""Compare random programs on cede, in both speeds, with stock asyncio.

    python -m tests.fuzz [--seed N] [--count M] [--seconds S] [--show SEED]

Programs are those of the seeds N, N + 1, …. Prints what differs, shrunk, and exits with 1 if anything did.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .changes import avoided
from .programs import Body, generate, kinds_in, show, smaller

ROOT = Path(__file__).resolve().parent.parent.parent
SPEEDS = ("compiled", "pure")
BATCH = 64  # programs that are on their way to the workers at a time
SHRINKING_SECONDS = 60.0
SECONDS_PER_PROGRAM = 20.0  # a program takes milliseconds; whoever needs so long hangs

Logs = dict[str, list[str]]  # by mode, or by "mode, speed"


class Worker:
    """A process that plays programs in one speed."""

    def __init__(self, speed: str, modes: list[str]) -> None:
        self.command = [sys.executable, "-m", "tests.fuzz.worker", *modes]
        self.environment = {**os.environ, "CEDE_PURE": "1" if speed == "pure" else "", "PYTHONHASHSEED": "0"}
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, cwd=ROOT, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.reader = threading.Thread(target=self.read, args=(self.process.stdout, self.answers), daemon=True)
        self.reader.start()

    @staticmethod
    def read(lines: Any, answers: queue.SimpleQueue[str]) -> None:
        """Take in what the process writes, so that it never waits for us."""
        for line in lines:
            answers.put(line)
        answers.put("")

    def ask(self, program: Body, modes: list[str]) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps([program, modes]) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # `answer` tells

    def answer(self) -> Logs | None:
        """Return the logs of the program that was asked for first and has none yet; None if it killed the process."""
        try:
            line = self.answers.get(timeout=SECONDS_PER_PROGRAM)
        except queue.Empty:
            self.process.kill()
            return None
        return json.loads(line) if line else None

    def stop(self) -> int:
        """End the process; return its exit status."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        status = self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        return status


class Arena:
    """Plays programs everywhere and compares the logs."""

    def __init__(self, speeds: tuple[str, ...] = SPEEDS) -> None:
        self.workers = {"stock": Worker("pure", ["stock"])}
        self.workers |= {speed: Worker(speed, ["loop", "package"]) for speed in speeds}

    def plays(self, programs: list[Body]) -> Iterator[Logs]:
        """Yield the logs of each program."""
        for program in programs:
            wanted = modes_of(program)
            for worker in self.workers.values():
                worker.ask(program, ["stock", *wanted])
        for _ in programs:
            logs: Logs = {}
            for speed, worker in self.workers.items():
                answer = worker.answer()
                if answer is None:
                    logs[f"{speed}, dead"] = [f"the process ended with {worker.stop()}"]
                    worker.start()
                else:
                    logs |= {mode if mode == "stock" else f"{mode}, {speed}": log for mode, log in answer.items()}
            yield logs
            if any(mode.endswith("dead") for mode in logs):
                return  # what was asked for after it is lost

    def play(self, program: Body) -> Logs:
        return next(self.plays([program]))

    def stop(self) -> None:
        for worker in self.workers.values():
            worker.stop()


def modes_of(program: Body) -> list[str]:
    """Return the modes in which stock asyncio of this Python does what cede does."""
    kinds = kinds_in(program)
    return [mode for mode in ("loop", "package") if not kinds & avoided(mode)]


def differing(logs: Logs) -> str | None:
    """Return the first mode whose log is not stock asyncio's."""
    for mode, log in logs.items():
        if log != logs.get("stock") or log[:1] == ["the player failed"]:
            return mode
    return None


def shrink(arena: Arena, program: Body) -> Body:
    """Return the smallest program found on which the logs still differ."""
    deadline = time.monotonic() + SHRINKING_SECONDS
    improved = True
    while improved and time.monotonic() < deadline:
        improved = False
        for candidate in smaller(program):
            if modes_of(candidate) and differing(arena.play(candidate)):
                program, improved = candidate, True
                break
            if time.monotonic() > deadline:
                break
    return program


def report(program: Body, logs: Logs) -> str:
    """Return the program and the two logs, from shortly before they part."""
    mode = differing(logs)
    assert mode is not None
    expected, found = logs.get("stock", ["stock asyncio's process died"]), logs[mode]
    same = next(
        (n for n, pair in enumerate(zip(expected, found)) if pair[0] != pair[1]), min(len(expected), len(found))
    )
    lines = [show(program), "", json.dumps(program), "", f"-- the same so far ({mode})", *expected[:same]]
    lines += [
        "-- then on stock asyncio",
        *expected[same : same + 12],
        f"-- and in mode {mode}",
        *found[same : same + 12],
    ]
    return "\n".join(lines)


def seeds(first: int, count: int) -> Iterator[tuple[int, Body]]:
    """Yield seeds and their programs. Every other one is playable in package mode, however old this Python is."""
    for seed in range(first, first + count):
        avoid = avoided("loop") | (avoided("package") if seed % 2 else frozenset())
        yield seed, generate(seed, avoid)


def fuzz(first: int, count: int, seconds: float, most_failures: int, speeds: tuple[str, ...] = SPEEDS) -> list[str]:
    """Compare the programs of `count` seeds, for `seconds` at most; return the reports of those that differ."""
    began, played, failures = time.monotonic(), 0, []
    arena = Arena(speeds)
    programs = seeds(first, count)
    batch: list[tuple[int, Body]] = []
    try:
        while time.monotonic() - began < seconds and len(failures) < most_failures:
            batch += [pair for _, pair in zip(range(BATCH - len(batch)), programs)]
            if not batch:
                break
            for logs in arena.plays([program for _, program in batch]):
                seed, program = batch.pop(0)
                played += 1
                if differing(logs) and len(failures) < most_failures:
                    failures.append(f"seed {seed}\n{report(*shrink_alone(program, logs, speeds))}")
    finally:
        arena.stop()
    print(f"{played} programs from seed {first}, {len(failures)} differ, {time.monotonic() - began:.0f} s")
    return failures


def shrink_alone(program: Body, logs: Logs, speeds: tuple[str, ...]) -> tuple[Body, Logs]:
    """Shrink in processes of their own, for the others have programs on their way; return the program and its logs.

    What differs only once, and not in a new process, is returned as it is.
    """
    arena = Arena(speeds)
    try:
        if differing(arena.play(program)):
            least = shrink(arena, program)
            again = arena.play(least)
            if differing(again):
                return least, again
        return program, logs
    finally:
        arena.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--failures", type=int, default=5, help="stop after so many")
    parser.add_argument("--speed", choices=SPEEDS, action="append", help="play cede in this speed only")
    parser.add_argument("--show", action="store_true", help="print the seed's program and its log on stock asyncio")
    options = parser.parse_args()
    speeds = tuple(options.speed or SPEEDS)
    if options.show:
        ((_, program),) = seeds(options.seed, 1)
        arena = Arena(speeds)
        print(show(program))
        print("\n".join(arena.play(program)["stock"]))
        arena.stop()
        return 0
    print(f"from seed {options.seed}", flush=True)
    failures = fuzz(options.seed, options.count, options.seconds, options.failures, speeds)
    print("\n\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
