"""A network without time and chance: what is sent is there when the call returns, as over a real loopback."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from cede.simulation.datagrams import Datagram
from cede.simulation.kernel import Kernel
from cede.simulation.tcp import Connection, Segment


class Wire:
    """Joins the kernels that are made with it."""

    def __init__(self) -> None:
        self._kernels: list[Kernel] = []
        self._carried: deque[tuple[Any, ...]] = deque()
        self._carries = False
        self.lost: list[Datagram] = []
        self.timers: list[tuple[float, Callable[..., Any], tuple[Any, ...]]] = []

    def kernel(self, *addresses: str) -> Kernel:
        kernel = Kernel(self, addresses)
        self._kernels.append(kernel)
        return kernel

    def connect(self, kernel: Kernel, source: tuple[str, int], target: tuple[str, int]) -> Connection:
        return Connection(source, target)

    def send(self, kernel: Kernel, segment: Segment) -> None:
        self._carry(self._whose(kernel, segment.target).receive, segment)

    def send_datagram(self, kernel: Kernel, datagram: Datagram) -> None:
        def arrive(datagram: Datagram) -> None:
            if not self._whose(kernel, datagram.target).receive_datagram(datagram):
                kernel.refused_datagram(datagram)

        self._carry(arrive, datagram)

    def dropped(self, kernel: Kernel, datagram: Datagram) -> None:
        self.lost.append(datagram)

    def instead_of(self, address: tuple[str, int]) -> tuple[str, int]:
        return address

    def wants_probes(self, sock: Any) -> None:
        pass  # a wire without time

    def after(self, seconds: float, callback: Callable[..., Any], *args: Any) -> None:
        self.timers.append((seconds, callback, args))

    def tick(self) -> None:
        """No time passes here."""

    def look_up(self, kernel: Kernel, name: str, family: int) -> list[str]:
        raise OSError(f"no name {name}")

    def _whose(self, kernel: Kernel, target: tuple[str, int]) -> Kernel:
        if kernel.is_local(target[0]):
            return kernel
        return next(other for other in self._kernels if target[0] in other.addresses)

    def _carry(self, deliver: Callable[..., Any], thing: Any) -> None:
        self._carried.append((deliver, thing))
        if self._carries:
            return
        self._carries = True
        try:
            while self._carried:
                deliver, thing = self._carried.popleft()
                deliver(thing)
        finally:
            self._carries = False
