"""Loops that a program brings along: what is of Python runs in a world, what is of C is refused by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from cede import simulation

WORDS = r"uvloop\.Loop has sockets and timers of its own, in C, which no world can simulate"


async def nap() -> tuple[float, str]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(3600)
    return loop.time() - began, type(loop).__module__.partition(".")[0]


def in_a_script(function: Callable[[], Any]) -> Any:
    """What `function` returns that runs in a thread of a world, as a script does."""
    return simulation.run(lambda: asyncio.to_thread(function))


def test_a_loop_of_c_is_refused() -> None:
    uvloop = pytest.importorskip("uvloop")
    with pytest.raises(RuntimeError, match=WORDS):
        in_a_script(uvloop.new_event_loop)
    with pytest.raises(RuntimeError, match=WORDS):
        in_a_script(uvloop.Loop)
    assert "__new__" not in vars(uvloop.Loop)
    assert "__init_subclass__" not in vars(asyncio.AbstractEventLoop)


def test_a_library_that_is_imported_in_the_world_is_refused_too(run_python: Any) -> None:
    pytest.importorskip("uvloop")
    source = """
        import asyncio, sys
        from cede import simulation

        def script():
            import uvloop
            uvloop.run(asyncio.sleep(1))

        try:
            simulation.run(lambda: asyncio.to_thread(script))
        except RuntimeError as exc:
            print(exc)
        sys.modules["uvloop"].new_event_loop().close()
    """
    ended = run_python("import warnings; warnings.simplefilter('ignore')\n" + source.replace("\n        ", "\n"))
    assert ended.stdout.startswith("uvloop.Loop has sockets and timers of its own")


def test_asyncios_own_loop_runs_in_virtual_time() -> None:
    def script() -> tuple[float, str]:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return runner.run(nap())

    slept, whose = in_a_script(script)
    assert whose == "asyncio"
    assert 3600 <= slept < 3601
