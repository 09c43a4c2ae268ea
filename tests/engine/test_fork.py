"""Fork: the child has no running loop and no current task, and what it does to its copy leaves the parent's alone."""

from __future__ import annotations

import os
import sys

import pytest

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

HEAD = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import cede

def in_child(function):
    "Run it in a forked child; raise if that fails."
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
"""


def test_inside_a_task_the_child_has_no_loop_and_no_task(run_python):
    run_python(
        HEAD
        + """
async def main():
    me = asyncio.current_task()
    def child():
        assert asyncio._get_running_loop() is None
        try:
            asyncio.current_task()
        except RuntimeError:
            pass
        else:
            raise AssertionError("a task in the child")
    in_child(child)
    assert asyncio.current_task() is me
    assert asyncio.get_running_loop() is loop
    await asyncio.sleep(0.001)
loop = cede.new_event_loop()
loop.run_until_complete(main())
loop.close()
"""
    )


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside"])
def test_the_child_may_run_a_loop_of_its_own(run_python, inside):
    run_python(
        HEAD
        + f"""
def child():
    async def main():
        await asyncio.sleep(0.001)
        return asyncio.current_task() in asyncio.all_tasks()
    loop = cede.new_event_loop()
    assert loop.run_until_complete(main())
    loop.close()
async def parent():
    in_child(child)
    await asyncio.sleep(0.001)
loop = cede.new_event_loop()
if {inside}:
    loop.run_until_complete(parent())
else:
    in_child(child)
loop.run_until_complete(asyncio.sleep(0.001))
loop.close()
"""
    )


def test_closing_the_parents_loop_in_the_child_leaves_the_parents_alone(run_python):
    """An epoll descriptor is shared with the child: what the child takes out of it is out of the parent's too."""
    run_python(
        HEAD
        + """
import socket, threading
loop = cede.new_event_loop()
left, right = socket.socketpair()
seen = []
loop.add_reader(left, lambda: seen.append(left.recv(1)))
def child():
    loop.close()
    assert loop.is_closed()
in_child(child)
right.send(b"x")
threading.Timer(0.05, loop.call_soon_threadsafe, [loop.stop]).start()
watchdog = loop.call_later(10, sys.exit, "the loop was not woken")
loop.run_forever()
watchdog.cancel()
assert seen == [b"x"], seen
loop.remove_reader(left)
loop.close()
left.close()
right.close()
"""
    )


def test_the_child_may_go_on_with_a_loop_that_did_not_run(run_python):
    run_python(
        HEAD
        + """
loop = cede.new_event_loop()
ran = []
loop.call_soon(ran.append, 1)
def child():
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran == [1]
    assert loop.run_until_complete(asyncio.sleep(0.001, "slept")) == "slept"
in_child(child)
assert ran == []
assert loop.run_until_complete(asyncio.sleep(0.001, "slept")) == "slept"
assert ran == [1]
loop.close()
"""
    )


def test_children_of_multiprocessing_run_loops(run_python):
    if sys.platform != "linux":
        pytest.skip("the fork start method is Linux's")
    source = """
        import asyncio, multiprocessing, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import cede
        async def main():
            await asyncio.sleep(0.001)
            return "child"
        def work():
            assert cede.run(main()) == "child"
        if __name__ == "__main__":
            context = multiprocessing.get_context("fork")
            async def parent():
                process = context.Process(target=work)
                process.start()
                await asyncio.to_thread(process.join, 20)
                assert process.exitcode == 0, process.exitcode
            cede.run(parent())
    """
    run_python(source)


CHILD_LEAVES_ALONE = """
import gc, socket, signal, threading
way, kind = sys.argv[1:]
async def main():
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    right.settimeout(5)
    reader, writer = await cede.open_connection(sock=left)
    reading, writing = os.pipe()
    os.set_blocking(writing, True)
    pipe, _ = await loop.connect_write_pipe(cede.Protocol, os.fdopen(os.dup(writing), "wb", 0))
    sleeper = await cede.create_subprocess_exec("sleep", "1000")
    path = os.path.abspath("server")
    server = await cede.start_unix_server(lambda r, w: w.close(), path)
    got = []
    loop.add_signal_handler(signal.SIGUSR1, got.append, "signal")
    def child():
        nonlocal reader, writer, pipe, sleeper, server
        if way == "closes":
            writer.write(b"")
            writer.close()
            pipe.close()
            sleeper._transport.close()
            server.close()
        elif way == "signalled":
            os.kill(os.getpid(), signal.SIGUSR1)
        elif way == "runs":
            asyncio._set_running_loop(None)
            assert cede.run(cede.sleep(0.01, 3)) == 3
        del reader, writer, pipe, sleeper, server
        gc.collect()
    warnings.simplefilter("ignore")
    in_child(child)
    right.send(b"data")
    assert await cede.wait_for(reader.read(4), 5) == b"data"
    writer.write(b"back")
    await writer.drain()
    await cede.sleep(0.01)
    assert right.recv(9) == b"back"
    assert await cede.wait_for(cede.to_thread(int), 5) == 0
    assert sleeper.returncode is None and not os.get_blocking(writing)
    os.kill(sleeper.pid, 0)
    assert got == []
    r, w = await cede.open_unix_connection(path)
    assert await r.read() == b""
    w.close()
    server.close()
    sleeper.kill()
    await sleeper.wait()
    pipe.close()
    writer.close()
    await cede.sleep(0.01)
    assert os.get_blocking(writing)
    for fd in (reading, writing):
        os.close(fd)
    right.close()
    loop.remove_signal_handler(signal.SIGUSR1)
cede.run(main(), loop_factory=cede.new_event_loop if kind == "epoll" else selector_loop)
"""

SELECTOR_LOOP = """
def selector_loop():
    import selectors
    return cede.EventLoop(selectors.DefaultSelector())
"""


@pytest.mark.parametrize("kind", ["epoll", "selector"])
@pytest.mark.parametrize("way", ["frees", "closes", "signalled", "runs"])
def test_what_a_child_does_with_what_it_inherited_leaves_the_parents_alone(run_python, way, kind):
    run_python(HEAD + SELECTOR_LOOP + CHILD_LEAVES_ALONE, way, kind)


def test_a_child_that_goes_on_with_the_loop_has_an_epoll_and_a_bell_of_its_own(run_python):
    run_python(
        HEAD
        + """
import socket, threading
loop = cede.new_event_loop()
left, right = socket.socketpair()
seen = []
loop.add_reader(left, lambda: seen.append(left.recv(1)))
def woken(who):
    "Run until a thread has called."
    threading.Timer(0.05, loop.call_soon_threadsafe, [loop.stop]).start()
    watchdog = loop.call_later(10, sys.exit, who + " was not woken")
    loop.run_forever()
    watchdog.cancel()
def child():
    right.send(b"c")
    woken("the child")
    assert seen == [b"c"], seen
    assert loop.remove_reader(left)
    loop.run_until_complete(asyncio.sleep(0.01))
in_child(child)
right.send(b"p")
woken("the parent")
assert seen == [b"p"], seen
loop.remove_reader(left)
loop.close()
left.close()
right.close()
"""
    )
