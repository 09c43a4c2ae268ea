"""Nothing a program passes or does crashes the interpreter, hangs the loop, or leaks.

What might take the interpreter down runs in a process of its own, whose exit status is looked at.
"""

from __future__ import annotations

import pytest

import cede

MANY = 100_000 if cede.compiled else 20_000

# -- objects that were never initialised, and wrong arguments everywhere -----------------------------------------------

EVERYTHING = """
    import asyncio, collections.abc, contextvars, inspect, io, logging, sys, warnings
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda *args: None
    import cede
    from cede.engine import clock, futures, handles, loop as loops, tasks, timers, waker
    from cede.engine.pollers import base, epoll, select
    from cede import timeouts, waitlines
    from cede.engine import done, joins
    from cede.io import (datagram_transport, endpoint, listener, pipe_transport, socket_waits, stream_buffer, stream_ends,
                         stream_transport, tls_bytes, tls_socket, tls_transport, write_buffer)
    modules = [clock, done, futures, handles, joins, loops, tasks, timers, waker, base, epoll, select,
               datagram_transport, endpoint, listener, pipe_transport, socket_waits, stream_buffer, stream_ends,
               stream_transport, tls_bytes, tls_socket, tls_transport, write_buffer, timeouts, waitlines]
    classes = [c for m in modules for _, c in sorted(vars(m).items()) if isinstance(c, type) and c.__module__ == m.__name__]
    classes += [cede.EventLoop]
    assert {cede.Future, cede.Task, cede.Handle, cede.TimerHandle} <= set(classes)

    class Evil:
        "Whatever is asked of it raises."
        def __getattr__(self, name): raise KeyError(name)
        def __eq__(self, other): raise KeyError("eq")
        def __hash__(self): raise KeyError("hash")
        def __bool__(self): raise KeyError("bool")
        def __repr__(self): raise KeyError("repr")
        def __str__(self): raise KeyError("str")
        def __call__(self, *args, **kwargs): raise KeyError("call")
        def __len__(self): raise KeyError("len")
        def __index__(self): raise KeyError("index")
        def __float__(self): raise KeyError("float")
        def __iter__(self): raise KeyError("iter")

    evil = Evil()
    SPARED = {"__class__", "__init_subclass__", "__subclasshook__", "__new__", "__getattribute__", "__dir__",
              "__reduce__", "__reduce_ex__", "__getstate__", "__sizeof__", "__del__"}

    def call(thing, name, args, kwargs={}):
        try:
            result = getattr(thing, name)
            if callable(result):
                result = result(*args, **kwargs)
            if inspect.iscoroutine(result):
                result.close()
            elif inspect.isgenerator(result):
                for _ in range(3):
                    next(result)
        except BaseException:
            pass
        asyncio._set_running_loop(None)
"""


def test_without_init_every_method_of_every_class(run_python):
    source = (
        EVERYTHING
        + """
    sets = [(), (None,), (1,), (evil,), (print,), (None, None), (1, print), (print, 1), (None,) * 3, (evil,) * 3,
            (1.5, print, 2), (print, (), None), (print, None, None), (None,) * 4]
    for cls in classes:
        for name in dir(cls):
            if name in SPARED:
                continue
            for args in sets:
                thing = cls.__new__(cls)
                call(thing, name, args)
                call(thing, "__repr__", ())
                del thing
    """
    )
    run_python(source)


