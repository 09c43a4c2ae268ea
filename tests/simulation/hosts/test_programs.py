"""Scripts as hosts, what a host has for itself, and the processes that programs start."""

from __future__ import annotations

import asyncio
import datetime
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cede.net.popen  # noqa: F401  before any world: what it knows of `os` then does not hold in one
from cede import simulation
from cede.simulation import SimulationError, World, explore

NODE = """
import asyncio, os, signal, sys
import counted

counted.served = 0

async def main():
    from counted import later
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)

    async def answer(reader, writer):
        line = await reader.readline()
        counted.served += 1
        words = (line.decode().strip(), counted.served, later.mark, os.environ["NAME"], *sys.argv[1:])
        writer.write((" ".join(map(str, words)) + "\\n").encode())
        writer.close()

    async with await asyncio.start_server(answer, "0.0.0.0", 80):
        await stopping.wait()
    sys.exit(0)

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.fixture
def node(tmp_path: Path) -> Path:
    package = tmp_path / "counted"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "later.py").write_text("import os\nmark = os.environ['NAME'].upper()\n")
    (tmp_path / "node.py").write_text(NODE)
    return tmp_path / "node.py"


async def ask(host: str, line: bytes = b"hello\n") -> str:
    while True:
        try:
            reader, writer = await asyncio.open_connection(host, 80)
            break
        except OSError:
            await asyncio.sleep(0.05)
    writer.write(line)
    answer = (await reader.readline()).decode().strip()
    writer.close()
    return answer


def test_scripts_have_modules_arguments_and_an_environment_of_their_own(node: Path) -> None:
    before = dict(sys.modules), list(sys.path), list(sys.argv), dict(os.environ)

    async def main(world: World) -> None:
        world.program("one", node, ["--fast"], environ={"NAME": "first"})
        two = world.program("two", node, environ={"NAME": "second"})
        assert await ask("one") == "hello 1 FIRST first --fast"
        assert await ask("one") == "hello 2 FIRST first --fast"
        assert await ask("two") == "hello 1 SECOND second"
        assert "counted" not in sys.modules and sys.argv == before[2]
        two.kill()
        await asyncio.sleep(1)
        assert two.status is None
        two.restart()
        assert await ask("two") == "hello 1 SECOND second"
        two.signal(signal.SIGTERM)
        await asyncio.sleep(1)
        assert two.status == 0 and two.dead

    simulation.run(main)
    assert {name: sys.modules.get(name) for name in before[0]} == before[0] and "counted" not in sys.modules
    assert (list(sys.path), list(sys.argv), dict(os.environ)) == before[1:]


def test_a_run_of_scripts_is_the_same_each_time(node: Path) -> None:
    async def main(world: World) -> None:
        for name in ("one", "two", "three"):
            world.program(name, node, environ={"NAME": name})
        await asyncio.gather(*(ask(name) for name in ("one", "two", "three")))

    found = explore(main, seeds=range(3))
    assert not found.failures and found.runs == 3


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("import nothing_of_that_name", "nothing_of_that_name"),
        ("import sys; sys.exit(3)", r"the program of host node ended with SystemExit\(3\)"),
        ("raise KeyError('planted')", "planted"),
        ("import asyncio\nasync def f(): raise KeyError('planted')\nasyncio.run(f())", "planted"),
    ],
)
def test_what_a_script_raises_ends_the_run(tmp_path: Path, script: str, told: str) -> None:
    (tmp_path / "bad.py").write_text(script)

    async def main(world: World) -> None:
        world.program("node", tmp_path / "bad.py")
        await asyncio.sleep(10)

    with pytest.raises((ModuleNotFoundError, SimulationError, KeyError), match=told):
        simulation.run(main)


def test_a_script_that_is_not_there_or_is_none_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def")

    async def main(world: World) -> None:
        with pytest.raises(FileNotFoundError, match="no program"):
            world.program("node", tmp_path / "none.py")
        with pytest.raises(SyntaxError):
            world.program("node", tmp_path / "bad.py")
        assert "node" not in world.hosts

    simulation.run(main)


def test_signals_reach_a_script_in_the_middle_of_what_it_waits_for(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))\ntime.sleep(1000)\n"
    )
    (tmp_path / "default.py").write_text("import time\ntime.sleep(1000)\n")

    async def main(world: World) -> list[Any]:
        waits, one, other = (
            world.program(name, tmp_path / f"{name[:-1]}.py") for name in ("waits1", "default1", "default2")
        )
        await asyncio.sleep(1)
        waits.signal(signal.SIGTERM)
        one.signal(signal.SIGINT)
        other.signal(signal.SIGTERM)
        await asyncio.sleep(1)
        return [(host.status, host.dead) for host in (waits, one, other)]

    assert simulation.run(main) == [(0, True), (130, True), (None, True)]


def test_a_script_that_ends_itself_does_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_text(
        "import os, signal, time\n"
        "try:\n    os.kill(os.getpid(), signal.SIGKILL)\n    time.sleep(1)\n    open('/tmp/zoo-never', 'w').write('x')\n"
        "finally:\n    pass\n"
    )

    async def main(world: World) -> bool:
        host = world.program("node", tmp_path / "ends.py")
        await asyncio.sleep(5)
        return host.dead and host.status is None and not host.kernel.disk.exists("/tmp/zoo-never")

    assert simulation.run(main)


def test_a_host_has_the_address_clock_and_environment_that_it_is_given() -> None:
    async def shown() -> tuple[Any, ...]:
        return time.gmtime()[:3], datetime.date.today().year, os.environ.get("WHO"), os.getenv("HOME")

    async def main(world: World) -> None:
        old = world.host(
            "old", address="192.0.2.7", wall_clock=datetime.datetime(1999, 12, 31, 12), environ={"WHO": "old"}
        )
        late = world.host("late", address=["192.0.2.8", "fd00::8"], wall_clock=4e9)
        assert await old.run(shown) == ((1999, 12, 31), 1999, "old", None)
        assert await late.run(shown) == ((2096, 10, 2), 2096, None, os.environ.get("HOME"))
        with pytest.raises(ValueError, match="192.0.2.7"):
            world.host("another", address="192.0.2.7")
        with pytest.raises(ValueError, match="no address"):
            world.host("another", address="no address")

        async def answer() -> None:
            async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(repr(writer.get_extra_info("peername")[0]).encode() + b"\n")
                writer.close()

            await (await asyncio.start_server(connected, "192.0.2.8", 80)).serve_forever()

        task = asyncio.ensure_future(late.run(answer))
        assert await old.run(ask, "late") == "'192.0.2.7'"
        task.cancel()

    simulation.run(main)
    assert "WHO" not in os.environ


# --- Processes --------------------------------------------------------------------------------------


async def upper(process: Any) -> int:
    process.stdout.write((await process.stdin.read()).upper())
    process.stderr.write(" ".join(process.argv[1:]).encode())
    await asyncio.sleep(2)
    return 7


async def patient(process: Any) -> int:
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        await asyncio.sleep(1)
        return 5
    return 0


async def impatient(process: Any) -> None:
    await asyncio.sleep(1000)


def in_a_world_with_programs(main: Callable[[], Any]) -> Any:
    async def begin(world: World) -> Any:
        for stub in (upper, patient, impatient):
            world.executable(stub.__name__, stub)
        return await main()

    return simulation.run(begin, late=False)


def test_stubs_answer_for_the_programs_that_are_started() -> None:
    pipe = subprocess.PIPE

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("upper", "-x", stdin=pipe, stdout=pipe, stderr=pipe)
        assert await process.communicate(b"abc") == (b"ABC", b"-x")
        assert process.returncode == 7
        process = await asyncio.create_subprocess_shell(
            "upper 'a b'", stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT
        )
        assert await process.communicate(b"abc") == (b"ABCa b", None)
        for call in (lambda: blocking(), lambda: asyncio.to_thread(subprocess.run, **options)):
            done = await call()
            assert (done.stdout, done.stderr, done.returncode) == ("HELLO", "z", 7)
        quiet = await asyncio.create_subprocess_exec(
            "/usr/bin/upper", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        assert await quiet.wait() == 7

    options: dict[str, Any] = {"args": ["upper", "z"], "input": "hello", "capture_output": True, "text": True}

    async def blocking() -> Any:
        return subprocess.run(**options)

    in_a_world_with_programs(main)


def test_stubs_get_signals_and_are_waited_for_with_a_timeout() -> None:
    async def main() -> list[Any]:
        ends: list[Any] = []
        for name, act in (("patient", "terminate"), ("patient", "kill"), ("impatient", "terminate")):
            process = await asyncio.create_subprocess_exec(name)
            await asyncio.sleep(0.1)
            getattr(process, act)()
            ends.append(await process.wait())
        child = subprocess.Popen(["impatient"])
        began = time.monotonic()
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(3)
        assert 3 <= time.monotonic() - began < 3.1
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        ends.append(child.wait())
        with pytest.raises(ChildProcessError):
            os.waitpid(child.pid, 0)
        with pytest.raises(ProcessLookupError):
            os.kill(child.pid, signal.SIGTERM)
        return ends

    assert in_a_world_with_programs(main) == [5, -9, -15, -2]


def test_what_a_stub_raises_is_told_by_its_stderr() -> None:
    async def broken(process: Any) -> None:
        raise KeyError("planted")

    async def main(world: World) -> None:
        world.executable("broken", broken)
        process = await asyncio.create_subprocess_exec("broken", stderr=subprocess.PIPE)
        assert b"KeyError: 'planted'" in (await process.communicate())[1]
        assert process.returncode == 1

    simulation.run(main)


def test_processes_that_nobody_answers_for_are_refused_and_the_error_names_the_way_out() -> None:
    import multiprocessing

    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"world.executable\('git'"):
            await asyncio.create_subprocess_exec("git", "log")
        with pytest.raises(RuntimeError, match=r"world.executable\('git'"):
            subprocess.run(["/usr/bin/git", "log"])
        with pytest.raises(RuntimeError, match="os.fork"):
            os.fork()
        with pytest.raises(RuntimeError, match="os.system"):
            os.system("true")
        with pytest.raises(RuntimeError, match="os.fork"):
            multiprocessing.get_context("fork").Process(target=print).start()

    in_a_world_with_programs(main)


def test_other_threads_start_real_processes_meanwhile() -> None:
    found: list[Any] = []
    go, done = threading.Event(), threading.Event()

    def outside() -> None:
        go.wait()
        found.append(subprocess.run(["echo", "real"], capture_output=True, text=True).stdout)
        done.set()

    thread = threading.Thread(target=outside)
    thread.start()

    async def main() -> None:
        go.set()
        while not found:
            await asyncio.sleep(1)

    try:
        simulation.run(main, max_time=1e12)
    finally:
        go.set()
        thread.join()
    assert found == ["real\n"]
