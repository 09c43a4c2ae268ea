"""Long chains of futures and tasks, and cycles of them: no recursion without end, nothing kept alive."""

from __future__ import annotations

import pytest

import cede

MANY = 100_000 if cede.compiled else 20_000


# -- long chains -------------------------------------------------------------------------------------------------------

CHAIN = f"""
    import asyncio, gc, sys
    import cede
    MANY = {MANY}
    loop = cede.new_event_loop()
    async def link(previous):
        return await previous
    async def build():
        first = last = loop.create_future()
        for _ in range(MANY):
            last = cede.Task(link(last), loop=loop)
            last._log_destroy_pending = False
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return first, last
    first, last = loop.run_until_complete(build())
"""


@pytest.mark.parametrize(
    "end",
    {
        "finished": "first.set_result(7); assert loop.run_until_complete(last) == 7",
        "cancelled": "last.cancel('all'); outcome(asyncio.CancelledError); assert first.cancelled()",
        "cancelled from below": "first.cancel(); outcome(asyncio.CancelledError)",
        "failed": "first.set_exception(KeyError()); outcome(KeyError)",
        "shown": "outcome_of(lambda: repr(last), RecursionError); loop.close()",
        "dropped": "loop.close(); del first; del last",
        "dropped at once": "loop.close(); del first, last, loop; gc.collect(); loop = None",
        "left to the interpreter": "sys.exit()",
    }.items(),
    ids=lambda item: item[0],
)
def test_a_chain_of_many_tasks(run_python, end):
    source = f"""{CHAIN}
    def outcome_of(function, expected):
        try:
            function()
        except expected:
            return
    def outcome(expected):
        try:
            loop.run_until_complete(last)
        except expected:
            return
        raise SystemExit("no " + expected.__name__)
    {end[1]}
    gc.collect()
    first = last = None
    if loop is not None:
        loop.close()
    """
    if end[0] == "left to the interpreter":
        source = source.replace("import cede", "import warnings; warnings.simplefilter('ignore'); import cede")
    run_python(source, timeout=55)


# What holds the one before; then the same with no tuple or list in between, whose end would be put off: callbacks that are
# methods of one another.
HOLD = {
    "results": "f = cede.Future(loop=loop); f.set_result(p); p = f",
    "exceptions": "e = KeyError(); e.f = p; f = cede.Future(loop=loop); f.set_exception(e); f.exception(); p = f",
    "subclasses": "f = Sub(loop=loop); f.set_result(p); p = f",
    "handles": "p = loop.call_soon(print, p)",
    "timers": "p = loop.call_later(1, print, p)",
}
METHODS = {
    "attributes": "f = cede.Future(loop=loop); f.previous = p; p = f",
    "attributes of a subclass": "f = Sub(loop=loop); f.previous = p; p = f",
    "callbacks of futures": "f = cede.Future(loop=loop); f.add_done_callback(p.set_result if p else print); p = f",
    "methods of handles": "p = loop.call_soon(p.cancel if p else print)",
    "methods of handles from threads": "p = loop.call_soon_threadsafe(p.cancel if p else print)",
    "methods of timers": "p = loop.call_later(1, p.cancel if p else print)",
}


@pytest.mark.parametrize(
    ("link", "times"),
    [*((link, MANY) for link in HOLD.values()), *((link, 3 * MANY) for link in METHODS.values())],
    ids=[*HOLD, *METHODS],
)
def test_many_objects_that_hold_one_another(run_python, link, times):
    source = f"""
    import gc
    import cede
    class Sub(cede.Future):
        pass
    loop = cede.new_event_loop()
    gc.disable()
    p = f = e = None
    for _ in range({times}):
        {link}
    loop.close()
    f = e = None
    del p
    gc.collect()
    """
    run_python(source)


def test_eagerly_started_tasks_inside_one_another_end_in_a_recursion_error(run_python):
    source = """
    import asyncio
    import cede
    async def child(depth):
        if depth:
            await cede.Task(child(depth - 1), eager_start=True)
    async def main():
        await child(1) if False else None
        try:
            await cede.Task(child(100_000), eager_start=True)
        except RecursionError:
            return "recursion"
    loop = cede.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    assert loop.run_until_complete(main()) == "recursion"
    for _ in range(10):
        loop.call_soon(loop.stop)
        loop.run_forever()
    loop.close()
    """
    run_python(source, timeout=55, env={"PYTHONWARNINGS": "ignore"})


def test_coroutines_deep_inside_one_another(run_python):
    source = """
    import asyncio
    import cede
    async def deep(depth, future):
        if depth:
            return await deep(depth - 1, future)
        return await future
    async def main():
        future = cede.get_running_loop().create_future()
        task = asyncio.create_task(deep(800, future))
        await asyncio.sleep(0)
        assert len(task.get_stack()) == 1
        future.set_result("deep")
        return await task
    assert cede.run(main()) == "deep"
    """
    run_python(source)


# -- the collector of cycles -------------------------------------------------------------------------------------------

PROGRAM = """
    import asyncio, gc, sys, weakref
    import cede

    class Noisy:
        "Collects when it dies, and looks at the loop."
        def __del__(self):
            gc.collect()
            try:
                asyncio.current_task()
            except RuntimeError:
                pass

    async def child(number):
        noisy = Noisy()
        noisy.itself = noisy
        future = asyncio.get_running_loop().create_future()
        future.cycle = future
        timer = asyncio.get_running_loop().call_later(0.0001 * (number % 3), future.set_result, noisy)
        future.timer = timer
        try:
            await asyncio.wait_for(asyncio.shield(future), 0.0002 if number % 4 == 0 else 5)
        except asyncio.TimeoutError:
            future.cancel()
        return number

    async def main():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(number)) for number in range(10)]
        results = await asyncio.gather(*(child(number) for number in range(5)), return_exceptions=True)
        queue = asyncio.Queue(1)
        async def produce():
            for number in range(5):
                await queue.put(Noisy())
        producer = asyncio.create_task(produce())
        for _ in range(5):
            await queue.get()
        lost = asyncio.create_task(child(0))
        lost.cancel()
        del lost
        return [task.result() for task in tasks] + results
"""


