"""A first program: what `async def` and `await` do, and who has the turn when.

    cede run examples/first_program.py          on cede (about 10 seconds)
    python examples/first_program.py            on stock asyncio: the same output
    cede run examples/first_program.py 0.1      ten times as fast

An event loop runs one thing at a time. Whoever says `await` on something that is not ready yet gives the turn
away, and gets it back when it is. So two things that mostly wait can wait at the same time.
"""

import asyncio
import gc
import sys
import time

SPEED = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0  # what a second of the story takes, in seconds
started = 0.0  # when the present part began


def say(text):
    print(f"{time.perf_counter() - started:5.2f} s  {text}", flush=True)


async def make(what, seconds):
    say(f"{what} has the turn and waits {seconds} s: it gives the turn away")
    await asyncio.sleep(seconds * SPEED)
    say(f"{what} has the turn again: ready")
    return what


def begin(title):
    global started
    print(f"\n{title}", flush=True)
    started = time.perf_counter()


def called_without_await():
    begin("Called, but neither awaited nor run. A call only makes a coroutine; nothing of its body runs:")
    coroutine = make("coffee", 4)
    say(f"this is all there is: {coroutine}")
    say("thrown away, it makes Python warn (on standard error):")
    del coroutine
    gc.collect()  # CPython has warned by now already; other Pythons need this


async def one_after_the_other():
    begin("Awaited one after the other: 4 s and 2 s take 6 s")
    await make("coffee", 4)
    await make("toast", 2)
    say("both are ready")


async def together():
    begin("Gathered: 4 s and 2 s take 4 s, because they wait at the same time")
    breakfast = await asyncio.gather(make("coffee", 4), make("toast", 2))
    say(f"both are ready: {' and '.join(breakfast)}")


called_without_await()
asyncio.run(one_after_the_other())
asyncio.run(together())
