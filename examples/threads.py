"""Work that blocks goes to a thread, and the loop goes on meanwhile.

    cede run examples/threads.py

`to_thread` runs a function in a thread and awaits its result. The other way, a thread may not touch the loop;
it asks for a call with `call_soon_threadsafe`, or for a whole coroutine with `run_coroutine_threadsafe`.
"""

import asyncio
import threading
import time


def count_words(text):
    """Take a while, without ever awaiting."""
    time.sleep(0.2)
    return len(text.split())


async def tick(ticks):
    while True:
        ticks.append(time.monotonic())
        await asyncio.sleep(0.02)


async def blocking_work():
    ticks = []
    ticking = asyncio.create_task(tick(ticks))
    counts = await asyncio.gather(*(asyncio.to_thread(count_words, text) for text in ("one two", "three", "")))
    ticking.cancel()
    print("words counted by three threads:", counts)
    print("the loop went on meanwhile:", "yes" if len(ticks) >= 5 else f"no ({len(ticks)} ticks)")


async def news_from_a_thread():
    loop = asyncio.get_running_loop()
    news = asyncio.Queue()

    async def ask(question):
        await asyncio.sleep(0.01)
        return f"{question} Yes, on the loop's own thread: {threading.current_thread() is threading.main_thread()}."

    def reporter():
        for number in range(3):
            time.sleep(0.01)
            loop.call_soon_threadsafe(news.put_nowait, f"report {number}")
        answer = asyncio.run_coroutine_threadsafe(ask("Did you get them?"), loop).result()
        loop.call_soon_threadsafe(news.put_nowait, answer)

    thread = threading.Thread(target=reporter)
    thread.start()
    for _ in range(4):
        print(await news.get())
    thread.join()


async def main():
    await blocking_work()
    await news_from_a_thread()


asyncio.run(main())
