"""Hostile calls: whatever is passed to what is public, nothing crashes, hangs, or says SystemError.

    python -m tests.fuzz.hostile [--seed N] [--calls M] [--jobs J]      those of the seeds N, N + 1, …, a child each
    python -m tests.fuzz.hostile --child N                              one of them again, saying each call

A child keeps a bag of things: futures, tasks, locks, queues, streams, transports, half-made objects and hostile ones.
It calls functions and methods with things of the bag, now and then with a wrong `self`, and what they return joins the
bag. The hostile ones run code wherever they are compared, counted, printed, called or freed: they raise, lie, and do
something to another thing of the bag meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import collections.abc
import contextvars
import copy
import faulthandler
import gc
import inspect
import logging
import os
import pickle
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
CALLS_OF_A_CHILD = 400
SECONDS_OF_A_CHILD = 8.0  # it ends by itself after so long, calls left or not
HANG = 60.0  # seconds after which a child hangs

# What ends the process or the run, blocks by contract, or is about signals and processes.
SPARED = """
    run_forever run_until_complete run set_event_loop set_event_loop_policy install uninstall print_stack kill sleep
    terminate send_signal add_signal_handler remove_signal_handler create_subprocess_exec create_subprocess_shell
    subprocess_exec subprocess_shell to_thread __class__ __subclasses__ __reduce__ __reduce_ex__ __del__
""".split()  # noqa: SIM905
# The same of the loop that the child itself runs on.
SPARED_OF_THE_LOOP = """
    close stop set_debug _run_once _run_until_stopped _begin_running _end_running _begin_turns shutdown_default_executor
    shutdown_asyncgens set_exception_handler set_default_executor __init__
""".split()  # noqa: SIM905

rnd = random.Random()
bag: list[Any] = []
deeds: list[Callable[[], Any]] = []  # what a hostile object does while it is asked something else


def meddle() -> Any:
    """Raise, or do something to somebody, and return anything."""
    chance = rnd.random()
    if chance < 0.15:
        raise rnd.choice([ValueError, RuntimeError, OSError, StopIteration, GeneratorExit, KeyError])("hostile")
    if chance < 0.5 and deeds:
        try:
            rnd.choice(deeds)()
        except Exception:
            pass
    if chance > 0.95:
        gc.collect(0)
    return rnd.choice([None, 0, 1, True, "x", b"x", [], {}, -1, 2**70, Hostile])


def hostile_method(*answers: Any) -> Callable[..., Any]:
    """A method that meddles and then says one of `answers`; without any, whatever."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        said = meddle()
        return rnd.choice(answers) if answers else said

    return method


METHODS = {
    **dict.fromkeys(["__call__", "__add__", "__sub__", "__rsub__", "send", "throw", "close", "fileno"], ()),
    **dict.fromkeys(["__bool__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"], (True, False)),
    "__radd__": (0.0, float("nan"), "x"),
    "__len__": (0, 3, 2**62),
    "__index__": (0, -1, 5, 2**40),
    "__float__": (0.0, float("nan"), float("inf"), -1.0),
    "__str__": ("hostile", "\udc80"),
    "__iter__": (iter(()),),
    "__await__": (iter(()), 5, None),
    "__buffer__": (memoryview(b""), memoryview(bytearray(5))),
}


class Hostile:
    """Every special method meddles, and raises or lies."""

    def __hash__(self) -> int:
        return rnd.randrange(4)

    def __repr__(self) -> str:
        return "<hostile>" if rnd.random() < 0.8 else str(1 / 0)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return meddle

    def __del__(self) -> None:
        if rnd.random() < 0.3:
            try:
                meddle()
            except BaseException:
                pass


for _name, _answers in METHODS.items():
    setattr(Hostile, _name, hostile_method(*_answers))


class HostileError(Exception):
    """An exception that cannot be made, compared, printed or given a traceback without trouble."""

    def __init__(self, *args: Any) -> None:
        meddle()

    __eq__ = hostile_method(True)
    __hash__ = Hostile.__hash__  # type: ignore[assignment]
    __str__ = Hostile.__repr__

    def with_traceback(self, tb: Any) -> Any:
        return meddle()


