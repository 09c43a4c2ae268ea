"""Programs that find out what an event loop does: the rows of the table of docs/compatibility.md, one function each.

    python loop_probes.py LOOP ROW

LOOP is a key of LOOPS, ROW the name of a function here. The answer is the exit status: 0 for yes, 3 for no with the
reason in the last line; whatever else, a crash or a hang included, is no answer. Nothing here is of pytest's, for each
runs in a process of its own. What tells that a loop does something shall be its doing it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# The loop → the package with asyncio's names that goes with it, and what makes the loop.
LOOPS = {
    "cede": ("cede", "cede:new_event_loop"),
    "asyncio": ("asyncio", "asyncio:new_event_loop"),
    "uvloop": ("asyncio", "uvloop:new_event_loop"),
    "rloop": ("asyncio", "rloop:new_event_loop"),
}


class No(Exception):
    """The loop does not do it; the text is the reason."""


def package() -> Any:
    """Return what a program on this loop imports as asyncio."""
    return importlib.import_module(LOOPS[sys.argv[1]][0])


def new_loop() -> Any:
    module, _, name = LOOPS[sys.argv[1]][1].partition(":")
    return getattr(importlib.import_module(module), name)()


def run(coro: Any, **options: Any) -> Any:
    """Run it as a program would, on a fresh loop of this kind."""
    with package().Runner(loop_factory=new_loop, **options) as runner:
        return runner.run(asyncio.wait_for(coro, 15))


# -- the interface -----------------------------------------------------------------------------------------------------


def names() -> None:
    """Every public name of asyncio 3.15, of which its list of signatures has those of its classes too."""
    listed = Path(__file__).parent.parent / "library" / "signatures.txt"
    lines = [line.split()[0] for line in listed.read_text().splitlines() if line and not line.startswith("#")]
    lacking = sorted({name for name in (line.partition(".")[0] for line in lines) if not hasattr(package(), name)})
    if lacking:
        raise No(f"it lacks {' '.join(lacking)}")


def methods() -> None:
    """Every method that asyncio's own loop has is done, and takes what asyncio's takes."""
    loop = new_loop()
    loop.close()
    for name in dir(asyncio.AbstractEventLoop):
        if name.startswith("_"):
            continue
        theirs, ours = getattr(asyncio.SelectorEventLoop, name), getattr(type(loop), name, None)
        if ours is None or ours is getattr(asyncio.AbstractEventLoop, name):
            raise No(f"it has no {name}")
        try:
            parameters = inspect.signature(ours).parameters
        except ValueError:
            raise No(f"{name} has no signature") from None
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            continue
        lacking = set(inspect.signature(theirs).parameters) - set(parameters) - {"self", "kwargs"}
        if lacking:
            raise No(f"{name} does not take {' '.join(sorted(lacking))}")


# -- time --------------------------------------------------------------------------------------------------------------


def never_early() -> None:
    """By the machine's monotonic clock, a sleep lasts at least as long as was asked for."""

    async def main() -> None:
        for delay in (0.0003, 0.0009, 0.0015, 0.0042):
            for _ in range(40):
                begun = time.monotonic()
                await asyncio.sleep(delay)
                lasted = time.monotonic() - begun
                if lasted < delay:
                    raise No(f"{delay} s took {lasted:.6f} s")

    run(main())


def short_sleeps() -> None:
    """A sleep of 200 µs lasts as long, and can end before a millisecond is over."""

    async def main() -> float:
        lasted = []
        for _ in range(300):
            begun = time.monotonic()
            await asyncio.sleep(0.0002)
            lasted.append(time.monotonic() - begun)
        return min(lasted)

    if not 0.0002 <= (least := run(main())) < 0.0009:
        raise No(f"the shortest of 300 took {least:.6f} s")


def cancelled_timer_is_freed() -> None:
    """Cancelled timers are gone with their arguments, though they would have been due in an hour."""

    class Argument:
        pass

    async def main() -> None:
        loop = asyncio.get_running_loop()
        argument = Argument()
        held = weakref.ref(argument)
        handle = loop.call_later(3600, print, argument)
        del argument
        kind = type(handle)
        handle.cancel()
        if held() is not None:
            raise No("the argument is kept")
        handles = [loop.call_later(3600, print) for _ in range(90)]
        if kind.__weakrefoffset__:
            references = [weakref.ref(handle) for handle in handles]

            def alive() -> int:
                return sum(reference() is not None for reference in references)
        else:

            def alive() -> int:
                return sum(type(thing) is kind for thing in gc.get_objects())

        assert alive() >= 90, "they cannot be seen"
        for handle in handles:
            handle.cancel()
        del handle, handles
        await asyncio.sleep(0.01)
        if (left := alive()) >= 45:
            raise No(f"{left} handles are kept")

    run(main())


def own_clock() -> None:
    """A loop can be made whose timers follow a clock that the program sets."""

    class Clock:
        now = 100.0

        def time(self) -> float:
            return self.now

    clock = Clock()
    made = new_loop()
    made.close()
    loop: Any
    if sys.argv[1] == "cede":
        loop = type(made)(clock=clock)
    else:  # as programs do on asyncio's

        class Loop(type(made)):  # type: ignore[misc]
            def time(self) -> float:
                return clock.now

        loop = Loop()
    called: list[int] = []
    loop.call_later(1000, called.append, 1)
    clock.now += 1001
    for _ in range(3):
        loop.call_soon(loop.stop)
        loop.run_forever()
    loop.close()
    if not called:
        raise No("a timer did not follow")


# -- tasks -------------------------------------------------------------------------------------------------------------


