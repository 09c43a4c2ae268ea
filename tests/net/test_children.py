"""Subprocesses: their pipes, their end, signals that hit nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import subprocess
import sys
import threading

import pytest

from cede.net import children

PYTHON = sys.executable
SLEEPS = ("sleep", "1000")


class Recorder(asyncio.SubprocessProtocol):
    def __init__(self):
        loop = asyncio.get_running_loop()
        self.events = []
        self.data = {1: b"", 2: b""}
        self.exited = loop.create_future()
        self.lost = loop.create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def pipe_data_received(self, fd, data):
        self.data[fd] += data

    def pipe_connection_lost(self, fd, exc):
        self.events.append(("pipe lost", fd))

    def process_exited(self):
        self.events.append("exited")
        self.exited.set_result(self.transport.get_returncode())

    def connection_lost(self, exc):
        self.events.append("lost")
        self.lost.set_result(exc)


@pytest.fixture(params=[pytest.param("pidfd", marks=pytest.mark.linux("Linux has pidfds")), "timer"])
def watch(request, monkeypatch):
    """Each way of learning that a child has ended."""
    if request.param == "timer":

        def refuse(pid, flags=0):
            raise OSError("no pidfd here")

        monkeypatch.setattr(os, "pidfd_open", refuse, raising=False)
    return request.param


@pytest.fixture
def room_for_descriptors():
    """Let the process have four thousand, for each child takes two or three."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    if soft != resource.RLIM_INFINITY and soft < enough:
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def spawn(loop):
    """Return `spawn(*args, **kwargs)`; what it started is ended afterwards."""
    started = []

    async def spawn(*args, protocol=Recorder, **kwargs):
        started.append(await loop.subprocess_exec(protocol, *args, **kwargs))
        return started[-1]

    yield spawn

    async def end():
        for transport, protocol in started:
            transport.close()
            await asyncio.wait_for(protocol.lost, 10)

    loop.run_until_complete(end())


# --- Talking


async def test_the_three_pipes(spawn, watch):
    program = "import sys; print(input().upper()); print('oops', file=sys.stderr); sys.exit(3)"
    transport, protocol = await spawn(PYTHON, "-c", program)
    assert transport is protocol.transport
    assert isinstance(transport, asyncio.SubprocessTransport)
    assert isinstance(transport.get_pipe_transport(0), asyncio.WriteTransport)
    assert isinstance(transport.get_pipe_transport(1), asyncio.ReadTransport)
    assert transport.get_pipe_transport(3) is None
    assert transport.get_extra_info("subprocess").pid == transport.get_pid()
    transport.get_pipe_transport(0).write(b"hello\n")
    assert await asyncio.wait_for(protocol.lost, 10) is None
    assert protocol.data == {1: b"HELLO\n", 2: b"oops\n"}
    assert transport.get_returncode() == 3
    assert protocol.events[0] == "made"
    assert protocol.events[-1] == "lost"
    assert set(protocol.events[1:-1]) == {"exited", ("pipe lost", 0), ("pipe lost", 1), ("pipe lost", 2)}


async def test_without_pipes(spawn, watch):
    transport, protocol = await spawn("true", stdin=None, stdout=None, stderr=None)
    await asyncio.wait_for(protocol.lost, 10)
    assert protocol.events == ["made", "exited", "lost"]
    assert transport.get_returncode() == 0


async def test_stderr_with_stdout(spawn):
    _transport, protocol = await spawn("sh", "-c", "echo out; echo err >&2", stderr=subprocess.STDOUT)
    await asyncio.wait_for(protocol.lost, 10)
    assert protocol.data == {1: b"out\nerr\n", 2: b""}


async def test_a_shell(loop):
    transport, protocol = await loop.subprocess_shell(Recorder, "printf $((6 * 7)); exit 5")
    await asyncio.wait_for(protocol.lost, 10)
    assert (protocol.data[1], transport.get_returncode()) == (b"42", 5)
    transport.close()


async def test_much_of_both(spawn):
    size = 1 << 20
    transport, protocol = await spawn("cat")
    stdin = transport.get_pipe_transport(0)
    stdin.write(bytes(size))
    stdin.close()
    await asyncio.wait_for(protocol.lost, 10)
    assert len(protocol.data[1]) == size


async def test_keywords_of_popen(spawn, tmp_path):
    _, protocol = await spawn("sh", "-c", "pwd; echo $WHO", cwd=tmp_path, env={"WHO": "me"})
    await asyncio.wait_for(protocol.lost, 10)
    assert protocol.data[1] == f"{tmp_path}\nme\n".encode()


async def test_asyncios_own_functions(loop):
    process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    assert await process.communicate(b"hello") == (b"hello", None)
    assert process.returncode == 0
    process = await asyncio.create_subprocess_shell("exit 7")
    assert await process.wait() == 7


# --- The end