class NoError(Exception):
    """A class of exceptions whose instances are none."""

    def __new__(cls, *args: Any) -> Any:
        return rnd.choice([5, None, ValueError()])


class HostileBytes(bytes):
    __len__ = hostile_method(0, 1, 2**40)
    __getitem__ = hostile_method(b"x")

    def __bytes__(self) -> bytes:
        return self


class HostileNumber(int):
    __lt__ = __gt__ = __le__ = __ge__ = hostile_method(True, False)
    __add__ = __radd__ = __sub__ = hostile_method(1, "x", 1e300)


class HostileCoroutine(collections.abc.Coroutine[Any, Any, Any]):
    """Yields anything, returns anything, raises anything."""

    def send(self, value: Any) -> Any:
        chance = rnd.random()
        if chance < 0.25:
            raise StopIteration(meddle())
        if chance < 0.4:
            raise rnd.choice([HostileError, ValueError, asyncio.CancelledError])("x")
        return rnd.choice(bag) if bag and chance < 0.8 else meddle() if chance < 0.9 else None

    def throw(self, *args: Any) -> Any:
        return self.send(None)

    def close(self) -> None:
        meddle()

    def __await__(self) -> Any:
        return self

    __iter__ = __await__

    def __next__(self) -> Any:
        return self.send(None)


NUMBERS = [None, True, 0, -1, 1e-9, 2**31, 2**63, -(2**63), -(2**70), 10**400, 1j, *map(float, ("nan", "inf", "-inf"))]
BYTES = ["x", "\udc80\0", b"", b"abc" * 100, memoryview(b"abc"), memoryview(bytearray(50))[::2]]
ADDRESSES = [(), ("127.0.0.1", 9), ("", -1), object(), slice(1), ..., range(3), types.SimpleNamespace()]
CALLABLES = [print, int, max, type, meddle, lambda *args: None, lambda *args: 1 / 0, asyncio.Future, asyncio.Protocol]
ERRORS = [ValueError, KeyError("x"), StopIteration(5), GeneratorExit("x"), Hostile, HostileError, NoError]
OTHERS = [asyncio, weakref.ref(Hostile), contextvars.copy_context(), asyncio.BufferedProtocol()]
PLAIN_VALUES = [*NUMBERS, *BYTES, *ADDRESSES, *CALLABLES, *ERRORS, *OTHERS]


def value(lib: Any) -> Any:
    """One argument."""
    chance = rnd.random()
    if bag and chance < 0.35:
        return rnd.choice(bag)
    if chance < 0.75:
        return rnd.choice(PLAIN_VALUES)
    makers: list[Callable[[], Any]] = [Hostile, HostileError, HostileCoroutine, list, dict, contextvars.Context]
    makers += [
        lambda: HostileBytes(b"abcdef"),
        lambda: HostileNumber(5),
        lambda: bytearray(9000),
        lambda: {1: Hostile()},
    ]
    makers += [lambda: coroutine(lib), lambda: (x for x in (1, 2)), lambda: [Hostile(), None]]
    return rnd.choice(makers)()


async def coroutine(lib: Any) -> Any:
    """A coroutine that does a few things at random."""
    for _ in range(rnd.randrange(4)):
        kind = rnd.randrange(8)
        if kind < 2:
            await lib.sleep(kind / 10000)
        elif kind == 2 and bag:
            await rnd.choice(bag)
        elif kind == 3:
            raise rnd.choice([ValueError, lib.CancelledError, StopIteration, GeneratorExit, HostileError, SystemError])(
                "x"
            )
        elif kind == 4:
            lib.current_task().cancel(Hostile())
        elif kind == 5:
            await lib.wait_for(HostileCoroutine(), 0.001)
        elif kind == 6:
            async with rnd.choice([lib.Lock(), lib.Semaphore(1), lib.Condition(), lib.timeout(0.001)]):
                await lib.sleep(0)
        else:
            meddle()
    return Hostile() if rnd.random() < 0.2 else 1


