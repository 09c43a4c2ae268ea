"""Compiles the C programs in `c/` and makes the certificate for the TLS rows, once.

Everything lands in `benchmarks/build/<hash>`; the hash covers the sources and the interpreter, so
a change builds anew and nothing stale is ever run.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import os
import subprocess
import sysconfig
from functools import cache
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
SOURCES = HERE / "c"


class BuildFailed(Exception):
    """A compiler or tool is missing, or it refused."""


def _command(*words: str | Path) -> None:
    try:
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120)
    except OSError as error:
        raise BuildFailed(f"cannot run {words[0]}: {error.strerror}") from None
    if done.returncode:
        raise BuildFailed(f"{words[0]} failed: {(done.stderr.strip() or 'without a word').splitlines()[0]}")


def _compiler() -> str:
    return os.environ.get("CC", "cc")


@cache
def directory() -> Path:
    """Return the directory of this build, which exists."""
    digest = hashlib.sha256(sysconfig.get_platform().encode() + str(sysconfig.get_config_var("SOABI")).encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.read_bytes())
    path = HERE / "build" / digest.hexdigest()[:16]
    path.mkdir(parents=True, exist_ok=True)
    return path


@cache
def has_tls() -> bool:
    """Tell whether OpenSSL's headers are here to build against."""
    try:
        _command(_compiler(), "-E", "-include", "openssl/ssl.h", "-x", "c", "/dev/null", "-o", "/dev/null")
    except BuildFailed:
        return False
    return True


@cache
def program(name: str) -> Path:
    """Return the path of a compiled C program: `program("load_exchange")`."""
    path = directory() / name
    if not path.exists():
        sources = [SOURCES / f"{each}.c" for each in (name, "net", "tls")]
        tls = ["-DWITH_TLS", "-lssl", "-lcrypto"] if has_tls() else []
        half_done = path.with_suffix(f".{os.getpid()}")
        _command(_compiler(), "-O2", "-Wall", "-o", half_done, *sources, *tls)
        half_done.rename(path)
    return path


def drive() -> ModuleType:
    """Return the extension module that resumes coroutines and does nothing else."""
    path = directory() / ("drive" + importlib.machinery.EXTENSION_SUFFIXES[0])
    if not path.exists():
        include = "-I" + sysconfig.get_path("include")
        half_done = path.with_suffix(f".{os.getpid()}")
        _command(_compiler(), "-O2", "-shared", "-fPIC", include, "-o", half_done, SOURCES / "drive.c")
        half_done.rename(path)
    spec = importlib.util.spec_from_file_location("drive", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def counter() -> Path:
    """Return the path of the library that tells callgrind where to begin and end: valgrind's headers must be here."""
    path = directory() / "count.so"
    if not path.exists():
        half_done = path.with_suffix(f".{os.getpid()}")
        _command(_compiler(), "-O2", "-shared", "-fPIC", "-o", half_done, SOURCES / "count.c")
        half_done.rename(path)
    return path


@cache
def certificate() -> tuple[Path, Path]:
    """Return the paths of a self-signed certificate for localhost and its key."""
    cert, key = directory() / "cert.pem", directory() / "key.pem"
    if not cert.exists():
        new = ("-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=localhost")
        _command("openssl", "req", "-x509", *new, "-keyout", key, "-out", cert)
    return cert, key
