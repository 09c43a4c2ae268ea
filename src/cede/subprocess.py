"""Subprocesses whose pipes are streams: create_subprocess_exec, create_subprocess_shell, Process.

Law: `wait` tells of the process and nothing else: it returns when the process has ended, though its
pipes may stay open in the hands of its children. `communicate` waits for the pipes too.
"""

from __future__ import annotations

import logging
import subprocess
from asyncio import AbstractEventLoop, BaseTransport, SubprocessProtocol
from collections.abc import Awaitable
from typing import Any

from .engine.running import get_running_loop
from .streams import _DEFAULT_LIMIT, FlowControlMixin, StreamReader, StreamWriter
from .tasks import gather

logger = logging.getLogger("asyncio")

__all__ = ("create_subprocess_exec", "create_subprocess_shell")

PIPE = subprocess.PIPE
STDOUT = subprocess.STDOUT
DEVNULL = subprocess.DEVNULL

_STDIN, _STDOUT, _STDERR = 0, 1, 2  # the child's descriptors


class SubprocessStreamProtocol(FlowControlMixin, SubprocessProtocol):
    """Hands what comes through a process's pipes to readers; what StreamReaderProtocol is to a socket."""

    def __init__(self, limit: int, loop: AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._limit = limit  # of the readers, in bytes
        self.stdin: StreamWriter | None = None
        self.stdout: StreamReader | None = None
        self.stderr: StreamReader | None = None
        self._transport: Any = None
        self._process_exited = False
        self._pipe_fds: list[int] = []  # the pipes whose end was not seen yet, stdin left out
        self._stdin_closed = loop.create_future()

    def __repr__(self) -> str:
        info = [type(self).__name__]
        for name in ("stdin", "stdout", "stderr"):
            stream = getattr(self, name)
            if stream is not None:
                info.append(f"{name}={stream!r}")
        return f"<{' '.join(info)}>"

    def connection_made(self, transport: BaseTransport) -> None:
        """Called by the transport when the process runs and its pipes are connected."""
        self._transport = transport
        self.stdout = self._reader_of(_STDOUT)
        self.stderr = self._reader_of(_STDERR)
        stdin = self._transport.get_pipe_transport(_STDIN)
        if stdin is not None:
            self.stdin = StreamWriter(stdin, protocol=self, reader=None, loop=self._loop)

    def _reader_of(self, fd: int) -> StreamReader | None:
        pipe = self._transport.get_pipe_transport(fd)
        if pipe is None:
            return None
        reader = StreamReader(limit=self._limit, loop=self._loop)
        reader.set_transport(pipe)
        self._pipe_fds.append(fd)
        return reader

    def _reader_for(self, fd: int) -> StreamReader | None:
        return {_STDOUT: self.stdout, _STDERR: self.stderr}.get(fd)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Called by the transport with bytes that came."""
        reader = self._reader_for(fd)
        if reader is not None:
            reader.feed_data(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Called by the transport when one side has closed a pipe."""
        if fd == _STDIN:
            self._stdin_lost(exc)
            return
        reader = self._reader_for(fd)
        if reader is not None:
            if exc is None:
                reader.feed_eof()
            else:
                reader.set_exception(exc)
        if fd in self._pipe_fds:
            self._pipe_fds.remove(fd)
        self._maybe_close_transport()

    def _stdin_lost(self, exc: Exception | None) -> None:
        if self.stdin is not None:
            self.stdin.close()
        self.connection_lost(exc)
        if self._stdin_closed.done():
            return
        if exc is None:
            self._stdin_closed.set_result(None)
        else:
            exc.__traceback__ = None  # interpreted, it refers to the writer's frame, and so to this
            self._stdin_closed.set_exception(exc)
            self._stdin_closed.exception()  # nobody has to call wait_closed(): it counts as seen

    def process_exited(self) -> None:
        """Called by the transport when the process has ended."""
        self._process_exited = True
        self._maybe_close_transport()

    def _maybe_close_transport(self) -> None:
        if not self._pipe_fds and self._process_exited and self._transport is not None:
            self._transport.close()
            self._loop_closed()

    def _loop_closed(self) -> None:
        self._transport = None
        self.stdin = None  # the writer, which is the program's, refers to this

    def _get_close_waiter(self, stream: StreamWriter) -> Awaitable[None]:
        return self._stdin_closed


class Process:
    """A process that runs, or ran, and the streams that are its pipes.

    `stdin` is a StreamWriter, `stdout` and `stderr` are StreamReaders; each is None unless it was
    asked for with PIPE.
    """

    def __init__(self, transport: Any, protocol: SubprocessStreamProtocol, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._protocol = protocol
        self._loop = loop
        self.stdin = protocol.stdin
        self.stdout = protocol.stdout
        self.stderr = protocol.stderr
        self.pid: int = transport.get_pid()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.pid}>"

    @property
    def returncode(self) -> int | None:
        """How the process ended: its exit status, or minus the number of a signal; None while it runs."""
        return self._transport.get_returncode()

    async def wait(self) -> int:
        """Wait until the process has ended; return `returncode`.

        A process that writes more than a pipe holds waits until somebody reads it: `communicate` does.
        """
        return await self._transport._wait()

    def send_signal(self, signal: int) -> None:
        """Send a signal; nothing happens if the process has ended."""
        self._transport.send_signal(signal)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._transport.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        self._transport.kill()

    async def communicate(self, input: bytes | bytearray | memoryview | None = None) -> tuple[bytes, bytes]:
        """Send `input` to stdin and close it, read stdout and stderr to their ends, wait for the process.

        Returns what was read, as (stdout, stderr); None for what is no pipe.
        """
        _, stdout, stderr = await gather(self._feed_stdin(input), self._read_stream(1), self._read_stream(2))
        await self.wait()
        return stdout, stderr  # as typeshed: whoever asks for one knows it is a pipe

    async def _feed_stdin(self, input: bytes | bytearray | memoryview | None) -> None:
        stdin = self.stdin
        if stdin is None:
            return
        debug = self._loop.get_debug()
        try:
            if input is not None:
                stdin.write(input)
                if debug:
                    logger.debug("%r communicate: feed stdin (%s bytes)", self, len(input))
            await stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as exc:
            # The process did not want all of it.
            if debug:
                logger.debug("%r communicate: stdin got %r", self, exc)
            exc.__traceback__ = None  # it refers to this frame, and the closed stdin keeps the exception
        if debug:
            logger.debug("%r communicate: close stdin", self)
        stdin.close()

    async def _read_stream(self, fd: int) -> bytes | None:
        name, stream = ("stdout", self.stdout) if fd == _STDOUT else ("stderr", self.stderr)
        if stream is None:
            return None
        transport = self._transport.get_pipe_transport(fd)
        debug = self._loop.get_debug()
        if debug:
            logger.debug("%r communicate: read %s", self, name)
        output = await stream.read()
        if debug:
            logger.debug("%r communicate: close %s", self, name)
        transport.close()
        return output


async def create_subprocess_shell(
    cmd: str | bytes,
    stdin: Any = None,
    stdout: Any = None,
    stderr: Any = None,
    limit: int = _DEFAULT_LIMIT,
    **kwds: Any,
) -> Process:
    """Run `cmd` by the shell; return a Process.

    `stdin`, `stdout`, `stderr` are PIPE, STDOUT (stderr only), DEVNULL, a file, a descriptor or None (this
    process's own). `limit` is the readers', in bytes; the other keywords are those of `subprocess.Popen`.
    """
    loop = get_running_loop()
    transport, protocol = await loop.subprocess_shell(
        lambda: SubprocessStreamProtocol(limit=limit, loop=loop), cmd, stdin=stdin, stdout=stdout, stderr=stderr, **kwds
    )
    return Process(transport, protocol, loop)


async def create_subprocess_exec(
    program: Any,
    *args: Any,
    stdin: Any = None,
    stdout: Any = None,
    stderr: Any = None,
    limit: int = _DEFAULT_LIMIT,
    **kwds: Any,
) -> Process:
    """Run `program` with `args`; return a Process. The keywords are those of `create_subprocess_shell`."""
    loop = get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        lambda: SubprocessStreamProtocol(limit=limit, loop=loop),
        program,
        *args,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        **kwds,
    )
    return Process(transport, protocol, loop)
