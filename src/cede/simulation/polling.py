"""Waiting for several descriptors in calls that block: the select, poll and epoll of programs without a loop."""

from __future__ import annotations

import errno
import select
from typing import Any

from .files import ERR, HUP, IN, OUT, RDHUP, SIMULATED, File, error

Wanted = list[tuple[int, File, int]]  # (descriptor, file, bits)


def _descriptor(fileobj: Any) -> int:
    return fileobj if isinstance(fileobj, int) else int(fileobj.fileno())


def _simulated_file(kernel: Any, fd: int) -> File:
    if fd < SIMULATED:
        raise RuntimeError(f"descriptor {fd} is of the real machine: inside of a world nobody can wait for it")
    file: File = kernel.descriptors.file(fd)
    return file


def wait_for_any(kernel: Any, wanted: Wanted, timeout: float | None) -> list[tuple[int, int]]:
    """Wait at most `timeout` seconds (None: for ever) until one of the files is ready; what each is ready for."""
    found = _ready(wanted)
    if found or timeout == 0:
        return found
    deadline = None if timeout is None else kernel.host.now + timeout
    waiter = kernel.host.world.waiter()
    for _, file, _ in wanted:
        file.watch(waiter)
    try:
        while not found:
            left = None if deadline is None else deadline - kernel.host.now
            if left is not None and left <= 0:
                break
            waiter.wait(left)
            found = _ready(wanted)
        return found
    finally:
        for _, file, _ in wanted:
            file.unwatch(waiter)


def _ready(wanted: Wanted) -> list[tuple[int, int]]:
    found = [(fd, file.poll() & (bits | ERR | HUP)) for fd, file, bits in wanted]
    return [(fd, bits) for fd, bits in found if bits]


def simulated_select(
    kernel: Any, rlist: Any, wlist: Any, xlist: Any, timeout: float | None = None
) -> tuple[list[Any], list[Any], list[Any]]:
    """select.select, on a host."""
    lists = [list(rlist), list(wlist), list(xlist)]
    wanted = [
        (fd, _simulated_file(kernel, fd), bits)
        for objects, bits in zip(lists, (IN, OUT, 0), strict=True)
        for fd in map(_descriptor, objects)
    ]
    ready: dict[int, int] = {}
    for fd, bits in wait_for_any(kernel, wanted, timeout):
        ready[fd] = ready.get(fd, 0) | bits
    readable, writable = IN | HUP | ERR, OUT | ERR
    return (
        [each for each in lists[0] if ready.get(_descriptor(each), 0) & readable],
        [each for each in lists[1] if ready.get(_descriptor(each), 0) & writable],
        [],
    )


class _Polling:
    """What select.poll and select.epoll have in common."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._wanted: dict[int, tuple[File, int]] = {}

    def register(self, fd: Any, eventmask: int = IN | OUT | select.POLLPRI) -> None:
        number = _descriptor(fd)
        self._wanted[number] = (_simulated_file(self._kernel, number), eventmask & (IN | OUT | RDHUP))

    def modify(self, fd: Any, eventmask: int) -> None:
        if _descriptor(fd) not in self._wanted:
            raise error(errno.ENOENT)
        self.register(fd, eventmask)

    def unregister(self, fd: Any) -> None:
        del self._wanted[_descriptor(fd)]

    def _wait(self, seconds: float | None) -> list[tuple[int, int]]:
        open_ones = [(fd, file, bits) for fd, (file, bits) in self._wanted.items() if file.descriptors]
        return wait_for_any(self._kernel, open_ones, seconds)


class simulated_poll(_Polling):
    """select.poll, on a host."""

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        return self._wait(None if timeout is None or timeout < 0 else timeout / 1000)


class simulated_epoll(_Polling):
    """select.epoll, on a host; without edges."""

    closed = False

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        found = self._wait(None if timeout is None or timeout < 0 else timeout)
        return found[:maxevents] if maxevents > 0 else found

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        self.closed = True
        self._wanted.clear()

    def __enter__(self) -> simulated_epoll:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
