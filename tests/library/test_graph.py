"""Call graphs: the stack of a task, who waits for it, and the text that shows both."""

from __future__ import annotations

import io

import pytest

import cede


def names(graph):
    return [entry.frame.f_code.co_name for entry in graph.call_stack]


def awaiters(graph):
    return {awaiter.future.get_name(): awaiter for awaiter in graph.awaited_by}


async def turns(n=3):
    for _ in range(n):
        await cede.sleep(0)


async def test_the_current_task_s_stack_is_innermost_first():
    def plain():
        return cede.capture_call_graph()

    async def inner():
        return plain()

    async def outer():
        return await inner()

    task = cede.create_task(outer())
    graph = await task
    assert graph.future is task
    assert names(graph) == ["plain", "inner", "outer"]
    assert [awaiter.future for awaiter in graph.awaited_by] == [cede.current_task()]


async def test_depth_leaves_out_the_innermost():
    def plain():
        return cede.capture_call_graph(depth=2)

    async def work():
        return plain()

    assert names(await cede.create_task(work())) == ["work"]


async def test_a_suspended_task_s_stack():
    async def inner():
        await cede.sleep(1000)

    async def outer():
        await inner()

    task = cede.create_task(outer())
    await cede.sleep(0)
    graph = cede.capture_call_graph(task)
    assert names(graph) == ["sleep", "inner", "outer"]
    assert graph.awaited_by == ()
    task.cancel()


async def test_who_waits_is_found_through_everything_that_waits():
    async def leaf():
        await turns(6)
        return cede.capture_call_graph()

    async def by_group(task):
        async with cede.TaskGroup() as group:
            group.create_task(by_gather(task), name="gather")

    async def by_gather(task):
        await cede.gather(task)

    async def by_wait(task):
        await cede.wait([task])

    async def by_shield(task):
        await cede.shield(task)

    async def by_wait_for(task):
        await cede.wait_for(task, 1000)

    async def by_as_completed(task):
        async for _ in cede.as_completed([task]):
            pass

    task = cede.create_task(leaf())
    waiting = [
        cede.create_task(how(task), name=how.__name__)
        for how in (by_group, by_wait, by_shield, by_wait_for, by_as_completed)
    ]
    graph = await task
    await cede.gather(*waiting)
    found = awaiters(graph)
    assert set(found) >= {"gather", "by_wait", "by_shield", "by_wait_for", "by_as_completed"}
    assert set(awaiters(found["gather"])) == {"by_group"}
    assert names(found["by_wait_for"])[-1] == "by_wait_for"


async def test_async_generators_and_generators_in_the_stack():
    seen = []

    def generator():
        seen.append(cede.capture_call_graph())
        yield

    async def async_generator():
        yield 1
        list(generator())

    async def work():
        async for _ in async_generator():
            pass

    await cede.create_task(work())
    assert names(seen[0])[:3] == ["generator", "async_generator", "work"]


async def test_limit_cuts_each_stack():
    async def c():
        return [cede.capture_call_graph(limit=limit) for limit in (1, 2, -1, -2, 0, None)]

    async def b():
        return await c()

    async def a():
        return await b()

    graphs = await cede.create_task(a())
    # `c` captures from inside a list comprehension, which has a frame of its own up to Python 3.11.
    stacks = [[name for name in names(graph) if name != "<listcomp>"] for graph in graphs]
    assert stacks[0] == ["a"]
    assert stacks[1] == ["b", "a"]
    assert stacks[4] == []
    assert stacks[5] == ["c", "b", "a"]
    assert len(graphs[2].call_stack) == 1
    assert len(graphs[3].call_stack) == 2
    assert graphs[4].awaited_by

    async def sleeper():
        await cede.sleep(1000)

    async def outer():
        await sleeper()

    task = cede.create_task(outer())
    await cede.sleep(0)
    assert names(cede.capture_call_graph(task, limit=1)) == ["outer"]
    assert names(cede.capture_call_graph(task, limit=-2)) == ["sleep", "sleeper"]
    assert names(cede.capture_call_graph(task, limit=0)) == []
    task.cancel()


async def test_a_plain_future_has_no_stack(loop):
    future = loop.create_future()
    task = cede.create_task(cede.wait([future]), name="waiter")
    await cede.sleep(0)
    graph = cede.capture_call_graph(future)
    assert graph.future is future
    assert graph.call_stack == ()
    assert list(awaiters(graph)) == ["waiter"]
    text = cede.format_call_graph(future)
    assert text.startswith(
        f"* Future(id={id(future):#x})\n  + Awaited by:\n    * Task(name='waiter', id={id(task):#x})\n"
    )
    future.cancel()


async def test_the_text():
    async def leaf():
        return cede.format_call_graph()

    async def branch():
        return await cede.create_task(leaf(), name="leaf")

    text = await cede.create_task(branch(), name="branch")
    lines = text.splitlines()
    assert lines[0].startswith("* Task(name='leaf', id=0x")
    assert lines[1] == "  + Call stack:"
    assert lines[2].startswith(f"  |   File {__file__!r}, line ")
    assert lines[2].endswith("in async test_the_text.<locals>.leaf()")
    assert lines[3] == "  + Awaited by:"
    assert lines[4].startswith("    * Task(name='branch', id=0x")
    assert lines[6].endswith("in async test_the_text.<locals>.branch()")


async def test_printing():
    file = io.StringIO()
    cede.print_call_graph(file=file, depth=2)
    printed = file.getvalue()
    assert printed.endswith("\n")
    assert printed.splitlines()[2].endswith("in async test_printing()")


def test_outside_of_a_loop_a_future_is_needed(loop):
    with pytest.raises(RuntimeError, match="outside of a running event loop"):
        cede.capture_call_graph()
    future = loop.create_future()
    assert cede.capture_call_graph(future).future is future


async def test_outside_of_a_task_there_is_nothing(loop):
    results = []
    loop.call_soon(lambda: results.append((cede.capture_call_graph(), cede.format_call_graph())))
    await turns()
    assert results == [(None, "")]


async def test_only_futures_have_a_graph():
    with pytest.raises(TypeError, match="compatible with asyncio"):
        cede.capture_call_graph(1)


def test_the_graph_s_classes_cannot_be_changed(loop):
    future = loop.create_future()
    graph = cede.FutureCallGraph(future, (), ())
    assert graph == cede.FutureCallGraph(future, (), ())
    with pytest.raises(AttributeError):
        graph.future = None
    assert not hasattr(graph, "__dict__")
    assert not hasattr(cede.FrameCallGraphEntry(None), "__dict__")
