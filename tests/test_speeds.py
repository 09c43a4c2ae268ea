"""Compiled or plain Python: that what was asked for is what runs."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest

import cede
from cede import _pure

RunPython = Callable[..., Any]

REPORT = """
import sys
import cede
from cede import _pure
print(cede.compiled, *_pure.compiled_modules())
"""


def test_this_run_is_in_the_speed_asked_for(pytestconfig: pytest.Config) -> None:
    pure = pytestconfig.getoption("pure")
    assert cede.compiled is not pure
    assert bool(_pure.compiled_modules()) is not pure


def test_sub_processes_inherit_the_speed(run_python: RunPython, pytestconfig: pytest.Config) -> None:
    compiled = run_python(REPORT).stdout.split()[0]
    assert compiled == str(not pytestconfig.getoption("pure"))


@pytest.mark.parametrize("value", ["1", "yes"])
def test_cede_pure_ignores_every_compiled_module(run_python: RunPython, value: str) -> None:
    assert run_python(REPORT, env={"CEDE_PURE": value}).stdout.split() == ["False"]


@pytest.mark.parametrize("value", ["0", ""])
def test_cede_pure_may_be_off(run_python: RunPython, pytestconfig: pytest.Config, value: str) -> None:
    if pytestconfig.getoption("pure"):
        pytest.skip("the compiled modules may not be built")
    assert run_python(REPORT, env={"CEDE_PURE": value}).stdout.split()[0] == "True"


def test_every_compiled_class_below_one_with_a_finalizer_has_its_own() -> None:
    """Cython calls the `__del__` of a class for its own instances only, not for those of a compiled subclass."""
    classes = {
        member
        for name in _pure.compiled_modules()
        for member in vars(importlib.import_module(name)).values()
        if isinstance(member, type) and member.__module__.startswith("cede.")
    }
    silent = [cls for cls in classes if hasattr(cls, "__del__") and "__del__" not in vars(cls)]
    assert not [cls for cls in silent if cls.__module__ in _pure.compiled_modules()]


def test_installing_the_finder_twice_changes_nothing(run_python: RunPython) -> None:
    source = """
        import sys
        import cede
        from cede import _pure
        before = list(sys.meta_path)
        _pure.install()
        assert sys.meta_path == before
        import importlib
        importlib.invalidate_caches()
        import json, asyncio.queues         # other packages are found as ever
    """
    run_python(source, env={"CEDE_PURE": "1"})


def test_too_late_is_an_error(run_python: RunPython, pytestconfig: pytest.Config) -> None:
    """Half of each would run: a compiled base below an interpreted subclass."""
    if pytestconfig.getoption("pure"):
        pytest.skip("nothing compiled is imported")
    source = """
        import cede
        from cede import _pure
        try:
            _pure.install()
        except RuntimeError as exc:
            assert "too late" in str(exc), exc
        else:
            raise SystemExit("no error")
    """
    run_python(source)


@pytest.mark.parametrize("method", ["Future.cancel", "Task.get_stack", "EventLoop.call_later", "Queue.put_nowait"])
def test_methods_tell_their_signatures_in_both_speeds(method: str) -> None:
    kind, name = method.split(".")
    function = getattr(getattr(cede, kind), name)
    parameters = list(inspect.signature(function).parameters)
    assert parameters[0] == "self"
    assert not (function.__doc__ or "").startswith(name + "(")


# -- subinterpreters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["legacy", "isolated"])
def test_in_a_subinterpreter_it_is_plain_python(run_python: RunPython, kind: str) -> None:
    """Compiled modules run in one interpreter of a process only, and that is the first, whoever imports first."""
    interpreters = pytest.importorskip("_interpreters", reason="before 3.13 threads do not start in all of them")
    del interpreters
    source = f"""
    import _interpreters, sys, textwrap
    program = textwrap.dedent('''
        import cede
        from cede import _pure
        assert not cede.compiled and not _pure.compiled_modules()

        async def main():
            async with await cede.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0) as server:
                reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
                assert await reader.read() == b""
                writer.close()
                await cede.sleep(0.001)
            assert await cede.to_thread(max, 1, 2) == 2

        cede.run(main())
    ''')
    for _ in range(2):
        interpreter = _interpreters.create({kind!r})
        _interpreters.exec(interpreter, f"import sys; sys.path[:] = {{sys.path!r}}")
        failure = _interpreters.exec(interpreter, program)
        if failure is not None:
            sys.exit(failure.formatted)
        _interpreters.destroy(interpreter)
    import cede
    print(cede.compiled)
    """
    assert run_python(source).stdout.split() == [str(cede.compiled)]
