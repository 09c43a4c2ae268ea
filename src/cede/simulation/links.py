"""Links: when what one host sends arrives at another, if at all; what is drawn about it, and under which name.

A `Link` is one direction between two hosts; a `Flow` is one direction of a TCP connection over it. A flow keeps its
order, and loses nothing for good: what TCP would send again arrives later, by as much as its timers take. While the
other end cannot be reached, segments wait and are tried again with growing pauses, until TCP gives up.
"""

from __future__ import annotations

from bisect import insort
from typing import Any

from .tcp import ACK, DATA, RST, SYN, Connection, Segment

BETWEEN_HOSTS = (0.0001, 0.010)  # seconds; the least and the most a segment takes
INSIDE_A_HOST = (0.00001, 0.005)
_FIRST_SYN_RETRY = 1.0  # seconds; each later pause is twice as long
_SYN_GIVES_UP = 127.0  # seconds; what net.ipv4.tcp_syn_retries = 6 comes to
_FIRST_RETRY = 0.2  # seconds; TCP_RTO_MIN
_LONGEST_RETRY = 120.0  # TCP_RTO_MAX
_GIVES_UP = 924.6  # seconds; what net.ipv4.tcp_retries2 = 15 comes to
_MOST_LOSSES = 3  # of one segment, one after the other


class Link:
    """One direction between two hosts. Probabilities are from 0 to 1, `bandwidth` is in bytes a second."""

    def __init__(self, latency: tuple[float, float] = BETWEEN_HOSTS) -> None:
        self.latency = latency
        self.loss = 0.0
        self.duplicate = 0.0  # of datagrams
        self.reorder = 0.0  # of datagrams
        self.bandwidth: float | None = None
        self.cut = False  # True iff partitioned: what is sent is lost
        self.held = False  # True iff what is sent waits until it is released
        self.held_back: list[tuple[Any, Any]] = []  # (whose carry(item, now) lets it go on, item)
        self._free = 0.0  # seconds of the world: when what was sent before has left, if bandwidth counts

    def departure(self, now: float, size: int) -> float:
        """When the last byte of what is sent at `now` has left."""
        if self.bandwidth is None:
            return now
        self._free = max(now, self._free) + size / self.bandwidth
        return self._free

    def arrival(self, now: float, size: int, severity: float) -> float:
        """When something sent at `now` arrives; `severity` from 0, at once, to 1."""
        least, most = self.latency
        return self.departure(now, size) + least + severity * (most - least)


