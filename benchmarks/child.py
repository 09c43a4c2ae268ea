"""Inside the fresh process of one run: `python -m benchmarks.child ROW PEER SCALE`.

A program is run, small and then in full, and its numbers are printed; a server is started, its
address is printed, and it serves until the process is killed.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from types import ModuleType
from typing import Any

from . import build, catalogue, counting, peers
from .clients import MARK
from .row import Meter, Row, WrongAnswer

WARMUP = 0.1  # of the measured run


def tell(**facts: Any) -> None:
    """Print a line that the harness reads."""
    print(MARK + json.dumps(facts), flush=True)


def address_of(started: Any) -> str:
    """Return where a server, an endpoint or an address already written out can be reached."""
    if isinstance(started, str):
        return started
    if isinstance(started, tuple):  # (transport, protocol), as create_datagram_endpoint returns
        name = started[0].get_extra_info("sockname")
    else:
        name = started.sockets[0].getsockname()
    return f"unix:{name}" if isinstance(name, str) else f"{name[0]}:{name[1]}"


def settle_allocator() -> None:
    """Bring glibc's malloc into the state that a process of some age is in.

    Until a process has once freed a large block, glibc maps and unmaps every buffer of 128 KiB and
    more anew: some 20 µs a read for the loops that read into a fresh 256 KiB buffer. Whether that
    has happened by the time a server serves is an accident of what was imported; here it has, but
    for the rows that say "fresh process".
    """
    bytes(4 << 20)


def serve(row: Row, package: ModuleType, loop_factory: Any) -> None:
    """Start the row's server and stay."""

    async def main() -> None:
        if counter := counting.counter():
            counter.begin()  # and ends when the process does
        started = await row.run()
        tell(pid=os.getpid(), address=address_of(started))
        await package.get_running_loop().create_future()

    with package.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def measure(row: Row, package: ModuleType, peer: peers.Peer, loop_factory: Any, scale: float) -> None:
    """Run the row's program and print what it measured."""
    imports = ", ".join(dict.fromkeys((peer.package, peer.module)))
    factory = (peer.factory or "None").replace(":", ".")
    measured = Meter(scale, loop_factory, imports, factory, counter=counting.counter())
    meters = [Meter(scale * WARMUP, loop_factory, imports, factory), measured] if row.warmup else [measured]
    if inspect.iscoroutinefunction(row.run):
        with package.Runner(loop_factory=loop_factory) as runner:
            for meter in meters:
                runner.run(row.run(meter, **row.variant))
            tell(values=measured.values, wall_ns=measured.wall_ns, operations=measured.operations)
    else:
        for meter in meters:
            row.run(meter, **row.variant)
        tell(values=measured.values, wall_ns=measured.wall_ns, operations=measured.operations)


def measure_limit(row: Row, scale: float) -> None:
    """Run the row's limit: the same work without a loop."""
    for meter in (Meter(scale * WARMUP), measured := Meter(scale)):
        row.limit(meter, **row.variant)
    tell(values=measured.values, wall_ns=measured.wall_ns)


def main(module: str, name: str, peer_name: str, scale: float) -> None:
    """Run one row on one peer."""
    peer = peers.BY_NAME[peer_name]
    package = peer.load_package()
    row = next(row for row in catalogue.load(module, package) if row.name == name)
    if not row.fresh:
        settle_allocator()
    loop_factory = peer.loop_factory()
    if peer.kind == "limit":
        measure_limit(row, scale)
    elif row.serves:
        serve(row, package, loop_factory)
    else:
        measure(row, package, peer, loop_factory, scale)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
    except (peers.Unusable, build.BuildFailed, WrongAnswer) as reason:
        sys.exit(str(reason))
