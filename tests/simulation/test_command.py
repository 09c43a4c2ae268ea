"""`cede simulate`: unmodified programs, as a user runs them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cede.simulation import Livelock
from cede.simulation.running import opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

Simulate = Callable[..., Any]

BANK = """
import asyncio, sys
import ledger

async def serve(reader, writer):
    amount = int(await reader.readline())
    if ledger.balance >= amount:
        await audit(amount)
        ledger.balance -= amount
    writer.close()

async def audit(amount):
    reader, writer = await asyncio.open_connection("127.0.0.1", 9001)
    writer.write(b"%d\\n" % amount)
    await reader.readline()
    writer.close()

async def auditor(reader, writer):
    await reader.readline()
    writer.write(b"fine\\n")
    writer.close()

async def withdraw(delay):
    await asyncio.sleep(delay)
    reader, writer = await asyncio.open_connection("127.0.0.1", 9000)
    writer.write(b"80\\n")
    await reader.read()
    writer.close()

async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", 9000), await asyncio.start_server(auditor, "127.0.0.1",
    9001):
        await asyncio.gather(withdraw(0), withdraw(float(sys.argv[1])))
    assert ledger.balance >= 0, "overdrawn"

if __name__ == "__main__":
    asyncio.run(main())
    print("balance", ledger.balance)
"""


@pytest.fixture
def simulate(tmp_path: Path) -> Simulate:
    """Return `simulate(*arguments, ends=0)`: the command, in a folder with the bank; returns what it prints."""
    (tmp_path / "bank.py").write_text(BANK)
    (tmp_path / "ledger.py").write_text("balance = 100\n")

    def run(*arguments: str, ends: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
        command = [sys.executable, "-W", "error", "-m", "cede", "simulate", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110)
        assert done.returncode == ends, done.stdout + done.stderr
        return done

    return run


def test_a_bug_of_an_unmodified_program_is_found_and_replayed(simulate: Simulate, tmp_path: Path) -> None:
    done = simulate("--seeds", "40", "--trace", "logs", "bank.py", "0.004", ends=1)
    assert "AssertionError: overdrawn" in done.stderr and "the story: 1 choice of" in done.stderr
    assert re.search(r"40 runs in .* failed, in 1 way$", done.stdout)
    assert "balance" not in done.stdout
    names = {event["name"] for event in json.loads((tmp_path / "logs/bank.json").read_text())["traceEvents"]}
    assert any("connect" in name for name in names)
    found = re.search(r"replay: cede simulate --replay '(.+?)' bank.py 0.004", done.stderr)
    assert found is not None
    assert "overdrawn" in simulate("--replay", found[1], "bank.py", "0.004", ends=1).stderr
    assert "the run passed" in simulate("--replay", found[1], "bank.py", "20").stdout


def test_a_program_that_is_right_passes(simulate: Simulate) -> None:
    assert "20 runs in" in simulate("--seeds", "20", "bank.py", "1").stdout
    done = simulate("--replay", "c1.s1.uniform.", "bank.py", "1")
    assert "balance 20" in done.stdout


def test_programs_that_end_themselves(simulate: Simulate, tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_text("import sys\nsys.exit(int(sys.argv[1]))\n")
    assert "none failed" in simulate("--seeds", "5", "ends.py", "0").stdout
    assert "SystemExit: 3" in simulate("--seeds", "5", "ends.py", "3", ends=1).stderr
    assert "none failed" in simulate("--seeds", "5", "-m", "ends", "0").stdout


SHORT_READ = """
import asyncio

async def serve(reader, writer):
    assert len(await reader.read(1000)) == 1000, "cut"
    writer.close()

async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", 9000):
        reader, writer = await asyncio.open_connection("127.0.0.1", 9000)
        writer.write(bytes(1000))
        assert await reader.read() == b""
        writer.close()

loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda loop, context: failures.append(context.get("exception")))
failures = []
loop.run_until_complete(main())
loop.close()
assert not failures, failures
"""


def test_faults_are_asked_for(simulate: Simulate, tmp_path: Path) -> None:
    (tmp_path / "short.py").write_text(SHORT_READ)
    simulate("--seeds", "30", "short.py")
    done = simulate("--seeds", "30", "--faults", "chunks", "short.py", ends=1)
    assert "a call moves" in done.stderr and "--faults chunks short.py" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "which program?"),
        (("missing.py",), "can't open file"),
        (("-m", "missing"), "No module named missing"),
        (("--replay", "nonsense", "bank.py"), "is no token"),
        (("--faults", "rain", "bank.py"), "there is no fault 'rain': there are chunks"),
        (("--replay", "ledger.py", "bank.py"), "'ledger.py' is no token"),
        (("--replay", ".", "bank.py"), "'.' is no token"),
        (("--seeds", "0", "bank.py", "1"), "--seeds 0: at least one run is needed"),
        (("--seed", "3", "bank.py", "1"), "unrecognized arguments: --seed"),
        (("--strategy", "unifrom", "bank.py", "1"), "there is no strategy 'unifrom'"),
    ],
)
def test_mistakes_are_told(simulate: Simulate, arguments: tuple[str, ...], message: str) -> None:
    done = simulate(*arguments, ends=1 if "No module" in message else 2)
    assert message in done.stderr and "Traceback" not in done.stderr


HANGS = """
import asyncio, os, signal

async def main():
    os.write(1, b"begun\\n")
    while True:
        pass

asyncio.run(main())
"""


@pytest.mark.parametrize("where", ["main", "thread"])
def test_programs_that_sleep_for_ever_are_ended(tmp_path: Path, where: str) -> None:
    start = "asyncio.run(main())"
    if where == "thread":
        start = f"import threading\nthread = threading.Thread(target=lambda: {start})\nthread.start()\nthread.join()"
    program = f"import asyncio\nasync def main():\n    while True: await asyncio.sleep(1000)\n{start}\n"
    (tmp_path / "endless.py").write_text(program)
    command = [sys.executable, "-m", "cede", "simulate", "--replay", "c1.s1.uniform.", "endless.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "cede.simulation.errors.OutOfTime: " in done.stderr


@pytest.mark.parametrize("where", ["main", "thread"])
def test_programs_that_poll_for_ever_are_ended(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setattr("cede.simulation.world.TURNS_OF_A_LIVELOCK", 10_000)

    async def polls() -> None:
        while True:
            await asyncio.sleep(0)

    def program() -> None:
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(polls())

    with pytest.raises(Livelock, match="10,000 turns"), opened(late=False) as world:
        if where == "main":
            with world.host("main").entered():
                program()
        else:
            world.drive(asyncio.to_thread(program))


# A module of the standard library lives as long as the process: it knows how many runs failed, which each has two
# times more before it is shrunk.
COUNTED = """
import asyncio, signal, random

async def main():
    begun = asyncio.get_running_loop().time()
    await asyncio.sleep(1)
    if asyncio.get_running_loop().time() > begun + 1.005:
        signal.failed = getattr(signal, "failed", 0) + 1
        if signal.failed == %d:
            raise KeyboardInterrupt
        raise AssertionError("unlucky")

asyncio.run(main())
"""


@pytest.mark.parametrize("when", [4, 40], ids=["shrinking", "later"])
def test_ctrl_c_loses_nothing_that_was_found(simulate: Simulate, tmp_path: Path, when: int) -> None:
    """A failure that is not small yet has all its choices in its token."""
    (tmp_path / "counted.py").write_text(COUNTED % when)
    done = simulate("counted.py", ends=128 + signal.SIGINT)
    assert "AssertionError: unlucky" in done.stderr and "replay: cede simulate --replay 'c1." in done.stderr
    assert re.search(r"stopped by Ctrl-C after \d+ of 1000 runs, \d+ failed, in 1 way\n$", done.stderr)


@pytest.mark.parametrize("options", [[], ["--replay", "c1.s1.uniform."]], ids=["many", "one"])
def test_ctrl_c_tells_where_it_hangs(tmp_path: Path, options: list[str]) -> None:
    """A program that computes for ever can be interrupted, and is shown from its own first line on."""
    (tmp_path / "hangs.py").write_text(HANGS)
    command = [sys.executable, "-m", "cede", "simulate", *options, "hangs.py"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=25)
    assert process.returncode == 128 + signal.SIGINT
    assert re.search(r'^Traceback .*\n  File ".*hangs.py", line 9', said)
    assert "in main" in said and "simulation/command.py" not in said
    assert said.endswith("cede simulate: stopped by Ctrl-C" + (" after 0 of 1000 runs\n" if not options else "\n"))