class Flow:
    """One direction of a connection."""

    def __init__(self, network: Any, connection: NetworkConnection, direction: int) -> None:
        self._network = network
        self._world = network.world
        self._hosts = connection.hosts
        self._number = connection.number
        self._direction = direction
        one, other = connection.hosts
        self.name = f"{one}{'<' if direction else '>'}{other}/{connection.number}"
        self._latency = f"{self.name}/send"
        self._loss = f"{self.name}/loss"
        self._reset = f"{self.name}/reset"
        self._sent = 0  # segments
        self._cuts = 0  # calls of the program that might have been cut short
        self._last = 0.0  # seconds of the world: when the last one arrives
        self._waiting: list[tuple[int, Segment]] = []  # those that could not be delivered, in order
        self._retry: Any = None  # the arrival that tries these again
        self._since: float | None = None  # seconds of the world: since when nothing gets through; None: it does
        self._pause = 0.0  # seconds until the next try
        self._dead = False  # True iff TCP has given up

    def send(self, segment: Segment, now: float) -> None:
        """Carry a segment."""
        self._sent += 1
        if self._waiting:
            self._wait((self._sent, segment))
        else:
            self.carry((self._sent, segment), now)

    def carry(self, item: tuple[int, Segment], now: float) -> None:
        """Let the `item[0]`-th segment of the flow leave at `now`."""
        number, segment = item
        link = self._network.link(segment.connection, self._direction)
        if link.held:
            link.held_back.append((self, item))
            return
        if self._network.is_blocked(segment.connection, self._direction):
            self._wait(item)
            return
        size = len(segment.data) if segment.kind == DATA else 0
        severity = self._world.draw(self._latency, number)
        arrival = link.arrival(now, size, severity)
        if severity and self._world.log is not None:
            self._explain(self._latency, number, f"{(arrival - now) * 1e3:.3g} ms on its way")
        loss = link.loss or self._network.loss
        if loss:
            lost = self._world.draw(self._loss, number, loss)
            if lost:
                times = 1 + int(lost * _MOST_LOSSES)
                arrival += _FIRST_RETRY * (2**times - 1)
                if self._world.log is not None:
                    self._explain(self._loss, number, f"lost {times} times")
        self._last = max(self._last, arrival)
        self._world.at(self._last, self._arrive, item)

    def _arrive(self, item: tuple[int, Segment]) -> None:
        network, connection = self._network, item[1].connection
        if self._waiting or network.is_blocked(connection, self._direction):
            self._wait(item)
        elif network.resets and item[1].kind == DATA and self._world.draw(self._reset, item[0], network.resets):
            if self._world.log is not None:
                self._explain(self._reset, item[0], "meets a reset of the connection")
            network.reset_connection(connection)
        elif network.deliver(item[1]):
            self._since = None
        else:
            self._wait(item)

    @property
    def waits(self) -> bool:
        """Whether something could not be delivered, and is tried again."""
        return bool(self._waiting)

    @property
    def is_busy(self) -> bool:
        """Whether something is on its way."""
        return self._last > self._world.now

    def cut(self, size: int) -> int:
        """How many of `size` bytes one call of the program moves."""
        if not self._network.chunks:
            return size
        self._cuts += 1
        severity = self._world.draw(f"{self.name}/cut", self._cuts, self._network.chunks)
        if not severity:
            return size
        moved = size - 1 - int(severity * (size - 1))
        if self._world.log is not None:
            words = f"a call moves {moved} bytes of {size}"
            self._world.explain_choice((f"{self.name}/cut", self._cuts), f"connection {self.name}", words)
        return max(1, moved)

    def _explain(self, stream: str, number: int, what: str) -> None:
        hosts = self._hosts
        sender, receiver = hosts[self._direction], hosts[1 - self._direction]
        where = f"{sender} → {receiver}, connection {self._number}, packet {number}"
        self._world.explain_choice((stream, number), where, what)

    # --- Trying again -----------------------------------------------------------------------------

    def _wait(self, item: tuple[int, Segment]) -> None:
        if self._dead:
            return
        if self._since is None:
            self._since = self._world.now
            self._pause = _FIRST_SYN_RETRY if item[1].kind == SYN else _FIRST_RETRY
        insort(self._waiting, item, key=lambda item: item[0])
        if self._retry is None:
            self._retry = self._world.at(self._world.now + self._pause, self._try_again)
            self._pause = min(self._pause * 2, _LONGEST_RETRY)

    def _try_again(self) -> None:
        self._retry = None
        waiting, self._waiting = self._waiting, []
        if waiting and self._gives_up(waiting):
            self._dead = True
            self._network.timed_out(waiting[0][1].connection, self._direction)
            return
        for item in waiting:
            if self._waiting:
                self._wait(item)  # the one before it found the way blocked
            else:
                self.carry(item, self._world.now)

    def _gives_up(self, waiting: list[tuple[int, Segment]]) -> bool:
        assert self._since is not None
        waited = self._world.now - self._since
        if waiting[0][1].kind == SYN:
            return waited >= _SYN_GIVES_UP
        if all(segment.kind in (ACK, RST) for _, segment in waiting):
            return False  # nobody waits for an answer to these
        return waited >= self._network.patience(waiting[0][1].connection, self._direction, _GIVES_UP)


class NetworkConnection(Connection):
    """A connection that a network carries: the `number`-th from `hosts[0]` to `hosts[1]`, names of hosts."""

    def __init__(
        self, network: Any, source: tuple[str, int], target: tuple[str, int], hosts: tuple[str, str], number: int
    ) -> None:
        super().__init__(source, target)
        self.hosts = hosts
        self.number = number
        self.ciphered = False  # True iff TLS has been seen on it
        self.heard = [network.world.now] * 2  # seconds of the world: when something came last, in each direction
        self.probes: list[Any] = [None, None]  # those of each end that cannot reach its peer (`keepalive.py`)
        self.flows = (Flow(network, self, 0), Flow(network, self, 1))

    def cut(self, direction: int, size: int) -> int:
        return self.flows[direction].cut(size)
