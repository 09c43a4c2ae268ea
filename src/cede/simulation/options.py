"""getsockopt and setsockopt of simulated sockets: what means something to the kernel, and the rest, which is kept."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Any

from .files import error

_SOL = socket.SOL_SOCKET
_LEAST_BUFFER = 2304  # bytes; what Linux makes of less
_PROTOCOLS = {
    (socket.AF_INET, socket.SOCK_STREAM): socket.IPPROTO_TCP,
    (socket.AF_INET6, socket.SOCK_STREAM): socket.IPPROTO_TCP,
    (socket.AF_INET, socket.SOCK_DGRAM): socket.IPPROTO_UDP,
    (socket.AF_INET6, socket.SOCK_DGRAM): socket.IPPROTO_UDP,
}
# What options are before anybody sets them; of the others 0.
_DEFAULTS = {
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", -1)): 7200,
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", -1)): 75,
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", -1)): 9,
    (socket.IPPROTO_TCP, socket.TCP_MAXSEG): 1448,
    (socket.IPPROTO_IP, socket.IP_TTL): 64,
    (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS): 64,
}
_SWITCHES = {
    (_SOL, socket.SO_REUSEADDR),
    (_SOL, getattr(socket, "SO_REUSEPORT", -1)),
    (_SOL, socket.SO_KEEPALIVE),
    (_SOL, socket.SO_BROADCAST),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY),
}


def get_option(file: Any, level: int, option: int, buflen: int) -> Any:
    """What getsockopt answers: a number, or bytes if a buffer's length is given."""
    key = (level, option)
    if key == (_SOL, socket.SO_LINGER):
        packed = struct.pack("ii", *file.options.get(key, (0, 0)))
        return packed[:buflen] if buflen else struct.unpack("i", packed[:4])[0]
    if key == (_SOL, getattr(socket, "SO_PEERCRED", -1)) and file.family == socket.AF_UNIX:
        return struct.pack("iII", os.getpid(), os.getuid(), os.getgid())[:buflen]
    if file.family == socket.AF_UNIX and level != _SOL:
        raise error(errno.EOPNOTSUPP)
    if level == socket.IPPROTO_TCP and file.type != socket.SOCK_STREAM:
        raise error(errno.EOPNOTSUPP)
    value = _known(file, key)
    if value is None:
        value = file.options.get(key, _DEFAULTS.get(key, 0))
    if isinstance(value, bytes):
        return value[:buflen]
    return struct.pack("i", value)[:buflen] if buflen else value


def _known(file: Any, key: tuple[int, int]) -> int | None:
    """Of the options of SOL_SOCKET that the kernel keeps elsewhere, the value; else None."""
    if key[0] != _SOL:
        return None
    option = key[1]
    if option == socket.SO_ERROR:
        return int(file.take_error())
    if option == socket.SO_TYPE:
        return int(file.type)
    if option == getattr(socket, "SO_DOMAIN", -1):
        return int(file.family)
    if option == getattr(socket, "SO_PROTOCOL", -1):
        return int(_PROTOCOLS.get((file.family, file.type), 0))
    if option == socket.SO_ACCEPTCONN:
        return int(file.listens)
    if option == socket.SO_SNDBUF:
        return int(file.send_buffer)
    if option == socket.SO_RCVBUF:
        return int(file.receive_buffer)
    return None


def set_option(file: Any, level: int, option: int, value: Any) -> None:
    """What setsockopt does."""
    key = (level, option)
    if file.family == socket.AF_UNIX and level != _SOL:
        raise error(errno.EOPNOTSUPP)
    if level == socket.IPPROTO_TCP and file.type != socket.SOCK_STREAM:
        raise error(errno.EOPNOTSUPP)
    if key == (_SOL, socket.SO_LINGER):
        raw = bytes(value) if not isinstance(value, int) else b""
        if len(raw) < 8:
            raise error(errno.EINVAL)
        file.options[key] = struct.unpack("ii", raw[:8])
        return
    if not isinstance(value, int):
        raw = bytes(value)
        value = struct.unpack("i", raw)[0] if len(raw) == 4 else raw
    if level == _SOL and option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        # Linux doubles it, for what it needs beside the bytes.
        size = max(2 * value, 2 * _LEAST_BUFFER if option == socket.SO_SNDBUF else _LEAST_BUFFER)
        if option == socket.SO_SNDBUF:
            file.send_buffer = size
        else:
            file.receive_buffer = size
        return
    if level == _SOL and option in (socket.SO_ERROR, socket.SO_TYPE, socket.SO_ACCEPTCONN):
        raise error(errno.ENOPROTOOPT)
    file.options[key] = int(bool(value)) if key in _SWITCHES else value
    if key == (_SOL, socket.SO_KEEPALIVE) and value and getattr(file, "is_connected", False):
        file.kernel.network.wants_probes(file)
