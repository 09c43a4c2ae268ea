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
    from cede.engine.pollers import base, select
    from cede import timeouts, waitlines
    from cede.engine import awaitables, joins
    from cede.io import (datagram_transport, endpoint, listener, pipe_transport, socket_waits, stream_buffer, stream_ends,
                         stream_transport, tls_bytes, tls_socket, tls_transport, write_buffer)
    modules = [awaitables, clock, futures, handles, joins, loops, tasks, timers, waker, base, select,
               datagram_transport, endpoint, listener, pipe_transport, socket_waits, stream_buffer, stream_ends,
               stream_transport, tls_bytes, tls_socket, tls_transport, write_buffer, timeouts, waitlines]
    modules += [sys.modules[name] for name in ["cede.engine.pollers.epoll"] if name in sys.modules]
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
    BLOCKS = {"run_forever", "_run_until_stopped", "_run_once", "_run_forever_setup", "_begin_turns", "_run_forever_cleanup", "close", "__del__", "__init__"}
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
    run_python(source, timeout=55)


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
