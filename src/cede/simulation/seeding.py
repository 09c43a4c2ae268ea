"""Seeding: chance as the program gets it, from the seed of the world.

Each host has a generator of its own, which answers `random`, `os.urandom`, `secrets` and `uuid`. What comes out of it
is no choice of the world's: it is the same for all choices, so shrinking a failure does not change it. OpenSSL gets its
random bytes from the same generator, which makes TLS the same to the byte.
"""

from __future__ import annotations

import ctypes
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from types import MethodType, ModuleType
from typing import Any

from . import current


def urandom(real: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Return what answers `os.urandom`."""

    def urandom(size: int, /) -> bytes:
        host = current.host()
        return real(size) if host is None or not isinstance(size, int) or size < 0 else host.randomness.randbytes(size)

    return urandom


def getrandom(real: Callable[..., bytes]) -> Callable[..., bytes]:
    """Return what answers `os.getrandom`."""

    def getrandom(size: int, flags: int = 0) -> bytes:
        host = current.host()
        if host is None or not isinstance(size, int) or size < 0:
            return real(size, flags)
        return host.randomness.randbytes(size)

    return getrandom


# --- The module `random` ---------------------------------------------------------------------------


class HostsRandom(random.Random):
    """What the functions of `random` belong to while a world runs: a host's generator; elsewhere the real one."""

    def random(self) -> float:
        host = current.host()
        return super().random() if host is None else host.randomness.random()

    def getrandbits(self, k: int, /) -> int:
        host = current.host()
        return super().getrandbits(k) if host is None else host.randomness.getrandbits(k)

    def seed(self, a: Any = None, version: int = 2) -> None:
        host = current.host()
        if host is None:
            super().seed(a, version)
        else:
            host.randomness.seed(a if a is not None else host.fresh_seed(), version)

    def getstate(self) -> tuple[Any, ...]:
        host = current.host()
        return super().getstate() if host is None else host.randomness.getstate()

    def setstate(self, state: tuple[Any, ...]) -> None:
        host = current.host()
        if host is None:
            super().setstate(state)
        else:
            host.randomness.setstate(state)

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        host = current.host()
        return super().gauss(mu, sigma) if host is None else host.randomness.gauss(mu, sigma)


def seed_method(real: Callable[..., None]) -> Callable[..., None]:
    """Return the `seed` of generators: one that is given no seed takes it from the host."""

    def seed(self: Any, a: Any = None, version: int = 2) -> None:
        if a is None:
            host = current.host()
            if host is not None:
                a = host.fresh_seed()
        real(self, a, version)

    return seed


def of_shared(name: str) -> Callable[[Any], Callable[..., Any]]:
    """Return what answers `random.random` or `random.getrandbits`, which go past the class of what they belong to."""

    def for_real(real: Callable[..., Any]) -> Callable[..., Any]:
        def draw(*args: Any) -> Any:
            host = current.host()
            return real(*args) if host is None else getattr(host.randomness, name)(*args)

        return draw

    return for_real


@contextmanager
def generators_of_libraries(seed: int) -> Iterator[None]:
    """Let the generators that modules hold begin anew with the world, each by its name, and go on after it.

    Those that a program made and keeps elsewhere are its own: it says what they begin with.
    """
    before = []
    for namespace, key, name in _places(len(sys.modules)):
        generator = namespace.get(key)
        if type(generator) is random.Random:
            before.append((generator, generator.getstate()))
            generator.seed(f"{seed} {name}")
    try:
        yield
    finally:
        for generator, state in reversed(before):  # one that has two names goes on as it was before the first
            generator.setstate(state)


@lru_cache(maxsize=1)
def _places(modules: int) -> list[tuple[dict[str, Any], str, str]]:
    """Return where modules hold generators; looked for again only when there are more `modules`, as it takes long."""
    shared = vars(random)["_inst"]
    return [
        (vars(module), key, f"{name}.{key}")
        for name, module in sorted(sys.modules.items())
        if isinstance(module, ModuleType)
        for key, value in list(vars(module).items())
        if type(value) is random.Random and value is not shared
    ]


@contextmanager
def module_random() -> Iterator[None]:
    """Let the module's functions ask the host's generator, and generators without a seed take theirs from it."""
    shared, generators = vars(random)["_inst"], vars(random)["Random"]
    own = {name: function for name, function in vars(random).items() if _is_methods_of(function, shared)}
    seed = generators.seed
    shared.__class__ = HostsRandom
    generators.seed = seed_method(seed)
    for name in own:
        setattr(random, name, getattr(shared, name))
    try:
        yield
    finally:
        for name, function in own.items():
            setattr(random, name, function)
        generators.seed = seed
        shared.__class__ = generators


def _is_methods_of(function: Any, shared: Any) -> bool:
    return type(function) is MethodType and function.__self__ is shared


# --- OpenSSL ---------------------------------------------------------------------------------------


class _RandMethod(ctypes.Structure):
    """OpenSSL's RAND_METHOD."""

    _fields_ = (
        ("seed", ctypes.c_void_p),
        ("bytes", ctypes.c_void_p),
        ("cleanup", ctypes.c_void_p),
        ("add", ctypes.c_void_p),
        ("pseudorand", ctypes.c_void_p),
        ("status", ctypes.c_void_p),
    )


class _OpenSSL:
    """The library that `_ssl` is linked with, and our source of random bytes for it."""

    def __init__(self, library: Any) -> None:
        self._set = library.RAND_set_rand_method
        self._set.argtypes = (ctypes.c_void_p,)
        library.RAND_get_rand_method.restype = ctypes.c_void_p
        self._before = library.RAND_get_rand_method()
        method = _RandMethod.from_address(self._before)
        fill = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
        self._real = fill(method.bytes)
        self._ours = fill(self._fill)
        ours = ctypes.cast(self._ours, ctypes.c_void_p)
        self._method = _RandMethod(method.seed, ours, method.cleanup, method.add, ours, method.status)

    def _fill(self, buffer: int, size: int) -> int:
        host = current.host()
        if host is None:
            return self._real(buffer, size)
        ctypes.memmove(buffer, host.randomness.randbytes(size), size)
        return 1

    def put(self) -> None:
        self._set(ctypes.addressof(self._method))

    def put_back(self) -> None:
        self._set(self._before)


@cache
def _openssl() -> _OpenSSL | None:
    """Return the library, or None where it is linked in such a way that it cannot be reached."""
    try:
        import _ssl

        return _OpenSSL(ctypes.CDLL(_ssl.__file__))
    except (ImportError, OSError, AttributeError, ValueError):
        return None


@contextmanager
def openssl() -> Iterator[None]:
    """Let OpenSSL take its random bytes from the host, where it can be reached."""
    library = _openssl()
    if library is None:
        yield
        return
    library.put()
    try:
        yield
    finally:
        library.put_back()


def openssl_is_seeded() -> bool:
    """Whether TLS is the same to the byte in each run: else the lengths of what is sent may differ by a byte or two."""
    return _openssl() is not None