async def test_the_exit_is_told_while_pipes_stay_open(loop, spawn, watch):
    """A grandchild holds the pipe: the child has ended nevertheless."""
    transport, protocol = await spawn("sh", "-c", "sleep 1000 & echo $!", stdin=None, stderr=None)
    assert await asyncio.wait_for(transport._wait(), 10) == 0
    await asyncio.wait_for(protocol.exited, 10)
    assert not protocol.lost.done()
    async with asyncio.timeout(10):
        while not protocol.data[1]:
            await asyncio.sleep(0.001)
    os.kill(int(protocol.data[1]), signal.SIGKILL)


async def test_many_wait(loop, spawn, watch):
    transport, _ = await spawn("true")
    assert await asyncio.gather(*(transport._wait() for _ in range(3))) == [0, 0, 0]
    assert await transport._wait() == 0


async def test_a_cancelled_wait_does_not_disturb(loop, spawn):
    transport, _ = await spawn("cat")
    task = loop.create_task(transport._wait())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    transport.kill()
    assert await asyncio.wait_for(transport._wait(), 10) == -signal.SIGKILL


async def test_closing_kills(loop, watch):
    transport, protocol = await loop.subprocess_exec(Recorder, *SLEEPS)
    assert not transport.is_closing()
    transport.close()
    transport.close()
    assert transport.is_closing()
    await asyncio.wait_for(protocol.lost, 10)
    assert transport.get_returncode() == -signal.SIGKILL
    transport.close()


WAITS = ("sh", "-c", "read line; exit 4")  # until it is written a line


async def test_a_child_that_somebody_else_reaped(spawn, watch, caplog):
    transport, protocol = await spawn(*WAITS)
    transport.get_pipe_transport(0).write(b"\n")
    os.waitpid(transport.get_pid(), 0)
    await asyncio.wait_for(protocol.lost, 10)
    assert transport.get_returncode() == 255
    assert "exit status already read" in caplog.text


async def test_a_child_that_popen_reaped(spawn, watch):
    transport, protocol = await spawn(*WAITS)
    transport.get_pipe_transport(0).write(b"\n")
    transport.get_extra_info("subprocess").wait()
    await asyncio.wait_for(protocol.lost, 10)
    assert transport.get_returncode() == 4


@pytest.mark.build
async def test_five_hundred_at_once(loop, watch, room_for_descriptors):
    """Each says who it is and ends with a status of its own, all of them held back until all are there; no thread helps."""
    threads = threading.active_count()
    children = []
    for number in range(500):
        child = await loop.subprocess_exec(
            Recorder, "sh", "-c", f"read line; exit {number % 200}", stdout=None, stderr=None
        )
        children.append(child)
    assert threading.active_count() == threads
    for transport, _ in children:
        transport.get_pipe_transport(0).write(b"go\n")
    async with asyncio.timeout(60):
        statuses = [await transport._wait() for transport, _ in children]
        await asyncio.gather(*(protocol.lost for _, protocol in children))
    for transport, _ in children:
        transport.close()
    assert statuses == [number % 200 for number in range(500)]


async def test_asking_after_a_child_takes_no_thread_and_ends_with_it(loop, monkeypatch):
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    threads = threading.active_count()
    transport, protocol = await loop.subprocess_exec(Recorder, "sleep", "0.02")
    assert await asyncio.wait_for(transport._wait(), 10) == 0
    await asyncio.wait_for(protocol.lost, 10)
    transport.close()
    assert threading.active_count() == threads


# --- Signals


async def test_signals(spawn, watch):
    for send, number in (
        (lambda transport: transport.send_signal(signal.SIGHUP), signal.SIGHUP),
        (lambda transport: transport.terminate(), signal.SIGTERM),
        (lambda transport: transport.kill(), signal.SIGKILL),
    ):
        transport, _protocol = await spawn(*SLEEPS)
        send(transport)
        assert await asyncio.wait_for(transport._wait(), 10) == -number


async def test_signals_after_the_end_hit_nobody(spawn, watch, monkeypatch):
    def refuse(*args):
        raise AssertionError("a signal was sent")

    class Protocol(Recorder):
        def process_exited(self):
            super().process_exited()
            monkeypatch.setattr(os, "kill", refuse)
            monkeypatch.setattr(signal, "pidfd_send_signal", refuse, raising=False)
            self.transport.kill()
            self.events.append("killed")

    transport, protocol = await spawn("true", protocol=Protocol)
    await asyncio.wait_for(protocol.lost, 10)
    assert "killed" in protocol.events
    with pytest.raises(ProcessLookupError):
        transport.kill()


async def test_a_signal_to_a_child_that_was_reaped_elsewhere(spawn, watch):
    transport, protocol = await spawn(*WAITS)
    transport.get_pipe_transport(0).write(b"\n")
    os.waitpid(transport.get_pid(), 0)
    transport.kill()  # nobody is there any more
    await asyncio.wait_for(protocol.lost, 10)


# --- Trouble


