"""What every test of cede gets: the speed it runs in, a loop of its own, and a look at what it left behind.

- The run is refused when `cede.compiled` is not what was asked for: a suite that says "compiled" and runs plain
  Python proves nothing. `pytest` wants compiled; `pytest --pure` wants plain Python, here and in sub-processes.
- `async def test_…` runs on the `loop` fixture.
- After each test that passed nothing may be left: no descriptor, thread, child process, live task, running loop; and
  nothing the loop complained of that the test did not look at. `@pytest.mark.leaves("threads", …)` excuses a test
  which must leave something; it stands with the reason why.

CONTRIBUTING.md describes the fixtures for people who write tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import importlib.util
import inspect
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

SETTLE_SECONDS = float(
    os.environ.get("CEDE_TEST_SETTLE", "3")
)  # how long a closing thread or child may take to be gone
LOOP_TURNS = 20  # how many turns a loop may take to run out of ready callbacks
KINDS = ("fds", "threads", "children", "tasks", "handles")

# Order: conftest files of sub-folders import cede, and are loaded before pytest_configure runs.
if "--pure" in sys.argv:
    os.environ["CEDE_PURE"] = "1"


PORTABLE = os.environ.get("CEDE_PORTABLE", "") not in ("", "0")  # nothing of Linux's own, see cede/_portable.py


# -- the speed ---------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pure", action="store_true", help="run cede as plain Python, ignoring its compiled modules")
    parser.addoption(
        "--share", action="store_true", help="run a third of the tests: three Pythons in a row run them all"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("share"):
        shares: list[list[pytest.Item]] = [[], [], []]
        for item in items:
            shares[zlib.crc32(item.nodeid.encode()) % 3].append(item)
        items[:] = shares.pop(sys.version_info.minor % 3)
        config.hook.pytest_deselected(items=shares[0] + shares[1])


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, sched: Any) -> None:
    """Note a test that ended its process, for scripts/again.py: that is never for want of time."""
    sched.config.cache.set("cede/crashed", crashitem)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("pure"):
        os.environ["CEDE_PURE"] = "1"
    faulthandler.enable()
    heed_signals()
    os.umask(0o022)


def heed_signals() -> None:
    """Answer to SIGINT as a program does that a shell has started in the foreground, and let child processes do so.

    `nohup` and background jobs hand on that signals are ignored, and Python then leaves Ctrl-C to nobody.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def pytest_sessionstart(session: pytest.Session) -> None:
    pure = session.config.getoption("pure")
    try:
        import cede
    except ImportError as exc:
        raise pytest.UsageError(f"cede cannot be imported: {exc}") from exc
    compiled = bool(getattr(cede, "compiled", False))
    if compiled is pure:
        found = "compiled" if compiled else "plain Python"
        hint = "run `make build` first, or ask for `pytest --pure`"
        if pure:
            hint = "it was imported before --pure was seen"
        elif os.environ.get("CEDE_PURE", "") not in ("", "0"):
            hint = "CEDE_PURE is set: ask for `pytest --pure`, or unset it"
        raise pytest.UsageError(f"cede from {cede.__path__[0]} is {found}: {hint}")
    if compiled and is_built_portable() is not PORTABLE:
        hint = "it is not set here" if not PORTABLE else "CEDE_PORTABLE=1 is set here"
        raise pytest.UsageError(f"cede was not compiled with the same CEDE_PORTABLE: {hint}; run `make build`")


def is_built_portable() -> bool:
    """Return True if the compiled modules know nothing of Linux."""
    spec = importlib.util.find_spec("cede.engine.pollers.epoll")
    assert spec is not None
    assert spec.origin is not None
    return b"epoll_ctl" not in Path(spec.origin).read_bytes()


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: Any) -> None:
    """Arm again the limit that takes a hanging process down: pytest disarms it when a test fails, and then its
    teardown may hang as well.
    """
    seconds = float(node.config.getini("faulthandler_timeout") or 0)
    stderr = node.config.stash.get(fault_handler_stderr_fd_key, None)
    if seconds and stderr is not None and isinstance(node, pytest.Item) and not node.config.getoption("usepdb"):
        faulthandler.dump_traceback_later(seconds, file=stderr, exit=True)


def speed_line() -> str:
    """Say which cede runs on which interpreter, and whether its compiled modules are older than their sources."""
    import cede
    from cede._version import __version__

    compiled = bool(getattr(cede, "compiled", False))
    implementation = f"{platform.python_implementation()} {platform.python_version()}"
    line = f"cede {__version__}, {'compiled' if compiled else 'plain Python'}, on {implementation} ({sys.executable})"
    stale = stale_modules() if compiled else []
    return line + (f"\nSTALE: older than their sources: {' '.join(stale)}: run `make build`" if stale else "")


