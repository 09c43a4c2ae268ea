"""A loop in a thread of its own, to be looked at."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import cede


@contextlib.contextmanager
def running(main: Callable[[threading.Event], Any]) -> Iterator[threading.Thread]:
    """Run `main(ready)` on a loop of its own in a thread until the block ends; the block begins when `ready` is set."""
    ready = threading.Event()
    over = threading.Event()
    handles: list[Any] = []

    async def body() -> None:
        loop = cede.get_running_loop()
        stop = cede.Event()
        handles.extend([loop, stop])
        task = cede.create_task(main(ready), name="body")
        await stop.wait()
        task.cancel()
        await cede.wait([task])

    def run() -> None:
        cede.run(body())
        over.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(5)
        yield thread
    finally:
        handles[0].call_soon_threadsafe(handles[1].set)
        assert over.wait(10)
        thread.join()


def functions(task: dict[str, Any]) -> list[str]:
    return [name.rpartition(".")[2] for name, _, _ in task["stack"]]
