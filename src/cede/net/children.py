"""Subprocesses: `subprocess_exec`, `subprocess_shell`, and how the loop learns that a child has ended.

A *pidfd* (Linux 5.3) is a descriptor that becomes readable when the child ends; it also names the child for
good, so a signal sent through it cannot hit a stranger that got the same number. Where there is none (another
system, an old kernel, a sandbox) a *timer* asks after the child, often at first and then more and more rarely.
SIGCHLD is used by neither: it belongs to the process, tells nothing of which child, and other code wants it.

Law: a child is reaped in the loop's thread and nowhere else, so that "has it ended?" and "send it a
signal" cannot overtake each other.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import weakref
from collections.abc import Callable
from typing import Any

from ..engine import own_calls
from ..engine.futures import note_wait, release
from ..engine.waited import PROCESS
from ..io.pipe_transport import ReadPipeTransport, WritePipeTransport
from .popen import popen

logger = logging.getLogger("asyncio")

_NOBODY = asyncio.Protocol()  # the protocol of pipes that nobody hears any more

# The returncode of a child that somebody else has reaped: how it ended is lost.
_UNKNOWN_RETURNCODE = 255

# Seconds between two questions whether a child without a pidfd has ended.
_FIRST_DELAY = 0.001
_LONGEST_DELAY = 0.064


# --- Learning that a child has ended -------------------------------------------------------------


def _reap(process: Any, options: int = 0) -> int | None:
    """Return the returncode of a child that has ended, and let the kernel forget it; with WNOHANG None if it runs."""
    try:
        pid, status = own_calls.waitpid(process.pid, options)
    except ChildProcessError:
        if process.returncode is not None:  # whoever uses the Popen object was faster
            return process.returncode
        text = "child process pid %d exit status already read:  will report returncode %d"
        logger.warning(text, process.pid, _UNKNOWN_RETURNCODE)
        return _UNKNOWN_RETURNCODE
    if pid == 0:
        return None
    try:
        return os.waitstatus_to_exitcode(status)
    except ValueError:
        return status  # an end that we do not understand


def _ignore(returncode: int | None) -> None:
    """Nobody hears of the end of a child any more."""


class PidfdWatch:
    """Watches one child through its pidfd."""

    def __init__(self, loop: Any, process: Any, ended: Callable[[int | None], None]) -> None:
        self._loop = loop
        self._process = process
        self._ended = ended
        self._pidfd = os.pidfd_open(process.pid)
        loop._add_reader(self._pidfd, self._on_end)

    def _on_end(self) -> None:
        self.close()
        self._ended(_reap(self._process))

    def forget(self) -> None:
        """Tell nobody when the child ends; signals can still be sent."""
        self._ended = _ignore

    def send_signal(self, number: int) -> None:
        """Send a signal to the child."""
        signal.pidfd_send_signal(self._pidfd, number)

    def close(self) -> None:
        """Stop watching."""
        if self._pidfd >= 0:
            self._loop._remove_reader(self._pidfd)
            own_calls.close(self._pidfd)
            self._pidfd = -1


class TimerWatch:
    """Watches one child by asking, after a millisecond and then each time after twice as long, whether it has ended."""

    def __init__(self, loop: Any, process: Any, ended: Callable[[int | None], None]) -> None:
        self._loop = loop
        self._process = process
        self._ended = ended
        self._delay = _FIRST_DELAY
        self._timer: Any = loop.call_later(self._delay, self._ask)  # None once there is nothing to ask any more

    def _ask(self) -> None:
        self._timer = None  # it refers to this
        returncode = _reap(self._process, os.WNOHANG)
        if returncode is not None:
            self._ended(returncode)
            return
        self._delay = min(2 * self._delay, _LONGEST_DELAY)
        self._timer = self._loop.call_later(self._delay, self._ask)

    def forget(self) -> None:
        """Tell nobody when the child ends; signals can still be sent."""
        self.close()  # the timer refers to this
        self._ended = _ignore

    def send_signal(self, number: int) -> None:
        """Send a signal to the child, which is not reaped yet: its number is its own."""
        os.kill(self._process.pid, number)

    def close(self) -> None:
        """Stop asking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def watch(loop: Any, process: Any, ended: Callable[[int | None], None]) -> Any:
    """Have `ended(returncode)` called in the loop when the child has ended."""
    if loop._machine is not None:
        return loop._machine.watch_child(loop, process, ended)
    if hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal"):
        try:
            return PidfdWatch(loop, process, ended)
        except OSError:
            pass  # an old kernel, or no descriptor left
    return TimerWatch(loop, process, ended)


