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
