"""Submodules under asyncio's names: what people import from them, and what is missing there and why."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import cede

# What packages import from asyncio's submodules, beyond what is in their __all__; "=" before a name: it is the very
# object of the standard library's.
IMPORTED = {
    "base_events": "BaseEventLoop Server _run_until_complete_cb =_format_handle =_interleave_addrinfos =_ipaddr_info",
    "base_futures": "isfuture =_CANCELLED =_FINISHED =_PENDING _future_repr",
    "base_subprocess": "BaseSubprocessTransport =ReadSubprocessPipeProto =WriteSubprocessPipeProto",
    "base_tasks": "_task_get_stack _task_print_stack _task_repr",
    "constants": "=ACCEPT_RETRY_DELAY =DEBUG_STACK_DEPTH =LOG_THRESHOLD_FOR_CONNLOST_WRITES =SSL_HANDSHAKE_TIMEOUT "
    "=SSL_SHUTDOWN_TIMEOUT =SENDFILE_FALLBACK_READBUFFER_SIZE THREAD_JOIN_TIMEOUT",
    "coroutines": "iscoroutine iscoroutinefunction _is_coroutine",
    "events": "=AbstractEventLoop =AbstractServer Handle TimerHandle =_get_running_loop =_set_running_loop "
    "=get_running_loop get_event_loop new_event_loop set_event_loop _get_event_loop_policy _AbstractEventLoopPolicy "
    "_BaseDefaultEventLoopPolicy",
    "exceptions": "=BrokenBarrierError =CancelledError =IncompleteReadError =InvalidStateError =LimitOverrunError "
    "=SendfileNotAvailableError =TimeoutError",
    "format_helpers": "=extract_stack =_format_callback =_format_callback_source =_get_function_source",
    "futures": "Future isfuture wrap_future _chain_future _copy_future_state",
    "graph": "FrameCallGraphEntry FutureCallGraph capture_call_graph format_call_graph print_call_graph",
    "locks": "Barrier BoundedSemaphore Condition Event Lock Semaphore _ContextManagerMixin",
    "log": "=logger",
    "mixins": "_LoopBoundMixin",
    "protocols": "=BaseProtocol =Protocol =DatagramProtocol =SubprocessProtocol =BufferedProtocol "
    "=_feed_data_to_buffered_proto",
    "queues": "Queue LifoQueue PriorityQueue =QueueEmpty =QueueFull QueueShutDown",
    "runners": "Runner run _cancel_all_tasks",
    "selector_events": "BaseSelectorEventLoop _SelectorDatagramTransport _SelectorSocketTransport",
    "sslproto": "=SSLProtocol =_SSLProtocolTransport =add_flowcontrol_defaults",
    "staggered": "staggered_race",
    "streams": "StreamReader StreamReaderProtocol StreamWriter FlowControlMixin _DEFAULT_LIMIT open_connection "
    "open_unix_connection start_server start_unix_server",
    "subprocess": "=PIPE =STDOUT =DEVNULL Process SubprocessStreamProtocol create_subprocess_exec "
    "create_subprocess_shell",
    "taskgroups": "TaskGroup",
    "tasks": "Task all_tasks current_task =_enter_task =_leave_task =_register_task =_unregister_task ensure_future "
    "gather wait_for _GatheringFuture",
    "threads": "to_thread",
    "timeouts": "Timeout timeout timeout_at",
    "transports": "=BaseTransport =ReadTransport =WriteTransport =Transport =DatagramTransport =SubprocessTransport "
    "=_FlowControlMixin",
    "trsock": "=TransportSocket",
    "unix_events": "EventLoop SelectorEventLoop _UnixSelectorEventLoop _UnixReadPipeTransport _UnixWritePipeTransport "
    "_DefaultEventLoopPolicy",
}

# Modules and public names of asyncio's that are not here.
NOT_HERE = {
    "__main__": "the command: python -m cede",
    "proactor_events": "Windows",
    "tools": "what python -m asyncio ps is made of: it reads the memory of C tasks",
    "windows_events": "Windows",
    "windows_utils": "Windows",
    "events.get_child_watcher": "gone in Python 3.14",
    "events.set_child_watcher": "gone in Python 3.14",
    "events.AbstractEventLoopPolicy": "warns, as asyncio.AbstractEventLoopPolicy does from 3.14 on",
    "unix_events.AbstractChildWatcher": "gone in Python 3.14",
    "unix_events.FastChildWatcher": "gone in Python 3.14",
    "unix_events.MultiLoopChildWatcher": "gone in Python 3.14",
    "unix_events.PidfdChildWatcher": "gone in Python 3.14",
    "unix_events.SafeChildWatcher": "gone in Python 3.14",
    "unix_events.ThreadedChildWatcher": "gone in Python 3.14",
    "unix_events.DefaultEventLoopPolicy": "warns, as asyncio.DefaultEventLoopPolicy does from 3.14 on",
}


@pytest.mark.parametrize("module", IMPORTED)
def test_what_people_import(module: str) -> None:
    ours = importlib.import_module(f"cede.{module}")
    for word in IMPORTED[module].split():
        name = word.removeprefix("=")
        assert getattr(ours, name, None) is not None, name
        if word != name:
            stock = importlib.import_module(f"asyncio.{module}")
            assert getattr(ours, name) is getattr(stock, name)
    assert getattr(cede, module) is ours


def test_every_module_and_public_name_of_asyncio_is_there() -> None:
    missing = set()
    for info in pkgutil.iter_modules(asyncio.__path__):
        if info.name not in IMPORTED:
            missing.add(info.name)
            continue
        ours = importlib.import_module(f"cede.{info.name}")
        public = getattr(importlib.import_module(f"asyncio.{info.name}"), "__all__", ())
        missing |= {f"{info.name}.{name}" for name in public if name not in vars(ours)}
    assert missing <= set(NOT_HERE)


def test_what_is_the_same_in_two_places() -> None:
    assert cede.base_events.BaseEventLoop is cede.unix_events.SelectorEventLoop is cede.EventLoop
    assert cede.base_events.Server is cede.Server
    assert cede.futures.Future is cede.Future
    assert cede.tasks.Task is cede.Task


@pytest.mark.parametrize("place", ["events.AbstractEventLoopPolicy", "unix_events.DefaultEventLoopPolicy"])
def test_policies_warn(place: str) -> None:
    module, name = place.split(".")
    with pytest.warns(DeprecationWarning, match=f"'asyncio.{name}' is deprecated") as caught:
        policy = getattr(getattr(cede, module), name)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert issubclass(policy, asyncio.AbstractEventLoopPolicy)


def test_an_unknown_name_of_a_module() -> None:
    for module in (cede.events, cede.unix_events):
        with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
            getattr(module, "nonsense")  # noqa: B009


@pytest.mark.parametrize("name", ["run", "locks", "sleep", "Queue", "Server", "subprocess"])
def test_what_the_first_name_brings(run_python: Callable[..., Any], name: str) -> None:
    """A program that imports asyncio and runs on cede's loop needs no more of cede, and imports no more."""
    source = """
        import sys, types, warnings, cede
        warnings.resetwarnings()
        warnings.simplefilter("ignore", DeprecationWarning)
        cede.install()
        cede.new_event_loop().close()
        for module in cede._LIBRARY:
            assert "cede." + module not in sys.modules, module
            assert module in dir(cede)
        assert not set(cede.__all__) - set(dir(cede))
        assert not hasattr(cede, "nonsense")
        assert "run" not in vars(cede)
        assert getattr(cede, sys.argv[1]) is vars(cede)[sys.argv[1]]
        if sys.version_info >= (3, 14) or sys.argv[1] == "run":  # that module
            assert "cede.graph" not in sys.modules
            assert "__getattr__" in vars(cede)
        else:  # all names, and no search for each of them from then on
            assert not set(cede.__all__) - set(vars(cede))
            assert "__getattr__" not in vars(cede)
        assert "cede.unix_events" not in sys.modules
        for name in cede.__all__:
            assert getattr(cede, name) is vars(cede)[name]
        assert ("__getattr__" in vars(cede)) is (sys.version_info >= (3, 14))
        for module in cede._LIBRARY:
            assert isinstance(getattr(cede, module), types.ModuleType)
        assert not hasattr(cede, "nonsense")
    """
    run_python(source, name)