def stale_modules() -> list[str]:
    """Return the compiled modules now loaded whose .py or .pxd, or a header of C, was written after them."""
    stale = []
    package = Path(sys.modules["cede"].__file__ or "").parent
    headers = max((p.stat().st_mtime for p in package.rglob("*.h")), default=0.0)
    for name, module in sorted(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "x.py")
        if name.startswith("cede.") and file.suffix != ".py" and file.exists():
            source = file.with_name(name.rpartition(".")[2] + ".py")
            newest = max((p.stat().st_mtime for p in (source, source.with_suffix(".pxd")) if p.exists()), default=0.0)
            if max(newest, headers) > file.stat().st_mtime:
                stale.append(name)
    return stale


def pytest_report_header() -> str:
    return speed_line()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(speed_line())


# -- async tests -------------------------------------------------------------------------------------------------------


def pytest_itemcollected(item: pytest.Item) -> None:
    for mark in item.iter_markers("linux"):
        if PORTABLE:
            item.add_marker(pytest.mark.skip(reason=mark.args[0]))
    if inspect.iscoroutinefunction(getattr(item, "obj", None)) and "loop" not in item.fixturenames:
        item.fixturenames.append("loop")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test on the `loop` fixture."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    pyfuncitem.funcargs["loop"].run_until_complete(pyfuncitem.obj(**wanted))
    return True


# -- what a test leaves behind -----------------------------------------------------------------------------------------


def open_fds() -> set[int]:
    return {fd for fd in map(int, os.listdir("/proc/self/fd")) if is_open(fd)}  # the listing's own is closed by then


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def child_processes() -> set[int]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return {int(pid) for pid in file.read().split()}


def live_tasks() -> set[Any]:
    """Return the tasks not done, cede's and the stdlib's, of whatever loop.

    From 3.14 on the stdlib's own cannot be seen from outside their loop.
    """
    registries = [getattr(asyncio.tasks, name, ()) for name in ("_all_tasks", "_scheduled_tasks", "_eager_tasks")]
    found: set[Any] = set()
    if "cede.engine.running" in sys.modules:
        found.update(sys.modules["cede.engine.running"].live_tasks())
    for registry in registries:
        with contextlib.suppress(RuntimeError):  # it changed while it was read: a thread is at work
            found.update(registry)
    return {task for task in found if not task.done()}


class Leftovers:
    """Compares what the process holds now with what it held when the test began."""

    def __init__(self) -> None:
        self._fds = open_fds()
        self._threads = set(threading.enumerate())
        self._children = child_processes()
        self._tasks = live_tasks()

    def find(self) -> dict[str, list[str]]:
        """Return what is left now, by kind; give what is about to go the time to do so."""
        left = self._look()
        if left:
            gc.collect()
            left = self._look()
        deadline = time.monotonic() + SETTLE_SECONDS
        while left and time.monotonic() < deadline:
            time.sleep(0.01)
            left = self._look()
        return left

    def _look(self) -> dict[str, list[str]]:
        left = {
            "fds": [described for fd in open_fds() - self._fds if (described := describe_fd(fd))],
            "threads": [repr(thread) for thread in set(threading.enumerate()) - self._threads],
            "children": [f"process {pid}" for pid in child_processes() - self._children],
            "tasks": [repr(task) for task in live_tasks() - self._tasks],
        }
        return {kind: sorted(what) for kind, what in left.items() if what}


def describe_fd(fd: int) -> str:
    """Return what `fd` is, or '' if it is gone by now."""
    try:
        return f"{fd} -> {os.readlink(f'/proc/self/fd/{fd}')}"
    except OSError:
        return ""


def excused(request: pytest.FixtureRequest) -> set[str]:
    kinds = {kind for mark in request.node.iter_markers("leaves") for kind in mark.args}
    assert kinds <= set(KINDS), f"leaves() knows {KINDS}"
    return kinds


PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Any:
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    return report


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that passed and left something behind. (A failed test's traceback keeps everything alive.)"""
    timeout = request.node.get_closest_marker("timeout")
    if timeout is not None and timeout.args and timeout.args[0] > 60:
        faulthandler.cancel_dump_traceback_later()  # the run-wide limit is for tests with the default timeout
    before = Leftovers()
    yield
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    if not request.node.stash.get(PASSED, False):
        return
    assert running is None, f"the test left {running!r} running"
    left = before.find()
    for kind in excused(request):
        left.pop(kind, None)
    if left:
        lines = [f"  {kind}: {', '.join(what)}" for kind, what in left.items()]
        pytest.fail("\n".join(["the test left behind:", *lines]), pytrace=False)


# -- loops -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def loop_errors() -> list[dict[str, Any]]:
    """Return the contexts that the `loop` fixture's exception handler was called with.

    A test that expects one takes it out (`pop`, `clear`); what is in the list at the end fails the test.
    """
    return []


@pytest.fixture
def new_loop(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Return what makes a loop: `cede.new_event_loop`.

    With CEDE_TEST_LOOP=asyncio it is the standard library's, which shows whether a test asks for asyncio's behaviour or
    for a guess; `@pytest.mark.cede_only` says, with the reason, that a test asks for more.
    """
    import cede

    if os.environ.get("CEDE_TEST_LOOP") != "asyncio":
        return cede.new_event_loop
    if request.node.get_closest_marker("cede_only") is not None:
        pytest.skip("not asyncio's behaviour")
    return asyncio.new_event_loop


@pytest.fixture
def loop(
    request: pytest.FixtureRequest, loop_errors: list[dict[str, Any]], new_loop: Callable[[], Any]
) -> Iterator[Any]:
    """A fresh loop, closed afterwards; see `close_loop` for what it must not hold by then."""
    loop = new_loop()
    loop.set_exception_handler(lambda loop, context: loop_errors.append(context))
    yield loop
    left = close_loop(loop)
    if not request.node.stash.get(PASSED, False):
        return
    for kind in excused(request):
        left.pop(kind, None)
    assert not left, f"the test left in its loop: {left}"
    assert not loop_errors, f"the loop reported what the test did not look at: {loop_errors}"


def close_loop(loop: Any) -> dict[str, list[str]]:
    """Run out what is ready, shut down and close `loop`; return the tasks and handles that were still waiting."""
    if asyncio._get_running_loop() is not None:
        asyncio._set_running_loop(None)
        return {"running": [repr(loop)]}
    if loop.is_closed():
        return {}
    run_out(loop)
    tasks = [task for task in asyncio.all_tasks(loop) if not task.done()]
    left = {"tasks": [repr(task) for task in tasks], "handles": pending_handles(loop)}
    for task in tasks:
        task.cancel()
    run_out(loop)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    return {kind: what for kind, what in left.items() if what}


def run_out(loop: Any) -> None:
    """Run turns until nothing is ready; where the loop is compiled and does not tell, run some."""
    for _ in range(LOOP_TURNS):
        loop.call_soon(loop.stop)
        loop.run_forever()
        if hasattr(loop, "_ready") and not loop._ready:
            break


def pending_handles(loop: Any) -> list[str]:
    """Return the timers that nobody cancelled; a loop of the standard library tells of none."""
    timers = getattr(loop, "_timers", None)
    return [] if timers is None else [repr(handle) for handle in timers.waiting()]


# -- the world around --------------------------------------------------------------------------------------------------


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return `run(source, *args, check=True, timeout=55, env=None)`: a program in a fresh interpreter, in this speed.

    It runs in an empty folder, with warnings as errors. `check` asserts that it exits with 0.
    """

    def run(
        source: str, *args: str, check: bool = True, timeout: float = 55, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        program = folder / "program.py"
        program.write_text(inspect.cleandoc(source) + "\n")
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-W", "error", str(program), *args],
            cwd=folder,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert not check or done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Return a function that names a TCP port of 127.0.0.1 on which nobody listens."""

    def port() -> int:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            return int(sock.getsockname()[1])

    return port


@pytest.fixture
def socket_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected, non-blocking stream sockets, closed afterwards."""
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        yield left, right


@pytest.fixture
def unix_path() -> Iterator[str]:
    """A path short enough for a Unix socket (108 bytes), in a folder that is removed afterwards."""
    folder = tempfile.mkdtemp(prefix="cede-")
    yield os.path.join(folder, "socket")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def nothing_for_the_collector() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Return a context manager whose block must leave nothing to the collector of cycles, which is off meanwhile."""

    @contextlib.contextmanager
    def watching() -> Iterator[None]:
        gc.collect()
        gc.freeze()  # what is there already need not be looked through again
        gc.disable()
        try:
            yield
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = [type(thing).__name__ for thing in gc.garbage]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
            gc.unfreeze()
        assert left == []

    return watching


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