def test_wrong_arguments_for_every_method(run_python):
    source = (
        EVERYTHING
        + """
    async def coroutine():
        pass

    def make():
        loop = cede.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)
        future, done = cede.Future(loop=loop), cede.Future(loop=loop)
        done.set_result(done)
        return loop, [loop, future, done, cede.Task(coroutine(), loop=loop), loop.call_soon(print),
                      loop.call_later(9, print), loop.call_soon_threadsafe(print)]

    sets = [(), (None,), (1,), (-1,), ("x",), (evil,), (evil, evil), (print, evil), (evil, print), (1, evil, evil),
            (b"x", 1), (None, print), (print, print, print), (evil,) * 5, (2**70,), (1e400,), (cede.Future,), ([],)]
    keywords = [{}, {"context": evil}, {"context": 1}, {"loop": evil}, {"msg": evil}, {"limit": evil}, {"wrong": 1}]
    BLOCKS = {"run_forever", "_run_until_stopped", "_run_once", "_begin_running", "close", "__del__", "__init__"}
    for index in range(7):
        names = sorted(set(dir(type(make()[1][index]))) - SPARED - BLOCKS)
        for name in names:
            loop, things = make()
            for args in sets:
                for kwargs in keywords if len(args) < 2 else keywords[:1]:
                    call(things[index], name, args, kwargs)
                    call(things[index], "__repr__", ())
            loop.set_exception_handler(None)
            loop.set_debug(False)
            things.clear()
            loop.close()
    """
    )
    run_python(source, timeout=29)


def test_wrong_arguments_for_every_constructor(run_python):
    source = (
        EVERYTHING
        + """
    loop = cede.new_event_loop()
    sets = [(), (evil,), (1,), (None,), (loop,), (evil, evil), (print, (), loop), (print, evil, loop), (1, print, (), loop),
            (evil, print, (), loop), (print, (), evil), (loop, evil, evil), (loop, None, None), (evil,) * 6, (None,) * 6]
    keywords = [{}, {"loop": loop}, {"loop": evil}, {"loop": 1}, {"loop": None}, {"loop": loop, "name": evil},
                {"loop": loop, "context": evil}, {"loop": loop, "eager_start": evil}, {"clock": evil}, {"poller": evil}]
    for cls in classes:
        for args in sets:
            for kwargs in keywords:
                try:
                    made = cls(*args, **kwargs)
                    repr(made)
                    if isinstance(made, cede.EventLoop):
                        made.close()
                except BaseException:
                    pass
    loop.close()
    """
    )
    run_python(source)


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
    run_python(source, timeout=29)


