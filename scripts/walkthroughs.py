"""Run the servers of examples/faulty, look at them by cede's commands, and put what these print into the documentation.

    python scripts/walkthroughs.py [NAME ...]       all of them, or those named; with root's rights also blocking_dns

A block of the page that begins with `<!-- NAME -->` is written anew. The tests run the same, and look for the cause.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "walkthroughs.md"
SILENT_NAMESERVER = "127.0.0.77"  # where somebody listens who never answers


class Case:
    """A faulty server that runs, with its customers."""

    def __init__(self, name: str, folder: Path, *, prefix: tuple[str, ...] = ()) -> None:
        self.name = name
        self.folder = folder
        self.port = free_ports()
        path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
        self.environment = {**os.environ, "PYTHONPATH": path, "XDG_RUNTIME_DIR": str(folder), "COLUMNS": "110"}
        program = str(ROOT / "examples" / "faulty" / f"{name}.py")
        self.server = subprocess.Popen(
            [*prefix, sys.executable, "-m", "cede", "run", "--inspect", "--record", program, str(self.port)],
            env=self.environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.server.stdout is not None
        assert self.server.stdout.readline() == "ready\n"
        time.sleep(1.0)  # a server that has run for a while: the watcher looks for a new loop ten times a second
        client = str(ROOT / "examples" / "faulty" / "client.py")
        self.client = subprocess.Popen(
            [sys.executable, client, name, str(self.port)],
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def cede(self, *arguments: str) -> str:
        """Return what a command prints."""
        done = subprocess.run(
            [sys.executable, "-m", "cede", *arguments],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return re.sub(rf"\b{self.server.pid}\b", "1879", done.stdout + done.stderr)

    def ps(self, wanted: str, *options: str) -> str:
        """Return what `cede ps` prints as soon as it has what is wanted, a regular expression."""
        for _ in range(100):
            printed = self.cede("ps", *options, str(self.server.pid))
            if re.search(wanted, printed):
                return printed
            time.sleep(0.2)
        raise AssertionError(printed)

    def close(self) -> None:
        """End both."""
        for process in (self.client, self.server):
            process.kill()
            process.communicate()


def free_ports() -> int:
    """Return a free port, of which the next one is free as well."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


@contextlib.contextmanager
def running(name: str) -> Iterator[Case]:
    """Run a server and its customers until the block ends."""
    with tempfile.TemporaryDirectory(prefix="cede-") as folder, contextlib.ExitStack() as stack:
        prefix = stack.enter_context(silent_nameserver(Path(folder))) if name == "blocking_dns" else ()
        case = Case(name, Path(folder), prefix=prefix)
        try:
            yield case
        finally:
            case.close()


@contextlib.contextmanager
def silent_nameserver(folder: Path) -> Iterator[tuple[str, ...]]:
    """Listen as a nameserver that never answers; yield what starts a command that knows no other. Root only."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((SILENT_NAMESERVER, 53))
        (folder / "resolv.conf").write_text(f"nameserver {SILENT_NAMESERVER}\noptions timeout:3 attempts:1\n")
        (folder / "nsswitch.conf").write_text("hosts: files dns\n")
        mounts = " && ".join(f"mount --bind {folder}/{name} /etc/{name}" for name in ("resolv.conf", "nsswitch.conf"))
        yield "unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh"


def can_have_a_nameserver() -> bool:
    """Tell whether a process can be given a nameserver of its own here."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    done = subprocess.run(["unshare", "--mount", "mount", "--bind", "/etc/hosts", "/etc/hosts"], capture_output=True)
    return done.returncode == 0


# --- The cases: each returns what is printed ----------------------------------------------------


def kept_lock() -> dict[str, str]:
    """A lock that is kept across a slow await."""
    with running("kept_lock") as case:
        return {"ps": case.ps("■ task", "--wide")}


def blocking_dns() -> dict[str, str]:
    """A blocking call in a coroutine, which lets go of Python's lock: it is seen while it lasts."""
    with running("blocking_dns") as case:
        during = case.ps("▲ task .* blocks the loop")
        after = case.ps("▲ task .* blocked the loop")
        return {"during": during, "after": after}


def full_queue() -> dict[str, str]:
    """A queue that nobody drains, because who did has died."""
    with running("full_queue") as case:
        hangs = case.ps("≡ Queue")
        return {"ps": hangs, "show": case.cede("show", str(case.server.pid))}


def slow_pattern() -> dict[str, str]:
    """A regular expression, which keeps Python's lock: it is seen when it is over."""
    with running("slow_pattern") as case:
        case.client.wait()
        after = case.ps("▲ task .* blocked the loop")
        return {"show": case.cede("show", str(case.server.pid)), "ps": after}


def killed() -> dict[str, str]:
    """A process that is dead."""
    with running("killed") as case:
        case.client.wait()
        case.server.send_signal(signal.SIGKILL)
        case.server.wait()
        return {"show": case.cede("show", str(case.server.pid))}


CASES: dict[str, Callable[[], dict[str, str]]] = {
    case.__name__: case for case in (kept_lock, blocking_dns, full_queue, slow_pattern, killed)
}


# --- The page -----------------------------------------------------------------------------------


def tidy(printed: str) -> str:
    """Return what was printed without the paths of this machine."""
    printed = printed.replace(f"{ROOT}/examples/faulty/", "/srv/shop/")
    printed = re.sub(r"\S*/lib/(python3\.\d+)/", r"/usr/lib/\1/", printed)
    return "\n".join(line.rstrip() for line in printed.splitlines())


def main(names: list[str]) -> None:
    """Write the page anew."""
    for name in names or CASES:
        for part, printed in CASES[name]().items():
            page = PAGE.read_text(encoding="utf-8")
            head = f"<!-- {name} {part} -->\n```console\n"
            before, found, after = page.partition(head)
            if not found:
                sys.exit(f"there is no block for {name} {part} in {PAGE}")
            command = after.partition("\n")[0]
            rest = after.partition("```\n")[2]
            PAGE.write_text(f"{before}{head}{command}\n{tidy(printed)}\n```\n{rest}", encoding="utf-8")
            print(f"{name} {part}:\n{printed}")


if __name__ == "__main__":
    main(sys.argv[1:])
