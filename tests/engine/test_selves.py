"""Whatever is passed for `self`, and however much or little beside it, a method says no and never more than that.

Every attribute of every class that can be compiled is walked through, the private ones too, in child processes, one a
class: a child that dies names the attribute it died of, and one that says SystemError or never ends is named as well.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cede

RunPython = Callable[..., Any]
UNTOLD = {
    "__del__",
    "__await__",
    "__next__",
    "send",
    "_now",
}  # what is built in under these names tells it from Python 3.13 on
HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a `class` statement that Python runs
ROOT = Path(cede.__path__[0])
TWINS = {"cede.engine.native", "cede.engine.syscalls", "cede.engine.await_slots"}
MODULES = sorted({"cede." + ".".join(p.relative_to(ROOT).with_suffix("").parts) for p in ROOT.rglob("*.pxd")} - TWINS)


def classes() -> list[type]:
    members = [(name, kind) for name in MODULES for kind in vars(importlib.import_module(name)).values()]
    kinds = [kind for name, kind in members if isinstance(kind, type) and kind.__module__ == name]
    return [kind for kind in kinds if not issubclass(kind, Exception)]


# What the walks share. `every_class(walk)` forks a child for each class, and exits with 1 if one of them failed.
WALKS = f"""
    import asyncio, gc, importlib, inspect, logging, mmap, os, random, signal, sys, warnings
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda *args: None
    import cede
    cede.run
    modules = [importlib.import_module(name) for name in {MODULES}]
    classes = [kind for module in modules for kind in vars(module).values()
               if isinstance(kind, type) and kind.__module__ == module.__name__ and not issubclass(kind, Exception)]
    SPARED = {{"__class__", "__new__", "__init_subclass__", "__subclasshook__", "__dict__"}}
    spot = mmap.mmap(-1, 500)  # what the child is about to do

    def attributes(kind):
        for name in dir(kind):
            member = inspect.getattr_static(kind, name)
            if member is not inspect.getattr_static(object, name, None) and name not in SPARED:
                yield name, member

    def attempt(what, call, *args):
        "Return what the call returns or raises."
        spot[:] = what.encode(errors="replace")[:499].ljust(500)
        try:
            result = call(*args)
            if inspect.iscoroutine(result):
                result.close()
            return result
        except BaseException as exc:
            if isinstance(exc, SystemError):
                print(what, repr(exc), flush=True)
                os._exit(1)
            return exc
        finally:
            asyncio._set_running_loop(None)

    def every_class(walk):
        failed = False
        for kind in classes:
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                try:
                    walk(kind)
                    gc.collect()
                except BaseException as exc:
                    print(kind, repr(exc), flush=True)
                    os._exit(1)
                os._exit(0)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if status:
                failed = True
                print(kind.__module__, kind.__name__, "exit", status, "at", spot[:].decode().strip(), flush=True)
        os._exit(failed)