def test_collecting_all_the_time(run_python):
    source = (
        PROGRAM
        + """
    gc.set_threshold(1, 1, 1)
    for debug in (False, True):
        loop = cede.new_event_loop()
        loop.set_debug(debug)
        loop.slow_callback_duration = 100
        loop.set_exception_handler(lambda loop, context: None)
        assert loop.run_until_complete(main()) == [*range(10), *range(5)]
        for _ in range(5):
            loop.call_soon(loop.stop)
            loop.run_forever()
        loop.close()
    """
    )
    run_python(source, timeout=55)


def test_nothing_is_left_of_a_program(run_python):
    """Neither cycles, nor what the collector does not see: run it again and again, and count the objects."""
    source = (
        PROGRAM
        + """
    def run():
        loop = cede.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)
        loop.run_until_complete(main())
        class Owner:
            def method(self):
                pass
        def cycles():
            owner = Owner()
            owner.handle = loop.call_soon(owner.method)
            owner.timer = loop.call_later(0, owner.method)
            owner.cancelled = loop.call_later(1000, owner.method)
            owner.cancelled.cancel()
            owner.future = loop.create_future()
            owner.future.add_done_callback(lambda _, owner=owner: owner)
            references.extend(weakref.ref(x) for x in (owner, owner.handle, owner.timer, owner.cancelled, owner.future))
        references = []
        loop.call_soon(cycles)
        loop.call_later(0.001, loop.call_soon, loop.stop)  # a turn later, however slow this machine is
        loop.run_forever()
        gc.collect()
        assert not any(reference() for reference in references), [r() for r in references]
        loop.close()
        reference = weakref.ref(loop)
        del loop
        gc.collect()
        assert reference() is None
    for _ in range(3):
        run()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(5):
        run()
    gc.collect()
    assert len(gc.get_objects()) - before < 50, len(gc.get_objects()) - before
    """
    )
    run_python(source)


def test_an_abandoned_loop_with_work_is_collected(run_python):
    source = """
    import gc, warnings, weakref
    warnings.simplefilter("ignore", ResourceWarning)
    import cede
    for ran in (False, True):
        loop = cede.new_event_loop()
        if ran:
            loop.call_soon(lambda loop=loop: [loop.call_soon(print, loop) for _ in range(3)])
            loop.call_soon(loop.stop)
            loop.run_forever()
        handles = [weakref.ref(loop.call_soon(print, loop)), weakref.ref(loop.call_later(9, print, loop))]
        reference = weakref.ref(loop)
        del loop
        gc.collect()
        assert reference() is None
        assert [handle() for handle in handles] == [None, None]
    """
    run_python(source)


def test_finalizers_use_what_is_being_collected(run_python):
    """A future, a task, a handle and a loop die together with an object whose destructor still calls them."""
    source = """
    import asyncio, gc, sys, warnings
    warnings.simplefilter("ignore")
    import cede
    async def coroutine():
        pass
    class Last:
        def __init__(self, *things):
            self.things = things
            self.cycle = self
        def __del__(self):
            for thing in self.things:
                for name in ("cancel", "done", "result", "exception", "cancelled", "get_loop", "set_result", "get_context",
                             "get_coro", "get_stack", "stop", "close", "is_running", "time", "call_soon", "__repr__"):
                    for args in ((), (1,), (print,)):
                        try:
                            getattr(thing, name)(*args)
                        except Exception:
                            pass
    sys.unraisablehook = lambda *args: None
    for _ in range(50):
        loop = cede.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)
        future = loop.create_future()
        things = [future, loop.create_task(coroutine()), loop.call_soon(print), loop.call_later(1, print), loop]
        last = Last(*things)
        for thing in things:
            try:
                thing.last = last
            except AttributeError:
                pass
        loop.close()
        del loop, future, things, last, thing
        gc.collect()
    """
    run_python(source)


def test_objects_that_come_back_to_life(run_python):
    source = """
    import gc, sys
    import cede
    alive = []
    class Lazarus(cede.Future):
        def __del__(self):
            super().__del__() if hasattr(cede.Future, "__del__") else None
            alive.append(self)
    class LazarusTask(cede.Task):
        def __del__(self):
            alive.append(self)
    async def wait(future):
        await future
    loop = cede.new_event_loop()
    messages = []
    loop.set_exception_handler(lambda loop, context: (messages.append(context), alive.append(context)))
    for _ in range(100):
        future = Lazarus(loop=loop)
        future.set_exception(KeyError())
        future.itself = future
        del future
        LazarusTask(wait(Lazarus(loop=loop)), loop=loop)
        plain = cede.Future(loop=loop)
        plain.set_exception(KeyError())
        del plain
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    gc.collect()
    for thing in alive:
        repr(thing)
        if isinstance(thing, cede.Future):
            thing.done(), thing.cancelled()
            try:
                thing.cancel()
            except RuntimeError:
                pass  # the loop is closed
    alive.clear()
    messages.clear()
    gc.collect()
    """
    run_python(source)
