"""What loads a row that is a server, and the C servers that are its limit.

A client runs on another core than the server. It warms the server up, reads the CPU clock of
the server's process, does its rounds, compares every answer, and reads the clock again. Only the
server's time is the result; the client's own is nobody's concern.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from . import build
from .row import KIB, MIB

REPOSITORY = Path(__file__).parent.parent
MARK = "@benchmark "  # a line of output that begins so is meant for the harness; the rest is not


class ClientFailed(Exception):
    """The client did not get what it asked for; the text says what it got instead."""


@dataclass
class Sample:
    """What one run gave."""

    values: dict[str, float]  # metric -> nanoseconds an operation, or bytes
    wall_ns: float | None = None  # wall time an operation
    operations: int = 0  # how many those were, and of a server those before, for warming up; 0 if nobody knows


class Client(Protocol):
    def measure(self, address: str, pid: int, pin: list[str], scale: float) -> Sample:
        """Load the server and return what an operation cost it; `pin` goes before any command."""


def marked(output: str) -> dict[str, Any] | None:
    """Return the object that a program left for the harness among its output."""
    for line in output.splitlines():
        if line.startswith(MARK):
            found: dict[str, Any] = json.loads(line[len(MARK) :])
            return found
    return None


def last_words(text: str, otherwise: str) -> str:
    """Return the line of a program's complaint that says most: the last exception, or the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    exceptions = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Exit|Interrupt)\b", line)]
    return (exceptions or lines or [otherwise])[-1].replace(f"{REPOSITORY}/", "")[:200]


@dataclass(frozen=True)
class Load:
    """One of the C programs `c/load_*.c`, with its options."""

    program: str
    rounds: int = 0  # of a full run; quick ones do a fraction
    options: dict[str, int | str] = field(default_factory=dict)

    def measure(self, address: str, pid: int, pin: list[str], scale: float) -> Sample:
        if self.options.get("tls") and not build.has_tls():
            raise ClientFailed("no headers of OpenSSL to build a TLS client with")
        words = {"address": address, "server": pid, **self.options}
        rounds = max(10, int(self.rounds * scale))
        warmup = max(10, rounds // 10)
        if self.rounds:
            words |= {"rounds": rounds, "warmup": warmup}
        command = [*pin, str(build.program(self.program)), *(f"{name}={value}" for name, value in words.items())]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        found = marked(done.stdout)
        if done.returncode or found is None:
            raise ClientFailed(last_words(done.stderr, "the client ended without a word"))
        if "bytes" in found:
            return Sample({"": found["bytes"]})
        operations = found["operations"]
        both = operations * (rounds + warmup) // rounds
        return Sample({"": found["cpu_ns"] / operations}, found["wall_ns"] / operations, both)


def exchange(connections: int = 10, size: int = KIB, kind: str = "echo", batch: int = 1, tls: bool = False) -> Load:
    """Requests and answers over lasting connections; kinds as in c/load_exchange.c."""
    rounds = min(30_000, 400_000_000 // (size * batch + 12_000))
    size_and_number = {"connections": connections, "size": int(size), "batch": batch}
    return Load("load_exchange", rounds, {**size_and_number, "kind": kind, "tls": int(tls)})


def one_way(kind: str) -> Load:
    """Messages of 1 MiB in one direction: kind is what the server does, "send" or "receive"."""
    mirrored = {"send": "receive", "receive": "send"}[kind]  # where the server sends, the client receives
    return Load("load_exchange", 600, {"connections": 1, "size": int(MIB), "kind": mirrored})


def short_lived(tls: bool = False) -> Load:
    """Connections that live for one exchange."""
    return Load("load_close", 1_000 if tls else 5_000, {"connections": 10, "tls": int(tls)})


def datagrams(connections: int = 10, size: int = KIB) -> Load:
    """Datagrams sent to be echoed."""
    return Load("load_datagram", 30_000, {"connections": connections, "size": int(size)})


def listeners(connections: int = 1000, size: int = KIB) -> Load:
    """One message to many connections."""
    return Load("load_broadcast", 30, {"connections": connections, "size": int(size)})


def idlers(connections: int = 4000, tls: bool = False) -> Load:
    """Connections that do nothing; the result is bytes of resident memory for each."""
    return Load("load_idle", 0, {"connections": connections, "tls": int(tls)})


def cpu_ns(pid: int) -> int:
    """Return the CPU time that another process has used, all its threads."""
    per_process_clock = (~pid << 3) | 2  # what clock_getcpuclockid(3) computes on Linux
    return time.clock_gettime_ns(per_process_clock)


@dataclass(frozen=True)
class Wrk:
    """HTTP requests by wrk."""

    connections: int = 32
    expected: bytes = b"Hello, World!"

    def measure(self, address: str, pid: int, pin: list[str], scale: float) -> Sample:
        if shutil.which("wrk") is None:
            raise ClientFailed("wrk is not installed")
        url = f"http://{address}/"
        with urllib.request.urlopen(url, timeout=10) as response:
            body = response.read()
        if body != self.expected:
            raise ClientFailed(f"wrong answer: {body[:40]!r}")
        self._load(url, pin, max(1, round(scale)))
        cpu, wall = cpu_ns(pid), time.perf_counter_ns()
        requests = self._load(url, pin, max(1, round(3 * scale)))
        return Sample({"": (cpu_ns(pid) - cpu) / requests}, (time.perf_counter_ns() - wall) / requests)

    def _load(self, url: str, pin: list[str], seconds: int) -> int:
        command = [*pin, "wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        errors = re.search(r"(Socket errors|Non-2xx).*", done.stdout)
        if errors:
            raise ClientFailed(errors.group())
        requests = re.search(r"(\d+) requests in", done.stdout)
        if requests is None or requests.group(1) == "0":
            raise ClientFailed(last_words(done.stderr, "no request was answered"))
        return int(requests.group(1))


@dataclass(frozen=True)
class LimitServer:
    """The C server that does by hand what a row's server does: c/limit_server.c."""

    kind: str
    tls: bool = False
    unix: bool = False

    def command(self, scratch: Path) -> list[str]:
        words = [str(build.program("limit_server")), f"kind={self.kind}"]
        words.append(f"address=unix:{scratch}/limit.sock" if self.unix else "address=127.0.0.1:0")
        if self.kind == "broadcast":
            words.append(f"size={int(KIB)}")
        if self.tls:
            cert, key = build.certificate()
            words += [f"cert={cert}", f"key={key}"]
        return words