async def test_a_program_that_is_not_there(loop):
    with pytest.raises(FileNotFoundError):
        await loop.subprocess_exec(Recorder, "/no/such/program")


async def test_cancelling_the_start_ends_the_child(loop, watch):
    task = loop.create_task(loop.subprocess_exec(Recorder, *SLEEPS))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)


async def test_an_error_of_connection_made_is_reported(loop, spawn, loop_errors):
    class Protocol(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            raise ZeroDivisionError

    _transport, protocol = await spawn("true", protocol=Protocol)
    assert isinstance(loop_errors.pop()["exception"], ZeroDivisionError)
    await asyncio.wait_for(protocol.lost, 10)


async def test_pipes_that_cannot_be_watched_close_everything(loop, monkeypatch):
    def refuse(*args):
        raise OSError("no room")

    monkeypatch.setattr(children, "ReadPipeTransport", refuse)
    with pytest.raises(OSError, match="no room"):
        await loop.subprocess_exec(Recorder, *SLEEPS)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"universal_newlines": True}, "universal_newlines must be False"),
        ({"shell": True}, "shell must be False"),
        ({"bufsize": 4096}, "bufsize must be 0"),
        ({"text": True}, "text must be False"),
        ({"encoding": "utf-8"}, "encoding must be None"),
        ({"errors": "strict"}, "errors must be None"),
    ],
)
async def test_pipes_carry_bytes(loop, kwargs, message):
    with pytest.raises(ValueError, match=message):
        await loop.subprocess_exec(Recorder, "true", **kwargs)
    if "shell" not in kwargs:
        with pytest.raises(ValueError, match=message):
            await loop.subprocess_shell(Recorder, "true", **kwargs)


async def test_a_shell_wants_a_string(loop):
    with pytest.raises(ValueError, match="cmd must be a string"):
        await loop.subprocess_shell(Recorder, ["ls"])
    with pytest.raises(ValueError, match="shell must be True"):
        await loop.subprocess_shell(Recorder, "ls", shell=False)


async def test_repr(spawn):
    transport, _ = await spawn("cat", stderr=None)
    text = repr(transport)
    assert text.startswith(f"<SubprocessTransport pid={transport.get_pid()} running stdin=<WritePipeTransport fd=")
    assert "stdout=<ReadPipeTransport fd=" in text
    transport.close()
    await transport._wait()
    assert "returncode=-9" in repr(transport)
    assert "closed" in repr(transport)


def drop(held):
    """Let go of what a list holds."""
    held.clear()
    gc.collect()


async def test_an_abandoned_transport_complains(loop):
    held = [*await loop.subprocess_exec(asyncio.SubprocessProtocol, "true", stdin=None)]
    await held[0]._wait()
    await asyncio.sleep(0.01)
    with pytest.warns(ResourceWarning, match="unclosed transport <SubprocessTransport pid="):
        drop(held)


def test_a_loop_that_closes_lets_go_of_the_child(loop):
    protocol_made = []

    def factory():
        protocol_made.append(Recorder())
        return protocol_made[-1]

    async def main():
        return (await loop.subprocess_exec(factory, *SLEEPS, stdin=None, stdout=None, stderr=None))[0]

    transport = loop.run_until_complete(main())
    process = transport.get_extra_info("subprocess")
    loop.close()
    transport.close()
    assert process.wait(10) == -signal.SIGKILL


async def test_debug_mode_tells_of_the_program_and_not_of_its_arguments(loop, caplog):
    loop.set_debug(True)
    caplog.set_level(logging.DEBUG, "asyncio")
    transport, protocol = await loop.subprocess_exec(Recorder, "true", "secret", stderr=subprocess.STDOUT)
    await asyncio.wait_for(protocol.lost, 10)
    transport.close()
    for text in (
        "execute program 'true' stdin=<pipe> stdout=stderr=<pipe>",
        "process 'true' created: pid",
        "exited with return code 0",
    ):
        assert text in caplog.text
    assert "secret" not in caplog.text
    with contextlib.suppress(ProcessLookupError):
        transport.kill()


async def test_debug_mode_tells_of_a_kill(loop, caplog):
    loop.set_debug(True)
    transport, protocol = await loop.subprocess_exec(Recorder, *SLEEPS)
    transport.close()
    await asyncio.wait_for(protocol.lost, 10)
    assert "Close running child process: kill" in caplog.text


def test_a_child_that_outlives_the_loop_can_still_be_killed(new_loop):
    """The transport was told nothing more of it, and sends signals nevertheless."""
    loop = new_loop()
    making = loop.subprocess_exec(asyncio.SubprocessProtocol, "sleep", "100", stdin=None, stdout=None, stderr=None)
    transport, _ = loop.run_until_complete(making)
    loop.close()
    transport.terminate()
    assert os.waitpid(transport.get_pid(), 0)[1] == signal.SIGTERM
    transport.get_extra_info("subprocess").returncode = -signal.SIGTERM
    transport.close()
