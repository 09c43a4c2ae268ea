"""Addresses as programs give them to a socket, and as they are told theirs: (host, port, ...) or a path."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any

_INTERNET = (socket.AF_INET, socket.AF_INET6)


def parsed(kernel: Any, family: int, address: Any, what: str) -> Any:
    """What the kernel knows the address by: (ip, port), or a path. Names are looked up; errors as `socket` has them."""
    if family not in _INTERNET:
        if isinstance(address, (str, bytes, bytearray)):
            return address
        return os.fspath(address) if isinstance(address, os.PathLike) else bytes(memoryview(address))
    name = "AF_INET" if family == socket.AF_INET else "AF_INET6"
    if not isinstance(address, tuple):
        raise TypeError(f"{what}(): {name} address must be tuple, not {type(address).__name__}")
    if not 2 <= len(address) <= (2 if family == socket.AF_INET else 4):
        wanted = "a pair (host, port)" if family == socket.AF_INET else "a tuple (host, port[, flowinfo[, scopeid]])"
        raise TypeError(f"{name} address must be {wanted}")
    host, port = address[:2]
    if not isinstance(port, int):
        raise TypeError(f"{type(port).__name__!r} object cannot be interpreted as an integer")
    if not 0 <= port <= 65535:
        raise OverflowError(f"{what}(): port must be 0-65535.")
    if isinstance(host, (bytes, bytearray)):
        host = bytes(host).decode("ascii")
    return _ip(kernel, family, host), port


def _ip(kernel: Any, family: int, host: str) -> str:
    if not host:
        return "0.0.0.0" if family == socket.AF_INET else "::"
    if host == "<broadcast>":
        return "255.255.255.255"
    found = literal(family, host)
    if found is None:
        found = str(kernel.network.look_up(kernel, host, family)[0])
    inside = mapped(found)
    return found if inside is None else inside


def literal(family: int, host: str) -> str | None:
    """The address that a literal stands for, in its usual form; None if it is a name."""
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, host.partition("%")[0]))
    except OSError:
        return None


def mapped(ip: str) -> str | None:
    """The IPv4 address inside of an IPv6 one, else None."""
    if not ip.startswith("::ffff:"):
        return None
    inside = ipaddress.IPv6Address(ip).ipv4_mapped
    return None if inside is None else str(inside)


def shown(family: int, address: Any) -> Any:
    """The address as a socket of the family tells it."""
    if address is None or family not in _INTERNET:
        return address
    ip, port = address
    if family == socket.AF_INET:
        return ip, port
    return (ip if ":" in ip else f"::ffff:{ip}" if ip != "0.0.0.0" else "::"), port, 0, 0
