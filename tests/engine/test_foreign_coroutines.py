"""What is like a coroutine and is none, in tasks: no crash, and an error where it is due."""

from __future__ import annotations

import pytest

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