def unheld_task_lives() -> None:
    """A task that waits for something which nobody but itself holds is not collected."""

    async def main() -> None:
        async def background() -> None:
            await asyncio.get_running_loop().create_future()

        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        task = weakref.ref(asyncio.get_running_loop().create_task(background()))
        await asyncio.sleep(0)
        gc.collect()
        if task() is None:
            raise No("it was destroyed")

    run(main())


def wrong_thread() -> None:
    """In debug mode a future that is resolved in another thread raises there, instead of waking nobody."""
    loop = new_loop()
    loop.set_debug(True)
    future = loop.create_future()
    raised: list[BaseException] = []

    async def wait() -> None:
        await future

    def resolve() -> None:
        try:
            future.set_result(1)
        except RuntimeError as error:
            raised.append(error)

    def in_a_thread() -> None:
        thread = threading.Thread(target=resolve)
        thread.start()
        thread.join()
        loop.stop()

    task = loop.create_task(wait())
    loop.call_later(0.01, in_a_thread)
    loop.run_forever()
    if not raised or task.done():
        raise No("it does not raise")


def who_waits() -> None:
    """It can be asked which task waits for which."""

    async def main() -> None:
        if not hasattr(package(), "capture_call_graph"):
            raise No("there is no capture_call_graph")

        async def leaf() -> Any:
            await asyncio.sleep(0)
            return package().capture_call_graph()

        task = package().create_task(leaf())
        waiter = package().create_task(package().wait([task]), name="who waits")
        graph = await task
        await waiter
        if not [edge for edge in graph.awaited_by if edge.future is waiter]:
            raise No("the one that waits is not in it")

    run(main())


# -- the world ---------------------------------------------------------------------------------------------------------


def sendfile() -> None:
    """`loop.sendfile` sends a file over a transport."""

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs, tempfile.TemporaryFile() as file:
            file.write(b"content")
            file.flush()
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            try:
                await loop.sendfile(transport, file)
            except NotImplementedError:
                raise No("it is not implemented") from None
            finally:
                transport.close()
            return theirs.recv(100)

    if run(main()) != b"content":
        raise No("something else arrived")


def look_ups() -> None:
    """A look-up of a name does not wait for the default executor's threads."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        gate = threading.Event()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, gate.wait)
        try:
            await asyncio.wait_for(loop.getaddrinfo("localhost", 80), 3)
        except TimeoutError:
            raise No("it waits") from None
        finally:
            gate.set()
            await busy

    run(main())


def forked_child() -> None:
    """A child that was forked in a callback runs a loop of its own, and the parent goes on with its own."""

    async def child() -> int:
        await asyncio.sleep(0.001)
        return 7

    async def main() -> None:
        pid = os.fork()
        if pid == 0:
            os.close(2)
            status = 1
            with contextlib.suppress(BaseException):
                signal.alarm(20)
                loop = new_loop()
                status = 0 if loop.run_until_complete(child()) == 7 else 1
                loop.close()
            os._exit(status)
        status = await asyncio.to_thread(lambda: os.waitpid(pid, 0)[1])
        await asyncio.sleep(0.001)
        if status:
            raise No(f"the child ended with {status}")

    run(main())


def ctrl_c() -> None:
    """SIGINT wakes a loop that sleeps, and `run` raises KeyboardInterrupt."""

    async def main() -> None:
        threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT]).start()
        await asyncio.sleep(5)

    begun = time.monotonic()
    try:
        run(main())
    except KeyboardInterrupt:
        if time.monotonic() - begun > 4:
            raise No("it slept to the end") from None
    else:
        raise No("nothing was raised")


def tls() -> None:
    """A connection begins to speak TLS: its client's half of the handshake goes out."""

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        with theirs:
            context = ssl.create_default_context()
            options = {"sock": ours, "ssl": context, "server_hostname": "localhost", "ssl_handshake_timeout": 10}
            task = loop.create_task(loop.create_connection(asyncio.Protocol, **options))
            hello = b""
            while not hello and not task.done():
                await asyncio.sleep(0.01)
                with contextlib.suppress(BlockingIOError):
                    hello = theirs.recv(5)
            task.cancel()
            error = (await asyncio.gather(task, return_exceptions=True))[0]
            if isinstance(error, NotImplementedError):
                raise No("it is not implemented")
            return hello

    if not run(main()).startswith(b"\x16\x03"):
        raise No("no handshake arrived")


def plain_python() -> None:
    """It runs where nothing of it is compiled."""
    mine = {LOOPS[sys.argv[1]][1].partition(":")[0], "_asyncio"}

    class Refusing:
        """Finds no compiled module of the loop's, but the source beside it where there is one."""

        def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
            if name.partition(".")[0] not in mine:
                return None
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            if spec is None or not isinstance(spec.loader, importlib.machinery.ExtensionFileLoader):
                return spec
            source = Path(str(spec.origin)).with_name(name.rpartition(".")[2] + ".py")
            if not source.exists():
                raise ModuleNotFoundError(name)
            return importlib.util.spec_from_file_location(name, source)

    for name in [name for name in sys.modules if name.partition(".")[0] in mine | {"asyncio"}]:
        del sys.modules[name]
    sys.meta_path.insert(0, Refusing())  # type: ignore[arg-type]
    try:
        loop = new_loop()
    except ImportError as error:
        raise No(f"without {error}") from None
    stdlib = importlib.import_module("asyncio")
    loop.run_until_complete(stdlib.sleep(0.001))
    loop.close()


def main(row: str) -> int:
    probe: Callable[[], None] = globals()[row]
    # Whoever starts this ends it; where that fails, no probe outlives its parent.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    try:
        probe()
    except No as reason:
        sys.stdout.write(f"{reason}\n")
        return 3
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    status = main(sys.argv[2])
    sys.stdout.flush()
    os._exit(status)
