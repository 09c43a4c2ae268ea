"""Children: the processes that a program in a world starts, which are stubs of the test's, or are refused.

    async def ffmpeg(process):
        process.stdout.write(await process.stdin.read())
        return 0                                            # its exit status; None is 0

    world.executable("ffmpeg", ffmpeg)

A stub runs on the host that starts it, with a loop and a thread of its own, so that `subprocess.run` may wait for it as
well as `create_subprocess_exec`. Everything above `fork_exec` is the real thing: `subprocess.Popen`, its pipes, the
loop's transports.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shlex
import signal
import stat
import subprocess
import sys
import threading
import traceback
from asyncio.streams import FlowControlMixin
from collections.abc import Awaitable, Callable
from functools import cache, partial, partialmethod
from typing import Any

from ..engine import own_calls
from . import current
from .files import SIMULATED, error

FIRST_PID = SIMULATED  # the numbers of simulated processes begin there
REAL = -2  # in place of a descriptor: it is of the real machine, as that of /dev/null
_ENDS_AT_ONCE = {signal.SIGKILL, signal.SIGABRT, signal.SIGQUIT, signal.SIGHUP}
_CANCELS = {signal.SIGTERM, signal.SIGINT}

Stub = Callable[["Process"], Awaitable[Any]]


class Process:
    """What a stub gets: its arguments and environment, and its standard streams.

    SIGTERM and SIGINT cancel the stub, which may clean up and return an exit status; SIGKILL ends it where it stands.
    What it raises is printed to its `stderr`, and its exit status is 1.
    """

    def __init__(self, child: Child) -> None:
        self.pid = child.pid
        self.argv = child.argv
        self.cwd = child.cwd
        self.environ = child.environ
        self.stdin: asyncio.StreamReader
        self.stdout: Any  # has write, drain and close, as an asyncio.StreamWriter
        self.stderr: Any


class Child:
    """A process that a host has started."""

    def __init__(
        self, host: Any, pid: int, stub: Stub, argv: list[str], cwd: str, environ: dict[str, str], ends: list[int]
    ) -> None:
        self.host = host
        self.pid = pid
        self.argv = argv
        self.cwd = cwd
        self.environ = environ
        self.returncode: int | None = None  # None while it runs
        self.heard: list[Callable[[], None]] = []  # called when it has ended
        self._stub = stub
        self._task: Any = None  # the stub's, while it runs
        self._signal = 0  # the last one that it got
        self._table = host.kernel.descriptors
        # As fork does: descriptors of its own for the files that are to be 0, 1 and 2; -1: they are inherited
        self._ends = [
            self._table.open(self._table.file(fd)) if fd >= SIMULATED else REAL if fd >= 0 else -1 for fd in ends
        ]
        self._thread = threading.Thread(target=self._life, name=os.path.basename(argv[0]), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _life(self) -> None:
        if self.returncode is not None:  # killed before it began
            return
        status = 1
        try:
            with asyncio.Runner() as runner:  # not `asyncio.run`, which a test may have replaced
                status = runner.run(self._main())
        finally:
            self._ended(status)

    async def _main(self) -> int:
        process = Process(self)
        self._task = asyncio.current_task()
        process.stdin = await _reader(self._take(0))
        process.stdout = await _writer(self._take(1), sys.stdout)
        process.stderr = await _writer(self._take(2), sys.stderr)
        status: Any = 0
        try:
            if self._signal:
                raise asyncio.CancelledError
            status = await self._stub(process)
        except asyncio.CancelledError:
            status = -self._signal if self._signal else 1
        except SystemExit as exc:
            status = exc.code
        except Exception:
            process.stderr.write(traceback.format_exc().encode())
            status = 1
        for stream in (process.stdout, process.stderr):
            stream.close()
            await stream.wait_closed()
        return status if isinstance(status, int) else 0 if status is None else 1

    def _take(self, which: int) -> int:
        fd, self._ends[which] = self._ends[which], -1
        return fd

    def _ended(self, returncode: int) -> None:
        if self.returncode is not None:
            return
        self.returncode = returncode
        for fd in self._ends:
            if fd >= 0 and not self._table.dead:
                self._table.close(fd)
        heard, self.heard = self.heard, []
        for callback in heard:
            callback()

    def send_signal(self, number: int) -> None:
        """What kill(2) does to it. ProcessLookupError if it has been waited for."""
        if self.returncode is not None:
            return
        if number in _ENDS_AT_ONCE or (number in _CANCELS and self._task is None):
            self._cut_off()
            self._ended(-number)
        elif number in _CANCELS:
            self._signal = number
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def _cut_off(self) -> None:
        """Let it do nothing more: what it has open is closed, and its thread never goes on."""
        loop = None if self._task is None else self._task.get_loop()
        self.host.world.threads.put_aside(lambda thread: thread.program is self._thread)
        if loop is not None:
            for reference in list(loop._transports.values()):
                transport = reference()
                if transport is not None and transport.get_extra_info("pipe") is not None:
                    transport.get_extra_info("pipe").close()


class Watch:
    """What tells a loop that a child has ended."""

    def __init__(self, loop: Any, child: Child, ended: Callable[[int | None], None]) -> None:
        self._loop = loop
        self._child = child
        self._ended: Callable[[int | None], None] | None = ended
        if child.returncode is None:
            child.heard.append(self._tell)
        else:
            self._tell()

    def _tell(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._in_loop)

    def _in_loop(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            self._child.host.children.pop(self._child.pid, None)
            ended(self._child.returncode)

    def forget(self) -> None:
        self._ended = None

    close = forget

    def send_signal(self, number: int) -> None:
        self._child.send_signal(number)


# --- The streams of a stub --------------------------------------------------------------------------


class _Plain:
    """A standard stream of a stub that is no pipe: where `write(bytes)` puts it."""

    def __init__(self, write: Callable[[bytes], Any]) -> None:
        self.write = write

    async def drain(self) -> None:
        pass

    def close(self) -> None:
        pass

    async def wait_closed(self) -> None:
        pass


class _PipeProtocol(FlowControlMixin):
    def __init__(self) -> None:
        super().__init__()
        self._closed = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: BaseException | None) -> None:
        lost: Any = super().connection_lost
        lost(exc)
        if not self._closed.done():
            self._closed.set_result(None)

    def _get_close_waiter(self, stream: Any) -> Any:
        return self._closed


def _is_regular(fd: int) -> bool:
    return stat.S_ISREG(os.fstat(fd).st_mode)


async def _reader(fd: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    if fd < 0:
        reader.feed_eof()
    elif _is_regular(fd):
        with open(fd, "rb") as file:
            reader.feed_data(file.read())
        reader.feed_eof()
    else:
        pipe = open(fd, "rb", 0)  # noqa: SIM115  the transport closes it
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


async def _writer(fd: int, shown: Any) -> Any:
    if fd == REAL:
        return _Plain(lambda data: None)
    if fd < 0:  # inherited
        return _Plain(lambda data: shown.write(data.decode(errors="replace")))
    if _is_regular(fd):
        return _Plain(lambda data: os.write(fd, data))
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(_PipeProtocol, open(fd, "wb", 0))  # noqa: SIM115
    return asyncio.StreamWriter(transport, protocol, None, loop)


# --- What stands in place of the system's calls -----------------------------------------------------


def _words(arguments: Any) -> list[str]:
    return [os.fsdecode(word) for word in arguments]


def _unwrapped(argv: list[str]) -> list[str]:
    """The words of a command that was given to the shell, if they are a plain command."""
    if len(argv) == 3 and argv[0] in ("/bin/sh", "sh") and argv[1] == "-c" and not set(argv[2]) & set("|&;<>()$`*?~#"):
        return shlex.split(argv[2])
    return argv


def _environment(given: Any) -> dict[str, str]:
    if given is None:
        return dict(os.environ)
    return dict(os.fsdecode(entry).split("=", 1) for entry in given)


def start(kernel: Any, arguments: Any, executables: Any, cwd: Any, environment: Any, ends: list[int]) -> int:
    """Start the stub of a program; its number. RuntimeError if the test has declared none."""
    host = kernel.host
    argv = _unwrapped(_words(arguments))
    names = [argv[0], os.path.basename(argv[0]), os.path.basename(os.fsdecode(executables[0]))]
    stub = next((host.world.executables[name] for name in names if name in host.world.executables), None)
    if stub is None:
        raise refused(f"starting the program {argv[0]!r}", argv[0])
    host.world.children += 1
    pid = FIRST_PID + host.world.children
    folder = os.getcwd() if cwd is None else os.fsdecode(cwd)
    child = host.children[pid] = Child(host, pid, stub, argv, folder, _environment(environment), ends)
    if host.world.log is not None:
        host.world.log.add(host.name, "start", shlex.join(argv))
    child.start()
    return pid


def refused(what: str, program: str = "the program") -> RuntimeError:
    """The error for what leaves a world."""
    return RuntimeError(
        f"{what}: a world has no processes of the real machine. Say what it answers, by "
        f"`world.executable({os.path.basename(program)!r}, async_callable)`; give it a host of its own, by "
        "`world.program(name, file)`; or leave it out of the simulation"
    )


def _wait(kernel: Any, pid: int, options: int) -> tuple[int, int]:
    child = kernel.host.children.get(pid)
    if child is None:
        raise ChildProcessError(errno.ECHILD, os.strerror(errno.ECHILD))
    if child.returncode is None and options & os.WNOHANG:
        return 0, 0
    if child.returncode is None:
        waiter = kernel.host.world.waiter()
        child.heard.append(waiter.wake)
        while child.returncode is None:
            waiter.wait(None)
    kernel.host.children.pop(pid, None)
    code = int(child.returncode)
    return pid, (code & 0xFF) << 8 if code >= 0 else -code


def _waiting(real: Any) -> Any:
    def waitpid(pid: int, options: int, /) -> Any:
        host = current.host()
        if host is None or (pid > 0 and pid < FIRST_PID):
            return real(pid, options)
        return _wait(host.kernel, pid if pid > 0 else next(iter(host.children), 0), options)

    return waitpid


def kill_child(host: Any, pid: int, number: int) -> None:
    """os.kill of a simulated process. ProcessLookupError if there is none."""
    child = host.children.get(pid)
    if child is None:
        raise error(errno.ESRCH)
    if number:
        child.send_signal(number)


def _forking(real: Any) -> Callable[..., int]:
    def fork_exec(*arguments: Any) -> int:
        host = current.host()
        if host is None:
            return int(real(*arguments))
        # args, executables, close_fds, pass_fds, cwd, env, p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, …
        args, executables, _, _, cwd, env, stdin, _, _, stdout, _, stderr = arguments[:12]
        return start(host.kernel, args, executables, cwd, env, [stdin, stdout, stderr])

    return fork_exec


def _refusing(real: Any, what: str) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        if current.host() is None:
            return real(*args, **kwargs)
        raise refused(what)

    return refuse


def refusals() -> list[tuple[str, Callable[[Any], Any]]]:
    """Return (name in `os`, what makes the replacement) of the calls that leave a world, and are refused."""
    names = ("fork", "forkpty", "system", "posix_spawn", "posix_spawnp", "execv", "execve")
    return [(name, partial(_refusing, what=f"os.{name}")) for name in names if hasattr(os, name)]


@cache
def captured() -> list[tuple[Any, str, Any]]:
    """Return what is to be put in place of the real machine's: (owner, attribute, replacement)."""
    waitpid = _waiting(os.waitpid)
    found: list[tuple[Any, str, Any]] = [(os, "waitpid", waitpid), (own_calls, "waitpid", waitpid)]
    for owner, name in ((subprocess, "_fork_exec"), (sys.modules.get("_posixsubprocess"), "fork_exec")):
        if owner is not None and hasattr(owner, name):
            found.append((owner, name, _forking(getattr(owner, name))))
    if hasattr(subprocess, "_del_safe"):
        found.append((getattr(subprocess, "_del_safe"), "waitpid", waitpid))  # noqa: B009  the stubs do not know it
    poll: Any = getattr(subprocess.Popen, "_internal_poll")  # noqa: B009
    if "_waitpid" in poll.__code__.co_varnames:  # before 3.13 it stands in its defaults
        found.append((subprocess.Popen, "_internal_poll", partialmethod(poll, _waitpid=waitpid)))
    # Popen is to go by fork_exec.
    return [*found, *((subprocess, name, False) for name in ("_USE_POSIX_SPAWN", "_USE_VFORK"))]
