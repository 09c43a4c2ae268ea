"""What `import cede` gives: every public name of asyncio 3.15, the stdlib's own objects where they are shared."""

from __future__ import annotations

import asyncio
import inspect

import pytest

import cede

# The public names of CPython 3.15's asyncio on Unix.
ASYNCIO_315 = """
ALL_COMPLETED AbstractEventLoop AbstractServer Barrier BaseEventLoop BaseProtocol BaseTransport BoundedSemaphore
BrokenBarrierError BufferedProtocol CancelledError Condition DatagramProtocol DatagramTransport Event EventLoop
FIRST_COMPLETED FIRST_EXCEPTION FrameCallGraphEntry Future FutureCallGraph Handle IncompleteReadError
InvalidStateError LifoQueue LimitOverrunError Lock PriorityQueue Protocol Queue QueueEmpty QueueFull QueueShutDown
ReadTransport Runner SelectorEventLoop Semaphore SendfileNotAvailableError Server StreamReader StreamReaderProtocol
StreamWriter SubprocessProtocol SubprocessTransport Task TaskGroup TimeoutError Timeout TimerHandle Transport
WriteTransport _enter_task _get_running_loop _leave_task _register_task _set_running_loop _unregister_task all_tasks
as_completed capture_call_graph create_eager_task_factory create_subprocess_exec create_subprocess_shell create_task
current_task eager_task_factory ensure_future format_call_graph future_add_to_awaited_by
future_discard_from_awaited_by gather get_event_loop get_event_loop_policy get_running_loop iscoroutine
iscoroutinefunction isfuture new_event_loop open_connection open_unix_connection print_call_graph run
run_coroutine_threadsafe set_event_loop set_event_loop_policy shield sleep start_server start_unix_server timeout
timeout_at to_thread wait wait_for wrap_future
""".split()  # noqa: SIM905

SHARED = """
AbstractEventLoop AbstractServer BaseProtocol BaseTransport BrokenBarrierError BufferedProtocol CancelledError
DatagramProtocol DatagramTransport IncompleteReadError InvalidStateError LimitOverrunError Protocol QueueEmpty
QueueFull ReadTransport SendfileNotAvailableError SubprocessProtocol SubprocessTransport TimeoutError Transport
WriteTransport _get_running_loop _set_running_loop get_running_loop current_task _enter_task _leave_task ALL_COMPLETED
FIRST_COMPLETED FIRST_EXCEPTION
""".split()  # noqa: SIM905

OWN = """
__version__ compiled install uninstall buggify
""".split()  # noqa: SIM905


def test_every_public_name_of_asyncio_is_there():
    assert set(ASYNCIO_315) <= set(cede.__all__)
    for name in cede.__all__:
        assert getattr(cede, name) is not None
        assert name in dir(cede)


def test_nothing_else_is_public_but_what_is_cede_s_own():
    assert set(cede.__all__) == set(ASYNCIO_315) | set(OWN)
    assert len(cede.__all__) == len(set(cede.__all__))


@pytest.mark.parametrize("name", SHARED)
def test_what_libraries_share_is_the_stdlib_s(name):
    assert getattr(cede, name) is getattr(asyncio, name)


def test_star_import(run_python):
    run_python(
        """
        from cede import *
        assert run(sleep(0, "x")) == "x"
        assert capture_call_graph and StreamReader
        """
    )


def test_submodules_are_where_asyncio_has_them(run_python):
    run_python(
        """
        import cede
        for name in ("coroutines events exceptions futures graph locks protocols queues runners streams subprocess "
                     "taskgroups tasks threads timeouts transports mixins staggered").split():
            assert getattr(cede, name).__name__.endswith(name), name
        assert cede.subprocess.PIPE == -1
        assert cede.tasks.gather is cede.gather
        assert cede.staggered.staggered_race
        """
    )


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'cede' has no attribute 'nonsense'"):
        cede.nonsense  # noqa: B018


def test_version_and_speed():
    assert isinstance(cede.__version__, str)
    assert isinstance(cede.compiled, bool)


def test_every_public_object_is_documented():
    missing = []
    for name in cede.__all__:
        value = getattr(cede, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)) or not value.__module__.startswith("cede"):
            continue
        if not value.__doc__:
            missing.append(name)
        if inspect.isclass(value):
            missing += [
                f"{name}.{key}"
                for key, member in vars(value).items()
                if key[0] != "_" and inspect.isfunction(member) and not inspect.getdoc(member)
            ]
    assert missing == []


def test_importing_cede_costs_little_more_than_asyncio(run_python):
    """What a program imports beyond asyncio: cede's own modules and very little of the standard library."""
    done = run_python(
        """
        import asyncio, sys
        before = set(sys.modules)
        import cede
        print(*sorted(name for name in set(sys.modules) - before if name.split(".")[0] != "cede"))
        """
    )
    assert "dataclasses" not in done.stdout.split()
    assert len(done.stdout.split()) <= 12, done.stdout
