"""Runs a suite on a loop, in processes of its own, and judges how its tests ended."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from .catalogue import HERE, ROOT, Suite

SDISTS = ROOT / ".cache" / "suites"
PROCESS_SECONDS = 900.0
FEW = 5  # tests
LOOPS = ("asyncio", "cede", "cede-plain", "uvloop")


class Broken(Exception):
    """The suite could not be run at all, or not to its end."""


@dataclass
class Outcome:
    """How one test ended."""

    outcome: str  # passed, failed, skipped, hung or crashed
    why: str = ""
    loops: int = 0  # how many loops it made
    seconds: float = 0.0


@dataclass
class Result:
    """How the tests of a suite ended on a loop."""

    tests: dict[str, Outcome] = field(default_factory=dict)
    second_try: list[str] = field(default_factory=list)  # failed among the others, passed when run again, or alone
    fail_on_stock: list[str] = field(default_factory=list)  # fail here, and on the standard library's loop as well
    lost: list[str] = field(default_factory=list)  # fail here only

    def named(self, *outcomes: str) -> list[str]:
        return [test for test, outcome in self.tests.items() if outcome.outcome in outcomes]

    @property
    def failed(self) -> list[str]:
        return self.named("failed", "hung", "crashed")

    @property
    def passed(self) -> int:
        return len(self.named("passed"))

    @property
    def judged(self) -> int:
        """How many tests pass on the standard library's loop."""
        return self.passed + len(self.lost)

    def summary(self) -> str:
        counts = Counter(outcome.outcome for outcome in self.tests.values())
        beside = [f"{counts['skipped']} skipped"] if counts["skipped"] else []
        if self.fail_on_stock:
            beside.append(f"{len(self.fail_on_stock)} fail on asyncio too")
        if self.second_try:
            beside.append(f"{len(self.second_try)} at the second try")
        return f"{self.passed}/{self.judged}" + (f" ({', '.join(beside)})" if beside else "")


fetching = threading.Lock()  # two suites may be of one package


def source_tree(suite: Suite) -> Path:
    """The unpacked source distribution of a suite's package, fetched if it is not there."""
    with fetching:
        return _fetched(*suite.requirement.split("=="))


def _fetched(name: str, version: str) -> Path:
    tree = SDISTS / f"{name}-{version}"
    if not tree.exists():
        SDISTS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=SDISTS) as folder:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
            subprocess.run([*pip, "--no-binary", ":all:", "--dest", folder, f"{name}=={version}"], check=True)
            (archive,) = Path(folder).iterdir()
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
            archive.unlink()
            (unpacked,) = Path(folder).iterdir()
            unpacked.rename(tree)
    return tree


def _installed_apart(suite: Suite) -> Path:
    """A folder in which nothing but the suite's package is installed."""
    folder = SDISTS / f"{suite.apart}-installed"
    if not folder.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), suite.apart]
        subprocess.run(pip, check=True)
    return folder


def run(suite: Suite, loop: str) -> Result:
    """Run the suite on `loop`. What fails is to be judged by `judge`."""
    result = Result(_outcomes(suite, loop))
    if not any(outcome.loops for outcome in result.tests.values()):
        raise Broken(f"{suite.name} on {loop}: no test made a loop")
    return result


def judge(suite: Suite, loop: str, result: Result, stock: Result | None = None) -> None:
    """Run the tests that failed a second time, by themselves.

    Those that fail twice are judged by what they do on the standard library's loop: in `stock` if that is given, else
    they run on it. A few that pass there run a third time, each alone: many go by the clock.
    """
    bad = result.failed
    if bad:
        again = _outcomes(suite, loop, only=bad)
        result.second_try = [test for test in bad if test in again and again[test].outcome == "passed"]
        result.tests.update({test: again[test] for test in result.second_try})
        bad = [test for test in bad if test not in result.second_try]
    if bad and loop != "asyncio":
        on_stock = stock.tests if stock else _outcomes(suite, "asyncio", only=bad)
        lost = [test for test in bad if test in on_stock and on_stock[test].outcome == "passed"]
        for test in lost if len(lost) <= FEW else ():
            outcome = _outcomes(suite, loop, only=[test]).get(test)
            if outcome and outcome.outcome == "passed":
                result.second_try.append(test)
                result.tests[test] = outcome
                bad.remove(test)
        result.lost = [test for test in lost if test in bad]
    result.fail_on_stock = [test for test in bad if test not in result.lost]


