"""Jupyter's kernel, ipykernel, unmodified, on cede: a front end sends it cells, as a notebook does."""

from __future__ import annotations

import contextlib
import json
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# zmq's context keeps its threads, and jupyter_client its sockets, until the process ends.
pytestmark = [pytest.mark.programs, pytest.mark.leaves("threads", "fds"), pytest.mark.timeout(60)]


class Notebook:
    """A kernel that runs, and cells to be executed by it."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def execute(self, source: str) -> tuple[str, str, str]:
        """Run a cell; return what it printed, its value as text, and the name of the error that ended it."""
        printed, value, error = "", "", ""
        asked = self.client.execute(textwrap.dedent(source))
        while True:
            message = self.client.get_iopub_msg(timeout=20)
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                printed += content["text"]
            elif kind == "execute_result":
                value = content["data"]["text/plain"]
            elif kind == "error":
                error = content["ename"]
            elif kind == "status" and content["execution_state"] == "idle":
                return printed, value, error


@pytest.fixture
def notebook(start: Callable[..., Any], library: Any, tmp_path: Path) -> Iterator[Notebook]:
    """A notebook whose kernel was started with `cede run`; at the end it is told to shut down, and does."""
    library("ipykernel")
    blocking = library("jupyter_client.blocking.client")
    file = tmp_path / "connection.json"
    kernel = start(
        *(sys.executable, "-m", "cede", "run", "-m", "ipykernel_launcher", "-f", str(file)),
        IPYTHONDIR=str(tmp_path),
        JUPYTER_RUNTIME_DIR=str(tmp_path),
    )
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            json.loads(file.read_text())
            break
        assert kernel.process.poll() is None, kernel.output
        assert time.monotonic() < deadline, kernel.output
        time.sleep(0.05)
    client = blocking.BlockingKernelClient(connection_file=str(file))
    client.load_connection_file()
    client.start_channels()
    client.wait_for_ready(timeout=20)
    yield Notebook(client)
    client.shutdown()
    assert kernel.wait() == 0, kernel.output
    client.stop_channels()
    client.context.destroy()


def test_cells(notebook: Notebook) -> None:
    """Top-level await, tasks that go on between cells, errors, completion, an interrupt-free death of a cell's task."""
    assert notebook.execute("import asyncio; type(asyncio.get_running_loop()).__module__")[1].startswith("'cede.")
    assert notebook.execute("await asyncio.sleep(0.01, 42)") == ("", "42", "")
    notebook.execute(
        """
        seen = []
        async def tick():
            while True:
                seen.append(len(seen))
                await asyncio.sleep(0.005)
        ticking = asyncio.create_task(tick())
        """
    )
    time.sleep(0.2)
    assert int(notebook.execute("len(seen)")[1]) > 5
    assert notebook.execute("ticking.cancel(), await asyncio.wait([ticking]), ticking.cancelled()")[1].endswith("True)")
    assert notebook.execute("await asyncio.gather(*(asyncio.to_thread(pow, n, 2) for n in range(5)))")[1] == (
        "[0, 1, 4, 9, 16]"
    )
    assert notebook.execute("async with asyncio.timeout(0.01): await asyncio.sleep(20)")[2] == "TimeoutError"
    assert notebook.execute("for n in range(3): print(n)") == ("0\n1\n2\n", "", "")
    printed, _, _ = notebook.execute(
        """
        reader, writer = await asyncio.open_connection(*(await asyncio.start_server(
            lambda r, w: (w.write(b"from a server in a cell"), w.close()), "127.0.0.1", 0)).sockets[0].getsockname())
        print((await reader.read()).decode())
        writer.close()
        """
    )
    assert printed == "from a server in a cell\n"
    assert notebook.execute("1 / 0")[2] == "ZeroDivisionError"
    assert notebook.client.complete("asyncio.get_runn", reply=True, timeout=10)["content"]["matches"]
    assert notebook.execute("'still here'")[1] == "'still here'"