"""


@pytest.mark.timeout(120)
def test_a_wrong_self_is_a_type_error(run_python: RunPython) -> None:
    """As with the interpreter's own C; in plain Python, where `self` is any argument, nothing dies of it."""
    source = """
    DESCRIPTORS = {"method_descriptor", "wrapper_descriptor", "getset_descriptor", "member_descriptor"}

    def bare(kind):
        try:
            return kind.__new__(kind)
        except TypeError:
            return None  # an abstract class

    stock = asyncio.SelectorEventLoop()
    async def nothing(): pass
    strangers = [5, "x", print, object(), None, int, asyncio.Future(loop=stock), stock.create_task(nothing()),
                 asyncio.futures._PyFuture(loop=stock)]
    if cede.compiled:  # interpreted, what has the same methods is as good, and a loop would run
        strangers += [stock, *map(bare, classes)]

    def walk(kind):
        for name, member in attributes(kind):
            how = type(member).__name__
            assert how != "cython_function_or_method" or kind.__flags__ & (1 << 9), name  # one that checks nothing
            if how not in DESCRIPTORS | {"function", "property"}:
                continue
            for stranger in strangers:
                if cede.compiled and isinstance(stranger, type) or issubclass(type(stranger), getattr(member, "__objclass__", kind)):
                    continue
                what = f"{name} of {type(stranger)}"
                if how in ("getset_descriptor", "member_descriptor", "property"):
                    calls = [(member.__get__, stranger), (member.__set__, stranger, 1), (member.__delete__, stranger)]
                    calls = calls[:2] if stranger is None else calls[:1] + calls[1:]
                    if stranger is None:
                        continue  # that asks for the descriptor itself
                else:
                    calls = [(member, stranger), *((member, stranger, *[x] * n) for n in range(1, 4) for x in (1, None))]
                for call in calls:
                    said = attempt(what, *call)
                    if how in DESCRIPTORS and not isinstance(said, (TypeError, AttributeError)):
                        raise AssertionError(f"{what}: {said!r}")
                if how in ("method_descriptor", "wrapper_descriptor"):
                    said = attempt(what, member)
                    assert isinstance(said, TypeError), (what, said)

    every_class(walk)
    """
    done = run_python(WALKS + source, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(120)
@pytest.mark.parametrize("begun", ["never", "wrongly", "wrongly and again"])
def test_what_was_not_initialised_as_it_should_be(run_python: RunPython, begun: str) -> None:
    """Objects made by `__new__` alone, and those whose `__init__` failed somewhere or came again, say errors at most."""
    source = f"""
    begun = {begun!r}
    # What waits by contract, if `__init__` had nothing to say against what it got.
    WAITING = {{"wait", "_wait", "collect", "run_forever", "_run_until_stopped", "_run_once", "_turn", "turn"}}

    class Evil:
        "Whatever is asked of it raises."
        def __getattr__(self, name): raise KeyError(name)
        def __call__(self, *args, **kwargs): raise KeyError("call")
        __eq__ = __hash__ = __bool__ = __repr__ = __str__ = __len__ = __index__ = __float__ = __iter__ = __call__

    class Kind:
        "Whatever is asked of it is there, and leads nowhere."
        def __getattr__(self, name): return self
        def __call__(self, *args, **kwargs): return self
        def __bool__(self): return False  # no loop goes on for it

    loop = cede.new_event_loop()
    future = loop.create_future()
    values = [None, 0, 1, -1, 2**31, 2**70, -2**70, float("nan"), "x", b"x", bytearray(9), (), [], {{}}, {{1: 2}}, object(),
              Evil(), Kind(), print, int, loop, future, loop.call_later(9, print), asyncio.Protocol()]

    def make(kind, rnd):
        thing = kind.__new__(kind)
        for _ in range(["never", "wrongly", "wrongly and again"].index(begun)):
            attempt("__init__", thing.__init__, *[rnd.choice(values) for _ in range(rnd.randrange(6))])
        return thing

    def walk(kind):
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)  # descriptor 0 is what a field says that nobody set
        rnd = random.Random(kind.__name__)
        if attempt("__new__", kind.__new__, kind).__class__ is TypeError:
            return  # an abstract class
        for name, member in attributes(kind):
            if begun != "never" and name in WAITING:
                continue
            ways = [[]] + [[value] for value in values] + [[rnd.choice(values) for _ in range(n)] for n in (2, 2, 2, 3, 3, 4, 8)]
            for way in ways:
                thing = make(kind, rnd)
                what = f"{{name}} with {{[type(value).__name__ for value in way]}}"
                got = attempt(what, getattr, thing, name)
                if callable(got):
                    attempt(what, got, *way)
                elif way:
                    attempt(what, setattr, thing, name, way[0])
                    attempt(what, delattr, thing, name)
                attempt("repr after " + what, repr, thing)
                attempt("awaiting after " + what, lambda: [*zip(range(3), thing.__await__())])
                attempt("iterating after " + what, lambda: [*zip(range(3), thing)])
                attempt("dropping after " + what, lambda: None)
                del thing, got

    every_class(walk)
    """
    done = run_python(WALKS + source, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr


# -- signatures -------------------------------------------------------------------------------------------------------


def test_classes_tell_the_signature_of_their_init(run_python: RunPython) -> None:
    """Compiled, as a built-in class does: in `__text_signature__`."""
    kinds = [getattr(cede, name) for name in dir(cede) if isinstance(getattr(cede, name), type)]
    ours = [kind for kind in kinds if kind.__module__.startswith("cede.") and not issubclass(kind, Exception)]
    told = {kind.__name__: str(inspect.signature(kind)) for kind in ours}
    assert told["Future"] == "(*, loop=None)"
    assert told["Task"] == "(coro, *, loop=None, name=None, context=None, eager_start=False)"
    assert told["Handle"] == "(callback, args, loop, context=None)"
    assert told["TimerHandle"] == "(when, callback, args, loop, context=None)"
    assert told["StreamReader"] == "(limit=65536, loop=None)"
    assert "StreamWriter" in told and "StreamReaderProtocol" in told and "Timeout" in told


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_methods_tell_their_signatures_and_docstrings(kind: type) -> None:
    for name in dir(kind):
        member = inspect.getattr_static(kind, name)
        if callable(member) and member is not inspect.getattr_static(object, name, None) and name != "__class__":
            if sys.version_info >= (3, 13) or name not in UNTOLD:
                inspect.signature(getattr(kind, name))
            if kind.__flags__ & HEAP_TYPE == 0:  # not a class of Python's in a compiled module: it tells it there, too
                assert not (member.__doc__ or "").startswith(name + "(")
    assert not (kind.__doc__ or "").startswith(kind.__name__ + "(")
