"""What the rows run on: the event loops, cede in its four forms, and the limits.

Law: a peer is imported in the process that measures it, and nowhere else.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

SOURCE = Path(__file__).parent.parent / "src"  # where cede is if it is not installed


class Unusable(Exception):
    """A peer is not what its column says; the text is the reason that the table gives."""


@dataclass(frozen=True)
class Peer:
    """One column of the table."""

    name: str
    module: str = "asyncio"  # what must be importable for it
    factory: str | None = None  # "module:callable" that makes its loop; None: the package's own
    package: str = "asyncio"  # the package that a row's `import asyncio` gets
    kind: str = "peer"  # "peer", "cede" or "limit"
    compiled: bool | None = None  # cede only: the speed that this column stands for
    sections: tuple[str, ...] | None = None  # the only sections where it differs from its base; None: all
    environment: dict[str, str] = field(default_factory=dict)  # added to the process's

    def installed(self) -> bool:
        """Tell whether its module can be found, without importing it; cede may be this checkout's."""
        return importlib.util.find_spec(self.module) is not None or (self.module == "cede" and SOURCE.is_dir())

    def load_package(self) -> ModuleType:
        """Import what its rows get as asyncio; Unusable if cede runs at the wrong speed."""
        if self.compiled is not None:
            compiled = importlib.import_module("cede").compiled
            if compiled is not self.compiled:
                raise Unusable(f"cede is {'' if compiled else 'not '}compiled here")
        package = importlib.import_module(self.package)
        assert package.sleep  # asked for, cede imports its library; how long that takes is for the rows of start-up
        return package

    def loop_factory(self) -> Callable[[], Any] | None:
        """Return what makes its loop; None means the default of its package."""
        if self.factory is None:
            return None
        module, _, name = self.factory.partition(":")
        factory: Callable[[], Any] = getattr(importlib.import_module(module), name)
        return factory


def patched_asyncio_loop() -> Any:
    """Return a stdlib loop with aiofastnet's transports."""
    import aiofastnet

    return aiofastnet.loop_factory()()


def patched_uvloop_loop() -> Any:
    """Return uvloop's loop with aiofastnet's transports."""
    import aiofastnet
    import uvloop

    return aiofastnet.loop_factory(uvloop.new_event_loop)()


_TRANSPORTS_ONLY = ("Sockets", "HTTP")
_PURE = {"CEDE_PURE": "1"}

PEERS = (
    Peer("limit", kind="limit"),
    Peer("limit-package", kind="limit", module="cede", package="cede"),
    Peer("asyncio"),
    Peer("uvloop", "uvloop", "uvloop:new_event_loop"),
    Peer("rloop", "rloop", "rloop:new_event_loop"),
    Peer("blazio", "blazio", "blazio:new_event_loop"),
    Peer("talyn", "talyn", "talyn:Loop"),
    Peer("zloop", "zloop", "zloop:new_event_loop"),
    Peer("veloxloop", "veloxloop", "veloxloop:new_event_loop"),
    Peer("rsloop", "rsloop", "rsloop:new_event_loop"),
    Peer("zuvloop", "zuvloop", "zuvloop:new_event_loop"),
    Peer("aiofastnet", "aiofastnet", "benchmarks.peers:patched_asyncio_loop", sections=_TRANSPORTS_ONLY),
    Peer("aiofastnet-uvloop", "aiofastnet", "benchmarks.peers:patched_uvloop_loop", sections=_TRANSPORTS_ONLY),
    Peer("package", "cede", "cede:new_event_loop", "cede", "cede", compiled=True),
    Peer("loop", "cede", "cede:new_event_loop", "asyncio", "cede", compiled=True),
    Peer("package-pure", "cede", "cede:new_event_loop", "cede", "cede", compiled=False, environment=_PURE),
    Peer("loop-pure", "cede", "cede:new_event_loop", "asyncio", "cede", compiled=False, environment=_PURE),
)


def _recorded(peer: Peer) -> Peer:
    return replace(peer, name=f"{peer.name}-recorded", environment={**peer.environment, "CEDE_RECORD": "16MiB"})


# cede once more, while it records what it does: `--observe off,record`.
RECORDED = tuple(_recorded(peer) for peer in PEERS if peer.kind == "cede")

BY_NAME = {peer.name: peer for peer in (*PEERS, *RECORDED)}
