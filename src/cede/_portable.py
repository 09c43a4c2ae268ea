"""Run cede as where nothing of Linux's own exists, to see what it does on macOS and BSD.

`CEDE_PORTABLE=1` makes `cede/__init__.py` call `install()` before it imports anything else, as `_pure` is called. It
takes names out of the standard library's modules, for the whole process: a tool of tests. Then the ways by which cede
finds out what a system has are the ones that it takes elsewhere. A build with CEDE_PORTABLE=1 does the same to the C.

The law of this file: it imports nothing of cede.
"""

from __future__ import annotations

import os
import select
import selectors
import signal
import socket
import sys

# What only Linux has, of what a loop could have a use for. What the standard library itself cannot do without stays.
_HIDDEN = {
    select: ("epoll", "EPOLL*"),
    selectors: ("EpollSelector",),
    os: ("pidfd_open", "PIDFD_*", "P_PIDFD", "eventfd*", "EFD_*", "timerfd_*", "TFD_*", "pipe2", "splice", "SPLICE_*"),
    signal: ("pidfd_send_signal", "sigwaitinfo", "sigtimedwait"),
    socket: (
        "SOCK_NONBLOCK",
        "SOCK_CLOEXEC",
        "TCP_CORK",
        "TCP_QUICKACK",
        "SO_PEERCRED",
        "MSG_NOSIGNAL",
        "MSG_ERRQUEUE",
    ),
}

installed = False


def install() -> None:
    """Take the names away; doing it twice changes nothing."""
    global installed
    installed = True
    for module, names in _HIDDEN.items():
        for name in names:
            for found in [found for found in vars(module) if found == name or _begins(found, name)]:
                delattr(module, found)
    selectors.DefaultSelector = selectors.PollSelector  # type: ignore[assignment,misc]
    if hasattr(sys.modules.get("subprocess"), "_CAN_USE_PIDFD_OPEN"):
        sys.modules["subprocess"]._CAN_USE_PIDFD_OPEN = False  # type: ignore[attr-defined]


def _begins(name: str, pattern: str) -> bool:
    return pattern.endswith("*") and name.startswith(pattern[:-1])
