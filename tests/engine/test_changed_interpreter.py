"""An interpreter that is not as assumed is found out by looking at it, and served without the trick.

The checks are those of the engine's headers. `checks.c` takes them into a module of its own, with a lie between them and
the interpreter: so they see a CPython that does one thing in another way. Where a check is written in Python, the
standard library is changed before cede is imported.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

import cede
from cede.engine.assumptions import TRICKS

ROOT = Path(__file__).resolve().parent.parent.parent
RunPython = Callable[..., "subprocess.CompletedProcess[str]"]
compiled_only = pytest.mark.skipif(not cede.compiled, reason="interpreted, nothing is assumed there")

COUNTED = {"copied objects"} if sys.version_info < (3, 12) else set()  # references to None
CHANGES = {
    "": set(),
    "a mark stays before what is untracked": {"kept memory", "copied objects", "hidden handles"},
    "what was untracked stays so": {"hidden handles"},
    "references to None are counted": {"copied objects"},
    "a copy of a context has a map of its own": {"shared contexts"},
    "a variable is set in the map that there is": {"shared contexts"},
    "StopIteration keeps its value elsewhere": {"own StopIteration"},
    "a derived StopIteration is another exception": {"own StopIteration"},
    "setting an attribute of a class keeps its version": {"class versions"},
    "an end calls the finalizer, whoever replaced it": {"quiet ends"},
}


@pytest.fixture(scope="module")
def folder_of_checks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder where the module `checks` is, compiled for this interpreter."""
    folder = tmp_path_factory.mktemp("checks")
    module = folder / f"checks{sysconfig.get_config_var('EXT_SUFFIX')}"
    options = ["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-shared", "-fPIC"]
    folders = [f"-I{sysconfig.get_path('include')}", f"-I{ROOT / 'src'}"]
    source = Path(__file__).with_name("checks.c")
    command = [*shlex.split(os.environ.get("CC", "cc")), *options, *folders, "-o", module, source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


LOOK = """
    import contextvars, gc, sys
    sys.path.insert(0, sys.argv[1])
    import checks
    from cede.engine.assumptions import TRICKS, off

    checks.install(sys.argv[2])
    names = "kept memory", "copied objects", "hidden handles", "shared contexts", "own StopIteration", "quiet ends"
    names += ("class versions",)
    for name, used in zip(names, checks.used()):
        assert used == (name not in off), name
    for name, why in off.items():
        assert why in (f"not so on this Python: {TRICKS[name]}", "it goes with kept memory"), why

    # Objects come and go, more at a time than are kept.
    for _ in range(3):
        made = [checks.make() for _ in range(3000)]
        assert len({id(one) for one in made}) == 3000
        assert not any(gc.is_tracked(one) for one in made) if "hidden handles" not in off else True
        for one in made:
            checks.track(one)
        gc.collect()
        before = checks.finalized()
        del made, one
        silent = "quiet ends" not in off
        assert checks.finalized() - before == (0 if silent else 3000)

    # A stop is one, with its value, to whoever looks.
    for value in (5, (1, 2), None, ValueError("x")):
        try:
            checks.stop(value)
        except StopIteration as stop:
            assert stop.value is value and stop.args == (value,) and isinstance(stop, StopIteration)

    # A class that changes has another version; where nobody can tell, none.
    class Versioned:
        pass

    Versioned.__init__
    version = checks.version(Versioned)
    Versioned.field = 1
    Versioned.field
    assert (version, checks.version(Versioned)) == (0, 0) if "class versions" in off else version != checks.version(Versioned)

    # Contexts say what was said, and what is set in one is not in another.
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(1)
    one, other = checks.snapshot(), checks.snapshot()
    mine = checks.private_copy(one)
    if "shared contexts" in off:
        assert one is not other and mine is one
    else:
        assert one is other and mine is not one
        assert checks.private_copy(one) is not mine
    variable.set(2)
    assert checks.snapshot()[variable] == 2
    assert mine.run(variable.get) == 1
    mine.run(variable.set, 3)
    assert mine[variable] == 3 and variable.get() == 2 and other[variable] == 1
    print(*off, sep=",")
"""


@compiled_only
@pytest.mark.parametrize("change", CHANGES)
def test_a_check_finds_the_change(run_python: RunPython, folder_of_checks: Path, change: str) -> None:
    done = run_python(LOOK, str(folder_of_checks), change)
    assert {name for name in done.stdout.strip().split(",") if name} == CHANGES[change] | COUNTED


@compiled_only
def test_each_trick_has_a_change_that_its_check_finds() -> None:
    assert set().union(*CHANGES.values()) == TRICKS.keys() - {"sockets by number", "counted tasks"}  # those below


CHANGED_SOCKETS = """
    import socket
    import cede
    from cede.engine.assumptions import TRICKS, off

    class Other:
        __slots__ = ("first",)

    async def echo(reader, writer):
        writer.write(await reader.readline())
        writer.close()

    async def main():
        server = await cede.start_server(echo, "127.0.0.1", 0)
        reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\\n")
        assert await reader.read() == b"hello\\n"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    real, socket.socket = socket.socket, Other
    import cede.io.channel
    socket.socket = real
    cede.run(main())
    assert off.get("sockets by number") == f"not so on this Python: {TRICKS['sockets by number']}", off
"""


@compiled_only
def test_sockets_that_begin_with_something_else(run_python: RunPython) -> None:
    run_python(CHANGED_SOCKETS)


CHANGED_REGISTRY = """
    import asyncio

    theirs = []  # where an asyncio to come keeps its tasks, which is no weak set
    asyncio._register_task = asyncio.tasks._register_task = theirs.append
    asyncio._unregister_task = asyncio.tasks._unregister_task = theirs.remove

    import cede
    from cede.engine.assumptions import TRICKS, off

    async def main():
        task = cede.create_task(cede.sleep(1))
        me = cede.current_task()
        assert asyncio.all_tasks() == cede.all_tasks() == {task, me}
        task.cancel()
        await cede.wait([task])
        assert asyncio.all_tasks() == asyncio.tasks.all_tasks() == {me}

    cede.run(main())
    assert off.get("counted tasks") == f"not so on this Python: {TRICKS['counted tasks']}", off
    assert theirs == []
"""


def test_an_asyncio_without_a_weak_set_of_tasks(run_python: RunPython) -> None:
    run_python(CHANGED_REGISTRY)