@pytest.mark.parametrize(
    "link",
    {
        "results": "f = cede.Future(loop=loop); f.set_result(p); p = f",
        "callbacks": "f = cede.Future(loop=loop); f.add_done_callback(p.set_result if p else print); p = f",
        "exceptions": "e = KeyError(); e.f = p; f = cede.Future(loop=loop); f.set_exception(e); f.exception(); p = f",
        "subclasses": "f = Sub(loop=loop); f.set_result(p); p = f",
        "handles": "p = loop.call_soon(print, p)",
        "timers": "p = loop.call_later(1, print, p)",
    }.items(),
    ids=lambda item: item[0],
)
def test_many_objects_that_hold_one_another(run_python, link):
    source = f"""
    import gc
    import cede
    class Sub(cede.Future):
        pass
    loop = cede.new_event_loop()
    gc.disable()
    p = f = e = None
    for _ in range({MANY}):
        {link[1]}
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
    run_python(source, timeout=29, env={"PYTHONWARNINGS": "ignore"})


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
    run_python(source, timeout=29)


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


# -- callbacks that interfere with what is running ---------------------------------------------------------------------


def test_callbacks_that_do_to_the_loop_what_they_should_not(loop, loop_errors, turns):
    coro = cede.sleep(0)

    async def inner():
        pass

    other = inner()
    for wrong in (loop.close, loop.run_forever, lambda: loop.run_until_complete(coro)):
        loop.call_soon(wrong)
    loop.call_soon(lambda: loop.run_until_complete(other))
    called = []
    loop.call_soon(called.append, 1)
    turns(3)
    coro.close()
    other.close()
    assert called == [1]
    assert [type(context["exception"]) for context in loop_errors] == [RuntimeError] * 4
    loop_errors.clear()


@pytest.mark.parametrize("running", [False, True])
def test_initialising_a_loop_again(run_python, running):
    source = f"""
    import gc, warnings
    warnings.simplefilter("ignore")
    import cede
    loop = cede.new_event_loop()
    async def coroutine():
        await cede.sleep(0)
    def again():
        task = loop.create_task(coroutine())
        loop.call_soon(print)
        loop.call_later(0, print)
        loop.__init__()
        loop.call_soon(loop.stop)
    loop.set_exception_handler(lambda loop, context: None)
    if {running}:
        loop.call_soon(again)
    else:
        again()
    try:
        loop.run_forever()
    except Exception:
        pass
    if not loop.is_running():
        loop.close()
    del loop
    gc.collect()
    """
    run_python(source)


INTERFERENCE = {
    "cancels itself while it ends": """
        async def child():
            asyncio.current_task().cancel()
            asyncio.current_task().cancel()
            return 1
        await outcome(asyncio.create_task(child()), asyncio.CancelledError)
    """,
    "closes its own coroutine": """
        async def child():
            asyncio.current_task().get_coro().close()
        await outcome(asyncio.create_task(child()), ValueError)
    """,
    "sends to its own coroutine": """
        async def child():
            asyncio.current_task().get_coro().send(None)
        await outcome(asyncio.create_task(child()), ValueError)
    """,
    "its coroutine is closed while it waits": """
        task = asyncio.create_task(wait(loop.create_future()))
        await asyncio.sleep(0)
        task.get_coro().close()
        task.cancel()
        await asyncio.wait([task], timeout=1)
        assert task.done()
        task.cancelled() or task.exception()
    """,
    "its coroutine is driven by somebody else": """
        future = loop.create_future()
        task = asyncio.create_task(wait(future))
        await asyncio.sleep(0)
        future._asyncio_future_blocking = False
        try:
            task.get_coro().throw(KeyError())
        except KeyError:
            pass
        future.set_result(1)
        await asyncio.wait([task], timeout=1)
        assert task.done()
        task.exception()
    """,
    "two tasks share a coroutine": """
        future = loop.create_future()
        coro = wait(future)
        tasks = [asyncio.create_task(coro), asyncio.create_task(coro)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        future.set_result(1)
        await asyncio.wait(tasks)
        assert "RuntimeError" in [type(task.exception()).__name__ for task in tasks]
    """,
    "a future is awaited twice by one task": """
        future = loop.create_future()
        class Twice:
            def __await__(self):
                future._asyncio_future_blocking = True
                yield future
                future._asyncio_future_blocking = True
                yield future
                return "twice"
        async def child():
            return await Twice()
        task = asyncio.create_task(child())
        await asyncio.sleep(0)
        future.set_result(1)
        assert await task == "twice"
    """,
    "a task is woken by hand": """
        future, other = loop.create_future(), loop.create_future()
        task = asyncio.create_task(wait(future))
        await asyncio.sleep(0)
        for callback, context in list(future._callbacks):
            callback(other)
            callback(future)
        await asyncio.sleep(0)
        if not future.done():
            future.set_result(1)
        await asyncio.wait([task], timeout=1)
        assert task.done()
        task.exception()
    """,
    "an init in the middle": """
        async def child():
            me = asyncio.current_task()
            coro = asyncio.sleep(0)
            for init in (lambda: me.__init__(coro, loop=loop), lambda: cede.Future.__init__(me, loop=loop)):
                try:
                    init()
                except RuntimeError:
                    pass
            coro.close()
            await asyncio.sleep(0)
            return "unharmed"
        assert await asyncio.create_task(child()) == "unharmed"
    """,
    "fields are overwritten": """
        future = loop.create_future()
        task = asyncio.create_task(wait(future))
        await asyncio.sleep(0)
        for name in sorted(set(dir(future)) | set(dir(task))):
            for thing in (future, task):
                if name.startswith("_") and not name.startswith("__") and name not in ("_loop", "_log_destroy_pending"):
                    for value in (None, 1, object()):
                        try:
                            setattr(thing, name, value)
                        except Exception:
                            pass
                        try:
                            delattr(thing, name)
                        except Exception:
                            pass
        task._log_destroy_pending = False
        if cede.compiled:
            task.cancel()
            await asyncio.wait([task], timeout=1)
    """,
    "the exception handler interferes": """
        def handler(loop, context):
            loop.stop()
            for task in asyncio.all_tasks(loop):
                task.cancel()
                task.uncancel()
            loop.set_exception_handler(None)
            raise KeyError
        loop.set_exception_handler(handler)
        loop.call_soon(int, "x")
        await asyncio.sleep(0)
        loop.call_soon(loop.stop)
    """,
}


@pytest.mark.parametrize("what", INTERFERENCE)
def test_interference(run_python, what):
    source = f"""
import asyncio, logging, sys
logging.disable(logging.CRITICAL)
sys.unraisablehook = lambda *args: None
import cede

async def wait(future):
    return await future

async def outcome(task, expected):
    try:
        await task
    except expected:
        return
    raise SystemExit("expected " + expected.__name__)

async def main():
    loop = asyncio.get_running_loop()
{INTERFERENCE[what].replace(chr(10) + "    ", chr(10))}

loop = cede.new_event_loop()
task = loop.create_task(main())
for _ in range(3):
    try:
        loop.run_until_complete(task)
        break
    except RuntimeError as exc:
        if "stopped before" not in str(exc):
            raise
assert task.done()
task.result()
loop.call_soon(loop.stop)
loop.run_forever()
loop.close()
"""
    run_python(source)


# -- coroutines that are none ------------------------------------------------------------------------------------------

LIKE = """
    import asyncio, collections.abc, gc, logging, sys
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda *args: None
    import cede

    class Like:
        def __init__(self, **how):
            self.how = how
        def do(self, name, *args):
            how = self.how.get(name)
            if isinstance(how, BaseException):
                raise how
            return how(self, *args) if callable(how) else how
        def send(self, value):
            return self.do("send", value)
        def throw(self, *args):
            return self.do("throw", *args)
        def close(self):
            return self.do("close")
        def __await__(self):
            return self
        def __next__(self):
            return self.do("send", None)
    collections.abc.Coroutine.register(Like)
"""


@pytest.mark.parametrize(
    "how",
    {
        "raises": "send=KeyError()",
        "raises a base exception": "send=BaseException()",
        "raises GeneratorExit": "send=GeneratorExit()",
        "raises CancelledError": "send=asyncio.CancelledError()",
        "returns at once": "send=StopIteration(1)",
        "returns a tuple": "send=StopIteration((1, 2))",
        "stops by class": "send=StopIteration",
        "yields numbers": "send=5, throw=KeyError()",
        "yields itself": "send=lambda self, value: self, throw=StopIteration(2)",
        "yields a class": "send=int, throw=StopIteration(2)",
        "yields the task": "send=lambda self, value: asyncio.current_task(), throw=StopIteration()",
        "yields a done future": "send=lambda self, value: done, throw=StopIteration()",
        "yields nothing and throws nothing": "send=lambda self, value: None, throw=lambda self, *args: None",
        "throws something else": "send=lambda self, value: None, throw=KeyError()",
        "throw returns a number": "send=lambda self, value: None, throw=5",
        "cancels its task": "send=lambda self, value: asyncio.current_task().cancel() and None, throw=StopIteration(3)",
        "collects": "send=lambda self, value: gc.collect() and None, throw=asyncio.CancelledError()",
        "recurses": "send=lambda self, value: self.send(value), throw=StopIteration()",
        "stops the loop": "send=lambda self, value: loop.stop(), throw=StopIteration()",
        "runs the loop": "send=lambda self, value: loop.run_forever(), throw=StopIteration()",
        "closes the loop": "send=lambda self, value: loop.close(), throw=StopIteration()",
    }.items(),
    ids=lambda item: item[0],
)
def test_a_coroutine_like_object_that(run_python, how):
    """Whatever it does, the loop goes on and ends."""
    source = (
        LIKE
        + f"""
    loop = cede.new_event_loop()
    done = loop.create_future()
    done.set_result(1)
    for eager in (False, True):
        async def main():
            task = cede.Task(Like({how[1]}), eager_start=eager)
            ticks = 0
            while not task.done() and ticks < 20:
                ticks += 1
                await asyncio.sleep(0)
                if ticks > 5:
                    task.cancel()
            task._log_destroy_pending = False
            if task.done() and not task.cancelled():
                task.exception()
            return "went on"
        main_task = loop.create_task(main())
        for _ in range(60):
            try:
                assert loop.run_until_complete(main_task) == "went on"
                break
            except RuntimeError as exc:
                assert "stopped before" in str(exc), exc
    for _ in range(3):
        loop.call_soon(loop.stop)
        loop.run_forever()
    loop.close()
    """
    )
    run_python(source)


def test_awaitables_that_misbehave(run_python):
    source = (
        LIKE
        + """
    class Await:
        def __init__(self, answer):
            self.answer = answer
        def __await__(self):
            if isinstance(self.answer, BaseException):
                raise self.answer
            return self.answer
    async def wait(thing):
        return await thing
    async def generator():
        yield 1
    def yields(*values):
        for value in values:
            yield value
    class Raises:
        def __init__(self, name):
            self.name = name
        def __getattribute__(self, name):
            if name == object.__getattribute__(self, "name"):
                raise KeyError(name)
            return object.__getattribute__(self, name)
        _asyncio_future_blocking = True
        def get_loop(self): return loop
        def add_done_callback(self, *args, **kwargs): raise KeyError("add")
        def result(self): return 1
        def __repr__(self): raise KeyError("repr")
    class Mute:
        def __repr__(self): raise KeyError("repr")
    answers = [1, None, KeyError(), BaseException(), iter([]), iter([1]), yields(), yields(1), yields(None, None),
               yields(Mute()), yields(cede.Future), yields((StopIteration, 1, 2)), generator(),
               *(yields(Raises(name)) for name in ("_asyncio_future_blocking", "get_loop", "add_done_callback", "x"))]
    loop = cede.new_event_loop()
    async def main():
        for answer in answers:
            for eager in (False, True):
                task = cede.Task(wait(Await(answer)), eager_start=eager)
                await asyncio.wait([task], timeout=1)
                assert task.done(), answer
                task.exception()
        return "done"
    assert loop.run_until_complete(main()) == "done"
    loop.close()
    """
    )
    run_python(source)


# -- callbacks that misbehave ------------------------------------------------------------------------------------------


def test_callbacks_whose_attributes_raise(loop, turns, loop_errors):
    """An error is reported although the callback cannot even be described."""

    class Rude:
        def __init__(self, name):
            self.name = name

        def __getattribute__(self, name):
            if name in ("__qualname__", "__name__", "__wrapped__", object.__getattribute__(self, "name")):
                raise KeyError(name)
            return object.__getattribute__(self, name)

        def __repr__(self):
            raise KeyError("repr")

        def __call__(self, *args):
            raise ZeroDivisionError

        def __bool__(self):
            raise KeyError("bool")

        __len__ = __bool__

    for _ in range(2):
        handles = [loop.call_soon(Rude("x"), Rude("x")), loop.call_later(0, Rude("__class__"))]
        future = loop.create_future()
        future.add_done_callback(Rude("x"))
        for thing in (*handles, future):
            repr(thing)
        future.set_result(Rude("x"))
        repr(future)
        turns(3)
        assert [type(context["exception"]) for context in loop_errors] == [ZeroDivisionError] * 3
        loop_errors.clear()


def test_failed_tasks_and_futures_with_truth_values_of_their_own(loop, turns, loop_errors):
    import gc

    class Falsy(cede.Future):
        def __bool__(self):
            raise KeyError("bool")

        def __len__(self):
            return 0

    future = Falsy(loop=loop)
    future.set_exception(ValueError())
    del future
    gc.collect()
    assert [type(context["exception"]) for context in loop_errors] == [ValueError]
    loop_errors.clear()


def test_destructors_that_raise_and_reenter(run_python):
    source = """
    import asyncio, gc, sys
    import cede
    seen = []
    sys.unraisablehook = lambda unraisable: seen.append(unraisable.exc_type)
    class Dies:
        def __init__(self, what):
            self.what = what
        def __del__(self):
            self.what()
            raise KeyError
    async def child(what):
        dies = Dies(what)
        await asyncio.sleep(0)
    async def main():
        loop = asyncio.get_running_loop()
        me = asyncio.current_task()
        actions = [lambda: loop.call_soon(int), lambda: loop.stop, lambda: me.uncancel(), gc.collect,
                   lambda: loop.call_later(0, int).cancel(), lambda: asyncio.all_tasks(), lambda: me.get_stack()]
        for action in actions:
            await asyncio.gather(child(action), child(action))
            handle = loop.call_soon(int, 0)
            handle.cancel()
            loop.call_soon(Dies, action)
            timer = loop.call_later(100, Dies(action).what, Dies(action))
            timer.cancel()
            future = loop.create_future()
            future.set_result(Dies(action))
            del future
            future = loop.create_future()
            future.set_exception(KeyError(Dies(action)))
            future.exception()
            del future
        await asyncio.sleep(0)
    loop = cede.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    gc.collect()
    assert set(seen) == {KeyError}
    """
    run_python(source)


def test_loops_with_odd_equality(run_python):
    source = """
    import asyncio
    import cede
    class Odd(cede.EventLoop):
        def __eq__(self, other):
            raise KeyError("eq")
        def __hash__(self):
            return 1
    loops = [Odd(), Odd()]
    async def main():
        await asyncio.sleep(0.001)
        return asyncio.current_task() is not None
    for loop in loops:
        assert loop.run_until_complete(main())
        loop.close()
    """
    run_python(source)


# -- the interpreter's end ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("how", ["returns", "exits", "raises", "in a thread"])
def test_the_interpreter_ends_with_work_left(run_python, how, closed):
    source = f"""
import asyncio, sys, threading, warnings
warnings.simplefilter("ignore")
import cede

async def forever(future):
    try:
        await future
    finally:
        await asyncio.sleep(0)

async def main():
    loop = asyncio.get_running_loop()
    for number in range(5):
        asyncio.create_task(forever(loop.create_future()))
        loop.call_later(100, print)
    await asyncio.sleep(0)

loop = cede.new_event_loop()
loop.set_exception_handler(lambda loop, context: None)
loop.run_until_complete(main())
keep = [loop, loop.create_future(), loop.call_soon(print)]
if {closed}:
    loop.close()
if {how!r} == "exits":
    sys.exit(0)
if {how!r} == "raises":
    sys.stderr = None
    sys.excepthook = lambda *args: None
    raise KeyError
if {how!r} == "in a thread":
    other = cede.new_event_loop()
    threading.Thread(target=other.run_forever, daemon=True).start()
    other.call_soon_threadsafe(print)
"""
    done = run_python(source, check=False)
    assert done.returncode == (1 if how == "raises" else 0), done.stderr


def test_many_sleepers(run_python):
    source = f"""
    import asyncio
    import cede
    async def sleeper(delay):
        await asyncio.sleep(delay)
    async def main():
        tasks = [asyncio.create_task(sleeper(0.001 * (number % 7))) for number in range({MANY})]
        await asyncio.gather(*tasks)
        return len(tasks)
    assert cede.run(main()) == {MANY}
    """
    run_python(source)
