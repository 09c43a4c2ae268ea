"""Captures: what stands in place of `socket`, `select` and the descriptor calls of `os` while a world runs.

Each replacement asks `current.host()`, and does the real thing for a thread outside of worlds, or a real descriptor.
"""

from __future__ import annotations

import _socket
import errno
import fcntl
import os
import select
import selectors
import signal
import socket
import stat
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from ..engine import own_calls
from . import children, current, file_captures
from .files import IN, SIMULATED, File, error
from .kernel import path_name
from .polling import simulated_epoll, simulated_poll, simulated_select
from .sockets import FLAGS, SimulatedSocket, gathered, is_simulated
from .streams import write_waiting

Capture = tuple[object, str, object]

_new_plain = _socket.socket.__new__
_kinds: dict[type, type] = {socket.socket: SimulatedSocket}


def captured() -> list[Capture]:
    """Return what is to be put in place of the real machine's: (owner, attribute, replacement)."""
    return [
        *_of_sockets(),
        *_of_names(),
        *_of_descriptors(),
        *_of_readiness(),
        *_of_signals(),
        *file_captures.captured(),
        *children.captured(),
    ]


def _file(fd: Any) -> File | None:
    """The file of a simulated descriptor, None for a real one."""
    if not is_simulated(fd):
        return None
    host = current.host()
    if host is None:
        return None
    file: File = host.kernel.descriptors.file(fd)
    return file