def subclass(kind: type) -> type:
    """A class below `kind` in which three methods are hostile."""
    names = [name for name in dir(kind) if not name.startswith("__") or name in METHODS]
    body = {name: hostile_method() for name in rnd.sample(names, 3)}
    return type("Hostile" + kind.__name__, (kind,), body)


def makers_of(lib: Any, loop: Any) -> list[Callable[[], Any]]:
    """What makes the things of the bag."""
    names = "Future Task Lock Event Queue Semaphore Condition Barrier StreamReader StreamWriter Handle TimerHandle"
    kinds = [getattr(lib, name) for name in [*names.split(), "TaskGroup", "Timeout", "Runner", "Server"]]
    simple = [lib.Future, lib.Lock, lib.Event, lib.Condition, lib.Queue, lib.TaskGroup, lib.Semaphore]
    makers: list[Callable[[], Any]] = [*simple, lib.PriorityQueue, lib.Runner, HostileCoroutine, loop.create_future]
    makers += [lambda kind=kind: kind.__new__(kind) for kind in kinds]
    makers += [lambda kind=kind: subclass(kind)() for kind in [*simple, lib.Protocol, lib.BufferedProtocol]]
    makers += [lambda: loop.create_task(coroutine(lib)), lambda: lib.Task(HostileCoroutine(), loop=loop)]
    makers += [
        lambda: subclass(lib.Task)(coroutine(lib)),
        lambda: lib.Task(coroutine(lib), loop=loop, eager_start=True),
    ]
    makers += [lambda: loop.call_soon(meddle), lambda: loop.call_later(0.001, meddle)]
    makers += [lambda: loop.call_soon_threadsafe(meddle), lambda: lib.timeout(rnd.choice([None, 0, 0.001]))]
    makers += [lambda: lib.StreamReader(limit=rnd.choice([1, 2**16])), lambda: lib.gather(lib.Future(), lib.Future())]
    makers += [lambda: lib.shield(lib.Future()), lambda: lib.as_completed([lib.Future()]), lambda: lib.Queue(1).get()]
    makers += [lambda: lib.Lock().__aenter__(), lambda: lib.Future().__await__(), lambda: iter(lib.Future())]
    return [*makers, lambda: coroutine(lib)]


def deeds_of(lib: Any, loop: Any, mine: Any) -> list[Callable[[], Any]]:
    """What hostile objects do meanwhile; the child's own task and loop they leave alone."""

    def to_somebody(method: str, *args: Any) -> Callable[[], Any]:
        def deed() -> None:
            thing = rnd.choice(bag)
            if thing is not mine and thing is not loop:
                getattr(thing, method)(*args)

        return deed

    deeds = [to_somebody(name) for name in ("cancel", "release", "close", "abort", "set")]
    deeds += [
        to_somebody("set_result", 1),
        to_somebody("set_exception", HostileError),
        to_somebody("feed_data", b"a\n"),
    ]
    deeds += [to_somebody("add_done_callback", lambda future: meddle()), to_somebody("write", b"z" * 70000)]
    deeds += [lambda: loop.call_soon(meddle), lambda: loop.call_later(1e-5, meddle), gc.collect, bag.clear]
    deeds += [lambda: loop.call_soon_threadsafe(meddle)]
    return [*deeds, lambda: [task.cancel() for task in lib.all_tasks(loop) if task is not mine]]


