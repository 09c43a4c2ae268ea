"""What is raised in a finalizer goes to sys.unraisablehook, as anywhere in Python: to no other hook, and ends nothing."""

from __future__ import annotations

import pytest

PROGRAM = """
    import asyncio, atexit, gc, logging, os, signal, sys, warnings
    import cede

    raised, told, order = [], [], []
    sys.unraisablehook = lambda unraisable: raised.append(unraisable.exc_type)
    sys.excepthook = lambda *args: told.append(args)
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def handler(loop, context):
        {handler}

    async def drop_future():
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ValueError())
        del future

    async def drop_task():
        loop = asyncio.get_running_loop()

        async def forever(other):
            await other

        task = loop.create_task(forever(loop.create_future()))
        await asyncio.sleep(0)
        loop._live.discard(task)
        del task
        gc.collect()

    async def drop_failed_task():
        async def fail():
            raise ValueError

        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        del task

    async def main():
        asyncio.get_running_loop().set_exception_handler(handler)
        try:
            await {drop}()
            await asyncio.sleep(0)
        finally:
            order.append("finally")

    loop = cede.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    assert order == ["finally"]
    assert raised == [{kind}], raised
    assert not told, told
"""


@pytest.mark.parametrize("drop", ["drop_future", "drop_task", "drop_failed_task"])
@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        ("sys.exit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("os.kill(os.getpid(), signal.SIGINT); [None for _ in range(1000)]", "KeyboardInterrupt"),
    ],
)
def test_what_an_exception_handler_raises(run_python, drop, handler, kind):
    # What the program ends with is checked, too: an interrupt that was printed ends it with 130 since Python 3.14.
    run_python(PROGRAM.format(drop=drop, handler=handler, kind=kind))


def test_what_a_warning_raises_that_is_an_error(run_python):
    run_python("""
    import asyncio, socket, sys, warnings
    import cede
    raised, told = [], []
    sys.unraisablehook = lambda unraisable: raised.append(unraisable.exc_type)
    sys.excepthook = lambda *args: told.append(args)

    def exits(*args, **kwargs):
        raise SystemExit(4)

    async def main():
        loop = asyncio.get_running_loop()
        one, other = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
        warnings.showwarning = exits
        warnings.simplefilter("always")
        return transport, other

    loop = cede.new_event_loop()
    transport, other = loop.run_until_complete(main())
    loop.close()
    del transport
    import gc
    gc.collect()
    other.close()
    assert SystemExit in raised, raised
    assert not told
    warnings.simplefilter("ignore")
    """)
