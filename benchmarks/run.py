"""One measured run: a fresh process, pinned to a core of its own.

The measured process (a program, or a server) has one core; whatever loads it has another.
Every way in which a run can go wrong comes out as one exception, `Failed`, with a reason fit for
a footnote of the table.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import build
from .clients import REPOSITORY, Client, ClientFailed, LimitServer, Sample, last_words, marked
from .peers import SOURCE, Peer
from .row import Row

START_SECONDS = 20.0  # a server that has not said its address by then is given up
SLOWER = 10  # so many times longer takes all under a profiler
RUN_SECONDS = 240.0  # a program that has not ended by then is given up


class Failed(Exception):
    """This run gave no number; the text says why."""


@dataclass(frozen=True)
class Settings:
    """How runs are made."""

    scale: float = 1.0
    measured_core: int = 0
    other_core: int = 1  # the same as measured_core where there is but one
    wrapper: tuple[str, ...] = ()  # a profiler's command, to go before the measured one
    pinned: bool = True  # False where time is not what counts: any core will do

    def pin(self, core: int) -> list[str]:
        return ["taskset", "-c", str(core)] if self.pinned else []


def cores() -> tuple[int, int]:
    """Return the core to measure on and the core for everything else."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[-1]


def environment(peer: Peer, scratch: str) -> dict[str, str]:
    """Return the environment of a measured process: the caller's, without what changes timing."""
    unwanted = ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONMALLOC", "PYTHONTRACEMALLOC", "CEDE_PURE")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    kept |= {"TMPDIR": scratch, "PYTHONHASHSEED": "0"}
    path = [str(REPOSITORY)]
    if importlib.util.find_spec("cede") is None:
        path.append(str(SOURCE))
    if kept.get("PYTHONPATH"):
        path.append(kept["PYTHONPATH"])
    return kept | {"PYTHONPATH": os.pathsep.join(path)} | peer.environment


def command(row: Row, peer: Peer, settings: Settings, scratch: Path) -> list[str]:
    """Return the command line of the measured process."""
    pin = settings.pin(settings.measured_core)
    if peer.kind == "limit" and isinstance(row.limit, LimitServer):
        return [*pin, *settings.wrapper, *row.limit.command(scratch)]
    child = [sys.executable, "-m", "benchmarks.child", row.module, row.name, peer.name, str(settings.scale)]
    return [*pin, *settings.wrapper, *child]


def _reason(process: subprocess.Popen[str], stderr: str) -> str:
    code = process.returncode
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return last_words(stderr, f"ended with status {code} without a word")


def _kill(process: subprocess.Popen[str]) -> None:
    """End a process and whatever it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def _started(row: Row, peer: Peer, settings: Settings) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Start the measured process; kill what is left of it in the end."""
    with tempfile.TemporaryDirectory(prefix="bench", ignore_cleanup_errors=True) as scratch:
        errors = Path(scratch) / "stderr"
        with errors.open("w") as stderr:
            process = subprocess.Popen(
                command(row, peer, settings, Path(scratch)),
                env=environment(peer, scratch),
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )
        try:
            yield process, errors
        finally:
            _kill(process)
            assert process.stdout is not None
            process.stdout.close()


def _run_program(row: Row, peer: Peer, settings: Settings) -> Sample:
    with _started(row, peer, settings) as (process, errors):
        try:
            output, _ = process.communicate(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"no end after {RUN_SECONDS:.0f} s") from None
        found = marked(output)
        if process.returncode or found is None or not found["values"]:
            raise Failed(_reason(process, errors.read_text(errors="replace")))
        return Sample(found["values"], found["wall_ns"], found.get("operations", 0))


def _address(process: subprocess.Popen[str], errors: Path, seconds: float) -> tuple[str, int]:
    """Wait until the server says where it is; return that and its process id."""
    assert process.stdout is not None
    deadline = time.monotonic() + seconds
    while (patience := deadline - time.monotonic()) > 0:
        if not select.select([process.stdout], [], [], patience)[0]:
            break
        line = process.stdout.readline()
        if found := marked(line):
            return found["address"], found["pid"]
        if not line:
            process.wait()
            raise Failed(_reason(process, errors.read_text(errors="replace")))
    raise Failed(f"the server had not started after {seconds:.0f} s")


def _run_server(row: Row, peer: Peer, settings: Settings) -> Sample:
    with _started(row, peer, settings) as (process, errors):
        address, pid = _address(process, errors, START_SECONDS * (SLOWER if settings.wrapper else 1))
        client: Client = row.client
        try:
            sample = client.measure(address, pid, settings.pin(settings.other_core), settings.scale)
            if settings.wrapper:  # a profiler writes what it found when its process ends by itself
                os.kill(pid, signal.SIGTERM)
                process.wait(RUN_SECONDS)
            return sample
        except (ClientFailed, OSError, subprocess.TimeoutExpired) as error:
            if process.poll() is not None:  # the server went first: its end is the reason
                raise Failed(_reason(process, errors.read_text(errors="replace"))) from None
            said = last_words(errors.read_text(errors="replace"), "")
            raise Failed(f"{error} (the server: {said})" if said else str(error)) from None


def run_once(row: Row, peer: Peer, settings: Settings) -> Sample:
    """Measure one row on one peer once; Failed with the reason if that gives no number."""
    try:
        return _run_server(row, peer, settings) if row.serves else _run_program(row, peer, settings)
    except build.BuildFailed as error:
        raise Failed(str(error)) from None
