"""Tools that find blocking calls by wrapping what a program calls: what the loop calls for itself is not reported."""

from __future__ import annotations

BLOCKED = """
import asyncio, os, socket, sys, tempfile, threading, time, _thread
import cede

found = []

def watch(module, name, may=lambda *args, **kwargs: False):
    original = getattr(module, name)
    def wrapper(*args, **kwargs):
        if asyncio._get_running_loop() is not None and not may(*args, **kwargs):
            found.append(name)
        return original(*args, **kwargs)
    setattr(module, name, wrapper)

for name in ("stat", "fstat", "remove", "unlink", "sendfile", "waitpid", "listdir", "access", "rename"):
    watch(os, name)
for name in ("read", "write"):
    watch(os, name, lambda fd, *rest: not os.get_blocking(fd))
watch(time, "sleep")
for name in ("connect", "accept", "send", "sendall", "recv", "recv_into", "recvfrom", "sendto"):
    watch(socket.socket, name, lambda sock, *rest: not sock.getblocking())

folder = tempfile.mkdtemp()
with open(folder + "/file", "wb") as file:
    file.write(bytes(100_000))

async def echo(reader, writer):
    writer.write(await reader.read(1))
    writer.close()

async def main(file):
    loop = asyncio.get_running_loop()
    for _ in range(2):  # the second time there is a stale file
        server = await cede.start_unix_server(echo, folder + "/socket")
        reader, writer = await cede.open_unix_connection(folder + "/socket")
        writer.write(b"1")
        assert await reader.read() == b"1"
        writer.close()
        server.close()
        if sys.version_info >= (3, 13):  # before, a server leaves its file
            with socket.socket(socket.AF_UNIX) as stale:
                stale.bind(folder + "/socket")
    process = await cede.create_subprocess_exec("cat", stdin=-1, stdout=-1, cwd="/")
    assert (await process.communicate(b"q"))[0] == b"q"
    try:
        await cede.create_subprocess_exec("/nowhere/at/all", cwd="/")
    except FileNotFoundError:
        pass
    left, right = socket.socketpair()
    transport, _ = await loop.create_connection(cede.Protocol, sock=left)
    reader, writer = await cede.open_connection(sock=right)
    assert await loop.sendfile(transport, file) == 100_000
    assert len(await reader.readexactly(100_000)) == 100_000
    transport.close()
    writer.close()
    assert await cede.to_thread(int) == 0
    await loop.getaddrinfo("localhost", 80)
    reading, writing = os.pipe()
    pipe, _ = await loop.connect_write_pipe(cede.Protocol, os.fdopen(writing, "wb", 0))
    pipe.write(b"x")
    pipe.close()
    os.close(reading)
    await cede.sleep(0.01)
    await loop.shutdown_default_executor()
    assert found == [], found

with open(folder + "/file", "rb") as file:
    cede.run(main(file))
"""


def test_the_loops_own_calls_are_not_the_programs(run_python):
    run_python(BLOCKED)
