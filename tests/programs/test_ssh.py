"""asyncssh, unmodified, on cede, against OpenSSH's server and client."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.programs


@pytest.fixture
def asyncssh(library: Any) -> Any:
    return library("asyncssh")


@pytest.fixture
def keys(program: Callable[[str, str], str], tmp_path: Path) -> Path:
    """A folder with the key pairs `host` and `user`, fit for OpenSSH's eyes."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        command = [program("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
        subprocess.run(command, check=True)
    (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
    return folder


@pytest.fixture
def sshd(
    start: Callable[..., Any], program: Callable[[str, str], str], free_port: Callable[[], int], keys: Path
) -> dict[str, Any]:
    """OpenSSH's server, running; the value is how asyncssh connects to it."""
    executable, port = program("sshd", "openssh-server"), free_port()
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": keys / "host",
        "AuthorizedKeysFile": keys / "authorized",
        "PidFile": "none",
        "StrictModes": "no",
        "PasswordAuthentication": "no",
        "UsePAM": "no",
        "Subsystem": "sftp internal-sftp",
        "MaxStartups": "100",
        "MaxSessions": "100",
    }
    (keys / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    start(executable, "-D", "-e", "-f", str(keys / "sshd_config"))
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 5):
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    host = f"[127.0.0.1]:{port} {(keys / 'host.pub').read_text()}"
    (keys / "known").write_text(host)
    return {
        "host": "127.0.0.1",
        "port": port,
        "username": getpass.getuser(),
        "client_keys": [str(keys / "user")],
        "known_hosts": str(keys / "known"),
        "config": None,
        "agent_path": None,
    }


async def test_commands(asyncssh: Any, sshd: dict[str, Any]) -> None:
    """Commands on sshd: exit statuses, both outputs, input, ten at a time, one that is given up."""
    assert type(asyncio.get_running_loop()).__module__.startswith("cede.")
    async with asyncssh.connect(**sshd) as connection:
        done = await connection.run("echo out; echo err >&2; exit 3")
        assert (done.stdout, done.stderr, done.exit_status) == ("out\n", "err\n", 3)
        text = "line\n" * 200_000
        assert (await connection.run("cat", input=text)).stdout == text
        many = await asyncio.gather(*(connection.run(f"echo {number}") for number in range(10)))
        assert [done.stdout for done in many] == [f"{number}\n" for number in range(10)]
        with pytest.raises(TimeoutError):
            await connection.run("sleep 20", timeout=0.2)
        async with connection.create_process("bc -q || cat") as process:
            process.stdin.write("6 * 7\n")
            assert (await process.stdout.readline()).strip() in ("42", "6 * 7")
        assert (await connection.run("echo still")).stdout == "still\n"


async def test_files_and_tunnels(asyncssh: Any, sshd: dict[str, Any], tmp_path: Path) -> None:
    """SFTP both ways, and a port of this machine forwarded through sshd to a server on cede."""
    data = os.urandom(3_000_000)
    (tmp_path / "here").write_bytes(data)

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        await writer.drain()
        writer.close()

    async with asyncssh.connect(**sshd) as connection:
        async with connection.start_sftp_client() as sftp:
            await sftp.put(tmp_path / "here", tmp_path / "there")
            await sftp.get(tmp_path / "there", tmp_path / "back")
            assert stat.S_ISDIR((await sftp.stat(str(tmp_path))).permissions)
            with pytest.raises(asyncssh.SFTPNoSuchFile):
                await sftp.stat(str(tmp_path / "none"))
        assert (tmp_path / "back").read_bytes() == data
        async with await asyncio.start_server(shout, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with connection.forward_local_port("127.0.0.1", 0, "127.0.0.1", port) as listener:
                for size in (10, 500_000):
                    reader, writer = await asyncio.open_connection("127.0.0.1", listener.get_port())
                    writer.write(b"x" * size)
                    writer.write_eof()
                    assert await reader.read() == b"X" * size
                    writer.close()
                    await writer.wait_closed()


async def test_refusals(asyncssh: Any, sshd: dict[str, Any], keys: Path) -> None:
    """A host that is not the known one and a key that is not let in are asyncssh's errors."""
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await asyncssh.connect(**{**sshd, "known_hosts": ([], [], [])})
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(**{**sshd, "client_keys": [str(keys / "host")]})
    with pytest.raises(ConnectionRefusedError):
        await asyncssh.connect(**{**sshd, "port": 1})


async def test_server(asyncssh: Any, keys: Path, program: Callable[[str, str], str]) -> None:
    """asyncssh's server on cede serves OpenSSH's client: its command, its input to the end, its exit status."""

    async def handle(process: Any) -> None:
        text = await process.stdin.read()
        process.stdout.write(f"{process.command}: {len(text)}\n")
        process.exit(4)

    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[str(keys / "host")],
        authorized_client_keys=str(keys / "authorized"),
        process_factory=handle,
    )
    options = {
        "Port": server.get_port(),
        "IdentityFile": keys / "user",
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    async with server:
        client = await asyncio.create_subprocess_exec(
            *(program("ssh", "openssh-client"), "-F", "none", *words, "someone@127.0.0.1", "count this"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        output, _ = await asyncio.wait_for(client.communicate(b"x" * 1_000_000), 20)
        assert (output, client.returncode) == (b"count this: 1000000\n", 4)
