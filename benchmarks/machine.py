"""Where the numbers come from: the machine, its kernel, the interpreter, the versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import ssl
import subprocess
import sys
from pathlib import Path

from .clients import REPOSITORY
from .peers import PEERS

SERVERS = ("uvicorn", "h11", "httptools", "aiohttp")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _memory() -> str:
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _compiler() -> str:
    try:
        words = [os.environ.get("CC", "cc"), "--version"]
        return subprocess.run(words, capture_output=True, text=True).stdout.splitlines()[0]
    except (OSError, IndexError):
        return "none"


def describe() -> dict[str, str]:
    """Return what a reader needs to judge the numbers."""
    distributions = dict.fromkeys(peer.module for peer in PEERS if peer.kind == "peer" and peer.module != "asyncio")
    versions = {name: _version(name) for name in (*distributions, *SERVERS)}
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": _memory(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_version()} ({sys.version.split('[')[-1].rstrip(']')})",
        "openssl": ssl.OPENSSL_VERSION,
        "libc": " ".join(platform.libc_ver()),
        "compiler": _compiler(),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        "not installed": ", ".join(name for name, version in versions.items() if not version),
    }


def commit() -> str:
    """Return which cede this is: the commit, with a plus if the tree has changed since."""
    words = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(words, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def load_average() -> float:
    """Return how many processes wanted to run in the last minute: the noise to expect."""
    return os.getloadavg()[0]