def _outcomes(suite: Suite, loop: str, only: list[str] | None = None) -> dict[str, Outcome]:
    """Run the suite, or the tests named, to the end: one that ends its process is noted, and the others run in a new one."""
    outcomes: dict[str, Outcome] = {}
    with contextlib.ExitStack() as stack:
        tree = source_tree(suite)
        if suite.copied:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cede-suite-")))
            for name in suite.copied:
                shutil.copytree(tree / name, folder / name)
            tree = folder
        finished = False
        while not finished:
            before = len(outcomes)
            finished, output = _run_process(suite, loop, tree, only, outcomes)
            if len(outcomes) == before and not (finished and (outcomes or only)):
                raise Broken(f"{suite.name} on {loop}: {output[-3000:]}")
    return outcomes


def _run_process(
    suite: Suite, loop: str, tree: Path, only: list[str] | None, outcomes: dict[str, Outcome]
) -> tuple[bool, str]:
    """Run the tests that have no outcome yet; return whether all of them ran, and what the process printed."""
    with tempfile.TemporaryDirectory(prefix="cede-suite-") as name:
        folder = Path(name)
        events = folder / "events"
        events.touch()
        job = {
            "loop": loop.removesuffix("-plain"),
            "events": str(events),
            "seconds": suite.seconds,
            "setup": suite.setup,
        }
        job |= {"only": only, "leave_out": [*suite.left_out, *outcomes]}
        (folder / "job").write_text(json.dumps(job), encoding="utf-8")
        environment = (
            os.environ
            | _postgres()
            | {
                "CEDE_SUITE_JOB": str(folder / "job"),
                "CEDE_PURE": "1" if loop == "cede-plain" else "",
                "PYTHONPATH": f"{HERE / 'plugin'}:{_installed_apart(suite)}" if suite.apart else str(HERE / "plugin"),
                "PYTHONDONTWRITEBYTECODE": "1",
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            }
        )
        with open(folder / "output", "wb") as output:
            process = subprocess.Popen(
                _command(suite),
                cwd=tree,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,  # as a shell's job: some tests begin a session, or a group, of their own
            )
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PROCESS_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and what its tests left
            process.wait()
        finished = _read_events(events, process.returncode, outcomes)
        return finished, (folder / "output").read_text(encoding="utf-8", errors="replace")


def _postgres() -> dict[str, str]:
    """The server that the tests may use, in PostgreSQL's own words."""
    url = urlsplit(os.environ.get("CEDE_TEST_POSTGRES", ""))
    return {"PGHOST": url.hostname, "PGPORT": str(url.port), "PGUSER": url.username or ""} if url.hostname else {}


def _command(suite: Suite) -> list[str]:
    """pytest without the options of the suite's own configuration, which speak of coverage, of warnings, of processes."""
    command = [sys.executable, "-P", "-m", "pytest", "-p", "suite_plugin", "--quiet", "--tb=short"]
    command.append("--continue-on-collection-errors")
    for plugin in ("cacheprovider", "faulthandler", "xdist", "cov", "timeout"):
        command += ["-p", f"no:{plugin}"]
    for setting in ("addopts", "filterwarnings"):
        command += ["-o", f"{setting}="]
    if suite.expression:
        command += ["-k", suite.expression]
    return command + [argument.format_map(os.environ) for argument in shlex.split(suite.arguments)]


def _read_events(events: Path, status: int, outcomes: dict[str, Outcome]) -> bool:
    begun, finished = "", False
    for line in events.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if "begun" in event:
            begun = event["begun"]
        elif "ended" in event:
            begun = ""
            outcomes[event["ended"]] = Outcome(event["outcome"], event["why"], event["loops"], event["seconds"])
        elif "broken" in event:
            outcomes[event["broken"]] = Outcome("failed", event["why"])
        else:
            finished = finished or "finished" in event
    if begun:
        # The watch ends a process with status 1, a signal with a negative one.
        outcomes[begun] = Outcome("hung" if status == 1 else "crashed", f"the process ended with status {status}")
    return finished
