"""On whose behalf the calling thread runs: the host of a world, or nobody.

Everything that a world captures asks here first. A thread that belongs to no world gets what it always got, also while
a world runs in another thread: the real clock, real sockets, real chance.
"""

from __future__ import annotations

from ..engine import native

TYPE_CHECKING = False  # not typing's: this is imported by product code
if TYPE_CHECKING:
    from .hosts import Host

# {number of a thread that belongs to a world: the host whose code it runs}. No entry: no world.
_hosts: dict[int, Host] = {}


def host() -> Host | None:
    """Return the host whose code the calling thread runs, or None outside of worlds and between the turns of one."""
    return _hosts.get(native.get_ident())


def enter(host: Host | None) -> Host | None:
    """Let the calling thread run on behalf of `host` (None: nobody); return on whose behalf it ran before."""
    number = native.get_ident()
    before = _hosts.get(number)
    if host is None:
        _hosts.pop(number, None)
    else:
        _hosts[number] = host
    return before


def clear() -> None:
    """Let no thread run on behalf of a host any more: the world has ended, in whatever way."""
    _hosts.clear()