# --- The transport -------------------------------------------------------------------------------


class PipeProtocol(asyncio.Protocol):
    """Passes on what happens on one pipe of a child."""

    def __init__(self, child: SubprocessTransport, fd: int) -> None:
        self._child: Any = child  # None once the pipe is disconnected
        self._fd = fd  # the child's: 0, 1 or 2
        self.pipe: Any = None  # its transport
        self.disconnected = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} fd={self._fd} pipe={self.pipe!r}>"

    def data_received(self, data: bytes) -> None:
        self._child._call(self._child._protocol.pipe_data_received, self._fd, data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.disconnected = True
        child, self._child = self._child, None
        child._pipe_lost(self._fd, exc)

    def pause_writing(self) -> None:
        self._child._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._child._protocol.resume_writing()


class SubprocessTransport(asyncio.SubprocessTransport):
    """A child process and the pipes to it.

    `connection_lost` comes when the child has ended and all its pipes are disconnected; `process_exited`
    and the end of `_wait` come as soon as it has ended.
    """

    def __init__(
        self, loop: Any, protocol: Any, args: Any, shell: bool, streams: tuple[Any, Any, Any], kwargs: dict[str, Any]
    ) -> None:
        super().__init__()
        self._loop = loop  # None after connection_lost, like _process and _protocol
        self._protocol = protocol
        self._process: Any = None
        self._watch: Any = None  # tells when the child has ended; None before it began and after it ended
        self._pid: int | None = None
        self._returncode: int | None = None  # None until the child has ended
        self._pipes: dict[int, PipeProtocol] = {}
        self._waiters: set[Any] = set()  # futures of _wait
        self._closed = False
        self._finished = False  # True iff connection_lost was scheduled
        self._parent = os.getpid()
        stdin, stdout, stderr = streams
        try:
            self._process = popen(args, shell=shell, stdin=stdin, stdout=stdout, stderr=stderr, **kwargs)
        except BaseException:
            self._closed = True
            raise
        self._pid = self._process.pid
        self._extra["subprocess"] = self._process
        self._watch = watch(loop, self._process, self._child_ended)
        if loop._children is None:
            loop._children = weakref.WeakSet()
        loop._children.add(self)
        if loop.get_debug():
            program = args if isinstance(args, (bytes, str)) else args[0]
            logger.debug("process %r created: pid %s", program, self._pid)

    def _connect(self, waiter: Any) -> None:
        """Begin to talk: `connection_made`, then the pipes, then `waiter` is resolved."""
        # Order: nothing may be heard of the pipes before connection_made.
        self._loop.call_soon(self._protocol.connection_made, self)
        files = (self._process.stdin, self._process.stdout, self._process.stderr)
        try:
            for fd, file in enumerate(files):
                if file is not None:
                    protocol = PipeProtocol(self, fd)
                    make = WritePipeTransport if fd == 0 else ReadPipeTransport
                    protocol.pipe = make(self._loop, file, protocol)
                    self._pipes[fd] = protocol
        except BaseException:
            for fd, file in enumerate(files):
                if file is not None and fd not in self._pipes:
                    file.close()
            raise
        self._loop.call_soon(release, waiter)

    def __repr__(self) -> str:
        info = [type(self).__name__]
        if self._closed:
            info.append("closed")
        if self._pid is not None:
            info.append(f"pid={self._pid}")
        if self._returncode is not None:
            info.append(f"returncode={self._returncode}")
        else:
            info.append("not started" if self._pid is None else "running")
        for fd, protocol in self._pipes.items():
            info.append(f"{('stdin', 'stdout', 'stderr')[fd]}={protocol.pipe!r}")
        return f"<{' '.join(info)}>"

    def __del__(self) -> None:
        if getattr(self, "_closed", True):
            return
        _warn_unclosed(self)
        self.close()

    # asyncio: programs take the Popen object from here.
    @property
    def _proc(self) -> Any:
        return self._process

    # --- What users call

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    def is_closing(self) -> bool:
        return self._closed

    def get_pid(self) -> int | None:  # type: ignore[override]
        return self._pid

    def get_returncode(self) -> int | None:
        return self._returncode

    def get_pipe_transport(self, fd: int) -> Any:
        return self._pipes[fd].pipe if fd in self._pipes else None

    def send_signal(self, signal: int) -> None:
        """Send a signal to the child; nothing happens if it has ended. ProcessLookupError once all is over."""
        if self._process is None:
            raise ProcessLookupError()
        if self._watch is not None:
            try:
                self._watch.send_signal(signal)
            except ProcessLookupError:
                pass  # reaped behind our back

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Close the pipes, and kill the child if it still runs."""
        if self._closed:
            return
        self._closed = True
        if self._loop is None:
            return
        open_loop = not self._loop.is_closed()
        if open_loop:
            for protocol in self._pipes.values():
                protocol.pipe.close()
        if self._watch is not None and self._parent == os.getpid():  # in a forked child it is the parent's to end
            if self._loop.get_debug():
                logger.warning("Close running child process: kill %r", self)
            try:
                self.kill()
            except PermissionError:
                pass  # it changed its user
            if not open_loop:
                self._stop_watching()

    async def _wait(self) -> int:
        """Wait until the child has ended, and return its returncode."""
        if self._returncode is not None:
            return self._returncode
        waiter = self._loop.create_future()
        note_wait(waiter, PROCESS, self._pid or 0)
        self._waiters.add(waiter)
        try:
            return await waiter
        finally:
            self._waiters.discard(waiter)

    # --- What happens

    def _call(self, callback: Callable[..., Any], *args: Any) -> None:
        self._loop.call_soon(callback, *args)

    def _pipe_lost(self, fd: int, exc: BaseException | None) -> None:
        self._call(self._protocol.pipe_connection_lost, fd, exc)
        self._look_for_end()

    def _child_ended(self, returncode: int | None) -> None:
        self._watch = None
        self._returncode = returncode
        if self._loop.get_debug():
            logger.info("%r exited with return code %r", self, returncode)
        if self._process.returncode is None:
            self._process.returncode = returncode  # else the Popen object would complain of a running child
        self._call(self._protocol.process_exited)
        self._look_for_end()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(returncode)

    def _look_for_end(self) -> None:
        if self._returncode is None or self._finished:
            return
        if all(protocol.disconnected for protocol in self._pipes.values()):
            self._finished = True
            self._call(self._lose_connection)

    def _lose_connection(self) -> None:
        try:
            self._protocol.connection_lost(None)
        finally:
            self._loop = self._process = self._protocol = None

    def _loop_closed(self) -> None:
        """Let go of all that nothing is told any more: whoever drops the transport of a running child frees it then."""
        for protocol in self._pipes.values():
            if not protocol.disconnected:
                protocol.pipe.set_protocol(_NOBODY)
            protocol._child = None
        if self._watch is not None:
            if self._closed:
                self._stop_watching()
            else:
                self._watch.forget()
        self._waiters.clear()
        told, self._protocol = self._protocol, None
        let_go = getattr(told, "_loop_closed", None)  # cede's own
        if let_go is not None:
            let_go()

    def _stop_watching(self) -> None:
        self._watch.close()
        self._watch = None


def _warn_unclosed(transport: Any) -> None:
    import warnings

    warnings.warn(f"unclosed transport {transport!r}", ResourceWarning, source=transport)


# --- The loop's methods --------------------------------------------------------------------------


def _check(universal_newlines: Any, bufsize: Any, encoding: Any, errors: Any, text: Any) -> None:
    if universal_newlines:
        raise ValueError("universal_newlines must be False")
    if bufsize != 0:
        raise ValueError("bufsize must be 0")
    if text:
        raise ValueError("text must be False")
    if encoding is not None:
        raise ValueError("encoding must be None")
    if errors is not None:
        raise ValueError("errors must be None")


def _shown(stream: Any) -> str:
    return {subprocess.PIPE: "<pipe>", subprocess.STDOUT: "<stdout>"}.get(stream) or repr(stream)


def _log_start(what: str, stdin: Any, stdout: Any, stderr: Any) -> None:
    words = [what]
    if stdin is not None:
        words.append(f"stdin={_shown(stdin)}")
    if stdout is not None and stderr == subprocess.STDOUT:
        words.append(f"stdout=stderr={_shown(stdout)}")
    else:
        if stdout is not None:
            words.append(f"stdout={_shown(stdout)}")
        if stderr is not None:
            words.append(f"stderr={_shown(stderr)}")
    logger.debug(" ".join(words))


async def _start(
    loop: Any,
    protocol_factory: Callable[[], Any],
    args: Any,
    shell: bool,
    streams: tuple[Any, Any, Any],
    kwargs: dict[str, Any],
    what: str,
) -> tuple[Any, Any]:
    protocol = protocol_factory()
    # The arguments may hold secrets: the log names the program only.
    debug = loop.get_debug()
    if debug:
        _log_start(what, *streams)
    transport = SubprocessTransport(loop, protocol, args, shell, streams, kwargs)
    waiter = loop.create_future()
    try:
        transport._connect(waiter)
        await waiter
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException:
        transport.close()
        await transport._wait()
        raise
    if debug:
        logger.info("%s: %r", what, transport)
    return transport, protocol


async def subprocess_shell(
    loop: Any,
    protocol_factory: Callable[[], Any],
    cmd: str | bytes,
    *,
    stdin: Any = subprocess.PIPE,
    stdout: Any = subprocess.PIPE,
    stderr: Any = subprocess.PIPE,
    universal_newlines: bool = False,
    shell: bool = True,
    bufsize: int = 0,
    encoding: None = None,
    errors: None = None,
    text: bool | None = None,
    **kwargs: Any,
) -> tuple[Any, Any]:
    """Run `cmd` by the shell; return transport and protocol. Keywords are those of `subprocess.Popen`.

    Pipes carry bytes: ValueError for what asks Popen to decode them.
    """
    if not isinstance(cmd, (bytes, str)):
        raise ValueError("cmd must be a string")
    if not shell:
        raise ValueError("shell must be True")
    _check(universal_newlines, bufsize, encoding, errors, text)
    what = f"run shell command {cmd!r}"
    return await _start(loop, protocol_factory, cmd, True, (stdin, stdout, stderr), {"bufsize": 0, **kwargs}, what)


async def subprocess_exec(
    loop: Any,
    protocol_factory: Callable[[], Any],
    program: Any,
    *args: Any,
    stdin: Any = subprocess.PIPE,
    stdout: Any = subprocess.PIPE,
    stderr: Any = subprocess.PIPE,
    universal_newlines: bool = False,
    shell: bool = False,
    bufsize: int = 0,
    encoding: None = None,
    errors: None = None,
    text: bool | None = None,
    **kwargs: Any,
) -> tuple[Any, Any]:
    """Run `program` with `args`; return transport and protocol. Keywords are those of `subprocess.Popen`.

    Pipes carry bytes: ValueError for what asks Popen to decode them.
    """
    if shell:
        raise ValueError("shell must be False")
    _check(universal_newlines, bufsize, encoding, errors, text)
    what = f"execute program {program!r}"
    streams = (stdin, stdout, stderr)
    return await _start(loop, protocol_factory, (program, *args), False, streams, {"bufsize": 0, **kwargs}, what)