def odd(thing: Any, lib: Any) -> Any:
    """Do to a thing what is no call of a method by name."""
    kind = rnd.randrange(11)
    own = not isinstance(thing, (type, types.ModuleType, type(lib.get_running_loop())))
    say(f"odd {kind}", thing)
    if kind == 0:
        return copy.copy(thing)
    if kind == 1 and own:
        return pickle.dumps(thing)
    if kind == 2 and own:
        return thing.__init__(*[value(lib) for _ in range(rnd.randrange(4))])
    if kind == 3:
        return next(iter(thing))
    if kind == 4:
        return thing.__await__().send(value(lib))
    if kind == 5:
        return thing.__await__().throw(rnd.choice([ValueError, HostileError, GeneratorExit]))
    if kind == 6:
        return thing == value(lib), thing != value(lib), thing < value(lib), hash(thing)
    if kind == 7:
        return repr(thing), str(thing), bool(thing), len(thing)
    if kind == 8 and own:
        name = rnd.choice([name for name in dir(thing) if not name.startswith("__")])
        return delattr(thing, name) if rnd.random() < 0.3 else setattr(thing, name, value(lib))
    if kind == 9:
        return gc.get_referents(thing) and inspect.signature(
            rnd.choice([*filter(callable, vars(type(thing)).values())])
        )
    return type(thing).__new__(type(thing)), weakref.ref(thing, lambda ref: meddle())


def call_something(lib: Any, loop: Any) -> Any:
    """Call a function of the package, a method of a thing, or one of a class with a wrong self."""
    chance = rnd.random()
    public = [name for name in dir(lib) if not name.startswith("_") and name not in SPARED]
    if chance < 0.2:
        owner: Any = lib
        names = [name for name in public if not inspect.ismodule(getattr(lib, name))]
    elif chance < 0.3:
        owner = rnd.choice([getattr(lib, name) for name in public if isinstance(getattr(lib, name), type)])
        names = dir(owner)
    else:
        owner = rnd.choice(bag)
        if isinstance(owner, (types.ModuleType, int, float, complex, str, bytes, socket.socket)):
            return None
        names = [name for name in dir(owner) if not name.startswith("_") or rnd.random() < 0.15]
    spared = SPARED + (SPARED_OF_THE_LOOP if owner is loop or isinstance(owner, type) else [])
    name = rnd.choice([name for name in names if name not in spared])
    function = getattr(owner, name)
    args = [value(lib) for _ in range(rnd.randrange(4))]
    words = "loop context timeout limit name sock msg return_exceptions host port ssl eager_start maxsize n"
    kwargs = {rnd.choice(words.split()): value(lib)} if rnd.random() < 0.2 else {}
    say(f"{getattr(owner, '__name__', type(owner).__name__)}.{name}", *args, **kwargs)
    return function(*args, **kwargs) if callable(function) else function


def say(what: str, *args: Any, **kwargs: Any) -> None:
    """Name what comes next, in case it is the last."""
    print(what, [type(arg).__name__ for arg in args], [*kwargs], file=sys.stderr, flush=True)