def _by_host(real: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    """`ours(kernel, …)` on a simulated host, `real(…)` elsewhere."""

    def call(*args: Any, **kwargs: Any) -> Any:
        host = current.host()
        return real(*args, **kwargs) if host is None else ours(host.kernel, *args, **kwargs)

    return call


def _by_file(real: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    """`ours(file, …)` for a simulated descriptor, `real(fd, …)` for a real one."""

    def call(fd: Any, *args: Any, **kwargs: Any) -> Any:
        file = _file(fd)
        return real(fd, *args, **kwargs) if file is None else ours(file, *args, **kwargs)

    return call


# --- Sockets ----------------------------------------------------------------------------------------


def _new_socket(cls: type, *args: Any, **kwargs: Any) -> Any:
    fileno = kwargs.get("fileno", args[3] if len(args) > 3 else None)
    if current.host() is None or (fileno is not None and not is_simulated(fileno)):
        return _new_plain(cls)
    kind = _kinds.get(cls)
    if kind is None:
        kind = cls if issubclass(cls, SimulatedSocket) else type(cls.__name__, (cls, SimulatedSocket), {})
        _kinds[cls] = kind
    return _new_plain(kind)


def _socketpair(kernel: Any, family: Any = None, type: int = socket.SOCK_STREAM, proto: int = 0) -> tuple[Any, Any]:
    if family not in (None, socket.AF_UNIX):
        raise error(errno.EOPNOTSUPP)
    one, other = kernel.socket_pair(type & ~FLAGS)
    return SimulatedSocket.of(kernel, one), SimulatedSocket.of(kernel, other)


def _of_sockets() -> list[Capture]:
    real_close, real_fromfd = socket.close, socket.fromfd

    def fromfd(fd: int, family: int, type: int, proto: int = 0) -> Any:
        file = _file(fd)
        if file is None:
            return real_fromfd(fd, family, type, proto)
        return SimulatedSocket.of(file.kernel, file)

    return [
        (socket.socket, "__new__", staticmethod(_new_socket)),
        (socket, "socketpair", _by_host(socket.socketpair, _socketpair)),
        (socket, "fromfd", fromfd),
        (socket, "close", _closing(real_close)),
    ]


# --- Names ------------------------------------------------------------------------------------------


def _getaddrinfo(
    kernel: Any, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[Any]:
    found: list[Any] = kernel.network.names.getaddrinfo(kernel, host, port, family, type, proto, flags)
    return found


def _gethostbyname(kernel: Any, name: str) -> str:
    infos = _getaddrinfo(kernel, name, 0, socket.AF_INET, socket.SOCK_STREAM)
    return str(infos[0][4][0])


def _gethostbyname_ex(kernel: Any, name: str) -> tuple[str, list[str], list[str]]:
    infos = _getaddrinfo(kernel, name, 0, socket.AF_INET, socket.SOCK_STREAM)
    return name, [], [info[4][0] for info in infos]


def _gethostbyaddr(kernel: Any, address: str) -> tuple[str, list[str], list[str]]:
    return kernel.network.names.name_of(address), [], [address]


def _getnameinfo(kernel: Any, sockaddr: Any, flags: int) -> tuple[str, str]:
    host, service = _socket.getnameinfo(sockaddr, flags | socket.NI_NUMERICHOST)
    return host if flags & socket.NI_NUMERICHOST else kernel.network.names.name_of(host), service


def _of_names() -> list[Capture]:
    names: dict[str, Callable[..., Any]] = {
        "getaddrinfo": _getaddrinfo,
        "gethostbyname": _gethostbyname,
        "gethostbyname_ex": _gethostbyname_ex,
        "gethostbyaddr": _gethostbyaddr,
        "getnameinfo": _getnameinfo,
        "gethostname": lambda kernel: kernel.host.name,
        "getfqdn": lambda kernel, name="": name or kernel.host.name,
    }
    return [(socket, name, _by_host(getattr(socket, name), ours)) for name, ours in names.items()]


# --- Descriptors ------------------------------------------------------------------------------------


def _read(file: File, size: int) -> bytes:
    while True:
        try:
            return file.read(size)
        except BlockingIOError:
            if file.nonblocking:
                raise
        file.kernel.wait(file, IN, None)


def _write(file: File, data: Any) -> int:
    return write_waiting(file, memoryview(data).cast("B"))


def _writev(file: File, buffers: Any) -> int:
    return write_waiting(file, memoryview(gathered(buffers, whole=not file.nonblocking)))


def _closing(real: Callable[[int], None]) -> Callable[[int], None]:
    def close(fd: int) -> None:
        file = _file(fd)
        if file is None:
            real(fd)
        else:
            file.kernel.descriptors.close(fd)

    return close


def _status(file: File) -> os.stat_result:
    of_disk = file_captures.status_of_file(file)
    if of_disk is not None:
        return of_disk
    kind = stat.S_IFSOCK if hasattr(file, "family") else stat.S_IFIFO
    return os.stat_result((kind | 0o600, file.number, 0, 1, os.getuid(), os.getgid(), 0, 0, 0, 0))


def _set_blocking(file: File, blocking: bool) -> None:
    file.nonblocking = not blocking


def _fcntl(file: File, command: int, argument: Any = 0) -> int:
    if command == fcntl.F_GETFL:
        return (os.O_NONBLOCK if file.nonblocking else 0) | (os.O_WRONLY if getattr(file, "writes", False) else 0)
    if command == fcntl.F_SETFL:
        file.nonblocking = bool(argument & os.O_NONBLOCK)
    return 0


def _pipe(kernel: Any, flags: int = 0) -> tuple[int, int]:
    ends: tuple[int, int] = kernel.pipe()
    for fd in ends:
        kernel.descriptors.file(fd).nonblocking = bool(flags & os.O_NONBLOCK)
    return ends


def _sending_files(real: Callable[..., int]) -> Callable[..., int]:
    def sendfile(out_fd: int, in_fd: int, offset: Any, count: int, *more: Any) -> int:
        file = _file(out_fd)
        if file is None:
            return real(out_fd, in_fd, offset, count, *more)
        data = os.pread(in_fd, min(count, 1 << 16), offset)
        return file.write(data) if data else 0

    return sendfile


def _of_descriptors() -> list[Capture]:
    calls: dict[str, Callable[..., Any]] = {
        "read": _read,
        "write": _write,
        "writev": _writev,
        "fstat": _status,
        "set_blocking": _set_blocking,
        "get_blocking": lambda file: not file.nonblocking,
        "set_inheritable": lambda file, inheritable: None,
        "get_inheritable": lambda file: False,
        "isatty": lambda file: False,
        "dup": lambda file: file.kernel.descriptors.open(file),
    }
    found: list[Capture] = [(os, name, _by_file(getattr(os, name), ours)) for name, ours in calls.items()]
    found += [
        (own_calls, name, _by_file(getattr(own_calls, name), ours))
        for name, ours in calls.items()
        if hasattr(own_calls, name)
    ]
    for owner in (os, own_calls):
        found.append((owner, "close", _closing(owner.close)))
        found.append((owner, "sendfile", _sending_files(owner.sendfile)))
    return [
        *found,
        *((os, name, _by_host(getattr(os, name), _pipe)) for name in ("pipe", "pipe2") if hasattr(os, name)),
        (fcntl, "fcntl", _by_file(fcntl.fcntl, _fcntl)),
    ]


# --- Paths of unix sockets --------------------------------------------------------------------------


def _by_path(real: Callable[..., Any], ours: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """`ours(kernel, name)` for the path of a simulated unix socket, `real(path, …)` for any other."""

    def call(path: Any, *args: Any, **kwargs: Any) -> Any:
        host = current.host()
        if host is not None and isinstance(path, (str, bytes, os.PathLike)) and kernel_has(host.kernel, path):
            return ours(host.kernel, path_name(os.fspath(path)))
        return real(path, *args, **kwargs)

    return call


def kernel_has(kernel: Any, path: Any) -> bool:
    return bool(kernel.paths) and path_name(os.fspath(path)) in kernel.paths


def _path_status(kernel: Any, name: Any) -> os.stat_result:
    number = SIMULATED + list(kernel.paths).index(name)
    return os.stat_result((stat.S_IFSOCK | 0o755, number, 0, 1, os.getuid(), os.getgid(), 0, 0, 0, 0))


def on_paths() -> list[file_captures.Maker]:
    """Return what makes the replacements of the calls of `os` on paths."""

    def of_both(maker: Callable[[Any], Any], of_socket: Callable[[Any, Any], Any], real: Any) -> Any:
        return _by_path(maker(real), of_socket)

    of_sockets = {"stat": _path_status, "lstat": _path_status, "chmod": lambda kernel, name: None}
    return [
        *file_captures.on_paths(),
        *((name, partial(of_both, maker, of_sockets[name])) for name, maker in file_captures.status_calls()),
    ]


# --- Readiness --------------------------------------------------------------------------------------


class _EpollClass(type):
    """What `select.epoll` is: a type of which the host's and the real ones are instances."""

    real: Any

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        host = current.host()
        return cls.real(*args, **kwargs) if host is None else simulated_epoll(host.kernel)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, (cls.real, simulated_epoll))


@cache
def _epoll_class(real: Any) -> Any:
    return _EpollClass("epoll", (), {"real": real, "fromfd": real.fromfd})


def _of_readiness() -> list[Capture]:
    real_poll, real_select = select.poll, select.select
    real_epoll: Any = getattr(select, "epoll", None)

    def poll() -> Any:
        host = current.host()
        return real_poll() if host is None else simulated_poll(host.kernel)

    def select_(*args: Any) -> Any:
        host = current.host()
        return real_select(*args) if host is None else simulated_select(host.kernel, *args)

    epolls: list[Capture] = []  # where the system has it
    if real_epoll is not None:
        epoll = _epoll_class(real_epoll)
        epolls.append((select, "epoll", epoll))
        epolls.append((selectors.EpollSelector, "_selector_cls", staticmethod(epoll)))
    return [
        (select, "poll", poll),
        (select, "select", select_),
        (selectors.PollSelector, "_selector_cls", staticmethod(poll)),
        *epolls,
        (selectors.SelectSelector, "_select", staticmethod(select_)),
    ]


# --- Signals ----------------------------------------------------------------------------------------


def _set_handler(kernel: Any, number: int, handler: Any) -> Any:
    handlers = kernel.host.signal_handlers
    before = handlers.get(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    handlers[number] = handler
    return before


def _handler(kernel: Any, number: int) -> Any:
    return kernel.host.signal_handlers.get(number, signal.SIG_DFL)


def _alarm(kernel: Any, seconds: int) -> int:
    left = kernel.host.set_alarm(float(seconds), 0.0)[0]
    return max(1, round(left)) if left else 0


def _set_timer(kernel: Any, which: int, seconds: float, interval: float = 0.0) -> tuple[float, float]:
    if which != signal.ITIMER_REAL:
        raise error(errno.EINVAL)  # there is no time of the processor's own here
    before: tuple[float, float] = kernel.host.set_alarm(float(seconds), float(interval))
    return before


def _timer(kernel: Any, which: int) -> tuple[float, float]:
    left: tuple[float, float] = kernel.host.alarm_left() if which == signal.ITIMER_REAL else (0.0, 0.0)
    return left


def _of_signals() -> list[Capture]:
    real_kill = os.kill

    def kill(pid: int, number: int) -> None:
        host = current.host()
        if host is not None and pid >= children.FIRST_PID:
            children.kill_child(host, pid, number)
        elif host is None or pid != os.getpid():
            real_kill(pid, number)
        elif number:
            host.signal(number)

    timers: list[Capture] = [
        (signal, name, _by_host(getattr(signal, name), ours))
        for name, ours in (("alarm", _alarm), ("setitimer", _set_timer), ("getitimer", _timer))
        if hasattr(signal, name)
    ]
    return [
        *timers,
        (signal, "signal", _by_host(signal.signal, _set_handler)),
        (signal, "getsignal", _by_host(signal.getsignal, _handler)),
        (signal, "raise_signal", _by_host(signal.raise_signal, lambda kernel, number: kernel.host.signal(number))),
        (signal, "siginterrupt", _by_host(signal.siginterrupt, lambda kernel, number, flag: None)),
        (signal, "set_wakeup_fd", _by_host(signal.set_wakeup_fd, lambda kernel, fd, warn_on_full_buffer=True: -1)),
        (os, "kill", kill),
    ]
