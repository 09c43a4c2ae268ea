"""cede as where nothing of Linux's own exists. CI also builds it so, and runs a part of the suite: CEDE_PORTABLE=1."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "cede"

# Of what macOS and BSD have too.
HEADERS = {
    *("errno.h", "fcntl.h", "math.h", "time.h", "unistd.h", "sys/socket.h", "sys/uio.h"),
    *("arpa/inet.h", "netinet/in.h", "netinet/tcp.h"),
}
# Python's, and the C language's own.
OF_PYTHON = {"Python.h", "string.h"}


def test_a_loop_where_nothing_of_linux_exists(run_python: Callable[..., Any], unix_path: str) -> None:
    source = """
    import os, select, signal, socket, sys
    import cede

    assert "cede.engine.pollers.select" in sys.modules and "cede.engine.pollers.epoll" not in sys.modules
    for module, name in (select, "epoll"), (os, "pidfd_open"), (os, "eventfd"), (socket, "SOCK_NONBLOCK"):
        assert not hasattr(module, name), name

    async def echo(reader, writer):
        writer.write(await reader.readline())
        writer.close()

    async def ask(connecting):
        reader, writer = await connecting
        writer.write(b"hello\\n")
        assert await reader.read() == b"hello\\n"
        writer.close()
        await writer.wait_closed()

    async def main():
        loop = cede.get_running_loop()
        server = await cede.start_server(echo, "127.0.0.1", 0)
        await ask(cede.open_connection(*server.sockets[0].getsockname()))
        unix = await cede.start_unix_server(echo, sys.argv[1])
        await ask(cede.open_unix_connection(sys.argv[1]))
        child = await cede.create_subprocess_exec("cat", stdin=-1, stdout=-1)
        assert await child.communicate(b"x") == (b"x", None)
        assert await cede.to_thread(int) == 0
        loop.add_signal_handler(signal.SIGUSR1, child.kill)
        os.kill(os.getpid(), signal.SIGUSR1)
        await cede.sleep(0.01)
        for each in (server, unix):
            each.close()
            await each.wait_closed()

    cede.run(main())
    """
    run_python(source, unix_path, env={"CEDE_PORTABLE": "1"})


@pytest.mark.parametrize("path", sorted([*PACKAGE.rglob("*.h"), *PACKAGE.rglob("*.pxd")]), ids=lambda path: path.name)
def test_only_linux_is_asked_for_headers_of_linux(path: Path) -> None:
    depth = 0  # inside of so many `#ifdef __linux__` or other conditions
    asked = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if re.match(r"\s*#\s*if", line):
            depth += 1
        elif re.match(r"\s*#\s*endif", line):
            depth -= 1
        elif depth == 0 and (found := re.match(r"\s*#\s*include\s*<(.*)>", line)):
            asked.append(found[1])
    assert set(asked) <= HEADERS | OF_PYTHON