async def connect(lib: Any, loop: Any, mine: list[socket.socket]) -> None:
    """Put a connection, or a server, and what belongs to it into the bag."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    mine.append(theirs)
    kind = rnd.randrange(3)
    if kind == 0:
        bag.extend(await loop.create_connection(subclass(rnd.choice([lib.Protocol, lib.BufferedProtocol])), sock=ours))
    elif kind == 1:
        bag.extend(await lib.open_connection(sock=ours))
    else:
        ours.close()
        bag.extend(await loop.create_datagram_endpoint(lib.DatagramProtocol, local_addr=("127.0.0.1", 0)))
    theirs.send(b"hello\n")


async def child(lib: Any, loop: Any, calls: int, mine: list[socket.socket]) -> None:
    """Make the calls."""
    makers, own = makers_of(lib, loop), lib.current_task()
    deeds[:] = deeds_of(lib, loop, own)
    for number in range(calls):
        try:
            bag[:] = [loop, *(thing for thing in bag[-60:] if thing is not own and thing is not loop)]
            if len(bag) < 14 or rnd.random() < 0.15:
                bag.append(rnd.choice(makers)())
            if rnd.random() < 0.04:
                await lib.wait_for(connect(lib, loop, mine), 1)
            if rnd.random() < 0.1:
                await lib.sleep(0)
            result = odd(rnd.choice(bag), lib) if rnd.random() < 0.2 else call_something(lib, loop)
            if inspect.iscoroutine(result):
                result = await lib.wait_for(result, 0.02)
            if result is not None and rnd.random() < 0.3:
                bag.append(result)
        except SystemError as exc:
            if exc.args != ("x",):  # no coroutine's of ours
                print(f"SystemError in call {number}: {exc!r}", flush=True)
        except lib.CancelledError:
            while own.uncancel():
                pass
        except (Exception, KeyboardInterrupt, GeneratorExit, SystemExit):
            pass
        result = None


def quietly(function: Callable[..., Any], *args: Any) -> None:
    try:
        function(*args)
    except BaseException:
        pass


def is_over(task: Any, loop: Any) -> bool:
    """Whether nothing runs any more; nothing does where a call has emptied the `__dict__` of one of the two."""
    try:
        return task.done() or loop.is_closed()
    except AttributeError:
        return True


def play(seed: int, calls: int) -> None:
    """Be a child: make the calls of a seed, tidy up, and say "done". The process ends here."""
    import cede as lib

    faulthandler.enable()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = sys.excepthook = threading.excepthook = lambda *args: None
    rnd.seed(seed)
    loop = lib.new_event_loop()
    lib.set_event_loop(loop)
    loop.set_debug(rnd.random() < 0.15)
    if rnd.random() < 0.1:
        gc.set_threshold(1, 2, 2)

    def handler(loop: Any, context: Any) -> None:
        if rnd.random() < 0.1:
            bag.append(context.get("future") or context.get("handle"))  # which comes to life again
        elif rnd.random() < 0.05:
            raise SystemExit(99)
        meddle()

    loop.set_exception_handler(handler)
    mine: list[socket.socket] = []
    task = loop.create_task(child(lib, loop, calls, mine))
    end = time.monotonic() + SECONDS_OF_A_CHILD
    while not is_over(task, loop) and time.monotonic() < end:
        quietly(loop.call_later, 1, loop.stop)
        quietly(loop.run_forever)
    deeds.clear()
    quietly(loop.set_exception_handler, lambda loop, context: None)
    for thing in [thing for thing in bag if thing is not loop and not isinstance(thing, (type, types.ModuleType))]:
        if isinstance(thing, Executor):
            quietly(thing.shutdown, False)
        for name in ("abort", "close", "cancel"):
            quietly(lambda thing=thing, name=name: getattr(thing, name)())
    others: list[Any] = []
    quietly(lambda: others.extend(lib.all_tasks(loop)))  # which raises if somebody registered what is no task
    for other in others:
        quietly(other.cancel)
    quietly(loop.call_later, 0.01, loop.stop)
    quietly(loop.run_forever)
    bag.clear()
    for sock in mine:
        sock.close()
    quietly(loop.close)
    del task
    gc.collect()
    print("done", flush=True)
    os._exit(0)


def fault_of(seed: int) -> str:
    """Play a seed in a process and a folder of its own; return what was wrong, "" if nothing was."""
    command = [sys.executable, "-m", "tests.fuzz.hostile", "--child", str(seed)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder:  # a value of the bag may become a socket's path
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": path},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=HANG,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            return f"seed {seed} hangs"
    if done.returncode or not done.stdout.endswith("done\n"):
        return f"seed {seed} ends with {done.returncode}\n{done.stdout[-300:]}\n{done.stderr[-2500:]}"
    return f"seed {seed}: {done.stdout}" if "SystemError" in done.stdout else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=1, help="children at a time")
    parser.add_argument("--child", type=int, metavar="SEED", help="play this seed here, saying each call")
    options = parser.parse_args()
    if options.child is not None:
        play(options.child, CALLS_OF_A_CHILD)
    children = -(-options.calls // CALLS_OF_A_CHILD)
    print(f"from seed {options.seed}", flush=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        faults = [*filter(None, pool.map(fault_of, range(options.seed, options.seed + children)))]
    print(*faults, f"{children * CALLS_OF_A_CHILD} calls, {len(faults)} faults", sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
