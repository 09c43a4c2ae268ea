"""Names of hosts, and what looking them up takes.

Every host is known by its own name, and has the addresses of its kernel; `add` tells more names. A look-up takes a
drawn time (stream `alice/lookup`), and may fail for now (`alice/lookup_failure`).
"""

from __future__ import annotations

import _socket
import socket
from typing import Any

from .addresses import literal

_LOCALHOST = ("127.0.0.1", "::1")


class Names:
    """The names of a world."""

    def __init__(self, network: Any) -> None:
        self._network = network
        self._more: dict[str, list[str]] = {}
        self._asked: dict[str, int] = {}  # look-ups so far, by the host that asks
        self.delay = (0.0002, 0.020)  # seconds; the least and the most a look-up takes
        self.failure = 0.0  # probability that one fails for now

    def add(self, name: str, *addresses: str) -> None:
        """Let a name stand for these addresses, in this order."""
        self._more[name.lower()] = list(addresses)

    def addresses(self, kernel: Any, name: str, family: int = 0) -> list[str]:
        """The addresses of a name. socket.gaierror (EAI_NONAME) if nobody has it."""
        given = name.rstrip(".").lower()
        if given in ("localhost", "localhost.localdomain", "ip6-localhost"):
            found: list[str] = list(_LOCALHOST)
        elif given in self._more:
            found = self._more[given]
        else:
            owner = self._network._kernels.get(name.rstrip("."))
            found = [] if owner is None else [address for address in owner.addresses if ":" not in address]
            if owner is not None and family == socket.AF_INET6:
                found = [address for address in owner.addresses if ":" in address]
        found = [address for address in found if family in (0, _family(address))]
        if not found:
            raise self._unknown(name)
        return found

    def _unknown(self, name: str) -> socket.gaierror:
        """Return what the system says of a name that nobody has, with the names that there are."""
        error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        known = ", ".join(sorted({*self._network._kernels, *self._more}))
        error.add_note(
            f"nobody in this world is called {name!r}, or has an address of the family asked for; "
            f"the names are {known}. "
            f"world.host({name!r}, serve) makes a host, world.names.add({name!r}, ADDRESS) another name"
        )
        return error

    def draw(self, kernel: Any) -> tuple[float, bool]:
        """What a look-up by a host takes, in seconds, and whether it fails for now."""
        host = kernel.host.name
        number = self._asked[host] = self._asked.get(host, 0) + 1
        world = self._network.world
        least, most = self.delay
        severity = world.draw(f"{host}/lookup", number)
        took = least + severity * (most - least)
        if severity and world.log is not None:
            world.explain_choice((f"{host}/lookup", number), f"{host}, look-up {number}", f"{took * 1e3:.3g} ms")
        failed = bool(self.failure and world.draw(f"{host}/lookup_failure", number, self.failure))
        return took, failed

    def wait_for(self, kernel: Any, name: str, family: int) -> list[str]:
        """`addresses`, for a call that blocks: the world goes on meanwhile."""
        took, failed = self.draw(kernel)
        self._log(kernel, name)
        kernel.pause(took, None)
        if failed:
            raise _try_again()
        return self.addresses(kernel, name, family)

    def _log(self, kernel: Any, name: str) -> None:
        log = self._network.world.log
        if log is not None:
            log.add(kernel.host.name, "lookup", name)

    # --- getaddrinfo ------------------------------------------------------------------------------

    def infos(self, kernel: Any, host: Any, port: Any, family: int, type: int, proto: int, flags: int) -> list[Any]:
        """What getaddrinfo answers, at once. OSError as it does."""
        if isinstance(host, (bytes, bytearray)):
            host = bytes(host).decode("idna")
        if needs_no_lookup(host) or flags & socket.AI_NUMERICHOST:
            return _getaddrinfo(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
        return [
            info
            for address in self.addresses(kernel, host, family)
            for info in _getaddrinfo(address, port, 0, type, proto, flags | socket.AI_NUMERICHOST)
        ]

    def getaddrinfo(self, kernel: Any, *asked: Any) -> list[Any]:
        """The same after the time it takes, for a call that blocks."""
        if not needs_no_lookup(asked[0]):
            took, failed = self.draw(kernel)
            self._log(kernel, str(asked[0]))
            kernel.pause(took, None)
            if failed:
                raise _try_again()
        return self.infos(kernel, *asked)

    def getaddrinfo_on(self, loop: Any, kernel: Any, *asked: Any) -> Any:
        """The same for a loop: a future."""
        future = loop.create_future()
        if needs_no_lookup(asked[0]):
            self._answer(future, False, kernel, asked)
            return future
        took, failed = self.draw(kernel)
        self._log(kernel, str(asked[0]))
        loop.call_later(took, self._answer, future, failed, kernel, asked)
        return future

    def _answer(self, future: Any, failed: bool, kernel: Any, asked: Any) -> None:
        if future.done():
            return
        try:
            if failed:
                raise _try_again()
            future.set_result(self.infos(kernel, *asked))
        except Exception as exc:
            future.set_exception(exc)

    def name_of(self, address: str) -> str:
        """The name of the host that has an address, or the address."""
        if address in _LOCALHOST:
            return "localhost"
        owner = self._network._owners.get(address)
        return address if owner is None else str(owner.host.name)


def needs_no_lookup(host: Any) -> bool:
    """Whether the system answers by itself: no host, or a literal."""
    if isinstance(host, (bytes, bytearray)):
        host = bytes(host).decode("ascii", "replace")
    if not isinstance(host, str) or not host:
        return True
    return literal(socket.AF_INET, host) is not None or literal(socket.AF_INET6, host) is not None


def _getaddrinfo(*asked: Any) -> list[Any]:
    """The system's, which is asked about literals only; captured is what stands above it."""
    return [
        (socket.AddressFamily(family), socket.SocketKind(kind), proto, name, address)
        for family, kind, proto, name, address in _socket.getaddrinfo(*asked)
    ]


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _try_again() -> socket.gaierror:
    return socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
