"""The abstract classes of transports: the stdlib's own, so that `isinstance(transport, asyncio.Transport)` holds."""

from __future__ import annotations

from asyncio.transports import (
    BaseTransport,
    DatagramTransport,
    ReadTransport,
    SubprocessTransport,
    Transport,
    WriteTransport,
    _FlowControlMixin,  # noqa: F401
)

__all__ = ("BaseTransport", "ReadTransport", "WriteTransport", "Transport", "DatagramTransport", "SubprocessTransport")
