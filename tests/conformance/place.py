"""Put cede in asyncio's place, in a process that does nothing else.

mode      what CPython's tests get
loop      the interpreter's asyncio, whose event loops are all cede's
package   cede, wherever they import asyncio or a module of it

What cede has not, because it is CPython's own business (`asyncio.base_events`, child watchers, …), stays CPython's: test
modules could not be imported without.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import pkgutil
import re
import selectors
import sys
import types
import warnings
from typing import Any
from unittest import mock

MODES = ("loop", "package")

loops_made = 0  # how many loops of cede's there were so far

# Test modules that build a BaseEventLoop and put mocks in the place of its I/O: there the name stands for cede's loop.
_BUILD_BASE_LOOPS = ("test_base_events", "test_runners", "test_pep492")

# Modules whose names cede has for those who import from them; the tests look inside of CPython's.
_CPYTHONS_OWN = ("base_events", "base_futures", "base_subprocess", "base_tasks", "constants", "format_helpers", "log")
_CPYTHONS_OWN += ("selector_events", "sslproto", "trsock", "unix_events")

# Test modules whose TestLoop is about BaseEventLoop itself.
_KEEP_TEST_LOOP = ("test_base_events", "test_selector_events", "test_unix_events", "test_subprocess", "test_sslproto")


def prepare(mode: str) -> None:
    """Put cede in place; nothing of `test` and no `unittest.async_case` may be imported yet."""
    _count_loops()
    if mode == "loop":
        _place_loop()
    else:
        _place_package()
    _route_log()


def adapt(mode: str, module: types.ModuleType) -> None:
    """Change what a test module, now imported, takes for granted of CPython's loops."""
    import asyncio
    from asyncio import base_events

    from test.test_asyncio import utils

    import cede

    short = module.__name__.rpartition(".")[2]
    if short in _BUILD_BASE_LOOPS:
        asyncio.BaseEventLoop = base_events.BaseEventLoop = cede.EventLoop  # type: ignore[misc]
    if mode == "loop" and short not in _KEEP_TEST_LOOP:
        with_virtual_time = utils.TestCase.new_test_loop

        def new_test_loop(self: Any, gen: Any = None) -> Any:
            if gen is not None:
                return with_virtual_time(self, gen)
            loop = asyncio.new_event_loop()
            self.set_event_loop(loop)
            return loop

        utils.TestCase.new_test_loop = new_test_loop
    elif mode == "package":
        utils.TestLoop = _foreign_loop(utils.TestLoop)


def _count_loops() -> None:
    """Count cede's loops; and give those that are asked to use epoll cede's own epoll."""
    import cede

    init = cede.EventLoop.__init__

    def counting_init(self: Any, selector: Any = None, **options: Any) -> None:
        global loops_made
        loops_made += 1
        if isinstance(selector, selectors.EpollSelector):
            selector.close()
            selector = None
        init(self, selector, **options)

    cede.EventLoop.__init__ = counting_init  # type: ignore[method-assign]


def _place_loop() -> None:
    import asyncio
    from asyncio import unix_events

    import cede

    for module in (asyncio, unix_events):
        for name in ("SelectorEventLoop", "EventLoop"):
            if hasattr(module, name):
                setattr(module, name, cede.EventLoop)
    for name in ("_UnixDefaultEventLoopPolicy", "_DefaultEventLoopPolicy"):
        if hasattr(unix_events, name):
            getattr(unix_events, name)._loop_factory = cede.EventLoop


def _place_package() -> None:
    import asyncio as stock

    import cede

    # Order: while `asyncio` is the standard library's. The modules of the loop's methods are imported when one is asked for.
    for name in dir(cede.EventLoop):
        getattr(cede.EventLoop, name)
    modules = {}
    kept: tuple[str, ...] = ()
    for source, name in ((stock, "asyncio"), (cede, "cede")):
        for info in pkgutil.iter_modules(source.__path__):
            if info.name != "__main__" and not info.name.startswith("windows") and info.name not in kept:
                with contextlib.suppress(ImportError):
                    modules["asyncio." + info.name] = importlib.import_module(f"{name}.{info.name}")
        kept = _CPYTHONS_OWN
    sys.modules.update(modules)
    sys.modules["asyncio"] = cede
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for name in dir(stock):
            if not hasattr(cede, name):
                setattr(cede, name, getattr(stock, name))
    for name, module in modules.items():
        setattr(cede, name.partition(".")[2], module)
    for name in ("events", "tasks", "futures", "coroutines"):
        _add_private_names(getattr(cede, name), getattr(stock, name))
    sys.modules.pop("unittest.async_case", None)  # it keeps a reference to asyncio


def _add_private_names(module: Any, stock: Any) -> None:
    """Give a module of cede's the private names of CPython's that test modules read when they are imported.

    `_PyFuture` and `_c_current_task`, variants in Python and in C, are cede's `Future` and `current_task`; the functions
    for policies, which have an underscore since 3.14, are cede's too.
    """
    import cede

    for name in dir(stock):
        if hasattr(module, name) or not name.startswith("_") or name.startswith("__"):
            continue
        public = re.sub("^_(py_|c_|Py|C|(?=[gs]et_event_loop_policy))", "", name)
        setattr(module, name, getattr(module, public, None) or getattr(cede, public, None) or getattr(stock, name))


def _foreign_loop(base: type) -> type:
    """CPython's loop with virtual time, making cede's futures and tasks: for them it is a loop of somebody else's."""
    import cede

    class TestLoop(base):  # type: ignore[misc,valid-type]
        def create_future(self) -> Any:
            return cede.Future(loop=self)

        def create_task(self, coro: Any, **kwargs: Any) -> Any:
            self._check_closed()
            if self._task_factory is not None:
                return super().create_task(coro, **kwargs)
            return cede.Task(coro, loop=self, **kwargs)

    return TestLoop


def _route_log() -> None:
    """Hand what cede logs to a test that puts a mock in the place of CPython's own loggers."""
    logger = logging.getLogger("asyncio")
    owners = [module for name, module in sys.modules.items() if name.startswith("asyncio.")]

    def method(name: str) -> Any:
        own = getattr(logger, name)

        def log(*args: Any, stacklevel: int = 1, **kwargs: Any) -> Any:
            for owner in owners:
                if isinstance(getattr(owner, "logger", None), mock.NonCallableMock):
                    return getattr(owner.logger, name)(*args, **kwargs)
            return own(*args, stacklevel=stacklevel + 1, **kwargs)

        return log

    for name in ("debug", "info", "warning", "error", "exception", "critical", "log"):
        setattr(logger, name, method(name))