def test_where_a_name_comes_from_is_no_name(run_python: Callable[..., Any]) -> None:
    run_python("import cede; assert not hasattr(cede, 'net.server')")


def test_every_name_has_its_home() -> None:
    """What stands in `cede` is what stands in the module that it is said to come from."""
    own = {"__version__", "compiled", "install", "uninstall"}
    loops = {"BaseEventLoop", "EventLoop", "SelectorEventLoop", "new_event_loop"}
    assert set(cede.__all__) == set(cede._HOME) | own | loops
    for name, home in cede._HOME.items():
        assert getattr(importlib.import_module(f"cede.{home}"), name) is getattr(cede, name)


def test_a_rare_module_is_there_when_something_is_asked_of_it(run_python: Callable[..., Any]) -> None:
    run_python(
        """
        import sys, types, cede
        cede.run
        rare = cede.unix_events
        assert isinstance(rare, types.ModuleType)
        assert rare.SelectorEventLoop is cede.EventLoop
        assert "SelectorEventLoop" in dir(rare)
        assert not hasattr(rare, "nonsense")
        assert cede.unix_events is sys.modules["cede.unix_events"]
        rare.added = 1
        assert cede.unix_events.added == 1
        del rare.added
        assert not hasattr(cede.unix_events, "added")
        import cede.sslproto
        assert cede.sslproto is sys.modules["cede.sslproto"]
        from cede import trsock, log
        assert log.logger.name == "asyncio"
        assert trsock.TransportSocket
        """
    )


