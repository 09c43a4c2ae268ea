"""create_subprocess_exec, create_subprocess_shell and Process: pipes as streams, the end, cancellation, other loops."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading

import pytest

import cede
from cede import subprocess
from cede.subprocess import DEVNULL, PIPE, STDOUT

CAT = (sys.executable, "-S", "-c", "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())")
SLEEPS = ("sleep", "1000")


async def python(source, **kwds):
    return await cede.create_subprocess_exec(sys.executable, "-S", "-c", source, **kwds)


async def sh(command, **kwds):
    return await cede.create_subprocess_shell(command, **kwds)


# --- Pipes


async def test_communicate():
    process = await cede.create_subprocess_exec(*CAT, stdin=PIPE, stdout=PIPE)
    assert await process.communicate(b"some data") == (b"some data", None)
    assert process.returncode == 0
    assert process.stderr is None


async def test_communicate_with_all_three_and_much_of_each():
    source = "import sys; d = sys.stdin.buffer.read(); sys.stderr.buffer.write(d[::-1]); sys.stdout.buffer.write(d)"
    process = await python(source, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    data = os.urandom(3_000_000)
    assert await process.communicate(data) == (data, data[::-1])


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_what_may_be_sent(kind):
    process = await cede.create_subprocess_exec(*CAT, stdin=PIPE, stdout=PIPE)
    assert await process.communicate(kind(b"data")) == (b"data", None)


async def test_communicate_without_input_closes_stdin():
    process = await cede.create_subprocess_exec(*CAT, stdin=PIPE, stdout=PIPE)
    async with cede.timeout(10):
        assert await process.communicate() == (b"", None)
    process = await cede.create_subprocess_exec(*CAT, stdin=PIPE, stdout=PIPE)
    assert await process.communicate(b"") == (b"", None)


async def test_communicate_without_pipes():
    process = await sh("exit 3")
    assert await process.communicate() == (None, None)
    assert process.returncode == 3
    assert (process.stdin, process.stdout, process.stderr) == (None, None, None)


async def test_stderr_may_go_where_stdout_goes():
    process = await sh("echo out; echo err >&2", stdout=PIPE, stderr=STDOUT)
    assert await process.communicate() == (b"out\nerr\n", None)
    process = await sh("echo out; echo err >&2", stdout=PIPE, stderr=DEVNULL)
    assert await process.communicate() == (b"out\n", None)


async def test_talking_line_by_line():
    source = "import sys\nfor line in sys.stdin: print(line.strip().upper(), flush=True)"
    process = await python(source, stdin=PIPE, stdout=PIPE)
    for word in (b"one", b"two", b"three"):
        process.stdin.write(word + b"\n")
        await process.stdin.drain()
        assert await process.stdout.readline() == word.upper() + b"\n"
    process.stdin.close()
    await process.stdin.wait_closed()
    assert await process.stdout.read() == b""
    assert await process.wait() == 0


async def test_the_limit_is_the_readers():
    process = await sh("head -c 1000000 /dev/zero; echo", stdout=PIPE, limit=1000)
    with pytest.raises(ValueError, match="chunk exceed the limit"):
        await process.stdout.readline()
    await process.communicate()
    assert process.returncode == 0


async def test_a_slow_reader_makes_the_process_wait(tmp_path):
    mark = tmp_path / "mark"
    process = await sh(f"head -c 3000000 /dev/zero; touch {mark}", stdout=PIPE)
    await cede.sleep(0.1)
    assert not mark.exists()
    assert len(await process.stdout.read()) == 3_000_000
    await process.wait()
    assert mark.exists()


async def test_a_process_that_closes_its_stdin_early():
    process = await python("import os, sys; os.close(0); sys.stdin.close; print('enough')", stdin=PIPE, stdout=PIPE)
    assert await process.communicate(b"x" * 3_000_000) == (b"enough\n", None)
    assert process.returncode == 0


async def test_stdin_that_is_gone_tells_who_writes():
    process = await sh("exec 0<&-; sleep 1000", stdin=PIPE)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while True:
            process.stdin.write(b"x" * 100_000)
            await process.stdin.drain()
            await cede.sleep(0)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        await process.stdin.wait_closed()
    process.kill()
    await process.wait()


async def test_cancelled_communicate_can_be_asked_again():
    process = await cede.create_subprocess_exec(*CAT, stdin=PIPE, stdout=PIPE)
    with pytest.raises(TimeoutError):
        async with cede.timeout(0.05):
            await process.stdout.read()
    assert await process.communicate(b"data") == (b"data", None)


# --- The end


async def test_returncodes():
    assert await (await sh("exit 7")).wait() == 7
    process = await cede.create_subprocess_exec(*SLEEPS)
    assert process.returncode is None
    assert process.pid > 0
    assert repr(process) == f"<Process {process.pid}>"
    process.terminate()
    assert await process.wait() == -signal.SIGTERM
    process = await cede.create_subprocess_exec(*SLEEPS)
    process.kill()
    assert await process.wait() == process.returncode == -signal.SIGKILL
    process = await cede.create_subprocess_exec(*SLEEPS)
    process.send_signal(signal.SIGINT)
    assert await process.wait() == -signal.SIGINT


async def test_signals_after_the_end_do_nothing():
    process = await sh("exit 0", stdout=PIPE)
    await process.communicate()
    for send in (process.kill, process.terminate, lambda: process.send_signal(signal.SIGHUP)):
        try:
            send()
        except ProcessLookupError:
            pass  # asyncio: once the transport is gone


async def test_wait_returns_at_the_end_of_the_process_though_its_pipes_stay_open():
    process = await sh("sleep 1000 & echo $!", stdout=PIPE)
    grandchild = int(await process.stdout.readline())
    async with cede.timeout(10):
        assert await process.wait() == 0
    os.kill(grandchild, signal.SIGKILL)
    assert await process.stdout.read() == b""


async def test_many_wait_at_once():
    process = await cede.create_subprocess_exec(*SLEEPS)
    tasks = [cede.create_task(process.wait()) for _ in range(5)]
    await cede.sleep(0)
    tasks[2].cancel()
    process.kill()
    outcomes = await cede.gather(*tasks, return_exceptions=True)
    assert [outcome for number, outcome in enumerate(outcomes) if number != 2] == [-9] * 4
    assert await process.wait() == -9


async def test_wait_for_with_a_timeout():
    process = await cede.create_subprocess_exec(*SLEEPS)
    with pytest.raises(TimeoutError):
        await cede.wait_for(process.wait(), 0.05)
    process.kill()
    assert await cede.wait_for(process.wait(), 10) == -9


async def test_fifty_at_once():
    async def one(number):
        process = await sh(f"read x; echo $x; exit {number}", stdin=PIPE, stdout=PIPE)
        out, _ = await process.communicate(b"%d\n" % number)
        return int(out), process.returncode

    assert await cede.gather(*map(one, range(50))) == [(number, number) for number in range(50)]


# --- The beginning


async def test_a_program_that_is_not_there():
    with pytest.raises(FileNotFoundError):
        await cede.create_subprocess_exec("/no/such/program", stdin=PIPE, stdout=PIPE)


async def test_pipes_carry_bytes_only():
    for kwds in ({"text": True}, {"universal_newlines": True}, {"encoding": "utf-8"}, {"errors": "strict"}):
        with pytest.raises(ValueError, match="must be (False|None)"):
            await cede.create_subprocess_exec("true", **kwds)
    with pytest.raises(ValueError, match="bufsize must be 0"):
        await sh("true", bufsize=4096)


async def test_keywords_of_popen(tmp_path):
    process = await sh("pwd; echo $WHO", stdout=PIPE, cwd=tmp_path, env={"WHO": "me"})
    assert await process.communicate() == (f"{tmp_path}\nme\n".encode(), None)


async def test_cancelling_the_creation_does_not_hang():
    for turns in range(4):
        task = cede.create_task(cede.create_subprocess_exec(*SLEEPS, stdin=PIPE, stdout=PIPE))
        for _ in range(turns):
            await cede.sleep(0)
        task.cancel()
        async with cede.timeout(10):
            outcome = (await cede.gather(task, return_exceptions=True))[0]
        if not isinstance(outcome, BaseException):  # it was there already
            outcome.kill()
            await outcome.communicate()


async def test_the_constants_are_the_stdlibs():
    import subprocess as stock

    assert (subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL) == (stock.PIPE, stock.STDOUT, stock.DEVNULL)
    assert cede.subprocess is subprocess


# --- Seeing it


async def test_repr_of_the_protocol():
    process = await sh("cat", stdin=PIPE, stdout=PIPE)
    text = repr(process._protocol)
    assert text.startswith("<SubprocessStreamProtocol stdin=<StreamWriter transport=")
    assert " stdout=<StreamReader transport=" in text
    await process.communicate()


async def test_debug_mode_tells_what_communicate_does(loop, caplog):
    loop.set_debug(True)
    loop.slow_callback_duration = 100
    with caplog.at_level(logging.DEBUG, "asyncio"):
        process = await sh("cat", stdin=PIPE, stdout=PIPE)
        await process.communicate(b"12345")
    said = [record.getMessage() for record in caplog.records if "communicate" in record.getMessage()]
    assert [words.split("communicate: ")[1] for words in said] == [
        "feed stdin (5 bytes)",
        "close stdin",
        "read stdout",
        "close stdout",
    ] or sorted(words.split("communicate: ")[1] for words in said) == [
        "close stdin",
        "close stdout",
        "feed stdin (5 bytes)",
        "read stdout",
    ]


# --- Other loops and threads


async def talk():
    process = await cede.create_subprocess_exec(*CAT, stdin=PIPE, stdout=PIPE)
    assert await process.communicate(b"data") == (b"data", None)
    assert await process.wait() == 0


def test_in_a_thread_that_is_not_the_main_one():
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(cede.run(talk())))
    thread.start()
    thread.join()
    assert outcomes == [None]


def test_on_a_loop_that_is_not_cedes():
    if sys.version_info < (3, 12):
        watcher = asyncio.ThreadedChildWatcher()
        asyncio.get_event_loop_policy().set_child_watcher(watcher)
    loop = asyncio.SelectorEventLoop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(talk())
    loop.run_until_complete(asyncio.sleep(0.01))
    asyncio.set_event_loop(None)
    loop.close()


async def test_asyncios_functions_on_our_loop():
    process = await asyncio.create_subprocess_exec(*CAT, stdin=PIPE, stdout=PIPE)
    assert await process.communicate(b"data") == (b"data", None)