def test_in_the_place_of_asyncio(run_python: Callable[..., Any]) -> None:
    run_python(
        """
        import sys, warnings, cede
        warnings.simplefilter("ignore", DeprecationWarning)  # the standard library itself asks for its policy
        sys.modules["asyncio"] = cede
        import asyncio
        from asyncio import StreamReader
        assert sys.modules["asyncio"] is asyncio is cede

        async def main():
            loop = asyncio.get_running_loop()
            server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
            async with server:
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                assert isinstance(reader, StreamReader)
                assert await reader.read() == b""
                writer.close()
                await writer.wait_closed()
            child = await asyncio.create_subprocess_exec("true")
            assert await child.wait() == 0
            transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
            transport.close()
            await asyncio.to_thread(print, "here")

        asyncio.run(main())
        """
    )


@pytest.mark.parametrize("filters", ["[]", "DEFAULT", "[('default', None, DeprecationWarning, 'x', 0)] + DEFAULT"])
def test_where_deprecations_are_seen(run_python: Callable[..., Any], filters: str) -> None:
    """They cost each look at a module's attribute a search, so the package warns only where somebody would see it."""
    source = f"""
        import sys, warnings
        DEFAULT = [("ignore", None, DeprecationWarning, None, 0)]
        warnings.filters[:] = {filters}
        import cede
        cede.run, cede.sleep
        shown = not warnings.filters or sys.version_info >= (3, 14)
        assert ("__getattr__" in vars(cede)) is shown
        warnings.simplefilter("always")
        with warnings.catch_warnings(record=True) as caught:
            policy = cede.DefaultEventLoopPolicy
        assert [str(each.message)[:35] for each in caught] == ["'asyncio.DefaultEventLoopPolicy' is"] * shown
        assert policy is cede.policy.EventLoopPolicy
    """
    run_python(source)


async def test_transports_and_servers_are_of_these_classes(unix_path: str) -> None:
    loop = cede.get_running_loop()
    assert isinstance(loop, cede.base_events.BaseEventLoop)
    server = await loop.create_unix_server(cede.Protocol, unix_path)
    assert isinstance(server, cede.base_events.Server)
    transport, _ = await loop.create_unix_connection(cede.Protocol, unix_path)
    assert isinstance(transport, cede.selector_events._SelectorSocketTransport)
    assert isinstance(transport.get_extra_info("socket"), cede.trsock.TransportSocket)
    transport.close()
    server.close()
    await server.wait_closed()
